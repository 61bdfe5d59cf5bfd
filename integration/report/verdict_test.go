package report

import (
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

func TestTheVerdictIsASentence(t *testing.T) {
	acked := []history.Operation{{Kind: history.Put, Outcome: history.Ok, End: time.Millisecond}}
	clean := []workload.Result{{Workload: "set", Ok: 1, Acknowledged: 1}}
	broken := []workload.Result{{Workload: "set", Violations: map[string]int{"lost": 1200, "torn": 1}}}
	for name, c := range map[string]struct {
		run    Run
		passed bool
		text   string
	}{
		"nothing done":    {Run{}, false, "Nothing proven: no write was acknowledged."},
		"nothing checked": {Run{Operations: acked}, false, "Nothing proven: no checker looked at what was done."},
		"nothing acknowledged": {
			Run{Operations: []history.Operation{{Kind: history.Put, Outcome: history.Failed}}, Results: clean}, false,
			"Nothing proven: no write was acknowledged.",
		},
		"one workload was acknowledged nothing": {
			Run{Operations: acked, Results: []workload.Result{{Workload: "set", Ok: 1, Acknowledged: 1}, {Workload: "batch", Failed: 2}, {Workload: "nodes"}}}, false,
			"Nothing proven by batch: none of its writes was acknowledged.",
		},
		"only reads were answered": {
			Run{Operations: []history.Operation{
				{Kind: history.Put, Outcome: history.Failed}, {Kind: history.Read, Outcome: history.Ok}, {Kind: history.MultiRead, Outcome: history.Ok, Final: true},
			}, Results: []workload.Result{{Workload: "set", Ok: 2, Failed: 1}}}, false,
			"Nothing proven: no write was acknowledged.",
		},
		"of one workload only reads were answered": {
			Run{Operations: acked, Results: []workload.Result{{Workload: "set", Ok: 1, Acknowledged: 1}, {Workload: "batch", Ok: 5, Failed: 2}}}, false,
			"Nothing proven by batch: none of its writes was acknowledged.",
		},
		"clean": {
			Run{Operations: acked, Results: clean, Nodes: []string{"n1"}, Faults: []Strike{{}, {}, {Skipped: true}}}, true,
			"Passed: 1 operation on 1 node under 2 faults (1 skipped); 1 checker found no violation.",
		},
		"converged": {
			Run{Operations: acked, Results: clean, Convergence: &Convergence{Took: 2340 * time.Millisecond, Reached: true}}, true,
			"Passed: 1 operation on 0 nodes under 0 faults; 1 checker found no violation, and all replicas were equal 2.34 s after the last fault was healed.",
		},
		"violated": {
			Run{Operations: acked, Results: broken}, false,
			"Violated: 1,200 lost (set) and 1 torn (set).",
		},
		"not converged": {
			Run{Operations: acked, Results: clean, Convergence: &Convergence{Took: 90 * time.Second}}, false,
			"Violated: replicas still differed 1m30s after the last fault was healed.",
		},
		"not converged, as a checker says too": {
			Run{
				Operations: acked, Convergence: &Convergence{Took: time.Second},
				Results: []workload.Result{{Workload: "convergence", Violations: map[string]int{NotConverged: 1}}},
			}, false,
			"Violated: replicas still differed 1 s after the last fault was healed.",
		},
		"all faults skipped": {
			Run{Operations: acked, Results: clean, Faults: []Strike{{Skipped: true}, {Skipped: true}}}, false,
			"Nothing proven: none of the planned faults was carried out.",
		},
		"interrupted": {
			Run{Operations: acked, Results: clean, Duration: 34 * time.Second, Planned: 10 * time.Minute}, true,
			"Passed what was done in 34 s of 10m: 1 operation on 0 nodes under 0 faults; 1 checker found no violation.",
		},
		"violated and interrupted": {
			Run{Operations: acked, Results: broken[:1], Duration: time.Second, Planned: time.Minute}, false,
			"Violated: 1,200 lost (set) and 1 torn (set).",
		},
	} {
		s := Summarize(c.run)
		if s.Verdict.Passed != c.passed || s.Verdict.Text != c.text {
			t.Errorf("%s: passed %v, %q; want %v, %q", name, s.Verdict.Passed, s.Verdict.Text, c.passed, c.text)
		}
		var page strings.Builder
		if err := Write(&page, s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNumbersAreShortForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 999: "0.999 µs", 1500 * time.Microsecond: "1.5 ms", 20 * time.Millisecond: "20 ms", 123456 * time.Microsecond: "123 ms",
		999999 * time.Microsecond: "1000 ms", 59 * time.Second: "59 s", 61500 * time.Millisecond: "1m2s", time.Hour: "1h", 10 * time.Minute: "10m", 90 * time.Minute: "1h30m",
	} {
		if got := brief(d); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestLostRevivedAndStaleAddUpWhatCheckersCounted(t *testing.T) {
	s := Summarize(Run{Results: []workload.Result{
		{Violations: map[string]int{"lost": 1, "revived": 2, "stale": 4, "torn": 8}, Measures: map[string]float64{"stale reads": 16}},
		{Violations: map[string]int{"lost element": 32, "stale element": 64, "lostness": 128}, Measures: map[string]float64{"stale reads": 256, "longest gap ms": 3}},
	}})
	if s.Lost != 33 || s.Revived != 2 || s.Stale != 68 || s.StaleReads != 272 {
		t.Errorf("%d lost, %d revived, %d stale, %d stale reads", s.Lost, s.Revived, s.Stale, s.StaleReads)
	}
}
