package antientropy

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
)

// BenchmarkPut puts into a storage engine with and without trees, and reports the CPU time of a put.
func BenchmarkPut(b *testing.B) {
	for _, sync := range []storage.SyncPolicy{storage.SyncAlways, storage.SyncNever} {
		for _, trees := range []bool{false, true} {
			b.Run(fmt.Sprintf("sync=%v/trees=%v", sync == storage.SyncAlways, trees), func(b *testing.B) {
				o := storage.Options{Sync: sync, ScrubInterval: -1}
				if trees {
					o.Observer = builtForest(b, 0).Observe
				}
				benchPut(b, o)
			})
		}
	}
}

func benchPut(b *testing.B, o storage.Options) {
	e, err := storage.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	var clock atomic.Uint64
	value := make([]byte, 128)
	b.SetParallelism(8)
	began := cpuTime(b)
	b.RunParallel(func(pb *testing.PB) {
		var key [16]byte
		var meta []byte
		for pb.Next() {
			binary.BigEndian.PutUint64(key[:], rand.Uint64N(1_000_000)*0x9e3779b97f4a7c15)
			dot := causal.Dot{Actor: 7, Time: causal.Timestamp(clock.Add(1))}
			o := causal.Object{Vector: causal.Vector{dot}, Siblings: []causal.Sibling{{Dot: dot}}}
			meta = causal.AppendMeta(meta[:0], o)
			if err := e.PutMeta(key[:], meta, value); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpuTime(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// cpuTime is what the process has used.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
