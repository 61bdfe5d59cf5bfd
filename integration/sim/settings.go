package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ringcask/ringcask/integration/workload"
	"github.com/ringcask/ringcask/node"
)

// reserveBytes is what nodes leave free on their disks.
const reserveBytes = 64 << 10

// Settings are what is drawn from a seed before anything runs, besides the faults.
type Settings struct {
	Nodes, Partitions int
	// Duration is how long the workload runs.
	Duration time.Duration
	// FaultEvery is the mean time between two faults.
	FaultEvery time.Duration
	// Delay and Jitter are the way of a message.
	Delay, Jitter time.Duration
	// SegmentBytes is the size of a log segment, Compression that of merges.
	SegmentBytes int64
	Compression  string
	// ExchangePeriod is the time in which every partition is compared with every other replica of it.
	ExchangePeriod time.Duration
	// HintBytes bounds the hints of a node.
	HintBytes int64
	Sloppy    bool
	// Workloads are the names of those that run at the same time, each with Workers clients.
	Workloads []string
	Workers   int
	// Rate is how many operations all clients begin in a second.
	Rate float64
}

// DrawSettings draws the settings of a seed.
func DrawSettings(seed uint64) Settings {
	r := rand.New(rand.NewPCG(seed, 0x5e77))
	s := Settings{
		Nodes:          3 + r.IntN(3),
		Partitions:     []int{4, 8, 16}[r.IntN(3)],
		Duration:       20*time.Second + time.Duration(r.Int64N(int64(20*time.Second))),
		Delay:          50*time.Microsecond + time.Duration(r.Int64N(int64(time.Millisecond))),
		Jitter:         50*time.Microsecond + time.Duration(r.Int64N(int64(3*time.Millisecond))),
		SegmentBytes:   []int64{4 << 10, 16 << 10, 64 << 10}[r.IntN(3)],
		Compression:    []string{"none", "none", "s2", "zstd"}[r.IntN(4)],
		ExchangePeriod: time.Duration(3+r.IntN(8)) * time.Second,
		HintBytes:      []int64{1 << 10, 16 << 10, 1 << 20, 1 << 20}[r.IntN(4)],
		Sloppy:         r.IntN(4) == 0,
		Rate:           20 + float64(r.IntN(60)),
	}
	s.FaultEvery = s.Duration / time.Duration(6+r.IntN(15))
	names := workload.Names()
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	s.Workloads, s.Workers = names[:1+r.IntN(2)], 2+r.IntN(4)
	return s
}

// apply completes a node's configuration.
func (s Settings) apply(c *node.Config) {
	c.Partitions, c.SegmentBytesMax, c.Compression = s.Partitions, s.SegmentBytes, s.Compression
	c.ExchangePeriod, c.HintBytesMax, c.Sloppy = s.ExchangePeriod, s.HintBytes, s.Sloppy
	c.ReserveBytes = reserveBytes
	c.ScrubInterval, c.ScrubBytesPerSecond = 10*time.Second, 1<<30
	c.ValueBytesMax = 64 << 10
}

// String is one line for people.
func (s Settings) String() string {
	return fmt.Sprintf("%v, %d clients each, %d nodes, %d partitions, %v, %.0f operations a second, segments of %d bytes, %s, exchanges each %v, hints to %d bytes, sloppy %t",
		s.Workloads, s.Workers, s.Nodes, s.Partitions, s.Duration.Round(time.Second), s.Rate, s.SegmentBytes, s.Compression, s.ExchangePeriod, s.HintBytes, s.Sloppy)
}
