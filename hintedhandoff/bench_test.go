package hintedhandoff

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

func benchStore(b *testing.B, send func(deadline time.Time, target ring.NodeID, items []Item, done func(error))) *Store {
	b.Helper()
	s, err := Open(b.TempDir(), Options{
		Partition: partition, Send: send, BytesPerSecond: -1, BytesMax: 1 << 40,
		Storage: storage.Options{Sync: storage.SyncNever},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func benchKey(n int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(n)*0x9e3779b97f4a7c15)
}

// BenchmarkAdd adds hints of 128 bytes: of new keys, and of keys that have one, which the new one supersedes.
func BenchmarkAdd(b *testing.B) {
	for _, c := range []struct {
		name string
		keys int
	}{{"new", 1 << 40}, {"joined", 1000}} {
		b.Run(c.name, func(b *testing.B) {
			s := benchStore(b, func(time.Time, ring.NodeID, []Item, func(error)) {})
			entries := make([]causal.Entry, 1)
			siblings := []causal.Sibling{{Value: make([]byte, 128)}}
			items := make([]Item, 1)
			done := func(err error) {
				if err != nil {
					b.Error(err)
				}
			}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				entries[0] = causal.Dot{Actor: 7, Time: causal.Timestamp(n)}
				siblings[0].Dot = entries[0]
				items[0] = Item{Key: benchKey(n % c.keys), Object: causal.Object{Vector: entries, Siblings: siblings}}
				s.Add(time.Time{}, "n1", items, false, done)
			}
		})
	}
}

// BenchmarkReplay sends 100,000 hints of 128 bytes to a target that takes them at once.
func BenchmarkReplay(b *testing.B) {
	const n = 100_000
	value := make([]byte, 128)
	for b.Loop() {
		b.StopTimer()
		s := benchStore(b, func(_ time.Time, _ ring.NodeID, _ []Item, done func(error)) { done(nil) })
		for i := range n {
			d := causal.Dot{Actor: 7, Time: 1}
			o := causal.Object{Vector: causal.Vector{d}, Siblings: []causal.Sibling{{Dot: d, Value: value}}}
			if err := s.addNow("n1", false, Item{Key: benchKey(i), Object: o}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		for s.Stats().Hints > 0 {
			time.Sleep(time.Millisecond) // until the condition
		}
		cancel()
		<-ended
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "hints/s")
}
