package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
)

const (
	// shrinkTries bounds the runs that look for a smaller plan, shrinkTime the time that they take.
	shrinkTries = 60
	shrinkTime  = 3 * time.Minute
)

// explain says what failed, and looks for the smallest plan of faults with which the first of the seeds still does.
func explain(t *testing.T, failed map[uint64]report) {
	seeds := slices.Sorted(maps.Keys(failed))
	t.Errorf("seeds that failed: %d", seeds)
	for i, seed := range seeds {
		r := failed[seed]
		plan, text := r.text(seed, options(t))
		t.Errorf("%s\nreplay: %s", text, flagged(seed, 1).replay())
		if i == 0 {
			shrink(t, seed, r, plan)
		}
	}
}

// text is what people want to know of a seed that failed. Of one that took its process with it there is no outcome: what was drawn for it is drawn again.
func (r *report) text(seed uint64, o Options) (fault.Plan, string) {
	if r.Outcome != nil {
		return r.Outcome.Plan, describe(r.Outcome) + r.Error
	}
	drawn := &Outcome{Seed: seed}
	drawn.Settings, drawn.Plan = draw(seed, o)
	return drawn.Plan, describeDrawn(drawn) + r.Error
}

// shrink looks for the smallest plan with which a seed still fails as it did, and writes it down.
func shrink(t *testing.T, seed uint64, first report, plan fault.Plan) {
	ctx, cancel := context.WithTimeout(t.Context(), shrinkTime)
	defer cancel()
	j := flagged(seed, 1)
	j.plan = filepath.Join(os.TempDir(), fmt.Sprintf("ringcask-sim-%d.json", seed))
	fails := func(p fault.Plan) (failed bool) {
		if ctx.Err() != nil || writePlan(j.plan, p) != nil {
			return false
		}
		child(ctx, j, func(_ uint64, r report) { failed = ctx.Err() == nil && r.failsLike(first) })
		return failed
	}
	smallest, again := smallestFailing(plan, fails)
	if !again {
		t.Errorf("seed %d did not fail again with all of its %d faults: that may take several runs", seed, len(plan.Faults))
		return
	}
	if err := writePlan(j.plan, smallest); err != nil {
		t.Error(err)
		return
	}
	text := fmt.Sprintf("seed %d fails with %d of its %d faults:\n", seed, len(smallest.Faults), len(plan.Faults))
	for _, f := range smallest.Faults {
		text += fmt.Sprintf("  %v\n", f)
	}
	t.Errorf("%sreplay: %s", text, j.replay())
}

// smallestFailing is the smallest plan that fails, unless the whole one does not do so again: then nothing that is left out would tell.
func smallestFailing(p fault.Plan, fails func(fault.Plan) bool) (smallest fault.Plan, again bool) {
	if !fails(p) {
		return p, false
	}
	return fault.Shrink(p, shrinkTries, fails), true
}

// failsLike says whether a run failed as another one did: it had no outcome either, was worthless, too, or has a kind of violation that the other one has.
func (r *report) failsLike(other report) bool {
	if r.Outcome == nil || other.Outcome == nil {
		return r.Outcome == nil && other.Outcome == nil
	}
	for kind := range r.Outcome.Violations {
		if other.Outcome.Violations[kind] > 0 {
			return true
		}
	}
	return r.Error != "" && other.Error != ""
}

func writePlan(path string, p fault.Plan) error {
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
