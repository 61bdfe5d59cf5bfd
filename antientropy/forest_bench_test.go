package antientropy

import (
	"context"
	"encoding/binary"
	"iter"
	"runtime"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// manyKeys is a store of so many keys of 16 bytes, which is never changed.
type manyKeys int

func (n manyKeys) key(buf []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(append(buf[:0], "user0000"...), uint64(i))
}

func (n manyKeys) ScanObserved(_ storage.Range, began func()) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		began()
		meta := metaOf(nil, live(0xa1, 1))
		var key []byte
		for i := range int(n) {
			binary.BigEndian.PutUint64(meta[7:], uint64(i+1))
			key = n.key(key, i)
			if !yield(storage.Record{Key: key, Meta: meta}, nil) {
				return
			}
		}
	}
}

const defaultPartitions = 256

func builtForest(b *testing.B, n manyKeys) *Forest {
	f := newForest(b, ForestOptions{Partitions: defaultPartitions, RebuildKeysPerSecond: -1})
	if err := f.Rebuild(context.Background(), n, allPartitions(f), always(Rule{})); err != nil {
		b.Fatal(err)
	}
	return f
}

func BenchmarkObserve(b *testing.B) {
	stable := causal.Vector{{Actor: 0xa1, Time: 1 << 40}, {Actor: 0xb2, Time: 1 << 40}, {Actor: 0xc3, Time: 1 << 40}}
	value := func(t causal.Timestamp) []byte { return metaOf(nil, live(0xb2, t)) }
	for _, c := range []struct {
		name     string
		old, new []byte
	}{
		{"insert", nil, value(1)},
		{"overwrite", value(1), value(2)},
		{"delete", value(1), metaOf(stable[:1], tombstone(0xb2, 2))},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := builtForest(b, 0)
			for _, p := range allPartitions(f) {
				f.Advance(p, Rule{Stable: stable})
			}
			change := []storage.Change{{OldMeta: c.old, NewMeta: c.new}}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				change[0].Key = manyKeys(0).key(change[0].Key, i%1_000_000)
				f.Observe(change)
			}
		})
	}
}

// BenchmarkRebuild scans a store that costs next to nothing to scan.
func BenchmarkRebuild(b *testing.B) {
	const keys = 1_000_000
	for b.Loop() {
		builtForest(b, keys)
	}
	b.ReportMetric(keys*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}

// BenchmarkMemory is the heap that the trees of a million keys take.
func BenchmarkMemory(b *testing.B) {
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		before := heap()
		f := builtForest(b, 1_000_000)
		b.ReportMetric((heap()-before)/(1<<20), "MiB")
		runtime.KeepAlive(f)
	}
}

func BenchmarkRoot(b *testing.B) {
	f := builtForest(b, 100_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Root(ring.PartitionID(i % defaultPartitions))
	}
}

func BenchmarkSettled(b *testing.B) {
	f := builtForest(b, 0)
	for _, c := range []struct {
		name string
		meta []byte
	}{{"value", metaOf(nil, live(1, 1))}, {"tombstone", metaOf(nil, tombstone(1, 1))}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				f.Settled(0, c.meta)
			}
		})
	}
}
