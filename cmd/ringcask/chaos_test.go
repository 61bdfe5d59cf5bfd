package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/integration/chaos"
	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/report"
	"github.com/ringcask/ringcask/integration/workload"
)

func TestTheProgressOfAChaosRunIsALine(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var shown bytes.Buffer
			p := newChaosProgress(&app{stderr: &shown, stderrTerminal: terminal}, time.Minute)
			began := time.Now()
			p.start(func() chaos.Progress {
				past := time.Since(began)
				return chaos.Progress{
					Phase: chaos.PhaseWork, Elapsed: past, Operations: 1234, Acknowledged: int(past.Seconds() * 100),
					Faults: []fault.Kind{fault.Kill, fault.Latency},
				}
			})
			p.event(chaos.Event{At: 1500 * time.Millisecond, Text: "kill n1 begins"})
			time.Sleep(chaosLines + chaosRefresh)
			p.stop()
			for _, part := range []string{"1.50s kill n1 begins\n", "50s left, 1,234 operations, 100 acknowledged/s; kill, latency"} {
				if !strings.Contains(shown.String(), part) {
					t.Errorf("on a terminal %v: no %q in %q", terminal, part, shown.String())
				}
			}
		})
	}
}

func TestAChaosRunIsToldInATable(t *testing.T) {
	s := report.Summary{
		Seed: 7, Replay: "ringcask chaos --seed 7", Verdict: report.Verdict{Text: "Violated: 2 lost (set)."},
		FaultKinds: []report.FaultCount{{Kind: "kill", Count: 3}, {Kind: "wipe", Count: 1, Skipped: 2}},
		Lost:       2, Stale: 1234, ErrorsOther: 3,
		Errors: []report.ErrorCount{
			{Code: "timeout", Counts: report.Counts{Failed: 1, Unknown: 1200}}, {Code: "unavailable", Counts: report.Counts{Failed: 7}},
		},
		Convergence: &report.Convergence{Took: 1234 * time.Millisecond, Reached: true},
		Workloads: []workload.Result{
			{Workload: "set", Ok: 10, Failed: 2, Unknown: 1, Violations: map[string]int{"lost": 2}, Examples: []string{"lost: s/1"}},
			{Workload: "deletes", Ok: 5, Measures: map[string]float64{"reads": 4}},
		},
	}
	var out bytes.Buffer
	if err := printChaos(&out, s); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		"lost 2, revived 0, stale 1,234\n", "errors: 1,201 timeout, 7 unavailable, 3 others\n",
		"faults: 3 kill, 1 wipe (2 skipped)", "all replicas equal 1.23s", "VIOLATED: 2 lost", "set: lost: s/1", "passed", "4 reads",
		"Violated: 2 lost (set).\nseed 7; to do it again:\n  ringcask chaos --seed 7\n",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %q in\n%s", part, out.String())
		}
	}
}

func TestTheSameFlagsDrawTheSamePlanAndAFileIsTakenAsItIs(t *testing.T) {
	seed := uint64(5)
	c := chaosCommand{Seed: &seed, Nodes: 5, Duration: 10 * time.Minute, Faults: "pause,kill", Workload: "all"}
	a, err := c.plan()
	if err != nil {
		t.Fatal(err)
	}
	c.Faults = "kill, pause"
	if b, err := c.plan(); err != nil || len(a.Faults) < 20 || len(a.Faults) != len(b.Faults) || a.Faults[9].At != b.Faults[9].At {
		t.Errorf("%v\n%v\n%v", a, b, err)
	}
	for _, f := range a.Faults {
		if f.For > faultMax {
			t.Errorf("%v is longer than %v", f, faultMax)
		}
	}
	dir := t.TempDir()
	if err := savePlan(dir, a); err != nil {
		t.Fatal(err)
	}
	c.Plan = filepath.Join(dir, "plan.json")
	back, err := c.plan()
	if x, y := asJSON(t, a), asJSON(t, back); err != nil || x != y {
		t.Errorf("%v\n%s\n%s", err, x, y)
	}
}

func TestNamespacesHaveFaultsOfPackets(t *testing.T) {
	seed := uint64(5)
	c := chaosCommand{Seed: &seed, Nodes: 3, Duration: time.Minute, Faults: "loss", Workload: "all", Netns: true}
	p, err := c.plan()
	if err != nil || len(p.Faults) == 0 || p.Faults[0].Kind != fault.Loss || len(p.Faults[0].Nodes) > 0 {
		t.Errorf("%v, %v", p, err)
	}
	if again := c.replay(chaos.Options{Plan: p}); !strings.Contains(again, "--netns") {
		t.Error(again)
	}
}

func TestAllFaultsAreThoseThatProcessesCanHave(t *testing.T) {
	seed := uint64(5)
	all := chaosCommand{Seed: &seed, Nodes: 3, Duration: time.Hour, Faults: "all"}
	more := all
	more.Faults = "all,kill"
	a, err := all.plan()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := more.plan(); err != nil || asJSON(t, a) != asJSON(t, b) {
		t.Errorf("all and kill besides are not all: %v", err)
	}
	more.Faults = "flood"
	if _, err := more.plan(); err == nil || strings.Contains(err.Error(), string(fault.PowerLoss)) || strings.Contains(err.Error(), string(fault.Loss)) {
		t.Errorf("what would be refused is offered: %v", err)
	}
}

func TestTheHelpOfChaosHasAllNames(t *testing.T) {
	help := runCLI(t, nil, "", "chaos", "--help").stdout
	for _, k := range chaos.Possible(true) {
		if !strings.Contains(help, string(k)) {
			t.Errorf("no fault %s in the help", k)
		}
	}
	for _, name := range workload.Names() {
		if !strings.Contains(help, name) {
			t.Errorf("no workload %s in the help", name)
		}
	}
}

func TestTheVersionInAReportIsThatOfTheProgramUnderTest(t *testing.T) {
	binary := func(text string) string {
		path := filepath.Join(t.TempDir(), "ringcask")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tc := range []struct{ binary, version string }{
		{"", version()},
		{binary(`[ "$*" = --version ] && echo ringcask 9.9.9 go0 && echo more`), "ringcask 9.9.9 go0"},
	} {
		c := chaosCommand{Nodes: 3, Duration: time.Minute, Faults: "none", Workload: "set", Clients: 1, Binary: tc.binary}
		o, err := c.options()
		if err != nil {
			t.Fatal(err)
		}
		o.Dir = t.TempDir()
		if s, err := c.sumUp(report.Run{}, o); err != nil || s.Version != tc.version {
			t.Errorf("%q, %v; want %q", s.Version, err, tc.version)
		}
	}
	for _, silent := range []string{binary("exit 1"), binary("exit 0"), filepath.Join(t.TempDir(), "none")} {
		c := chaosCommand{Nodes: 3, Duration: time.Minute, Faults: "none", Workload: "set", Clients: 1, Binary: silent}
		if _, err := c.options(); err == nil || !strings.Contains(err.Error(), "does not tell its --version") {
			t.Errorf("%v", err)
		}
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAnImpossibleChaosRunIsAMistakeOfTheCaller(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"power-loss":                        {"--faults", "power-loss"},
		"--netns":                           {"--faults", "kill,loss"},
		"flood":                             {"--faults", "flood"},
		"cut-link, isolate, latency":        {"--faults", "flood"}, // what there is, and what is refused not among it
		"--seed cannot be used with --plan": {"--seed", "1", "--plan", "x"},
		"--duration cannot":                 {"--duration", "1s", "--plan", "x"},
		"--nodes cannot":                    {"--nodes", "3", "--plan", "x"},
		"--faults cannot":                   {"--faults", "kill", "--plan", "x"},
		"--every cannot":                    {"--every", "1s", "--plan", "x"},
		"none is called":                    {"--workload", "sleep"},
		"--nodes":                           {"--nodes", "99"},
		"not empty":                         {"--dir", dir},
		"no such file":                      {"--plan", filepath.Join(dir, "nothing")},
	} {
		got := runCLI(t, nil, "", append([]string{"chaos"}, args...)...)
		if got.code != exitUsage || !strings.Contains(got.stderr, want) {
			t.Errorf("%v: exit code %d, %s", args, got.code, got.stderr)
		}
	}
}
