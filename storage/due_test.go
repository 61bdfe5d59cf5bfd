package storage

import (
	"errors"
	"fmt"
	"maps"
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
		o := Options{SegmentBytesMax: 256 << 10, ReserveBytes: 1 << 20, Sync: SyncNever}
		e := mustOpenMerging(t, fs, o)
		const keys = 500
		fs.SetCapacity(7 << 20)
		rng := rand.New(rand.NewPCG(1, 1))
		want, refused := map[string]string{}, 0
		for i := range 20 * keys {
			k, v := key(rng.IntN(keys)), fmt.Sprintf("%04000d", i) // 2 MB live
			var b Batch
			if b.Put([]byte(k), []byte(v)); i%10 == 0 {
				v = ""
				b = Batch{}
				b.Delete([]byte(k))
			}
			err := e.Apply(&b)
			for tries := 0; errors.Is(err, ErrDiskFull); tries++ {
				if refused++; tries == 200 {
					t.Fatalf("after %d puts, for good: %+v", i, e.Stats())
				}
				time.Sleep(e.opts.IdleMergeAfter)
				err = e.Apply(&b)
			}
			if err != nil {
				t.Fatal(i, err)
			}
			apply(want, map[string]string{k: v})
		}
		if refused == 0 {
			t.Error("the disk was never full")
		}
		for _, r := range e.index.runs() {
			if r.failures.Load() > 0 {
				t.Errorf("%s was taken for unreadable", r.path)
			}
		}
		if !maps.Equal(contents(t, e), want) {
			t.Error("the store is not what was written")
		}
		mustClose(t, e)
		if e = mustOpenMerging(t, fs, o); !maps.Equal(contents(t, e), want) {
			t.Error("the store is not what was written, once opened again")
		}
		mustClose(t, e)
	})
}

// underYounger is a store of three runs: of 300 keys, of 100 of them that were written again, and of 30 others that were deleted.
func underYounger(t *testing.T, fs *vfstest.FS, o Options) (e *Engine, want map[string]string) {
	t.Helper()
	e = mustOpen(t, fs, o)
	want = map[string]string{}
	for i := range 300 {
		want[key(i)] = strings.Repeat("a", 1000)
		mustPut(t, e, key(i), want[key(i)])
	}
	sealAll(t, e)
	e.merger.stepSegments(true)
	for i := range 100 {
		want[key(i)] = strings.Repeat("b", 1000)
		mustPut(t, e, key(i), want[key(i)])
	}
	sealAll(t, e)
	e.merger.stepSegments(true)
	for i := range 30 {
		delete(want, key(200+i))
		mustDelete(t, e, key(200+i))
	}
	sealAll(t, e)
	e.merger.stepSegments(true)
	if n := len(e.index.runs()); n != 3 {
		t.Fatalf("%d runs", n)
	}
	return e, want
}

func mustBe(t *testing.T, e *Engine, want map[string]string, when string) {
	t.Helper()
	if !maps.Equal(contents(t, e), want) {
		t.Errorf("%s: the store is not what was written", when)
	}
	if s := e.Stats(); s.DeadBytes < 0 || s.LiveBytes < 0 || s.Keys < int64(len(want))-10 || s.Keys > int64(len(want))+130 {
		t.Errorf("%s: %d keys, want about %d; live %d, dead %d", when, s.Keys, len(want), s.LiveBytes, s.DeadBytes)
	}
}

// TestARunIsWrittenAnewUnderYoungerOnes is what is done on a full disk without room for all of them.
func TestARunIsWrittenAnewUnderYoungerOnes(t *testing.T) {
	for name, again := range map[string]bool{"": false, "opened again": true} {
		t.Run(name, func(t *testing.T) {
			fs := vfstest.New()
			e, want := underYounger(t, fs, Options{})
			if again {
				mustClose(t, e)
				e = mustOpen(t, fs, Options{})
			}
			mustBe(t, e, want, "before")
			oldest := e.index.runs()[2].reader.Size()
			e.space.full.Store(true)
			if !e.merger.stepRoom() {
				t.Fatal("nothing was done")
			}
			runs := e.index.runs()
			if n := runs[len(runs)-1].reader.Size(); len(runs) != 3 || n > oldest*2/3 || n < oldest/2 {
				t.Errorf("%d runs, the oldest of %d bytes, had %d", len(runs), n, oldest)
			}
			mustBe(t, e, want, "after")
			e.space.full.Store(true)
			if e.merger.stepRoom() {
				t.Error("it is done again, for nothing")
			}
			mustClose(t, e)
			e = mustOpen(t, fs, Options{})
			mustBe(t, e, want, "opened again")
			mustMerge(t, e)
			mustBe(t, e, want, "merged")
			if n := e.Stats().Keys; n != int64(len(want)) {
				t.Errorf("%d keys, want %d", n, len(want))
			}
		})
	}
}

// TestDeletesStayInARunThatIsWrittenAnewAboveAnother has the middle one of three runs written anew, which says that keys of the oldest are deleted.
func TestDeletesStayInARunThatIsWrittenAnewAboveAnother(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	want := map[string]string{}
	put := func(from, to int, v string) {
		for i := from; i < to; i++ {
			want[key(i)] = strings.Repeat(v, 1000)
			mustPut(t, e, key(i), want[key(i)])
		}
	}
	settle := func() {
		sealAll(t, e)
		e.merger.stepSegments(true)
	}
	put(0, 300, "a")
	settle()
	put(300, 400, "b")
	for i := range 30 {
		delete(want, key(200+i))
		mustDelete(t, e, key(200+i))
	}
	settle()
	put(300, 345, "c")
	settle()
	before := e.index.runs()
	e.space.full.Store(true)
	if len(before) != 3 || !e.merger.stepRoom() || e.index.runs()[2] != before[2] || e.index.runs()[1] == before[1] {
		t.Fatal("it was not the middle one that was written anew")
	}
	mustBe(t, e, want, "after")
	mustClose(t, e)
	mustBe(t, mustOpen(t, fs, Options{}), want, "opened again")
}

// TestARunIsLookedAtAgainWhenThereIsAYoungerOne has the youngest run be somebody else's when it is first looked for what is dead.
func TestARunIsLookedAtAgainWhenThereIsAYoungerOne(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	for _, keys := range [][2]int{{0, 600}, {1000, 1250}, {0, 120}} {
		for i := keys[0]; i < keys[1]; i++ {
			mustPut(t, e, key(i), strings.Repeat("a", 1000))
		}
		sealAll(t, e)
		e.merger.stepSegments(true)
	}
	runs := e.index.runs()
	if len(runs) != 3 {
		t.Fatalf("%d runs", len(runs))
	}
	e.space.full.Store(true)
	runs[0].claimed = true
	if e.merger.stepRoom() {
		t.Fatal("a run is written anew though all in it is live")
	}
	runs[0].claimed = false
	e.space.full.Store(true)
	if !e.merger.stepRoom() {
		t.Fatal("it is not looked at again")
	}
}

// TestRunsThatCannotBeMergedAreNoPlan has much that is dead, under a youngest run that cannot be read.
func TestRunsThatCannotBeMergedAreNoPlan(t *testing.T) {
	e, _ := underYounger(t, vfstest.New(), Options{SpaceAmpMax: 1.01})
	for i := range 2000 {
		mustPut(t, e, key(i%300), strings.Repeat("c", 1000))
	}
	e.index.runs()[0].failures.Store(runFailuresMax)
	if p := e.planRuns(); len(p.runs) > 0 || !p.empty() {
		t.Errorf("a plan of %d runs, empty: %v", len(p.runs), p.empty())
	}
	if err := e.mergeNow(plan{rewrite: true}, func(int64) error { return nil }); err == nil {
		t.Error("a merge of nothing is one")
	}
}

// TestWhatAMergeMustLeaveIsNotMergedForAgain has a merge leave the tombstones of what an unreadable older run has.
func TestWhatAMergeMustLeaveIsNotMergedForAgain(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{SpaceAmpMax: 1.01})
	for _, from := range []int{0, 10_000} {
		for i := range 2000 {
			mustPut(t, e, key(from+i), strings.Repeat("a", 1000))
		}
		sealAll(t, e)
		e.merger.stepSegments(true)
		for i := range 1900 {
			mustDelete(t, e, key(from+i))
		}
		sealAll(t, e)
	}
	e.merger.stepSegments(true)
	runs := e.index.runs()
	if len(runs) < 2 {
		t.Fatalf("%d runs", len(runs))
	}
	runs[len(runs)-1].failures.Store(runFailuresMax)
	merges := 0
	for e.merger.stepRuns() {
		if merges++; merges > 5 {
			t.Fatal("it is merged again and again")
		}
	}
}

// TestWhatFiltersTakeForDeadIsNotMergedForAgain has so many new keys beside a small run that filters take much of it for superseded.
func TestWhatFiltersTakeForDeadIsNotMergedForAgain(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever, SpaceAmpMax: 1.1})
	for i := range 200 {
		mustPut(t, e, key(i), strings.Repeat("a", 20_000))
	}
	sealAll(t, e)
	e.merger.stepSegments(true)
	for i := 0; !e.overDead(); i++ {
		if i == 300_000 {
			u := e.index.usage()
			t.Fatalf("filters take %d of %d records for superseded", u.superseded, u.runRecords)
		}
		mustPut(t, e, fmt.Sprint("new ", i), "")
	}
	merges := 0
	for e.merger.stepRuns() {
		if merges++; merges > 3 {
			t.Fatal("it is merged again and again")
		}
	}
}

func TestACrashWhileARunIsWrittenAnewLosesNothing(t *testing.T) {
	for point, reached := 0, true; reached; point++ {
		fs := vfstest.New()
		e, want := underYounger(t, fs, Options{})
		e.space.full.Store(true)
		fs.CrashAfter(point)
		e.merger.stepRoom()
		if reached = fs.Crashed(); !reached && point < 3 {
			t.Fatalf("only %d crash points", point)
		}
		for seed := range uint64(3) {
			after := mustOpen(t, fs.Crash(vfstest.Random(seed)), Options{})
			mustBe(t, after, want, fmt.Sprintf("crash point %d, seed %d", point, seed))
			mustClose(t, after)
		}
	}
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
