package storage

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestSpaceIsGivenBackThoughAFewWritesGoOn deletes all that was merged, and then has a write every half second, so that the store is never idle
// and its segment never full.
func TestSpaceIsGivenBackThoughAFewWritesGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mustOpenMerging(t, vfstest.New(), Options{Sync: SyncNever})
		for i := range 30 {
			mustPut(t, e, key(i), strings.Repeat("a", 100_000))
		}
		mustMerge(t, e)
		for i := range 30 {
			mustDelete(t, e, key(i))
		}
		for tries := 0; e.Stats().RunBytes > 10_000; tries++ {
			if tries == 20 {
				t.Fatalf("nothing was given back: %+v", e.Stats())
			}
			mustPut(t, e, "now", "and then")
			time.Sleep(e.opts.IdleMergeAfter / 2)
		}
	})
}

// TestAFullDiskIsMergedOutOfInTheBackground overwrites a store that takes a third of the disk, and waits where writes are refused.
func TestAFullDiskIsMergedOutOfInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpenMerging(t, fs, Options{SegmentBytesMax: 256 << 10, ReserveBytes: 1 << 20, Sync: SyncNever})
		const keys = 500
		value := []byte(strings.Repeat("a", 4000)) // 2 MB live
		fs.SetCapacity(7 << 20)
		rng := rand.New(rand.NewPCG(1, 1))
		refused := 0
		for i := range 20 * keys {
			err := e.Put([]byte(key(rng.IntN(keys))), value)
			for tries := 0; errors.Is(err, ErrDiskFull); tries++ {
				if refused++; tries == 10 {
					t.Fatalf("after %d puts, for good: %+v", i, e.Stats())
				}
				time.Sleep(e.opts.IdleMergeAfter)
				err = e.Put([]byte(key(rng.IntN(keys))), value)
			}
			if err != nil {
				t.Fatal(i, err)
			}
		}
		if refused == 0 {
			t.Error("the disk was never full")
		}
	})
}

// TestAMergeThatFailsIsTriedAgainAfterAWhile has the disk fail each merge of a store that nobody writes to.
func TestAMergeThatFailsIsTriedAgainAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpenMerging(t, fs, Options{Sync: SyncNever})
		for i := range 170 {
			mustPut(t, e, key(i), strings.Repeat("a", 100_000))
		}
		var tried atomic.Int32
		fs.Inject(vfstest.Fault{Ops: vfstest.OpCreate, Path: runSuffix, Err: errors.New("broken"), Chance: func() bool {
			tried.Add(1)
			return true
		}})
		time.Sleep(10 * time.Second)
		if n := tried.Load(); n != 1 {
			t.Errorf("tried %d times in the first seconds", n)
		}
		time.Sleep(5 * mergeRetryAfter)
		if n := tried.Load(); n < 5 || n > 6 {
			t.Errorf("tried %d times in five minutes", n)
		}
	})
}
