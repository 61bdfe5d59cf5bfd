package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/integration/fault"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "run this seed alone, or begin with it")
	seedsFlag = flag.Int("sim.seeds", 0, "how many seeds to run (default 30, or 4 with -short, or 1 with -sim.seed)")
	planFlag  = flag.String("sim.plan", "", "a `file` with the plan of faults to carry out in place of the seed's")
	kindsFlag = flag.String("sim.faults", "all", "the kinds of faults that plans are drawn of, separated by commas; none if it is empty")
	setFlag   = flag.String("sim.set", "{}", "settings to use in place of those that are drawn, as an object in `JSON`: see Settings")
	logFlag   = flag.Bool("sim.log", false, "print what the nodes have to say (one seed only)")
	childFlag = flag.Bool("sim.child", false, "report each seed as a line of JSON: for the processes that TestSeeds starts")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of the flags.
func options(t *testing.T) (o Options) {
	t.Helper()
	var err error
	if o.Kinds, err = fault.ParseKinds(*kindsFlag); err != nil {
		t.Fatal(err)
	}
	if len(o.Kinds) == 0 {
		o.Plan = new(fault.Plan)
	}
	if *planFlag != "" {
		text, err := os.ReadFile(*planFlag)
		if err == nil {
			o.Plan = new(fault.Plan)
			err = json.Unmarshal(text, o.Plan)
		}
		if err == nil {
			err = o.Plan.Validate()
		}
		if err != nil {
			t.Fatalf("plan %s: %v", *planFlag, err)
		}
	}
	o.Adjust = func(s *Settings) {
		if err := json.Unmarshal([]byte(*setFlag), s); err != nil {
			t.Fatalf("settings %s: %v", *setFlag, err)
		}
	}
	if *logFlag {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return o
}

// simulate runs a seed in a bubble of its own.
func simulate(t *testing.T, seed uint64, o Options) (out *Outcome, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { out, err = Run(t.Context(), seed, o) })
	if out != nil && out.Settings.Compression == "zstd" {
		emptyPools()
	}
	return out, err
}

// emptyPools takes what is pooled from the bubbles to come: a decoder of zstd has a channel, which belongs to the bubble that made it. A pool gives up what two
// collections have found in it.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

// describeDrawn is what was drawn for a run, for people.
func describeDrawn(out *Outcome) string {
	text := fmt.Sprintf("seed %d: %v\n", out.Seed, out.Settings)
	for _, f := range out.Plan.Faults {
		text += fmt.Sprintf("  %v\n", f)
	}
	return text
}

// describe is what people want to know of an outcome.
func describe(out *Outcome) string {
	text := describeDrawn(out)
	for _, r := range out.Results {
		text += fmt.Sprintf("  %s: %d ok, %d failed, %d unknown\n", r.Workload, r.Ok, r.Failed, r.Unknown)
	}
	text += fmt.Sprintf("  carried out %v, left out %d; converged %v after the last; %v in all\n", out.Faults, out.Skipped, out.Converged, out.Simulated)
	for kind, n := range out.Violations {
		text += fmt.Sprintf("  VIOLATED: %s, %d times\n", kind, n)
	}
	for _, example := range out.Examples {
		text += fmt.Sprintf("    %s\n", example)
	}
	for _, line := range out.Trail {
		text += fmt.Sprintf("      %s\n", line)
	}
	return text
}
