package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

// synthetic invents a run of five nodes that looks like a real one: faults slow operations down and fail some of them.
func synthetic(duration time.Duration, operations int) Run {
	r := rand.New(rand.NewPCG(4, 7))
	plan := fault.Draw(4, fault.Options{Nodes: 5, Duration: duration, Every: duration / 68, ForMax: duration / 12})
	run := Run{
		Seed: plan.Seed, Version: "v0.5.0-rc.1 (4f2c9ab1)", Nodes: []string{"n1", "n2", "n3", "n4", "n5"}, Duration: duration,
		Replay:      fmt.Sprintf("ringcask chaos --seed %d --duration %v --nodes 5 --workload all", plan.Seed, duration),
		Began:       time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC),
		Settings:    map[string]string{"n": "3", "r": "quorum", "w": "quorum", "sloppy": "false", "partitions": "256", "sync": "batch"},
		Convergence: &Convergence{Healed: duration + duration/200, Took: duration / 90, Reached: true},
		Notes:       []string{"Disks were full, slow and failing through the storage seam; links ran through proxies."},
	}
	for i, f := range plan.Faults {
		late := time.Duration(r.IntN(40)) * time.Millisecond
		s := Strike{Fault: f, Began: f.At + late, Ended: f.End() + 3*late}
		if f.Kind == fault.Wipe && i%2 == 1 {
			s = Strike{Fault: f, Skipped: true, Note: "what was destroyed before was not filled again yet"}
		}
		run.Faults = append(run.Faults, s)
	}
	run.Operations = syntheticOperations(r, run, operations)
	for _, name := range []string{"set", "counter", "session", "range"} {
		run.Results = append(run.Results, workload.Result{Workload: name, Ok: operations / 5, Acknowledged: operations / 10, Failed: operations / 4000, Unknown: operations / 3000})
	}
	run.Results[0].Measures = map[string]float64{"stale reads": 41, "longest stale ms": 1840.5}
	run.Results[2].Measures = map[string]float64{"longest gap ms": 1312}
	return run
}

func syntheticOperations(r *rand.Rand, run Run, n int) []history.Operation {
	kinds := []history.Kind{history.Put, history.Put, history.Put, history.Read, history.Read, history.Read, history.Delete, history.Batch, history.MultiRead, history.Scan}
	ops := make([]history.Operation, 0, n)
	for i := range n {
		start := time.Duration(float64(run.Duration) * (float64(i) + r.Float64()) / float64(n))
		op := history.Operation{Client: i % 16, Kind: kinds[r.IntN(len(kinds))], Workload: "set", Start: start, Outcome: history.Ok}
		trouble := 0.0
		for _, s := range run.Faults {
			if !s.Skipped && s.Began <= start && start < s.Ended {
				trouble += 0.4
				if s.Fault.Kind.Stops() && start < s.Began+1500*time.Millisecond {
					trouble += 2
				}
			}
		}
		if r.Float64() < trouble/3 {
			continue
		}
		took := time.Duration(float64(900*time.Microsecond) * math.Exp(r.NormFloat64()*0.7+trouble*1.2*r.Float64()))
		if r.Float64() < 0.002*trouble {
			took *= 50
		}
		op.End = start + took
		switch p := r.Float64() / (0.004 * trouble * trouble); {
		case p < 0.5:
			op.Outcome, op.Error, op.End = history.Unknown, "timeout", start+2*time.Second
		case p < 0.9:
			op.Outcome, op.Error = history.Failed, "quorum_not_met"
		case p < 1:
			op.Outcome, op.Error = history.Failed, "overloaded"
		}
		ops = append(ops, op)
	}
	for i := range n / 200 {
		start := run.Duration + run.Duration/60 + time.Duration(i)*run.Duration/time.Duration(n/2)
		ops = append(ops, history.Operation{Kind: history.Read, Workload: "set", Start: start, End: start + time.Millisecond, Outcome: history.Ok, Final: true})
	}
	slices.SortFunc(ops, func(a, b history.Operation) int { return int(a.Start - b.Start) })
	return ops
}
