package workload

import "testing"

func TestRangeFindsScansThatDoNotEqualTheModel(t *testing.T) {
	const three = `
		0 0-9 batch r/1=a r/2=b r/3=c
`
	judgeAll(t, "range", []judgement{
		{"all of it, forward and in reverse", three + `
			1 10-19 scan r/1=a r/2=b r/3=c from=r/0 to=r/9
			1 20-29 scan r/3=c r/2=b r/1=a from=r/0 to=r/9 reverse
			1 30-39 scan r/2=b from=r/2 to=r/2
			1 40-49 scan r/2=b r/3=c from=r/2
			1 90-99 scan r/1=a r/2=b r/3=c from=r/ to=r/~ final`, ""},
		{"one left out", three + `
			1 10-19 scan r/1=a r/3=c from=r/0 to=r/9`, "missing 1"},
		{"the last left out", three + `
			1 10-19 scan r/1=a r/2=b from=r/1 to=r/3`, "missing 1"},
		{"in reverse", three + `
			1 10-19 scan r/3=c r/1=a from=r/0 to=r/9 reverse`, "missing 1"},
		{"nothing at all", three + `
			1 10-19 scan from=r/0 to=r/9`, "missing 3"},
		{"in the end", three + `
			1 90-99 scan r/1=a r/3=c from=r/ to=r/~ final`, "missing 1"},
		{"a scan at its limit says nothing of what is beyond", three + `
			1 10-19 scan r/1=a r/2=b from=r/1 to=r/3 partial
			1 20-29 scan r/3=c from=r/1 to=r/3 partial reverse
			1 30-39 scan from=r/1 to=r/3 partial`, ""},
		{"but of what it has passed", three + `
			1 10-19 scan r/1=a r/3=c from=r/1 to=r/9 partial
			1 20-29 scan r/3=c r/1=a from=r/1 to=r/3 partial reverse`, "missing 2"},
		{"one that failed on its way, too", three + `
			1 10-19 scan r/1=a r/3=c from=r/1 to=r/9 partial failed`, "missing 1"},
		{"one that failed at once says nothing", three + `
			1 10-19 scan from=r/1 to=r/9 partial failed`, ""},
		{"written meanwhile", `
			1 10-19 scan from=r/0 to=r/9
			1 20-29 scan r/1=a from=r/0 to=r/9
			0 15-25 put r/1=a`, ""},
		{"deleted meanwhile", three + `
			0 15-25 delete r/2=-
			1 14-19 scan r/1=a r/2=b r/3=c from=r/0 to=r/9
			1 20-30 scan r/1=a r/3=c from=r/0 to=r/9`, ""},
		{"deleted before", three + `
			0 15-25 delete r/2=-
			1 26-30 scan r/1=a r/2=b r/3=c from=r/0 to=r/9`, "phantom 1"},
		{"that nobody wrote", three + `
			1 10-19 scan r/1=a r/11=a r/2=b r/3=c from=r/0 to=r/9`, "phantom 1"},
		{"that was answered to have failed", three + `
			0 10-11 put r/4=d failed
			1 12-19 scan r/1=a r/2=b r/3=c r/4=d from=r/0 to=r/9`, "phantom 1"},
		{"not between the bounds", three + `
			1 10-19 scan r/1=a r/2=b r/3=c from=r/1 to=r/2`, "phantom 1"},
		{"an older value", three + `
			0 10-19 put r/2=d
			1 20-29 scan r/1=a r/2=b r/3=c from=r/0 to=r/9`, "wrong value 1"},
		{"either value while one replaces the other", three + `
			0 10-25 put r/2=d
			1 20-29 scan r/1=a r/2=b r/3=c from=r/0 to=r/9
			1 20-29 scan r/1=a r/2=d r/3=c from=r/0 to=r/9`, ""},
		{"the value of another key", three + `
			1 20-29 scan r/1=a r/2=a r/3=c from=r/0 to=r/9`, "wrong value 1"},
		{"out of order", three + `
			1 20-29 scan r/1=a r/3=c r/2=b from=r/0 to=r/9`, "unordered 1"},
		{"out of reverse order", three + `
			1 20-29 scan r/1=a r/2=b r/3=c from=r/0 to=r/9 reverse`, "unordered 1"},
		{"one twice", three + `
			1 20-29 scan r/1=a r/2=b r/2=b r/3=c from=r/0 to=r/9`, "unordered 1"},
		{"what a get has shown a scan has to show", three + `
			0 10-50 put r/2=d
			1 20-29 read r/2=d
			2 30-39 scan r/1=a r/2=b r/3=c from=r/0 to=r/9`, "wrong value 1"},
		{"a weak scan may miss things", `
			0 0-9 put r/1=a weak
			1 10-19 scan from=r/0 to=r/9 weak`, ""},
		{"but not their order", `
			0 0-9 batch r/1=a r/2=b weak
			1 10-19 scan r/2=b r/1=a from=r/0 to=r/9 weak`, "unordered 1"},
	})
}
