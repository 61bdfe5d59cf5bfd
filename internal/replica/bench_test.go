package replica

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
)

const (
	benchKeys  = 10_000
	benchValue = 128
	// benchDepth is how many requests a benchmark keeps under way.
	benchDepth = 64
)

func benchReplica(b *testing.B) *Replica {
	b.Helper()
	opts := options(b, vfs.OS{})
	opts.Storage.Sync = storage.SyncNever
	opts.Storage.SegmentBytesMax = 64 << 20
	r, err := Open(b.TempDir(), opts)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := r.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return r
}

// keyOf is a fixed-length key in memory of its own.
func keyOf(n int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(n)*0x9e3779b97f4a7c15)
}

// slots hands out numbers of requests under way, and so bounds them.
func slots() chan int {
	free := make(chan int, benchDepth)
	for i := range benchDepth {
		free <- i
	}
	return free
}

func BenchmarkWrite(b *testing.B) {
	r := benchReplica(b)
	free := slots()
	value := make([]byte, benchValue)
	type slot struct {
		ds      [1]coordinator.Decision
		durable func(error)
	}
	all := make([]slot, benchDepth)
	for i := range all {
		all[i].durable = func(err error) {
			if err != nil {
				b.Error(err)
			}
			free <- i
		}
	}
	keys := make([][]byte, benchKeys)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	decided := func([]coordinator.Decided) {}
	b.ReportAllocs()
	for b.Loop() {
		s := &all[<-free]
		s.ds[0] = coordinator.Decision{Key: keys[rand.IntN(benchKeys)], Value: value}
		r.Write(time.Time{}, s.ds[:], decided, s.durable)
	}
	for range benchDepth {
		<-free
	}
}

func BenchmarkStore(b *testing.B) {
	r := benchReplica(b)
	free := slots()
	value := make([]byte, benchValue)
	type slot struct {
		items    [1]coordinator.Item
		vector   [1]causal.Entry
		siblings [1]causal.Sibling
		done     func(coordinator.StoreAck, error)
	}
	all := make([]slot, benchDepth)
	for i := range all {
		all[i].done = func(_ coordinator.StoreAck, err error) {
			if err != nil {
				b.Error(err)
			}
			free <- i
		}
	}
	keys := make([][]byte, benchKeys)
	for i := range keys {
		keys[i] = keyOf(i)
	}
	at := causal.Timestamp(1)
	b.ReportAllocs()
	for b.Loop() {
		s := &all[<-free]
		at++
		s.vector[0] = causal.Dot{Actor: 7, Time: at}
		s.siblings[0] = causal.Sibling{Dot: s.vector[0], Value: value}
		s.items[0] = coordinator.Item{
			Key: keys[rand.IntN(benchKeys)], Object: causal.Object{Vector: s.vector[:], Siblings: s.siblings[:]},
		}
		r.Store(time.Time{}, s.items[:], s.done)
	}
	for range benchDepth {
		<-free
	}
}

func benchmarkRead(b *testing.B, want coordinator.ReadWant) {
	r := benchReplica(b)
	var ds []coordinator.Decision
	for i := range benchKeys {
		ds = append(ds, coordinator.Decision{Key: keyOf(i), Value: make([]byte, benchValue)})
	}
	if _, _, err := r.writeNow(ds...); err != nil {
		b.Fatal(err)
	}
	done := func(items []coordinator.ReadItem, err error) {
		if err != nil || len(items[0].Object.Siblings) != 1 {
			b.Error(items, err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		r.Read(time.Time{}, [][]byte{ds[rand.IntN(benchKeys)].Key}, want, done)
	}
}

func BenchmarkReadValues(b *testing.B) { benchmarkRead(b, coordinator.WantValues) }

func BenchmarkReadHeads(b *testing.B) { benchmarkRead(b, coordinator.WantHeads) }

func BenchmarkScan(b *testing.B) {
	r := benchReplica(b)
	var ds []coordinator.Decision
	for i := range benchKeys {
		ds = append(ds, coordinator.Decision{Key: keyOf(i), Value: make([]byte, benchValue)})
	}
	if _, _, err := r.writeNow(ds...); err != nil {
		b.Fatal(err)
	}
	req := coordinator.ScanRequest{ItemsMax: 100, BytesMax: 1 << 20, ScannedMax: benchKeys}
	b.ReportAllocs()
	for b.Loop() {
		req.Start = ds[rand.IntN(benchKeys)].Key
		r.Scan(time.Time{}, req, func(_ *coordinator.ScanPage, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
}
