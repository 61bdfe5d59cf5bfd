package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
)

const (
	// seedsDefault and seedsShort are how many seeds run if nothing is said.
	seedsDefault, seedsShort = 30, 4
	// chunkSeeds is how many seeds a process runs.
	chunkSeeds = 10
	// shrinkTries bounds the runs that look for a smaller plan, shrinkTime the time that they take.
	shrinkTries = 60
	shrinkTime  = 3 * time.Minute
	// progressEvery is how often it is said how far the seeds are.
	progressEvery = 10 * time.Second
)

func TestSeeds(t *testing.T) {
	switch {
	case raceDetector:
		t.Skip("the race detector fails in large bubbles")
	case *childFlag:
		beChild(t)
		return
	case *planFlag != "" || *logFlag || *seedFlag != 0 && *seedsFlag <= 1:
		runOne(t)
		return
	}
	first, count := max(*seedFlag, 1), *seedsFlag
	if count == 0 {
		count = seedsDefault
		if testing.Short() {
			count = seedsShort
		}
	}
	s := newSurvey(t, count)
	s.run(t.Context(), first)
	t.Log(s.summary())
	if len(s.failed) > 0 {
		s.explain(t)
	}
}

// runOne runs one seed in this process.
func runOne(t *testing.T) {
	out, err := simulate(t, max(*seedFlag, 1), options(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(describe(out))
	if !out.Passed() {
		t.Error("violated")
	}
}

// survey runs many seeds and adds up what they say.
type survey struct {
	t     *testing.T
	count int
	began time.Time

	mu   sync.Mutex
	done int
	// operations were answered; of them writes were acknowledged.
	operations, writes int
	simulated          time.Duration
	faults             map[fault.Kind]int
	failed             map[uint64]report
}

func newSurvey(t *testing.T, count int) *survey {
	return &survey{t: t, count: count, began: time.Now(), faults: make(map[fault.Kind]int), failed: make(map[uint64]report)}
}

// run runs seeds from the first on, in as many processes at once as there are processors.
func (s *survey) run(ctx context.Context, first uint64) {
	chunks := make(chan uint64)
	var all sync.WaitGroup
	end := first + uint64(s.count)
	for range runtime.NumCPU() {
		all.Go(func() {
			for from := range chunks {
				for to := min(from+chunkSeeds, end); from < to; {
					from += uint64(child(ctx, job{seed: from, count: int(to - from), faults: *kindsFlag, settings: *setFlag}, s.note))
				}
			}
		})
	}
	for from := first; from < end; from += chunkSeeds {
		chunks <- from
	}
	close(chunks)
	all.Wait()
}

func (s *survey) note(seed uint64, r report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if !r.passed() {
		s.failed[seed] = r
		s.t.Logf("seed %d fails: %s", seed, r.complaint())
	}
	if out := r.Outcome; out != nil {
		s.simulated += out.Simulated
		for kind, n := range out.Faults {
			s.faults[kind] += n
		}
		for _, w := range out.Results {
			s.operations += w.Ok
			s.writes += w.Acknowledged
		}
	}
	if s.done%max(1, int(float64(s.done)/time.Since(s.began).Seconds()*progressEvery.Seconds())) == 0 {
		s.t.Log(s.summaryLocked())
	}
}

func (s *survey) summary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.summaryLocked()
}

func (s *survey) summaryLocked() string {
	faults := 0
	for _, n := range s.faults {
		faults += n
	}
	took := time.Since(s.began)
	return fmt.Sprintf("%d of %d seeds, %.0f a minute; %d failed; %d operations answered, %d of them acknowledged writes, %d faults in %v of simulated time: %v",
		s.done, s.count, float64(s.done)/took.Minutes(), len(s.failed), s.operations, s.writes, faults, s.simulated.Round(time.Second), s.faults)
}

// explain says what failed, and looks for the smallest plan of faults with which the first of them still does.
func (s *survey) explain(t *testing.T) {
	seeds := make([]uint64, 0, len(s.failed))
	for seed := range s.failed {
		seeds = append(seeds, seed)
	}
	slices.Sort(seeds)
	t.Errorf("seeds that failed: %d", seeds)
	for i, seed := range seeds {
		r := s.failed[seed]
		if r.Outcome == nil {
			t.Errorf("seed %d: %s", seed, r.Error)
			continue
		}
		t.Errorf("%s%s\nreplay: %s", describe(r.Outcome), r.Error, replay(seed, ""))
		if i == 0 {
			shrink(t, seed, r.Outcome)
		}
	}
}

// shrink looks for the smallest plan with which a seed still fails, and writes it down.
func shrink(t *testing.T, seed uint64, out *Outcome) {
	ctx, cancel := context.WithTimeout(t.Context(), shrinkTime)
	defer cancel()
	path := filepath.Join(os.TempDir(), fmt.Sprintf("ringcask-sim-%d.json", seed))
	fails := func(p fault.Plan) (failed bool) {
		if ctx.Err() != nil || writePlan(path, p) != nil {
			return false
		}
		child(ctx, job{seed: seed, count: 1, plan: path, settings: *setFlag}, func(_ uint64, r report) { failed = r.Outcome != nil && sharesKind(r.Outcome, out) })
		return failed
	}
	smallest := fault.Shrink(out.Plan, shrinkTries, fails)
	if err := writePlan(path, smallest); err != nil {
		t.Error(err)
		return
	}
	text := fmt.Sprintf("seed %d fails with %d of its %d faults:\n", seed, len(smallest.Faults), len(out.Plan.Faults))
	for _, f := range smallest.Faults {
		text += fmt.Sprintf("  %v\n", f)
	}
	t.Errorf("%sreplay: %s", text, replay(seed, path))
}

// sharesKind says whether an outcome has a kind of violation that another one has.
func sharesKind(a, b *Outcome) bool {
	for kind := range a.Violations {
		if b.Violations[kind] > 0 {
			return true
		}
	}
	return false
}

func writePlan(path string, p fault.Plan) error {
	text, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// replay is the command that runs a seed again.
func replay(seed uint64, plan string) string {
	command := fmt.Sprintf("GOMAXPROCS=1 go test ./integration/sim -count=1 -v -run '^TestSeeds$' -sim.seed %d", seed)
	if plan != "" {
		command += " -sim.plan " + plan
	}
	return command
}
