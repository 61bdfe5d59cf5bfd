package workload

import "testing"

func TestSiblingsFindsLostElements(t *testing.T) {
	judgeAll(t, "siblings", []judgement{
		{"united", `
			0 0-9   put k=a
			1 10-19 read k=|a|
			2 10-19 read k=|a|
			1 20-29 put k=a,b
			2 20-29 put k=a,c
			0 30-39 read k=|a,b|a,c|
			0 40-49 put k=a,b,c,d
			2 90-99 reads k=|a,b,c,d| final`, ""},
		{"an element lost", `
			0 0-9   put k=a
			1 20-29 put k=a,b
			2 20-29 put k=a,c
			2 90-99 reads k=|a,b| final`, "lost element 1"},
		{"one that was not answered may be there or not", `
			0 0-9   put k=a
			1 20-29 put k=a,b unknown
			2 20-29 put k=a,c unknown
			2 90-99 reads k=|a|a,b| final`, ""},
		{"one that failed may not", `
			0 0-9   put k=a
			1 20-29 put k=a,b failed
			2 90-99 reads k=|a|a,b| final`, "appeared 1"},
		{"invented", `
			0 0-9   put k=a
			2 90-99 reads k=|a|x| final`, "invented 1"},
		{"shown before it was added", `
			0 0-9   put k=a
			1 10-15 read k=|a,b|
			1 20-29 put k=a,b
			2 90-99 reads k=|a,b| final`, "invented 1"},
		{"a strict read misses one", `
			0 0-9   put k=a
			1 10-19 put k=a,b
			2 20-29 read k=|a|
			2 90-99 reads k=|a,b| final`, "stale element 1"},
		{"a weak one may", `
			0 0-9   put k=a weak
			1 10-19 put k=a,b weak
			2 20-29 read k=|a| weak
			2 90-99 reads k=|a,b| final weak`, ""},
		{"one that overlaps the put may", `
			0 0-9   put k=a
			1 10-25 put k=a,b
			2 20-29 read k=|a|
			2 90-99 reads k=|a,b| final`, ""},
		{"the whole key gone", `
			0 0-9   put k=a
			2 90-99 reads k=- final`, "lost element 1"},
		{"not to be read in the end", `
			0 0-9   put k=a
			2 90-99 reads k= failed final`, "unread 1"},
		{"forgotten in the end", `
			0 0-9   put k=a
			0 10-19 put l=b
			2 90-99 reads l=|b| final`, "unread 1"},
	})
}
