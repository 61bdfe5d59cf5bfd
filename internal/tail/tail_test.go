package tail

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheQuantileIsNeverBelowTheTruthAndAtMostAQuarterAboveIt(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var m Meter
		var all []time.Duration
		scale := float64(time.Millisecond) * (0.05 + 100*r.Float64())
		for range windowSamples - 1 {
			d := time.Duration(r.ExpFloat64() * scale)
			all = append(all, d)
			m.Record(d)
		}
		all = all[:len(all)/refreshSamples*refreshSamples]
		slices.Sort(all)
		truth := max(all[len(all)-len(all)/100-1], 16*time.Microsecond)
		if got := m.P99(); got < truth || float64(got) > 1.26*float64(truth) {
			t.Errorf("p99 is %v, measured as %v", truth, got)
		}
	}
}

func TestFewSamplesSayNothing(t *testing.T) {
	var m Meter
	for range samplesMin - 1 {
		m.Record(time.Second)
	}
	if got := m.P99(); got != 0 {
		t.Errorf("%v after %d samples", got, samplesMin-1)
	}
}

func TestWhatWasLongAgoIsForgotten(t *testing.T) {
	var m Meter
	for range windowSamples {
		m.Record(time.Second)
	}
	for range 3 * windowSamples {
		m.Record(time.Millisecond)
	}
	if got := m.P99(); got > 2*time.Millisecond {
		t.Errorf("%v", got)
	}
}

func TestEveryDurationHasABucketThatEndsAboveIt(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, 1, 16 * time.Microsecond, 19 * time.Microsecond, 20 * time.Microsecond, time.Millisecond, 7 * time.Second, 50 * time.Second} {
		if end := upperEnd(bucketOf(d)); end <= d || d >= 16*time.Microsecond && float64(end) > 1.26*float64(d) {
			t.Errorf("%v is in a bucket that ends at %v", d, end)
		}
	}
	if got := upperEnd(bucketOf(1<<63 - 1)); got < time.Minute {
		t.Errorf("the last bucket ends at %v", got)
	}
}

func TestManyMayRecordAtOnce(t *testing.T) {
	var m Meter
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 5 * windowSamples {
				m.Record(time.Millisecond)
			}
		})
	}
	all.Wait()
	if got := m.P99(); got < time.Millisecond || got > 1300*time.Microsecond {
		t.Errorf("%v", got)
	}
}
