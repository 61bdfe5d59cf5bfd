package workload

import "testing"

func TestMonotonicFindsReadsThatGoBack(t *testing.T) {
	judgeAll(t, "monotonic", []judgement{
		{"forward", `
			0 0-9   put k=1
			1 5-12  read k=1
			0 10-19 put k=2
			1 15-25 read k=1   # began before 2 was acknowledged
			2 26-29 read k=2
			2 90-99 reads k=2 final`, ""},
		{"back within a session", `
			0 0-9   put k=1
			0 10-50 put k=2
			1 15-25 read k=2
			1 26-29 read k=1
			2 90-99 reads k=2 final`, "went back 1"},
		{"back across sessions", `
			0 0-9   put k=1
			0 10-50 put k=2
			1 15-25 read k=2
			2 26-29 read k=1
			2 90-99 reads k=2 final`, "went back 1"},
		{"less than what was acknowledged", `
			0 0-9   put k=1
			0 10-19 put k=2
			1 26-29 read k=1
			2 90-99 reads k=2 final`, "stale 1"},
		{"nothing in place of what was acknowledged", `
			0 0-9   put k=1
			1 26-29 read k=-
			2 90-99 reads k=1 final`, "stale 1"},
		{"sessions that overlap are not ordered", `
			0 0-9   put k=1
			0 10-50 put k=2
			1 15-25 read k=2
			2 24-29 read k=1
			2 90-99 reads k=2 final`, ""},
		{"what was not answered may show late", `
			0 0-9   put k=1 unknown
			0 10-19 put k=2
			1 20-29 read k=2
			1 30-39 read k=1
			2 90-99 reads k=1 final`, ""},
		{"what came before it may not", `
			0 0-9   put k=1
			0 10-19 put k=2 unknown
			0 20-29 put k=3
			1 30-39 read k=1
			2 90-99 reads k=2 final`, "stale 1"},
		{"the end of it lost", `
			0 0-9   put k=1
			0 10-19 put k=2
			2 90-99 reads k=1 final`, "lost 1"},
		{"weak reads may go back", `
			0 0-9   put k=1 weak
			0 10-50 put k=2 weak
			1 15-25 read k=2 weak
			1 26-29 read k=1 weak
			2 90-99 reads k=2 final weak`, ""},
	})
}
