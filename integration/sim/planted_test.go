//go:build planted

package sim

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/planted"
)

func init() {
	flag.Func("sim.plant", "the `name` of a mistake that the nodes make: see internal/planted", func(name string) error {
		bug, ok := planted.Named(name)
		if !ok {
			return fmt.Errorf("no mistake is called %q", name)
		}
		planted.Sow(bug)
		return nil
	})
}

// hunts are where each mistake is looked for: with faults and settings that it matters under, and what it must be called.
var hunts = []struct {
	bug              planted.Bug
	faults, settings string
	// kinds are the violations that rightly name it; one of them must be found.
	kinds []string
	// seedsMax is how many seeds are tried.
	seedsMax int
}{
	{
		planted.DropHint, "split-halves,wipe", `{"Nodes":5,"Sloppy":true,"Workloads":["set"],"FaultEvery":1500000000}`,
		[]string{"lost"}, 100,
	},
	{planted.SkipSync, "power-loss", `{"Workloads":["set"],"Sloppy":false}`, []string{"lost", "stale", "node"}, 30},
	{planted.ReuseDot, "", `{"Workloads":["monotonic"],"Sloppy":false}`, []string{"lost", "stale", "went back", "differs"}, 10},
	{planted.ForgetTombstone, "isolate,kill,pause", `{"Workloads":["deletes"],"SegmentBytes":4096,"Sloppy":false,"FaultEvery":1000000000}`, []string{"revived"}, 50},
	{
		// Partitions are filled within moments: many faults, and others that miss writes until they are exchanged, make those matter.
		planted.ServeUnfilled, "isolate,cut-link,wipe",
		`{"Nodes":3,"Workloads":["set","monotonic"],"Sloppy":false,"FaultEvery":700000000,"HintBytes":4096,"ExchangePeriod":120000000000}`,
		[]string{"lost", "stale", "went back"}, 80,
	},
	{planted.HalfMerge, "", `{"Workloads":["set"],"SegmentBytes":4096,"Sloppy":false}`, []string{"lost", "stale", "differs"}, 20},
	{planted.ShortPage, "", `{"Workloads":["range"],"Sloppy":false}`, []string{"missing"}, 10},
	{planted.TearBatch, "kill,power-loss", `{"Nodes":3,"Workloads":["batch"],"FaultEvery":1000000000}`, []string{"torn"}, 50},
}

func TestPlantedBugsAreFound(t *testing.T) {
	for _, h := range hunts {
		t.Run(h.bug.String(), func(t *testing.T) {
			for seed := range uint64(h.seedsMax) {
				var found report
				child(context.Background(), job{seed: seed + 1, count: 1, faults: h.faults, settings: h.settings, plant: h.bug.String()}, func(_ uint64, r report) {
					found = r
				})
				if found.Outcome == nil {
					t.Fatalf("seed %d: %s", seed+1, found.Error)
				}
				kinds := slices.Sorted(maps.Keys(found.Outcome.Violations))
				if slices.ContainsFunc(h.kinds, func(kind string) bool { return found.Outcome.Violations[kind] > 0 }) {
					t.Logf("found with seed %d: %s; %q", seed+1, strings.Join(kinds, ", "), found.Outcome.Examples[:min(2, len(found.Outcome.Examples))])
					return
				}
				if len(kinds) > 0 { // a consequence: a log with holes keeps partitions from being filled
					t.Logf("seed %d calls it %q", seed+1, kinds)
				}
			}
			t.Errorf("not found with %d seeds", h.seedsMax)
		})
	}
}
