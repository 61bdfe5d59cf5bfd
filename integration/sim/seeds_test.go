package sim

import (
	"context"
	"fmt"
	"runtime"
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
		explain(t, s.failed)
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
					from += uint64(child(ctx, flagged(from, int(to-from)), s.note))
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
