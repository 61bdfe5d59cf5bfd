package blockcache

import (
	"math/rand/v2"
	"testing"
)

const traceBlock = 4096

// hitRate runs a trace of offsets through a cache that is filled by its misses.
func hitRate(trace []uint64, get func(uint64) bool, put func(uint64)) float64 {
	hits := 0
	for _, offset := range trace {
		if get(offset) {
			hits++
		} else {
			put(offset)
		}
	}
	return float64(hits) / float64(len(trace))
}

func (c *Cache) hitRate(trace []uint64) float64 {
	block := make([]byte, traceBlock)
	return hitRate(trace, func(offset uint64) bool { _, ok := c.Get(1, offset); return ok },
		func(offset uint64) { c.Put(1, offset, block) })
}

// fifoHitRate is that of the plainest cache of as many bytes, which has no bookkeeping at all.
func fifoHitRate(trace []uint64, bytes int) float64 {
	cached := map[uint64]bool{}
	var queue []uint64
	return hitRate(trace, func(offset uint64) bool { return cached[offset] }, func(offset uint64) {
		if len(queue) == bytes/traceBlock {
			delete(cached, queue[0])
			queue = queue[1:]
		}
		cached[offset] = true
		queue = append(queue, offset)
	})
}

// zipf draws n offsets below span; s is the exponent, above 1.
func zipf(n int, span uint64, s float64) []uint64 {
	rng := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(rng, s, 1, span-1)
	trace := make([]uint64, n)
	for i := range trace {
		trace[i] = z.Uint64() * 0x9e3779b97f4a7c15 % span // neighbours are not equally hot
	}
	return trace
}

func TestZipfianHitRateIsAboveFIFO(t *testing.T) {
	trace := zipf(200_000, 40_000, 1.1)
	for _, share := range []int{100, 20, 10} {
		bytes := 40_000 * traceBlock / share
		fifo, have := fifoHitRate(trace, bytes), New(int64(bytes)).hitRate(trace)
		t.Logf("cache of 1/%d: %.3f, FIFO %.3f", share, have, fifo)
		if have < fifo+0.03 {
			t.Errorf("cache of 1/%d: hit rate %.3f, FIFO %.3f", share, have, fifo)
		}
	}
}

// TestScanLeavesTheHotBlocks reads a hot set among long scans, each block of which is asked for once.
func TestScanLeavesTheHotBlocks(t *testing.T) {
	const blocks = 2000 // that fit
	c := New(blocks * traceBlock)
	hot := make([]uint64, 0, blocks)
	for i := range uint64(blocks / 2) {
		hot = append(hot, i)
	}
	for range 4 {
		c.hitRate(hot)
	}
	scan := make([]uint64, 20*blocks)
	for i := range scan {
		scan[i] = 1_000_000 + uint64(i)
	}
	if rate := c.hitRate(scan); rate != 0 {
		t.Fatalf("the scan hit: %.3f", rate)
	}
	if rate := c.hitRate(hot); rate < 0.95 {
		t.Errorf("after a scan %.3f of the hot set is cached", rate)
	}
	if rate := fifoHitRate(append(append(append([]uint64{}, hot...), scan...), hot...), blocks*traceBlock); rate > 0.01 {
		t.Errorf("the checker is wrong: FIFO hits %.3f", rate)
	}
}

func TestHotSetMovesIn(t *testing.T) {
	const blocks = 2000
	c := New(blocks * traceBlock)
	for _, base := range []uint64{0, 1 << 20} {
		set := make([]uint64, blocks/2)
		for i := range set {
			set[i] = base + uint64(i)
		}
		rate := 0.0
		for range 10 {
			rate = c.hitRate(set)
		}
		if rate < 0.95 {
			t.Errorf("set at %d: hit rate %.3f in the tenth round", base, rate)
		}
	}
}
