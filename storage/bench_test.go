package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// benchKey is 16 bytes in random order.
func benchKey(buf []byte, n uint64) []byte {
	x := n * 0x9e3779b97f4a7c15
	x ^= x >> 29
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(buf[:0], x), n)
}

func benchPuts(b *testing.B, policy SyncPolicy, writers int) {
	e, err := Open(b.TempDir(), Options{Sync: policy})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	meta, value := make([]byte, 15), make([]byte, 128)
	var n atomic.Uint64
	var left atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			key := make([]byte, 0, 16)
			for left.Add(-1) >= 0 {
				key = benchKey(key, n.Add(1))
				if err := e.PutMeta(key, meta, value); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	s := e.Stats()
	b.ReportMetric(float64(s.Syncs)/float64(b.N), "syncs/op")
	b.ReportMetric(float64(s.BytesWritten)/float64(b.N), "B-log/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func BenchmarkPutDurable(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) { benchPuts(b, SyncAlways, writers) })
	}
}

func BenchmarkPutNoSync(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) { benchPuts(b, SyncNever, writers) })
	}
}

const benchKeys = 200_000

// benchLoaded opens an engine with benchKeys records.
func benchLoaded(b *testing.B) *Engine { return benchLoadedWith(b, Options{Sync: SyncNever}) }

func benchLoadedWith(b *testing.B, o Options) *Engine {
	e, err := Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	meta, value := make([]byte, 15), make([]byte, 128)
	var batch Batch
	for n := range uint64(benchKeys) {
		batch.PutMeta(benchKey(nil, n), meta, value)
		if batch.Len() == 1000 {
			if err := e.Apply(&batch); err != nil {
				b.Fatal(err)
			}
			batch.Reset()
		}
	}
	b.Cleanup(func() { e.Close() })
	b.ResetTimer()
	b.ReportAllocs()
	return e
}

func BenchmarkGet(b *testing.B) {
	e := benchLoaded(b)
	b.RunParallel(func(pb *testing.PB) {
		var key, dst []byte
		var err error
		for pb.Next() {
			key = benchKey(key, rand.Uint64N(benchKeys))
			if dst, err = e.Get(key, dst[:0]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkMeta(b *testing.B) {
	e := benchLoaded(b)
	var key, dst []byte
	for b.Loop() {
		var err error
		key = benchKey(key, rand.Uint64N(benchKeys))
		if dst, err = e.Meta(key, dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScan100(b *testing.B) {
	for _, keysOnly := range []bool{false, true} {
		b.Run(fmt.Sprintf("keysOnly=%v", keysOnly), func(b *testing.B) {
			e := benchLoaded(b)
			var key []byte
			for b.Loop() {
				key = benchKey(key, rand.Uint64N(benchKeys))
				left := 100
				for _, err := range e.Scan(Range{Start: key, KeysOnly: keysOnly}) {
					if err != nil {
						b.Fatal(err)
					}
					if left--; left == 0 {
						break
					}
				}
			}
		})
	}
}

// BenchmarkOpen opens a store that was closed, once with and once without its hint files.
func BenchmarkOpen(b *testing.B) {
	const keys = 200_000
	for _, hints := range []bool{true, false} {
		b.Run(fmt.Sprintf("hints=%v", hints), func(b *testing.B) {
			o := Options{Sync: SyncNever, SegmentBytesMax: 8 << 20, MergeDisabled: true}
			dir := b.TempDir()
			open := func() *Engine {
				e, err := Open(dir, o)
				if err != nil {
					b.Fatal(err)
				}
				return e
			}
			benchFill(b, open(), keys)
			for b.Loop() {
				b.StopTimer()
				if !hints {
					dropHintFiles(b, dir)
				}
				b.StartTimer()
				e := open()
				b.StopTimer()
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
		})
	}
}

// benchFill puts keys and closes the engine.
func benchFill(b *testing.B, e *Engine, keys uint64) {
	meta, value := make([]byte, 15), make([]byte, 128)
	key := make([]byte, 0, 16)
	for n := range keys {
		key = benchKey(key, n)
		if err := e.PutMeta(key, meta, value); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}

func dropHintFiles(b *testing.B, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*"+hintFileSuffix))
	for _, path := range files {
		err = errors.Join(err, os.Remove(path))
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGetByCalls reads what is not mapped, of segments and of a run.
func BenchmarkGetByCalls(b *testing.B) {
	for _, merged := range []bool{false, true} {
		b.Run(fmt.Sprintf("merged=%v", merged), func(b *testing.B) {
			e := benchLoadedWith(b, Options{Sync: SyncNever, SegmentBytesMax: 1 << 20, MapBytesMax: -1, CacheBytes: -1, MergeDisabled: true})
			if merged {
				mustMerge(b, e)
				b.ResetTimer()
			}
			b.RunParallel(func(pb *testing.PB) {
				var key, dst []byte
				var err error
				for pb.Next() {
					key = benchKey(key, rand.Uint64N(benchKeys))
					if dst, err = e.Get(key, dst[:0]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
