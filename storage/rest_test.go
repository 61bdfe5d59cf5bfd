package storage

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/yield"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestAMergeThatNobodyWaitsForLetsOthersRun(t *testing.T) {
	for name, c := range map[string]struct {
		rate   int64
		before func(e *Engine) (after func())
		yields int
	}{
		"held to a rate":    {rate: 64 << 20, yields: 100},
		"held to none":      {rate: -1, yields: 100},
		"a write waits":     {rate: 64 << 20, before: func(e *Engine) func() { e.writer.held.begin(); return e.writer.held.end }},
		"the disk is full":  {rate: 64 << 20, before: func(e *Engine) func() { e.space.full.Store(true); return func() { e.space.full.Store(false) } }},
		"the engine closes": {rate: 64 << 20, before: func(e *Engine) func() { e.merger.quit(); return func() {} }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				yields := 0
				e := mustOpen(t, vfstest.New(), Options{MergeBytesPerSecond: c.rate, yield: func() { yields++ }})
				mustPut(t, e, "key", "value")
				if c.before != nil {
					defer c.before(e)()
				}
				p := newPacer(e.merger, &e.merger.segments)
				for range 100 {
					time.Sleep(yield.RunLeast)
					_ = p.wait(0)
				}
				if yields != c.yields {
					t.Errorf("%d yields, want %d", yields, c.yields)
				}
			})
		})
	}
}

func TestARestIsNoWaitForTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := mustOpen(t, vfstest.New(), Options{MergeBytesPerSecond: 1})
		p := newPacer(e.merger, &e.merger.segments)
		p.owed = 1 << 30
		began := time.Now()
		if err := p.wait(0); err != nil || time.Since(began) > 0 {
			t.Errorf("it took %v, %v", time.Since(began), err)
		}
	})
}

// TestWorkInTheBackgroundRestsWithoutLocks has a merge, a hint file and a scrub rest while nothing else goes on.
func TestWorkInTheBackgroundRestsWithoutLocks(t *testing.T) {
	const n = 20_000
	var rests, finishing atomic.Int64
	var e *Engine
	o := Options{Sync: SyncNever, MergeBytesPerSecond: 1 << 40, ScrubBytesPerSecond: -1, Bucket: bucketOfTest, BucketScheme: 1}
	o.yield = func() {
		mustNotHold(t, "the writer's lock", &e.writer.mu)
		for i := range e.index.shards {
			mustNotHold(t, "a shard's lock", &e.index.shards[i].mu)
		}
		if e.merger.finishing.TryLock() {
			e.merger.finishing.Unlock()
		} else {
			finishing.Add(1)
		}
		rests.Add(1)
	}
	e = mustOpen(t, vfstest.New(), o)
	for i := range n {
		mustPut(t, e, fmt.Sprintf("key-%08d", i*7919%n), "value")
	}
	for _, work := range []struct {
		name string
		do   func() error
	}{
		{"hint file", func() error { sealAll(t, e); return nil }},
		{"scrub", e.scrubber.scrub},
		{"merge", func() error {
			return e.mergeAndCount(e.planSegments(true), newPacer(e.merger, &e.merger.segments).wait)
		}},
		{"scrub of a run", e.scrubber.scrub},
	} {
		rests.Store(0)
		if err := work.do(); err != nil {
			t.Fatal(work.name, err)
		}
		if rests.Load() == 0 {
			t.Errorf("%s: it has not rested", work.name)
		}
	}
	if finishing.Load() == 0 {
		t.Error("the sweep of the index has not rested")
	}
}

// mustNotHold fails if a lock is held for as long as the goroutine is here. Others may hold it for a moment.
func mustNotHold(t *testing.T, name string, l interface {
	TryLock() bool
	Unlock()
}) {
	for began := time.Now(); !l.TryLock(); runtime.Gosched() {
		if time.Since(began) > 5*time.Second {
			t.Errorf("it rests with %s", name)
			return
		}
	}
	l.Unlock()
}

func bucketOfTest(key []byte) uint32 { return uint32(key[len(key)-1]) }

// recordedFile is a file that records what is written to it.
type recordedFile struct {
	vfs.File
	writes []int
	told   int
	fail   int // the write that fails
	next   int64
}

var errTest = errors.New("test")

func (f *recordedFile) WriteAt(p []byte, off int64) (int, error) {
	if len(f.writes)+1 == f.fail {
		return 0, errTest
	}
	if off != f.next {
		return 0, fmt.Errorf("at %d in place of %d", off, f.next)
	}
	f.next += int64(len(p))
	f.writes = append(f.writes, len(p))
	return len(p), nil
}

func (f *recordedFile) Advise(vfs.Advice) error { f.told++; return nil }

func TestAMergeWritesALittleAtATime(t *testing.T) {
	const bytes = 2*mergeWriteBackBytes + 1
	for _, early := range []bool{false, true} {
		rests, rec := 0, &recordedFile{}
		f := &eagerFile{File: rec, rest: func() { rests++ }, early: early}
		if n, err := f.WriteAt(make([]byte, bytes), 0); n != bytes || err != nil {
			t.Fatal(n, err)
		}
		want := (bytes + yield.Bytes - 1) / yield.Bytes
		if len(rec.writes) != want || rests != want {
			t.Errorf("%d writes and %d rests, want %d", len(rec.writes), rests, want)
		}
		if told := map[bool]int{true: 2}[early]; rec.told != told {
			t.Errorf("the disk was told %d times, want %d", rec.told, told)
		}
	}
	rec := &recordedFile{fail: 3}
	f := &eagerFile{File: rec, rest: func() {}, early: true}
	if n, err := f.WriteAt(make([]byte, bytes), 0); n != 2*yield.Bytes || !errors.Is(err, errTest) || rec.told != 0 {
		t.Error(n, err, rec.told)
	}
}

func TestAHintFileThatIsWaitedForDoesNotRest(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	h := e.hintFiles
	rested := func() (yields bool) {
		h.yielder = yield.Yielder{Yield: func() { yields = true }}
		h.rest()
		return yields
	}
	if !rested() {
		t.Error("it does not rest where nobody waits")
	}
	h.behind.Store(true)
	if rested() {
		t.Error("it rests though more segments are sealed")
	}
	h.behind.Store(false)
	e.maintenance.Lock()
	paused := make(chan struct{})
	go func() { h.pause(); close(paused) }()
	for began := time.Now(); h.awaited.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("a merge waits for a hint file, which does not know")
		}
	}
	if rested() {
		t.Error("it rests though a merge waits for it")
	}
	e.maintenance.Unlock()
	<-paused
	if !rested() {
		t.Error("it does not rest any more")
	}
	e.maintenance.Unlock()
	mustClose(t, e)
	if rested() {
		t.Error("it rests though Close waits")
	}
}

func TestAHintFileRestsAlsoBetweenLargeRecords(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	const n = 16
	for i := range n {
		mustPut(t, e, key(i), strings.Repeat("v", yield.Bytes))
	}
	seg := e.log.active()
	sealAll(t, e)
	rests := 0
	if err := e.makeHintFile(seg, func() { rests++ }); err != nil || rests < n {
		t.Errorf("%d rests for %d records, %v", rests, n, err)
	}
}

// A full merge goes at full speed, and a rest in the midst of it does not hide that its context has ended.
func TestAMergeThatRestsEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	full := false
	e := mustOpen(t, vfstest.New(), Options{yield: func() {
		if full {
			t.Error("a full merge yields")
		}
	}})
	for i := range 1000 {
		mustPut(t, e, key(i), strings.Repeat("v", 1000))
	}
	sealAll(t, e)
	calls := 0
	err := e.mergeAndCount(e.planSegments(true), func(int64) error {
		if calls++; calls == 3 {
			cancel()
		}
		if calls > 4 { // one may be a rest
			t.Error("it goes on")
		}
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	full = true
	if err := e.Merge(t.Context()); err != nil {
		t.Error(err)
	}
	for i := range 1000 {
		wantValue(t, e, key(i), strings.Repeat("v", 1000))
	}
}
