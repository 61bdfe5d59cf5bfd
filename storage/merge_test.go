package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// sealAll seals the active segment and returns what is sealed.
func sealAll(t *testing.T, e *Engine) []*segment {
	t.Helper()
	if err := e.writer.sealActive(); err != nil {
		t.Fatal(err)
	}
	settleHintFiles(e)
	sealed, _, _ := e.sealedSegments()
	return sealed
}

func noPace(int64) error { return nil }

// TestMergeDoesNotSyncOverAFailedSync has the sync fail of what took the place of a durable record: synced again it may seem to be
// there, and only the record that is durable is.
func TestMergeDoesNotSyncOverAFailedSync(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{Sync: SyncNever})
	mustPut(t, e, "k", "durable")
	sealed := sealAll(t, e)
	mustPut(t, e, "k", "not durable")
	err := e.mergeAndCount(plan{segments: sealed, bytes: 1, last: true}, func(int64) error {
		if e.Err() == nil {
			defer fs.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: segmentSuffix, Times: 1, Err: syscall.EIO})()
			e.fail(e.syncActive())
		}
		return nil
	})
	if _, statErr := fs.Stat(segmentPath(dataDir, 1)); err == nil || statErr != nil {
		t.Errorf("merge: %v; the segment of the durable record: %v", err, statErr)
	}
}

func TestMergeAndCloseEndAfterAFailedWrite(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{Sync: SyncNever})
	mustPut(t, e, "a", "1")
	fs.Inject(vfstest.Fault{Ops: vfstest.OpWrite, Err: syscall.EIO})
	if err := e.Put([]byte("b"), nil); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := e.Merge(context.Background()); !errors.Is(err, ErrReadOnly) {
		t.Errorf("merge: %v", err)
	}
	if err := e.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close: %v", err)
	}
}

// TestMergeOfARunThatCannotBeReadFails cuts a mapped run, which makes reading it fault as a disk that fails does.
func TestMergeOfARunThatCannotBeReadFails(t *testing.T) {
	dir := t.TempDir()
	e, err := Open(dir, Options{MergeDisabled: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i := range 200 {
		mustPut(t, e, key(i), strings.Repeat("x", 1000))
	}
	if err := e.Merge(context.Background()); err != nil {
		t.Fatal(err)
	}
	if e.index.runs()[0].mapping.Bytes == nil {
		t.Skip("no mappings here")
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+runSuffix))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if err := os.Truncate(names[0], 8192); err != nil {
		t.Fatal(err)
	}
	mustPut(t, e, "new", "1")
	var io *IOError
	if err := e.Merge(context.Background()); !errors.As(err, &io) {
		t.Errorf("merge: %v", err)
	}
	wantValue(t, e, "new", "1")
}

// TestRunThatCannotBeOpenedIsNotMergedAcross has it between two others.
func TestRunThatCannotBeOpenedIsNotMergedAcross(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	for n := range 3 {
		mustPut(t, e, key(n), "v")
		if err := e.mergeAndCount(plan{segments: sealAll(t, e), bytes: 1}, noPace); err != nil {
			t.Fatal(err)
		}
	}
	middle := e.index.runs()[1]
	size := middle.reader.Size()
	mustClose(t, e)
	mustDamage(t, fs, middle.path, size-20, 8)
	for range 2 {
		e = mustOpen(t, fs, Options{})
		mustPut(t, e, "other", "1")
		if err := e.Merge(context.Background()); err != nil {
			t.Fatal(err)
		}
		if value := got(t, e, key(1)); value != "?" {
			t.Errorf("the key of the damaged run: %q", value)
		}
		wantValue(t, e, key(2), "v")
		mustClose(t, e)
		if _, err := fs.Content(middle.path); err != nil {
			t.Fatalf("the damaged run is gone: %v", err)
		}
	}
}

// TestStrayRunGoesDurablyBeforeTheNextIsNamed: of two runs that overlap a crash must not leave both.
func TestStrayRunGoesDurablyBeforeTheNextIsNamed(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{})
	mustPut(t, e, "a", "1")
	if err := e.mergeAndCount(plan{segments: sealAll(t, e), bytes: 1, last: true}, noPace); err != nil {
		t.Fatal(err)
	}
	mustPut(t, e, "b", "1")
	sealed := sealAll(t, e)
	remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpSyncDir, Times: 1, Err: syscall.EIO})
	err := e.mergeAndCount(plan{segments: sealed, runs: e.index.runs(), bytes: 1, last: true}, noPace)
	remove()
	if !errors.Is(err, syscall.EIO) || len(e.strays) == 0 {
		t.Fatalf("merge: %v, strays %q", err, e.strays)
	}
	mustPut(t, e, "c", "1")
	sealed = sealAll(t, e)
	fs.ResetEvents()
	if err := e.mergeAndCount(plan{segments: sealed, bytes: 1}, noPace); err != nil {
		t.Fatal(err)
	}
	var ops []vfstest.Op
	for _, event := range fs.Events(vfstest.OpRemove | vfstest.OpSyncDir | vfstest.OpRename) {
		ops = append(ops, event.Op)
	}
	if len(ops) < 3 || ops[0] != vfstest.OpRemove || ops[1] != vfstest.OpSyncDir || ops[2] != vfstest.OpRename {
		t.Errorf("operations: %v", ops)
	}
}

// TestDeletesGiveTheirSpaceBack deletes all that was merged: nothing new is written that a merge would be due for.
func TestDeletesGiveTheirSpaceBack(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{SegmentBytesMax: 64 << 10, Sync: SyncNever})
	for i := range 3000 {
		mustPut(t, e, key(i), strings.Repeat("a", 1000))
	}
	if err := e.Merge(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		mustDelete(t, e, key(i))
	}
	sealAll(t, e)
	mergeDue(e, true)
	if s := e.Stats(); s.DiskBytes > 300<<10 || s.Keys != 0 {
		t.Errorf("%d keys, %d bytes of disk, dead %d", s.Keys, s.DiskBytes, s.DeadBytes)
	}
}

// TestFullDiskIsMergedOutOf overwrites a store again and again that takes a third of the disk. Writes are refused at times, but never
// for good.
func TestFullDiskIsMergedOutOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // so that space is looked for by what is written alone, not by time
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{SegmentBytesMax: 256 << 10, ReserveBytes: 1 << 20, Sync: SyncNever})
		const keys = 500
		value := strings.Repeat("a", 4000) // 2 MB live
		fs.SetCapacity(7 << 20)
		rng := rand.New(rand.NewPCG(1, 1))
		for i := range 20 * keys {
			err := e.PutMeta([]byte(key(rng.IntN(keys))), nil, []byte(value))
			for tries := 0; errors.Is(err, ErrDiskFull); tries++ {
				if tries == 50 {
					t.Fatalf("after %d puts: %+v", i, e.Stats())
				}
				if err := e.writer.sealActive(); err != nil {
					t.Fatal(err)
				}
				mergeDue(e, false)
				e.look()
				err = e.PutMeta([]byte(key(rng.IntN(keys))), nil, []byte(value))
			}
			if err != nil {
				t.Fatal(i, err)
			}
		}
	})
}

func TestObserverIsToldTheMetaOfWhatCannotBeRead(t *testing.T) {
	for _, merged := range []bool{false, true} {
		fs := vfstest.New()
		var told string
		e := mustOpen(t, fs, Options{CacheBytes: -1, Observer: func(changes []Change) { told = string(changes[0].OldMeta) }})
		mustPut(t, e, "a", "1")
		path, en := placeOf(t, e, "a")
		mustDamage(t, fs, path, int64(en.Offset)+int64(en.Length)-1, 1)
		wantValue(t, e, "a", "?")
		if merged {
			if err := e.Merge(context.Background()); err != nil {
				t.Fatal(err)
			}
			wantValue(t, e, "a", "?")
		}
		mustPut(t, e, "a", "2")
		if told != "m:a" {
			t.Errorf("merged %v: the meta before was %q", merged, told)
		}
	}
}

func TestObserverMayLookAtStats(t *testing.T) {
	for _, policy := range []SyncPolicy{SyncAlways, SyncNever} {
		keys := int64(0)
		var e *Engine
		e = mustOpen(t, vfstest.New(), Options{Sync: policy, Observer: func([]Change) { keys = e.Stats().Keys }})
		mustPut(t, e, "a", "1")
		if keys != 1 {
			t.Errorf("%d keys", keys)
		}
	}
}

func TestMappingsKeepToTheirBound(t *testing.T) {
	const most = 8 << 20
	e, err := Open(t.TempDir(), Options{MergeDisabled: true, Sync: SyncNever, SegmentBytesMax: 1 << 20, MapBytesMax: most})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for i := range 30 {
		mustPut(t, e, fmt.Sprint("key", i), strings.Repeat("x", 1<<20))
	}
	if s := e.Stats(); s.MappedBytes > most+most/4 {
		t.Errorf("%d bytes are mapped", s.MappedBytes)
	}
}

// TestPlaceThatCannotBeReadDoesNotEndMerges has the disk refuse one record of a segment: for a moment, which loses nothing, and for good,
// which makes the one key Unknown and lets the log be merged.
func TestPlaceThatCannotBeReadDoesNotEndMerges(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{CacheBytes: -1})
	for i := range 50 {
		mustPut(t, e, key(i), "v")
	}
	sealed := sealAll(t, e)
	path, en := placeOf(t, e, key(7))
	bad := vfstest.Fault{
		Ops: vfstest.OpRead, Path: path, From: int64(en.Offset), To: int64(en.Offset) + 1, Err: syscall.EIO, Times: 1,
	}
	remove := fs.Inject(bad)
	if err := e.mergeAndCount(plan{segments: sealed, bytes: 1, last: true}, noPace); !errors.Is(err, syscall.EIO) {
		t.Fatalf("merge while the disk fails for a moment: %v", err)
	}
	remove()
	wantValue(t, e, key(7), "v")
	bad.Times = 0
	defer fs.Inject(bad)()
	for range 2 {
		if err := e.Merge(context.Background()); err != nil {
			t.Fatalf("merge while one place cannot be read: %v", err)
		}
		for i := range 50 {
			if i == 7 {
				wantValue(t, e, key(i), "?")
			} else {
				wantValue(t, e, key(i), "v")
			}
		}
		if e.Stats().Damage == 0 {
			t.Error("no damage is reported")
		}
		mustClose(t, e)
		e = mustOpen(t, fs, Options{CacheBytes: -1})
	}
	mustPut(t, e, key(7), "again")
	wantValue(t, e, key(7), "again")
}

// TestDiskThatIsGoneLosesNothing has all reads fail during a merge, or those of a run.
func TestDiskThatIsGoneLosesNothing(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, Options{CacheBytes: -1, SpaceAmpMax: 1.01})
	model := map[string]string{}
	for n := range 3 {
		for i := range 50 {
			model[key(i)] = fmt.Sprint(n)
			mustPut(t, e, key(i), model[key(i)])
		}
		if n == 2 {
			break
		}
		if err := e.mergeAndCount(plan{segments: sealAll(t, e), bytes: 1}, noPace); err != nil {
			t.Fatal(err)
		}
	}
	sealAll(t, e)
	remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Err: syscall.EIO})
	if err := e.Merge(context.Background()); !errors.Is(err, syscall.EIO) {
		t.Errorf("merge without a disk: %v", err)
	}
	remove()
	runs := e.index.runs()
	oldest := runs[len(runs)-1]
	remove = fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Path: oldest.path, Err: syscall.EIO})
	for range 2 * runFailuresMax {
		mustPut(t, e, key(1), model[key(1)])
		sealAll(t, e)
		mergeDue(e, true)
	}
	if err := e.merger.lastError(); err != nil || len(e.log.all()) > 0 {
		t.Errorf("merge of what is younger than a run that cannot be read: %v, %d segments are left", err, len(e.log.all()))
	}
	remove()
	mustMerge(t, e)
	if have := contents(t, e); !maps.Equal(have, model) {
		t.Errorf("%d keys, want %d, or other values", len(have), len(model))
	}
}

// A merge in the background may take hours: who waits for its end can give up.
func TestWhoWaitsForAMergeCanGiveUp(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{})
	defer mustClose(t, e)
	mustPut(t, e, "a", "1")
	for _, kind := range e.merger.kinds() {
		if err := kind.one.take(t.Context()); err != nil { // one of this kind is under way
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		for _, wait := range []func(context.Context) error{e.Merge, func(ctx context.Context) error { return e.Vouch(ctx, 0) }} {
			go func() { ended <- wait(ctx) }()
		}
		cancel()
		for range 2 {
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		kind.one.give()
	}
	mustMerge(t, e)
}

// A sync may be slow: whoever writes meanwhile sleeps until it is over, and does not try for the log's lock again and again.
func TestAnIdleSegmentIsSealedWithoutTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{Sync: SyncAlways})
		mustPut(t, e, "a", "1")
		mend := fs.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: segmentSuffix, Delay: time.Second})
		ended := make(chan error, 2)
		go func() { ended <- e.writer.sealActive() }()
		synctest.Wait()
		if !e.writer.mu.TryLock() {
			t.Fatal("the log is locked while a segment is being sealed")
		}
		e.writer.mu.Unlock()
		go func() { ended <- e.Put([]byte("b"), []byte("2")) }()
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		mend()
		wantValue(t, e, "a", "1")
		wantValue(t, e, "b", "2")
		if a, b := segmentOf(t, e, "a"), segmentOf(t, e, "b"); a == b {
			t.Errorf("both are in segment %d", a)
		}
		mustClose(t, e)
	})
}

func segmentOf(t *testing.T, e *Engine, key string) uint32 {
	t.Helper()
	_, en := placeOf(t, e, key)
	return en.Segment
}

// toldFS counts what the disk is told to begin with.
type toldFS struct {
	*vfstest.FS
	told atomic.Int64
}

type toldFile struct {
	vfs.File
	fs *toldFS
}

func (fs *toldFS) Create(path string) (vfs.File, error) {
	f, err := fs.FS.Create(path)
	return toldFile{f, fs}, err
}

func (f toldFile) Advise(a vfs.Advice) error {
	if a == vfs.AdviseWriteBack {
		f.fs.told.Add(1)
	}
	return f.File.Advise(a)
}

func TestMergeHasTheDiskBeginEarly(t *testing.T) {
	fs := &toldFS{FS: vfstest.New()}
	e, err := Open(dataDir, Options{FS: fs, Sync: SyncNever, MergeDisabled: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const bytes = 5 * mergeWriteBackBytes
	value := strings.Repeat("v", 10_000)
	for i := range bytes / len(value) {
		mustPut(t, e, key(i), value)
	}
	if err := e.Merge(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := fs.told.Load(); n < 3 || n > 6 {
		t.Errorf("the disk was told %d times to begin with %d bytes", n, bytes)
	}
}
