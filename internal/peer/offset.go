package peer

import (
	"slices"
	"time"
)

// sampleCount is how many pings the offset filter looks back.
const sampleCount = 8

// sample is one measured ping: the other clock less ours, and the round trip that bounds its error to half of itself.
type sample struct {
	offset, rtt time.Duration
}

// measure computes a sample from the four times of a ping: sent and back by our clock, arrived and answered by the
// other's. back.Sub(sent) uses the monotonic clock, so that a step of our wall clock during the ping cannot give a
// negative round trip.
func measure(sent, arrived, answered, back time.Time) sample {
	elapsed := back.Sub(sent)
	rtt := max(elapsed-answered.Sub(arrived), 0)
	return sample{offset: arrived.Sub(sent.Round(0)) - rtt/2, rtt: rtt}
}

// offsetFilter keeps the last samples and trusts the one with the shortest round trip.
type offsetFilter struct {
	samples [sampleCount]sample
	count   int
	next    int
	best    sample
}

// add takes a sample. One that contradicts the best so far, because the two cannot both be within half their round
// trips of the truth, means that a clock was stepped: the filter forgets the past and starts anew from it.
func (f *offsetFilter) add(s sample) {
	if f.count > 0 && (s.offset-f.best.offset).Abs() > (s.rtt+f.best.rtt)/2+offsetSlack {
		*f = offsetFilter{}
	}
	f.samples[f.next] = s
	f.next = (f.next + 1) % sampleCount
	f.count = min(f.count+1, sampleCount)
	f.best = slices.MinFunc(f.samples[:f.count], func(a, b sample) int { return int(a.rtt - b.rtt) })
}

// offsetSlack is the drift that two good clocks may show between the oldest and the newest sample.
const offsetSlack = 5 * time.Millisecond

// median is the middle of the offsets, or the mean of the two in the middle. It reorders its argument, which must not
// be empty.
func median(offsets []time.Duration) time.Duration {
	slices.Sort(offsets)
	middle := len(offsets) / 2
	if len(offsets)%2 == 1 {
		return offsets[middle]
	}
	return (offsets[middle-1] + offsets[middle]) / 2
}
