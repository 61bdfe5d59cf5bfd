package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 1, "")
	countFlag = flag.Uint64("sim.count", 1, "")
	kindsFlag = flag.String("sim.kinds", "all", "")
	logFlag   = flag.Bool("sim.log", false, "")
)

func TestSeed(t *testing.T) {
	kinds, err := fault.ParseKinds(*kindsFlag)
	if err != nil {
		t.Fatal(err)
	}
	for seed := *seedFlag; seed < *seedFlag+*countFlag; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := Options{Kinds: kinds}
				if *logFlag {
					o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
				}
				if *kindsFlag == "" {
					o.Plan = &fault.Plan{}
				}
				began := time.Now()
				out, err := Run(t.Context(), seed, o)
				_ = began
				if err != nil {
					t.Fatal(err)
				}
				t.Log(out.Settings)
				for _, f := range out.Plan.Faults {
					t.Log(f)
				}
				for _, r := range out.Results {
					t.Logf("%+v", r)
				}
				t.Logf("faults %v skipped %d converged %v simulated %v", out.Faults, out.Skipped, out.Converged, out.Simulated)
				if !out.Passed() {
					t.Errorf("%v: %q", out.Violations, out.Examples)
				}
			})
		})
	}
}
