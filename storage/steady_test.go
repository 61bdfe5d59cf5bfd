package storage

import (
	"encoding/binary"
	"math"
	"runtime"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
)

// raceEnabled says that the race detector is on, under which pools forget at random.
var raceEnabled bool

// TestPutsAllocateNothing counts what puts of new keys and of old ones allocate, on a real file system. Others may allocate meanwhile, and the index does
// as it grows: a chunk for thousands of keys.
func TestPutsAllocateNothing(t *testing.T) {
	for name, policy := range map[string]SyncPolicy{"never": SyncNever, "always": SyncAlways} {
		t.Run(name, func(t *testing.T) {
			e, err := Open(t.TempDir(), Options{FS: vfs.OS{}, Sync: policy, MergeDisabled: true})
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			puts := 20_000
			if policy == SyncAlways {
				puts = 500
			}
			k, value := make([]byte, 16), make([]byte, 128)
			round := func(from int) {
				for i := range puts {
					binary.BigEndian.PutUint64(k, uint64(from+i)*0x9E3779B97F4A7C15)
					if err := e.PutMeta(k, value[:15], value); err != nil {
						t.Fatal(err)
					}
				}
			}
			round(0)
			for what, from := range map[string]int{"new keys": puts, "overwrites": 0} {
				least := math.Inf(1) // of three: others may allocate, too
				for turn := range 3 {
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					round(from * (turn + 1))
					runtime.ReadMemStats(&after)
					least = min(least, float64(after.Mallocs-before.Mallocs)/float64(puts))
				}
				if least > 0.1 && !raceEnabled {
					t.Errorf("%s: %.2f allocations per put", what, least)
				}
			}
		})
	}
}

// TestTheHeapDoesNotGrowWithTheKeys compares what the collector has to look at with few keys and with many.
func TestTheHeapDoesNotGrowWithTheKeys(t *testing.T) {
	e, err := Open(t.TempDir(), Options{FS: vfs.OS{}, Sync: SyncNever, MergeDisabled: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	k := make([]byte, 16)
	heap := func() (objects, bytes uint64) {
		runtime.GC()
		runtime.GC() // what the pools had
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapObjects, m.HeapAlloc
	}
	put := func(from, to uint64) {
		for i := from; i < to; i++ {
			binary.BigEndian.PutUint64(k, i*0x9E3779B97F4A7C15)
			if err := e.PutMeta(k, k[:15], k); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0, 10_000)
	objects, bytes := heap()
	const more = 200_000
	put(10_000, 10_000+more)
	objectsMore, bytesMore := heap()
	if n := int64(objectsMore - objects); n > more/500 {
		t.Errorf("%d objects more for %d keys", n, more)
	}
	if n := int64(bytesMore - bytes); n > 2*more {
		t.Errorf("%d bytes more for %d keys", n, more)
	}
}
