// Package tail measures how long answers usually take at most: a quantile of the last latencies, in constant memory and
// without a lock, so that who waits longer than that can be told from who is only a little late. It is no statistic for
// people: it errs upwards by up to a fifth.
package tail

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// windowSamples is how many samples a window has. The quantile is of the present window and the one before.
	windowSamples = 512
	// refreshSamples is how often the quantile is drawn anew.
	refreshSamples = 16
	// samplesMin is how many samples it takes to say anything.
	samplesMin = 64
	// steps is how many buckets an octave has.
	steps = 4
	// unit is the shortest time that is told from none: what is below 16 µs all counts as that.
	unit       = 4 * time.Microsecond
	bucketsMax = 96 // up to a minute and more
)

// Meter keeps the latencies of one kind of request to one place. The zero Meter is ready, and safe for concurrent use.
type Meter struct {
	windows [2]window
	count   atomic.Uint64
	p99     atomic.Int64

	drawing sync.Mutex
}

// window counts the samples of each bucket.
type window [bucketsMax]atomic.Uint32

// Record takes a latency into account.
func (m *Meter) Record(d time.Duration) {
	n := m.count.Add(1)
	m.windows[n/windowSamples%2][bucketOf(d)].Add(1)
	if n%refreshSamples == 0 && m.drawing.TryLock() {
		m.draw(n)
		m.drawing.Unlock()
	}
}

// P99 is the 99th percentile of the last latencies; zero while there are too few.
func (m *Meter) P99() time.Duration { return time.Duration(m.p99.Load()) }

// draw computes the quantile, and empties the older window when the present one is about to be full. What is recorded at
// that very moment may be lost.
func (m *Meter) draw(n uint64) {
	var counts [bucketsMax]uint64
	total := uint64(0)
	for w := range m.windows {
		for b := range counts {
			c := uint64(m.windows[w][b].Load())
			counts[b] += c
			total += c
		}
	}
	if total >= samplesMin {
		m.p99.Store(int64(quantile(&counts, total-total/100)))
	}
	if n%windowSamples >= windowSamples-refreshSamples {
		next := &m.windows[(n/windowSamples+1)%2]
		for b := range next {
			next[b].Store(0)
		}
	}
}

// quantile is the upper end of the bucket that the rank-th smallest sample is in.
func quantile(counts *[bucketsMax]uint64, rank uint64) time.Duration {
	below := uint64(0)
	for b, c := range counts {
		if below += c; below >= rank {
			return upperEnd(b)
		}
	}
	return upperEnd(bucketsMax - 1)
}

// bucketOf counts octaves of four buckets each: 4 to 7 units, 8 to 15 and so on.
func bucketOf(d time.Duration) int {
	v := uint64(max(d/unit, steps))
	octave := bits.Len64(v) - bits.Len64(steps)
	b := octave*steps + int(v>>octave) - steps
	return min(b, bucketsMax-1)
}

func upperEnd(b int) time.Duration {
	octave, step := b/steps, b%steps
	return unit * time.Duration((steps+step+1)<<octave)
}
