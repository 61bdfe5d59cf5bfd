package blockcache

import (
	"math/rand/v2"
	"testing"
)

func filled(bytesMax int64, blocks uint64) *Cache {
	c := New(bytesMax)
	for i := range blocks {
		c.Put(1, i, make([]byte, traceBlock))
	}
	return c
}

func BenchmarkGetHit(b *testing.B) {
	c := filled(64<<20, 10_000)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		c.Get(1, i*7919%10_000)
	}
}

func BenchmarkGetHitParallel(b *testing.B) {
	c := filled(64<<20, 10_000)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.Uint64N(10_000); pb.Next(); i++ {
			c.Get(1, i*7919%10_000)
		}
	})
}

func BenchmarkGetMiss(b *testing.B) {
	c := filled(64<<20, 10_000)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		c.Get(2, i)
	}
}

func BenchmarkPutEvicting(b *testing.B) {
	c := filled(64<<20, 20_000)
	block := make([]byte, traceBlock)
	b.ReportAllocs()
	for i := uint64(0); b.Loop(); i++ {
		c.Put(2, i, block)
	}
}

func BenchmarkZipfian(b *testing.B) {
	trace := zipf(1<<18, 100_000, 1.1)
	c := New(100_000 * traceBlock / 20)
	block := make([]byte, traceBlock)
	for i := 0; b.Loop(); i++ {
		offset := trace[i%len(trace)]
		if _, ok := c.Get(1, offset); !ok {
			c.Put(1, offset, block)
		}
	}
	s := c.Stats()
	b.ReportMetric(float64(s.Hits)/float64(s.Hits+s.Misses), "hits/op")
}

func BenchmarkDrop(b *testing.B) {
	c := filled(256<<20, 60_000)
	for b.Loop() {
		c.Drop(2)
	}
}
