package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/chaos"
	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/report"
)

const ms = time.Millisecond

// chaosPlans are plans on three nodes that have, together, every kind of fault that processes can have, for as short as it takes for each to
// do something. Those that destroy data would wait for each other in one plan.
var chaosPlans = map[string]fault.Plan{
	"sparing": {Seed: 1, Nodes: 3, Duration: 4200 * ms, Faults: []fault.Fault{
		{Kind: fault.Kill, At: 300 * ms, For: 400 * ms, Nodes: []int{0}},
		{Kind: fault.Latency, At: 300 * ms, For: 700 * ms, Nodes: []int{1}, Delay: 20 * ms},
		{Kind: fault.Pause, At: 900 * ms, For: 400 * ms, Nodes: []int{2}},
		{Kind: fault.Restart, At: 1200 * ms, For: 200 * ms, Nodes: []int{1}},
		{Kind: fault.CutLink, At: 1600 * ms, For: 400 * ms, Nodes: []int{0, 1}},
		{Kind: fault.Bandwidth, At: 1600 * ms, For: 800 * ms, Nodes: []int{2}, BytesPerSecond: 64 << 10},
		{Kind: fault.Skew, At: 1700 * ms, For: 500 * ms, Nodes: []int{0}, Delay: -700 * ms},
		{Kind: fault.OneWay, At: 2100 * ms, For: 300 * ms, Nodes: []int{1, 2}},
		{Kind: fault.Halves, At: 2500 * ms, For: 300 * ms, Nodes: []int{0}},
		{Kind: fault.DiskSlow, At: 2600 * ms, For: 500 * ms, Nodes: []int{1}, Delay: 10 * ms},
		{Kind: fault.Isolate, At: 2900 * ms, For: 300 * ms, Nodes: []int{2}},
		{Kind: fault.DiskFull, At: 3000 * ms, For: 700 * ms, Nodes: []int{0}},
		{Kind: fault.MajorityRing, At: 3300 * ms, For: 200 * ms, Nodes: []int{0, 2, 1}},
		{Kind: fault.Reset, At: 3500 * ms, For: 300 * ms, Nodes: []int{2}},
	}},
	"wipe": {Seed: 2, Nodes: 3, Duration: 3 * time.Second, Faults: []fault.Fault{
		{Kind: fault.Wipe, At: 500 * ms, For: 100 * ms, Nodes: []int{1}},
	}},
	"bad disk": {Seed: 3, Nodes: 3, Duration: 3 * time.Second, Faults: []fault.Fault{
		{Kind: fault.DiskError, At: 500 * ms, For: 300 * ms, Nodes: []int{0}, Share: 0.05},
	}},
	"flip": {Seed: 4, Nodes: 3, Duration: 5 * time.Second, Faults: []fault.Fault{ // it waits until something is stored for good
		{Kind: fault.Flip, At: 2 * time.Second, For: 100 * ms, Nodes: []int{2}, Count: 20},
	}},
	"one flip": {Seed: 6, Nodes: 3, Duration: 5 * time.Second, Faults: []fault.Fault{ // in a segment whose keys are known, so that the place stays damaged and the key is healed
		{Kind: fault.Flip, At: 2 * time.Second, For: 100 * ms, Nodes: []int{2}, Count: 1},
	}},
}

// packetsPlan has what only network namespaces can do, and what they do otherwise than proxies.
var packetsPlan = fault.Plan{Seed: 5, Nodes: 3, Duration: 4 * time.Second, Faults: []fault.Fault{
	{Kind: fault.Loss, At: 300 * ms, For: 700 * ms, Share: 0.05},
	{Kind: fault.Latency, At: 400 * ms, For: 500 * ms, Nodes: []int{1}, Delay: 20 * ms},
	{Kind: fault.Kill, At: 600 * ms, For: 300 * ms, Nodes: []int{0}},
	{Kind: fault.Duplicate, At: 1100 * ms, For: 500 * ms, Share: 0.1},
	{Kind: fault.Bandwidth, At: 1200 * ms, For: 600 * ms, Nodes: []int{2}, BytesPerSecond: 64 << 10},
	{Kind: fault.Reorder, At: 1700 * ms, For: 500 * ms, Share: 0.1},
	{Kind: fault.OneWay, At: 1800 * ms, For: 300 * ms, Nodes: []int{1, 2}},
	{Kind: fault.Isolate, At: 2300 * ms, For: 500 * ms, Nodes: []int{0}},
	{Kind: fault.Reset, At: 2900 * ms, For: 700 * ms, Nodes: []int{2}},
	{Kind: fault.Halves, At: 3200 * ms, For: 500 * ms, Nodes: []int{1}},
}}

// slower is a plan that takes so many times as long, and leaves faults the time to be over before the next ones.
func slower(p fault.Plan, times time.Duration) fault.Plan {
	p.Duration *= times
	p.Faults = slices.Clone(p.Faults)
	for i := range p.Faults {
		p.Faults[i].At *= times
		p.Faults[i].For *= times
	}
	return p
}

// runChaos runs the command with a plan and returns what it says as JSON.
func runChaos(t *testing.T, p fault.Plan, args ...string) (report.Summary, result) {
	t.Helper()
	skipShort(t)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "plan.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	got := run(t, "", append([]string{"chaos", "--json", "--plan", file, "--dir", filepath.Join(dir, "nodes")}, args...)...)
	var s report.Summary
	if err := json.Unmarshal([]byte(got.stdout), &s); err != nil {
		t.Fatalf("exit code %d, %v: %s", got.code, err, tail(got.stderr, 4000))
	}
	return s, got
}

func TestAClusterInNetworkNamespacesSurvives(t *testing.T) {
	t.Parallel()
	if err := chaos.NamespacesImpossible(); err != nil {
		t.Skip(err)
	}
	args := []string{"--netns", "--rate", "100", "--clients", "2", "--workload", "deletes,monotonic,set"}
	s, got := runChaos(t, packetsPlan, args...)
	if slices.ContainsFunc(s.Faults, skipped) { // the machine is busy
		s, got = runChaos(t, slower(packetsPlan, 4), args...)
	}
	if got.code != 0 || !s.Verdict.Passed || s.Counts.Ok < 100 || slices.ContainsFunc(s.Faults, skipped) {
		t.Errorf("exit code %d: %s\n%s", got.code, s.Verdict.Text, tail(got.stderr, 4000))
	}
	for _, k := range chaos.Possible(true) {
		if !slices.Contains(chaos.Possible(false), k) && !slices.ContainsFunc(packetsPlan.Faults, func(f fault.Fault) bool { return f.Kind == k }) {
			t.Errorf("the plan has no %s", k)
		}
	}
}

func skipped(s report.Strike) bool { return s.Skipped }

func TestEveryFaultOfProcessesIsSurvived(t *testing.T) {
	tried := map[fault.Kind]bool{}
	for name, p := range chaosPlans {
		for _, f := range p.Faults {
			tried[f.Kind] = true
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			page := filepath.Join(t.TempDir(), "report.html")
			workloads, rate := "batch,deletes,monotonic,range,register,set,siblings", "100"
			switch name {
			case "sparing":
				workloads = "all" // in the end ttl waits for values to expire
			case "one flip":
				workloads, rate = "set", "1500" // so much is stored by then, and nothing of it merged
			}
			args := []string{"--workload", workloads, "--rate", rate, "--clients", "2", "--report", page}
			s, got := runChaos(t, p, args...)
			if slices.ContainsFunc(s.Faults, skipped) { // the machine is busy
				s, got = runChaos(t, slower(p, 4), args...)
			}
			if got.code != 0 || !s.Verdict.Passed {
				t.Errorf("exit code %d: %s\n%s", got.code, s.Verdict.Text, tail(got.stderr, 4000))
			}
			for _, f := range s.Faults {
				if f.Skipped || f.Note != "" {
					t.Errorf("%v: skipped %v, %s\n%s", f.Fault, f.Skipped, f.Note, tail(got.stderr, 4000))
				}
			}
			if s.Counts.Ok < 100 || s.Convergence == nil || !s.Convergence.Reached {
				t.Errorf("%+v, %+v", s.Counts, s.Convergence)
			}
			if text, err := os.ReadFile(page); err != nil || !strings.Contains(string(text), "<svg") {
				t.Errorf("the report has %d bytes and no picture: %v", len(text), err)
			}
		})
	}
	for _, k := range chaos.Possible(false) {
		if !tried[k] {
			t.Errorf("no plan has a %s", k)
		}
	}
}

func TestANodeThatEndsByItselfIsAViolation(t *testing.T) {
	skipShort(t)
	t.Parallel()
	weak := filepath.Join(t.TempDir(), "weak") // the first life of n2 is short
	script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in *'--id n2'*) mkdir %s.n2 2>/dev/null && exec timeout -s KILL 2 %s \"$@\";; esac\nexec %[2]s \"$@\"\n",
		weak, ringcaskBinary)
	if err := os.WriteFile(weak, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	s, got := runChaos(t, fault.Plan{Nodes: 3, Duration: 3 * time.Second}, "--workload", "set", "--rate", "50", "--binary", weak)
	if got.code != 4 || !strings.Contains(s.Verdict.Text, "ended by itself") {
		t.Errorf("exit code %d: %s\n%s", got.code, s.Verdict.Text, tail(got.stderr, 2000))
	}
}

func TestAnInterruptedRunIsJudgedAndLeavesNoProcesses(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nodes")
	n := &testNode{id: "chaos", args: []string{"chaos", "--duration", "1h", "--faults", "none", "--workload", "set", "--rate", "50", "--dir", dir, "--json"}}
	n.start(t)
	t.Cleanup(n.kill)
	eventually(t, 20*time.Second, "nodes serve", func() error {
		for _, id := range []string{"n1", "n2", "n3"} {
			text, err := os.ReadFile(filepath.Join(dir, id+".log"))
			if err != nil || !strings.Contains(string(text), "connected to a peer") {
				return fmt.Errorf("%s: %v", id, err)
			}
		}
		return nil
	})
	wait(t, time.Second) // some operations
	n.signal(os.Interrupt)
	if code, err := n.wait(40 * time.Second); code != 0 || err != nil {
		t.Errorf("exit code %d, %v: %s", code, err, tail(n.output(), 3000))
	}
	if !strings.Contains(n.output(), `"passed":true`) || !strings.Contains(n.output(), "Passed what was done in") {
		t.Errorf("not judged: %s", tail(n.output(), 3000))
	}
	if out := processesIn(t, dir); len(out) > 0 {
		t.Errorf("still running: %q", out)
	}
}

func TestNodesDoNotOutliveTheirHarness(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "nodes")
	n := &testNode{id: "chaos", args: []string{"chaos", "--duration", "1h", "--faults", "none", "--workload", "set", "--dir", dir}}
	n.start(t)
	t.Cleanup(n.kill)
	eventually(t, 20*time.Second, "nodes run", func() error {
		if running := processesIn(t, dir); len(running) < 3 {
			return fmt.Errorf("%d do", len(running))
		}
		return nil
	})
	n.signal(syscall.SIGKILL)
	eventually(t, 5*time.Second, "they end", func() error {
		if running := processesIn(t, dir); len(running) > 0 {
			return fmt.Errorf("%d run", len(running))
		}
		return nil
	})
}

// processesIn are the command lines of the running nodes whose data is below a directory.
func processesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Skip("no /proc here")
	}
	for _, path := range lines {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), "\x00serve\x00") && strings.Contains(string(text), dir) {
			found = append(found, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	return found
}
