package workload

import "testing"

func TestSetFindsWhatIsLostAndWhatIsStale(t *testing.T) {
	judgeAll(t, "set", []judgement{
		{"all there", `
			0 0-9   put a=a
			1 10-19 read a=a
			2 90-99 reads a=a final`, ""},
		{"lost", `
			0 0-9   put a=a
			2 90-99 reads a=- final`, "lost 1"},
		{"an unknown one may be there or not", `
			0 0-9   put a=a unknown
			0 10-19 put b=b unknown
			2 90-99 reads a=a b=- final`, ""},
		{"an unknown one that was shown has to stay", `
			0 0-9   put a=a unknown
			1 10-19 read a=a
			2 90-99 reads a=- final`, "lost 1"},
		{"a failed one must not be there", `
			0 0-9   put a=a failed
			2 90-99 reads a=a final`, "appeared 1"},
		{"a failed one is not there", `
			0 0-9   put a=a failed
			2 90-99 reads a=- final`, ""},
		{"stale", `
			0 0-9   put a=a
			1 10-19 read a=-
			1 20-29 read a=a
			2 90-99 reads a=a final`, "stale 1"},
		{"a weak read may be stale", `
			0 0-9   put a=a weak
			1 10-19 read a=- weak
			2 90-99 reads a=a final weak`, ""},
		{"a weak history may lose nothing either", `
			0 0-9   put a=a weak
			2 90-99 reads a=- final weak`, "lost 1"},
		{"a read that began before the answer may miss it", `
			0 0-9   put a=a
			1 8-19  read a=-
			2 90-99 reads a=a final`, ""},
		{"shown, then not shown, by another client before the answer", `
			0 0-50  put a=a
			1 10-19 read a=a
			2 20-29 read a=-
			2 90-99 reads a=a final`, "stale 1"},
		{"a retried put is still acknowledged", `
			0 0-9   put a=a retried
			2 90-99 reads a=- final`, "lost 1"},
		{"invented", `
			0 0-9   put a=a
			2 90-99 reads a=b final`, "invented 1"},
		{"shown before it was written", `
			1 0-5   read a=a
			0 6-9   put a=a
			2 90-99 reads a=a final`, "invented 1"},
		{"unreadable in the end", `
			0 0-9   put a=a
			2 90-99 reads a= failed final`, "unread 1"},
		{"forgotten in the end", `
			0 0-9   put a=a
			0 10-19 put b=b
			0 20-29 put c=c unknown
			2 90-99 reads b=b final`, "unread 1"},
		{"readable at last", `
			0 0-9   put a=a
			2 80-89 reads a= failed final
			2 90-99 reads a=a final`, ""},
		{"a failed read says nothing", `
			0 0-9   put a=a
			1 10-19 read a= failed
			2 90-99 reads a=a final`, ""},
	})
}

func TestSetMeasuresHowLongAnElementWasMissed(t *testing.T) {
	r := (&set{}).Check(parse(t, `
		0 0-9   put a=a weak
		1 20-21 read a=- weak
		1 49-50 read a=- weak
		1 60-61 read a=a weak`))
	if r.Measures["stale reads"] != 2 || r.Measures["longest staleness ms"] != 40 || r.Measures["reads"] != 3 {
		t.Errorf("%v", r.Measures)
	}
}
