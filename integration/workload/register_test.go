package workload

import (
	"fmt"
	"strings"
	"testing"

	faults "github.com/ringcask/ringcask/integration/fault"
)

func TestRegisterFindsWhatIsNotLinearizable(t *testing.T) {
	judgeAll(t, "register", []judgement{
		{"in sequence", `
			0 0-9   put g/one/k=a
			1 5-15  read g/one/k=-
			1 16-19 read g/one/k=a
			0 20-29 put g/one/k=b
			1 25-35 read g/one/k=b
			2 90-99 reads g/one/k=b final`, ""},
		{"a read misses a put", `
			0 0-9   put g/one/k=a
			1 10-15 read g/one/k=-`, "not linearizable 1"},
		{"a read goes back", `
			0 0-9   put g/one/k=a
			0 10-39 put g/one/k=b
			1 15-18 read g/one/k=b
			2 20-25 read g/one/k=a`, "not linearizable 1"},
		{"reads that overlap may differ", `
			0 0-9   put g/one/k=a
			0 10-39 put g/one/k=b
			1 15-22 read g/one/k=b
			2 20-25 read g/one/k=a`, ""},
		{"a put that was not answered shows late", `
			0 0-9   put g/one/k=a
			0 10-19 put g/one/k=b unknown
			1 20-25 read g/one/k=a
			1 30-35 read g/one/k=b
			2 90-99 reads g/one/k=b final`, ""},
		{"but not once more", `
			0 0-9   put g/one/k=a
			0 10-19 put g/one/k=b unknown
			1 30-35 read g/one/k=b
			1 40-45 read g/one/k=a`, "not linearizable 1"},
		{"a failed put never shows", `
			0 0-9   put g/one/k=a
			0 10-19 put g/one/k=b failed
			2 90-99 reads g/one/k=b final`, "not linearizable 1"},
		{"one that was retried may show again", `
			0 0-9   put g/one/k=a retried
			0 10-19 put g/one/k=b
			1 20-25 read g/one/k=b
			1 30-35 read g/one/k=a`, ""},
		{"lost in the end", `
			0 0-9   put g/one/k=a
			2 90-99 reads g/one/k=- final`, "not linearizable 1"},
		{"weak reads are measured only", `
			0 0-9   put g/one/k=a weak
			1 10-15 read g/one/k=- weak`, ""},
		{"and so are keys with many writers", `
			0 0-9   put g/all/k=a
			1 10-19 put g/all/k=b
			2 20-25 read g/all/k=a`, ""},
		{"unread", `
			0 0-9   put g/one/k=a
			2 90-99 reads g/one/k= failed final`, "unread 1"},
	})
}

func TestRegisterMeasuresHowFarConcurrentPutsAreFromLinearizable(t *testing.T) {
	r := newRegister().Check(parse(t, `
		0 0-9   put g/all/k=a
		1 10-19 put g/all/k=b
		2 20-25 read g/all/k=a
		2 59-60 read g/all/k=a
		0 0-9   put g/all/l=a
		1 5-19  put g/all/l=b
		2 20-25 read g/all/l=a`))
	for measure, want := range map[string]float64{
		"keys with many writers": 2, "keys with many writers linearizable": 1, "reads with many writers": 3,
		"reads behind with many writers": 2, "longest behind with many writers ms": 40,
	} {
		if r.Measures[measure] != want {
			t.Errorf("%s: %v, want %v", measure, r.Measures[measure], want)
		}
	}
}

func TestClocksAreNeverFurtherApart(t *testing.T) {
	if ClocksApart <= 2*faults.SkewMaxDefault {
		t.Errorf("a put is to come after one that ended %v before it, and clocks are up to %v apart", ClocksApart, 2*faults.SkewMaxDefault)
	}
}

func TestRegisterSaysThatASearchTookTooLong(t *testing.T) {
	const overlapping = 40 // far more than an order can be ruled out for
	endless := func(key string) string {
		var b strings.Builder
		for i := range overlapping {
			fmt.Fprintf(&b, "%d 0-100 put %s=%d\n", i, key, i)
		}
		fmt.Fprintf(&b, "0 110-115 read %s=1\n0 120-125 read %s=2\n", key, key)
		return b.String()
	}
	r := newRegister()
	if r.searchSteps != searchStepsMax {
		t.Errorf("a search takes up to %d steps, want %d", r.searchSteps, searchStepsMax)
	}
	r.searchSteps = 10_000
	for name, c := range map[string]struct {
		history   string
		undecided float64
		proven    bool
	}{
		"all keys":                      {endless("g/one/k") + endless("g/one/l"), 2, false},
		"one of two":                    {endless("g/one/k") + "0 0-9 put g/one/l=a\n1 10-15 read g/one/l=a", 1, true},
		"those with many writers":       {endless("g/all/k"), 1, true},
		"those that nothing is held to": {"0 0-9 put g/one/k=a\n" + strings.ReplaceAll(endless("g/one/k"), "\n", " weak\n"), 1, true},
	} {
		got := r.Check(parse(t, c.history))
		if got.Measures["keys undecided"] != c.undecided || got.Passed() != c.proven || got.Violations["nothing proven"] > 0 == c.proven {
			t.Errorf("%s: %v undecided, %v", name, got.Measures["keys undecided"], got.Violations)
		}
	}
}
