package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// small is a run of a few seconds that has some of everything.
func small() Run {
	ms := time.Millisecond
	return Run{
		Seed: 18446744073709551615, Replay: "ringcask chaos --seed 18446744073709551615 --duration 5s", Version: "v1.2.3",
		Began: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC), Nodes: []string{"n1", "n2", "n3"}, Duration: 5 * time.Second,
		Settings: map[string]string{"n": "3", "w": "quorum"},
		Faults: []Strike{
			{Fault: fault.Fault{Kind: fault.Kill, At: 1000 * ms, For: 2000 * ms, Nodes: []int{1}}, Began: 1004 * ms, Ended: 3010 * ms},
			{Fault: fault.Fault{Kind: fault.Halves, At: 2000 * ms, For: 1500 * ms, Nodes: []int{2}}, Began: 2001 * ms, Ended: 3502 * ms},
			{Fault: fault.Fault{Kind: fault.Loss, At: 3000 * ms, For: 1000 * ms, Share: 0.05}, Began: 3000 * ms, Ended: 4000 * ms},
			{Fault: fault.Fault{Kind: fault.Wipe, At: 4000 * ms, For: 900 * ms, Nodes: []int{0}}, Skipped: true, Note: "n2 was not filled again"},
			{Fault: fault.Fault{Kind: fault.Skew, At: 4200 * ms, For: 500 * ms, Nodes: []int{0}, Delay: -1500 * ms}, Began: 4200 * ms, Ended: 4700 * ms, Note: "restarted twice"},
		},
		Operations: []history.Operation{
			{Kind: history.Put, Workload: "set", Start: 10 * ms, End: 12 * ms, Outcome: history.Ok},
			{Kind: history.Put, Workload: "set", Start: 500 * ms, End: 504 * ms, Outcome: history.Ok},
			{Kind: history.Read, Workload: "set", Start: 1000 * ms, End: 1001 * ms, Outcome: history.Ok},
			{Kind: history.Put, Workload: "set", Start: 1100 * ms, End: 3100 * ms, Outcome: history.Unknown, Error: "timeout"},
			{Kind: history.Put, Workload: "set", Start: 2100 * ms, End: 2101 * ms, Outcome: history.Failed, Error: "quorum_not_met"},
			{Kind: history.Put, Workload: "set", Start: 2200 * ms, End: 2201 * ms, Outcome: history.Failed, Error: "quorum_not_met"},
			{Kind: history.Scan, Workload: "range", Start: 3600 * ms, End: 3660 * ms, Outcome: history.Ok},
			{Kind: history.Put, Workload: "set", Start: 4800 * ms, End: 4803 * ms, Outcome: history.Ok},
			{Kind: history.Read, Workload: "set", Start: 6100 * ms, End: 6102 * ms, Outcome: history.Ok, Final: true},
		},
		Results: []workload.Result{
			{Workload: "set", Ok: 5, Failed: 2, Unknown: 1, Acknowledged: 3, Violations: map[string]int{"lost": 1, "stale": 2}, Examples: []string{`lost: "k1"`}, Measures: map[string]float64{"stale reads": 3, "longest stale ms": 12.25}},
			{Workload: "range", Ok: 1, Acknowledged: 1},
		},
		Convergence: &Convergence{Healed: 5100 * ms, Took: 900 * ms, Reached: true},
		Notes:       []string{"Links ran through proxies."},
	}
}

func TestSummariesAndPagesAreThoseOfTheGoldenFiles(t *testing.T) {
	for name, run := range map[string]Run{"small": small(), "empty": {}} {
		s := Summarize(run)
		form, err := json.MarshalIndent(s, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".json", append(form, '\n'))
		golden(t, name+".html", normalised(write(t, s)))

		var back Summary
		if err := json.Unmarshal(form, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s, back, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: a summary came back from JSON as another:\n%s", name, diff)
		}
	}
}

// normalised leaves out the style and the script, which have files of their own, and their hashes.
func normalised(page []byte) []byte {
	for _, name := range []string{"page.css", "page.js"} {
		page = bytes.Replace(page, []byte(text(name)), []byte("…"), 1)
	}
	return policyPattern.ReplaceAll(page, []byte("…"))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (rewrite it with -update):\n%s", name, diff)
	}
}

func TestAnOperationCountsInTheSliceInWhichItEnded(t *testing.T) {
	s := Summarize(Run{Duration: time.Second, Operations: []history.Operation{
		{Kind: history.Put, Start: 0, End: 400 * time.Millisecond, Outcome: history.Ok},
		{Kind: history.Read, Start: 100 * time.Millisecond, End: 401 * time.Millisecond, Outcome: history.Ok},
		{Kind: history.Read, Start: 100 * time.Millisecond, End: time.Second, Outcome: history.Unknown},
	}, Limits: Limits{Slices: 5}})
	if s.SliceLength != 200*time.Millisecond || len(s.Slices) != 5 {
		t.Fatalf("%d slices of %v", len(s.Slices), s.SliceLength)
	}
	want := Slice{
		From: 400 * time.Millisecond, Counts: Counts{Ok: 2},
		Latency: &Latency{P50: 301 * time.Millisecond, P99: 400 * time.Millisecond, Max: 400 * time.Millisecond},
		Kinds: map[string]Latency{
			"put":  {P50: 400 * time.Millisecond, P99: 400 * time.Millisecond, Max: 400 * time.Millisecond},
			"read": {P50: 301 * time.Millisecond, P99: 301 * time.Millisecond, Max: 301 * time.Millisecond},
		},
	}
	if diff := cmp.Diff(want, s.Slices[2]); diff != "" {
		t.Error(diff)
	}
	if s.Slices[4].Counts != (Counts{Unknown: 1}) || s.Slices[4].Latency != nil {
		t.Errorf("what ended at the very end: %+v", s.Slices[4])
	}
}

func TestTheLongestGapIsBetweenAcknowledgements(t *testing.T) {
	ack := func(at time.Duration) history.Operation {
		return history.Operation{Kind: history.Put, End: at, Outcome: history.Ok}
	}
	failed := func(at time.Duration) history.Operation {
		return history.Operation{Kind: history.Put, End: at, Outcome: history.Failed}
	}
	final := ack(70)
	final.Final = true
	for name, c := range map[string]struct {
		ops  []history.Operation
		want Gap
	}{
		"none":          {nil, Gap{0, 100}},
		"at the start":  {[]history.Operation{ack(50), ack(90)}, Gap{0, 50}},
		"between":       {[]history.Operation{ack(10), failed(40), ack(80)}, Gap{10, 80}},
		"at the end":    {[]history.Operation{ack(30), final}, Gap{30, 100}},
		"not in order":  {[]history.Operation{ack(80), ack(10)}, Gap{10, 80}},
		"after the end": {[]history.Operation{ack(30), ack(120)}, Gap{30, 100}},
	} {
		if got := longestGap(c.ops, 100); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestASummaryRefersToNothingOfTheRun(t *testing.T) {
	run := small()
	s := Summarize(run)
	before := Summarize(run)
	run.Nodes[0], run.Faults[0].Fault.Nodes[0], run.Notes[0] = "x", 2, "x"
	run.Results[0].Examples[0], run.Settings["n"] = "x", "x"
	run.Results[0].Violations["lost"], run.Results[0].Measures["stale reads"] = 9, 9
	run.Convergence.Took = 9
	if !reflect.DeepEqual(s, before) {
		t.Error(cmp.Diff(before, s))
	}
}
