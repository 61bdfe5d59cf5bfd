//go:build planted

package sim

import (
	"encoding/json"
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

// hunt is where a mistake is looked for: with faults and settings that it matters under, and what it must be called.
type hunt struct {
	bug              planted.Bug
	faults, settings string
	// kinds are the violations that rightly name it; one of them must be found.
	kinds []string
	// seedsMax is how many seeds are tried.
	seedsMax int
}

// hunts are those for each mistake, and with each workload.
var hunts = []hunt{
	{
		planted.DropHint, "split-halves,wipe", `{"Nodes":5,"Sloppy":true,"Workloads":["set"],"FaultEvery":1500000000}`,
		[]string{"lost"}, 100,
	},
	{planted.SkipSync, "power-loss", `{"Workloads":["set"],"Sloppy":false}`, []string{"lost", "stale", "node"}, 30},
	{planted.ReuseDot, "", `{"Workloads":["monotonic"],"Sloppy":false}`, []string{"lost", "stale", "went back", "differs"}, 10},
	{
		// Who was out of reach of a deletion must not hear of it from hints.
		planted.ForgetTombstone, "isolate,kill,pause", `{"Workloads":["deletes"],"SegmentBytes":4096,"Sloppy":false,"FaultEvery":1000000000,"HintBytes":1024}`,
		[]string{"revived"}, 200, // seed 7 to 36 shows it
	},
	{
		// Partitions are filled within moments: many faults, and others that miss writes until they are exchanged, make those matter.
		planted.ServeUnfilled, "isolate,cut-link,wipe",
		`{"Nodes":3,"Workloads":["set","monotonic"],"Sloppy":false,"FaultEvery":700000000,"HintBytes":4096,"ExchangePeriod":120000000000}`,
		[]string{"lost", "stale", "went back"}, 80,
	},
	{planted.HalfMerge, "", `{"Workloads":["set"],"SegmentBytes":4096,"Sloppy":false}`, []string{"lost", "stale", "differs"}, 20},
	{planted.ShortPage, "", `{"Workloads":["range"],"Sloppy":false}`, []string{"missing"}, 10},
	{planted.ReuseDot, "", `{"Workloads":["siblings"],"Sloppy":false}`, []string{"lost element", "stale element"}, 10},
	{planted.ReuseDot, "", `{"Workloads":["register"],"Sloppy":false}`, []string{"not linearizable"}, 10},
	{planted.ReuseDot, "", `{"Workloads":["batch"],"Sloppy":false}`, []string{"lost", "stale", "revived"}, 10},
	{planted.ReuseDot, "", `{"Workloads":["ttl"],"Sloppy":false}`, []string{"lost", "stale", "revived"}, 10},
	{planted.TearBatch, "kill,power-loss", `{"Nodes":3,"Workloads":["batch"],"FaultEvery":1000000000}`, []string{"torn"}, 50},
}

// name tells a hunt from the others.
func (h *hunt) name(t *testing.T) string {
	t.Helper()
	var s Settings
	if err := json.Unmarshal([]byte(h.settings), &s); err != nil {
		t.Fatal(err)
	}
	return h.bug.String() + "/" + strings.Join(s.Workloads, ",")
}

// run runs a seed of a hunt, with a mistake that has a name, or without any.
func (h *hunt) run(t *testing.T, seed uint64, plant string) (found report) {
	t.Helper()
	child(t.Context(), job{seed: seed, count: 1, faults: h.faults, settings: h.settings, plant: plant}, func(_ uint64, r report) { found = r })
	if found.Outcome == nil {
		t.Fatalf("seed %d: %s", seed, found.Error)
	}
	return found
}

// What is found must be the mistake's doing: without it the same hunt finds nothing.
func TestPlantedNothingIsNotFound(t *testing.T) {
	for _, h := range hunts {
		t.Run(h.name(t), func(t *testing.T) {
			if r := h.run(t, 1, ""); !r.passed() {
				t.Error(describe(r.Outcome), r.Error)
			}
		})
	}
}

func TestPlantedBugsAreFound(t *testing.T) {
	for _, h := range hunts {
		t.Run(h.name(t), func(t *testing.T) {
			for seed := range uint64(h.seedsMax) {
				out := h.run(t, seed+1, h.bug.String()).Outcome
				kinds := slices.Sorted(maps.Keys(out.Violations))
				if slices.ContainsFunc(h.kinds, func(kind string) bool { return out.Violations[kind] > 0 }) {
					t.Logf("found with seed %d: %s; %q", seed+1, strings.Join(kinds, ", "), out.Examples[:min(2, len(out.Examples))])
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
