package storage

import (
	"runtime"
	"testing"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestWritesGoOnWhileAnIndexShrinksThatWasTooLargeAtOpen opens a store with a hundredth of the memory that its index takes. The merge
// that makes room takes some seconds, as long as nothing grows.
func TestWritesGoOnWhileAnIndexShrinksThatWasTooLargeAtOpen(t *testing.T) {
	fsys := vfstest.New()
	const keys = 2000
	o := Options{Sync: SyncNever, SegmentBytesMax: 64 << 10}
	e := mustOpen(t, fsys, o)
	fill(t, e, 0, keys)
	mustClose(t, e)

	o.MergeBytesPerSecond = 100_000
	o.IndexBytesMax = e.index.entriesBytes() / 100
	e = mustOpenMerging(t, fsys, o)
	within(t, "a merge", e.merger.segments.underWay)
	opened, ceiling := e.index.entriesBytes(), e.merger.ceiling.Load()
	if ceiling != opened+o.IndexBytesMax {
		t.Errorf("the ceiling is %d for an index of %d", ceiling, opened)
	}
	done := make(chan int)
	go func() {
		tried := 0
		for ; tried < 500 && e.merger.segments.underWay(); tried++ {
			mustPut(t, e, key(tried), "new")
		}
		done <- tried
	}()
	select {
	case tried := <-done:
		if tried == 0 {
			t.Fatal("the merge was over before the first write")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("writes wait")
	}
	if m := e.Stats().Merge; m.HeldWrites > 0 || m.HeldTime > 0 {
		t.Errorf("%d writes were held up, for %v", m.HeldWrites, m.HeldTime)
	}
	// What makes it grow waits at the ceiling for the merge, which is held back no more.
	for i := range 500 {
		mustPut(t, e, key(keys+i), "more")
		if n := e.index.entriesBytes(); n > ceiling {
			t.Fatalf("an index of %d is over its ceiling of %d", n, ceiling)
		}
	}
	if m := e.Stats().Merge; m.HeldWrites == 0 || m.HeldTime == 0 {
		t.Errorf("%d writes were held up, for %v", m.HeldWrites, m.HeldTime)
	}
	within(t, "a lower ceiling", func() bool { return e.merger.ceiling.Load() < ceiling })
	if n, least := e.merger.ceiling.Load(), indexGrowth*o.IndexBytesMax; n > max(ceiling-o.IndexBytesMax/8, least) {
		t.Errorf("the ceiling has come down from %d to %d", ceiling, n)
	}
	mustMerge(t, e)
	if n := e.merger.ceiling.Load(); n != indexGrowth*o.IndexBytesMax {
		t.Errorf("the ceiling is %d in the end, for %d", n, o.IndexBytesMax)
	}
}

// within waits until something is so.
func within(t *testing.T, what string, so func() bool) {
	t.Helper()
	for began := time.Now(); !so(); runtime.Gosched() {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("there is no %s", what)
		}
	}
}
