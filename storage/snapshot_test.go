package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

const snapshotDir = "/backups/monday"

func mustSnapshot(t testing.TB, e *Engine, dir string) SnapshotInfo {
	t.Helper()
	info, err := e.Snapshot(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// openAt opens a snapshot as a store of its own.
func openAt(t testing.TB, fsys vfs.FS, dir string, o Options) *Engine {
	t.Helper()
	o.FS, o.MergeDisabled = fsys, true
	e, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func wantContents(t testing.TB, e *Engine, want map[string]string) {
	t.Helper()
	if have := contents(t, e); !maps.Equal(have, want) {
		t.Fatalf("the store holds\n%s\nwant\n%s", show(have), show(want))
	}
	if d := e.Recovery().Damage; len(d) > 0 {
		t.Fatalf("damage in a snapshot: %v", d)
	}
}

// shapes brings a store into each shape that matters: what the files of the moment are.
var shapes = map[string]func(t testing.TB, e *Engine){
	"nothing": func(testing.TB, *Engine) {},
	"an active segment": func(t testing.TB, e *Engine) {
		mustPut(t, e, "a", "1")
	},
	"many segments": func(t testing.TB, e *Engine) {
		fill(t, e, 0, 70)
		mustDelete(t, e, key(3))
	},
	"a sealed segment": func(t testing.TB, e *Engine) {
		fill(t, e, 0, 5)
		if err := e.writer.sealActive(); err != nil {
			t.Fatal(err)
		}
		settleHintFiles(e)
	},
	"a run alone": func(t testing.TB, e *Engine) {
		fill(t, e, 0, 70)
		mustMerge(t, e)
	},
	"a run and segments over it": func(t testing.TB, e *Engine) {
		fill(t, e, 0, 70)
		mustMerge(t, e)
		fill(t, e, 50, 40)
		mustDelete(t, e, key(2))
	},
	"a run that took the place of one of its name": func(t testing.TB, e *Engine) {
		fill(t, e, 0, 30)
		mustMerge(t, e)
		mustMerge(t, e)
		mustPut(t, e, "a", "1")
	},
}

func TestSnapshotOpensAsWhatWasThere(t *testing.T) {
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			for _, sync := range []SyncPolicy{SyncAlways, SyncNever} {
				fs := vfstest.New()
				o := Options{SegmentBytesMax: segmentBytesLeast, Sync: sync}
				e := mustOpen(t, fs, o)
				shape(t, e)
				want, last := contents(t, e), e.Stats().LastSeq
				info := mustSnapshot(t, e, snapshotDir)
				if info.LastSeq != last {
					t.Errorf("the snapshot ends with record %d, want %d", info.LastSeq, last)
				}
				// What comes later is not in it, nor is it touched by what happens to the store.
				fill(t, e, 40, 60)
				mustMerge(t, e)

				// Durable under every policy.
				fs = fs.Crash(vfstest.Nothing())
				o.KnownSeq = info.LastSeq
				s := openAt(t, fs, snapshotDir, o)
				wantContents(t, s, want)
				if s.engine != e.engine || s.Recovery().TornBytes > 0 || s.Recovery().Created {
					t.Errorf("recovery: %+v", s.Recovery())
				}
				// It is a store like any other, and can itself be copied after being reopened.
				for range 2 {
					mustClose(t, s)
					s = openAt(t, fs, snapshotDir, o)
					wantContents(t, s, want)
				}
				mustSnapshot(t, s, "/second")
				mustPut(t, s, "later", "1")
				mustMerge(t, s)
				mustClose(t, s)
				wantContents(t, openAt(t, fs, "/second", o), want)
				want["later"] = "1"
				wantContents(t, openAt(t, fs, snapshotDir, o), want)
			}
		})
	}
}

// TestSnapshotAndStoreShareNothingThatChanges compares all bytes of each side, whatever the other does.
func TestSnapshotAndStoreShareNothingThatChanges(t *testing.T) {
	work := func(t testing.TB, e *Engine) {
		t.Helper()
		fill(t, e, 10, 60)
		mustDelete(t, e, key(12))
		mustMerge(t, e)
		fill(t, e, 90, 30)
		mustClose(t, e)
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			fs := vfstest.New()
			e := mustOpen(t, fs, smallSegments)
			shape(t, e)
			mustSnapshot(t, e, snapshotDir)
			mustSnapshot(t, e, "/second")
			before := filesIn(t, fs, snapshotDir)
			work(t, e)
			wantSameFiles(t, before, filesIn(t, fs, snapshotDir))

			// Without its hint file a segment is read and, if it is the youngest, appended to.
			before = filesIn(t, fs, "/second")
			for name := range filesIn(t, fs, snapshotDir) {
				if strings.HasSuffix(name, hintFileSuffix) {
					if err := fs.Remove(filepath.Join(snapshotDir, name)); err != nil {
						t.Fatal(err)
					}
				}
			}
			work(t, openAt(t, fs, snapshotDir, Options{}))
			wantSameFiles(t, before, filesIn(t, fs, "/second"))
		})
	}
}

func filesIn(t testing.TB, fs *vfstest.FS, dir string) map[string]string {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range names {
		if content, err := fs.Content(filepath.Join(dir, name)); err == nil && name != lockName {
			files[name] = string(content)
		}
	}
	return files
}

func wantSameFiles(t testing.TB, before, after map[string]string) {
	t.Helper()
	if !maps.Equal(before, after) {
		for name := range before {
			if before[name] != after[name] {
				t.Errorf("%s has changed: %d bytes, now %d", name, len(before[name]), len(after[name]))
			}
		}
		t.Fatalf("%d files, now %d", len(before), len(after))
	}
}

// TestSnapshotIsOfOneMoment takes snapshots of counters that go up together while merges go on: each shows them all at
// one value, and in full each batch that had been acknowledged.
func TestSnapshotIsOfOneMoment(t *testing.T) {
	for _, policy := range []SyncPolicy{SyncAlways, SyncNever} {
		for _, real := range []bool{false, true} {
			t.Run(fmt.Sprintf("policy %d, real %v", policy, real), func(t *testing.T) {
				var fsys vfs.FS = vfstest.New()
				dir := dataDir
				if real {
					fsys, dir = vfs.OS{}, filepath.Join(t.TempDir(), "store")
				}
				o := Options{FS: fsys, SegmentBytesMax: 256 << 10, Sync: policy, MergeBytesPerSecond: -1}
				e, err := Open(dir, o)
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				var acked [2]uint64
				var mu sync.Mutex
				stop := make(chan struct{})
				var writers sync.WaitGroup
				for w := range acked {
					writers.Go(func() {
						for i := uint64(1); ; i++ {
							select {
							case <-stop:
								return
							default:
							}
							var b Batch
							for k := range batchKeys {
								b.Put(fmt.Appendf(nil, "w%d-%d", w, k), fmt.Appendf(nil, "%d %0100d", i, 0))
							}
							if err := e.Apply(&b); err != nil {
								t.Error(err)
								return
							}
							mu.Lock()
							acked[w] = i
							mu.Unlock()
						}
					})
				}
				for n := range 12 {
					mu.Lock()
					least := acked
					mu.Unlock()
					to := filepath.Join(filepath.Dir(dir), fmt.Sprintf("snapshot-%d", n))
					mustSnapshot(t, e, to)
					if n%4 == 1 {
						mustMerge(t, e)
					}
					s := openAt(t, fsys, to, o)
					have := contents(t, s)
					for w := range acked {
						seen := map[string]bool{}
						var value uint64
						for k := range batchKeys {
							count, _, _ := strings.Cut(have[fmt.Sprintf("w%d-%d", w, k)], " ")
							seen[count] = true
							_, _ = fmt.Sscan(count, &value)
						}
						if len(seen) != 1 || value < least[w] {
							t.Errorf("snapshot %d shows %v of writer %d, %d were acknowledged", n, seen, w, least[w])
						}
					}
					if d := s.Recovery().Damage; len(d) > 0 || s.Recovery().TornBytes > 0 {
						t.Errorf("recovery: %+v", s.Recovery())
					}
					mustClose(t, s)
				}
				close(stop)
				writers.Wait()
			})
		}
	}
}

func TestSnapshotIsLinkedWhereItCanBe(t *testing.T) {
	fsys := vfs.OS{}
	root := t.TempDir()
	e := openAt(t, fsys, filepath.Join(root, "store"), Options{SegmentBytesMax: 64 << 10})
	value := strings.Repeat("v", 1000)
	for i := range 500 {
		mustPut(t, e, key(i), value)
	}
	settleHintFiles(e)
	want := contents(t, e)
	info := mustSnapshot(t, e, filepath.Join(root, "new", "snapshot"))
	if info.Segments < 8 || info.LinkedFiles != 2*(info.Segments-1) || info.CopiedFiles != 1 || info.LinkedBytes < 400_000 ||
		info.CopiedBytes > 66<<10 {
		t.Errorf("info: %+v", info)
	}
	s := openAt(t, fsys, filepath.Join(root, "new", "snapshot"), Options{})
	wantContents(t, s, want)
	mustMerge(t, s)
	wantContents(t, e, want)
}

func TestSnapshotIsCopiedWhereItCannotBeLinked(t *testing.T) {
	for _, fault := range []error{syscall.EXDEV, syscall.EPERM, errors.ErrUnsupported, syscall.EMLINK} {
		fs := vfstest.New()
		e := mustOpen(t, fs, smallSegments)
		fill(t, e, 0, 70)
		mustMerge(t, e)
		fill(t, e, 60, 60)
		want := contents(t, e)
		defer fs.Inject(vfstest.Fault{Ops: vfstest.OpLink, Err: fault})()
		info := mustSnapshot(t, e, snapshotDir)
		if info.LinkedFiles != 0 || info.CopiedFiles < 6 {
			t.Errorf("info: %+v", info)
		}
		mustClose(t, e)
		fs = fs.Crash(vfstest.Nothing())
		wantContents(t, openAt(t, fs, snapshotDir, smallSegments), want)
	}
}

func TestSnapshotRefusesWhatIsNotForIt(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 30)
	want := contents(t, e)
	mustSnapshot(t, e, snapshotDir)
	for _, dir := range []string{dataDir, snapshotDir} {
		before := filesIn(t, fs, dir)
		if _, err := e.Snapshot(t.Context(), dir); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("snapshot to %s: %v", dir, err)
		}
		wantSameFiles(t, before, filesIn(t, fs, dir))
	}
	if err := fs.MkdirAll("/locked"); err != nil {
		t.Fatal(err)
	}
	lock, err := fs.Lock("/locked/" + lockName)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Snapshot(t.Context(), "/locked"); !errors.Is(err, ErrLocked) {
		t.Errorf("snapshot to a locked directory: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	mustSnapshot(t, e, "/locked")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Snapshot(ctx, "/x"); !errors.Is(err, context.Canceled) {
		t.Errorf("snapshot that is not wanted: %v", err)
	}
	var full *SpaceError
	free := e.opts.ReserveBytes
	e.opts.ReserveBytes = math.MaxInt64
	if _, err := e.Snapshot(t.Context(), "/x"); !errors.As(err, &full) || full.NeedBytes == 0 {
		t.Errorf("snapshot without space: %v", err)
	}
	e.opts.ReserveBytes = free
	mustSnapshot(t, e, "/x") // what failed has left nothing
	mustClose(t, e)
	if _, err := e.Snapshot(t.Context(), "/y"); !errors.Is(err, ErrClosed) {
		t.Errorf("snapshot after close: %v", err)
	}
	wantContents(t, openAt(t, fs, "/x", smallSegments), want)
}

// TestInterruptedSnapshotsAreNotOpened loses power at every step.
func TestInterruptedSnapshotsAreNotOpened(t *testing.T) {
	for n := 0; ; n++ {
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{SegmentBytesMax: segmentBytesLeast, Sync: SyncNever})
		fill(t, e, 0, 45)
		mustMerge(t, e)
		fill(t, e, 40, 30)
		want := contents(t, e)
		if n%2 == 1 {
			fs.Inject(vfstest.Fault{Ops: vfstest.OpLink, Skip: 1, Err: syscall.EXDEV})
		}
		fs.CrashAfter(n)
		_, err := e.Snapshot(t.Context(), snapshotDir)
		done := err == nil
		if !done && !fs.Crashed() {
			t.Fatal(err)
		}
		e.Close()
		for seed := range uint64(6) {
			keep := vfstest.Random(seed)
			switch seed {
			case 0:
				keep = vfstest.Nothing()
			case 1:
				keep = vfstest.Everything()
			}
			after := fs.Crash(keep)
			s, err := Open(snapshotDir, Options{FS: after, MergeDisabled: true, SegmentBytesMax: segmentBytesLeast})
			switch {
			case errors.Is(err, ErrFormat) && !done:
				continue
			case err != nil:
				t.Fatalf("after %d steps: %v", n, err)
			}
			// Before the first file of a snapshot there is an empty directory, which Open takes for a new one.
			if !s.Recovery().Created || done {
				wantContents(t, s, want)
			} else if have := contents(t, s); len(have) > 0 {
				t.Errorf("after %d steps a part of the snapshot was opened", n)
			}
			mustClose(t, s)
		}
		if done {
			if n < 15 {
				t.Errorf("a snapshot takes only %d steps", n)
			}
			return
		}
	}
}

func TestFailedSnapshotsLeaveNothing(t *testing.T) {
	ops := vfstest.OpCreate | vfstest.OpWrite | vfstest.OpSync | vfstest.OpRename | vfstest.OpSyncDir | vfstest.OpLink | vfstest.OpStat | vfstest.OpFree
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 45)
	mustMerge(t, e)
	fill(t, e, 40, 30)
	want := contents(t, e)
	for n := 0; ; n++ {
		remove := fs.Inject(vfstest.Fault{Ops: ops, Path: "monday", Skip: n, Times: 1, Err: syscall.EIO})
		_, err := e.Snapshot(t.Context(), snapshotDir)
		remove()
		if err == nil {
			if n < 15 {
				t.Errorf("only %d operations can fail", n)
			}
			break
		}
		var io *IOError
		if !errors.As(err, &io) || !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d: %v", n, err)
		}
		if left := filesIn(t, fs, snapshotDir); len(left) > 0 {
			t.Fatalf("operation %d: %d files are left", n, len(left))
		}
	}
	if err := e.Err(); err != nil {
		t.Errorf("a failed snapshot ended writes: %v", err)
	}
	wantContents(t, openAt(t, fs, snapshotDir, smallSegments), want)
}

// TestCopiesAreThrottledAndEndWithTheirCause runs in fake time: a second for each step of the copies.
func TestCopiesAreThrottledAndEndWithTheirCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{SegmentBytesMax: 1 << 20, MergeBytesPerSecond: copyStepBytes, ReserveBytes: -1})
		value := strings.Repeat("x", 64<<10)
		for i := range 40 {
			mustPut(t, e, key(i), value)
		}
		settleHintFiles(e)
		want := contents(t, e)
		defer fs.Inject(vfstest.Fault{Ops: vfstest.OpLink, Err: syscall.EXDEV})()
		began := time.Now()
		info := mustSnapshot(t, e, snapshotDir)
		if took, least := time.Since(began), time.Duration(info.CopiedBytes/copyStepBytes-2)*time.Second; took < least {
			t.Errorf("%d bytes took %v, want at least %v", info.CopiedBytes, took, least)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		if _, err := e.Snapshot(ctx, "/late"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("snapshot past its deadline: %v", err)
		}
		// Close does not wait for a snapshot, and merges neither: what they retire stays readable.
		failed := make(chan error, 1)
		go func() {
			_, err := e.Snapshot(t.Context(), "/cut")
			failed <- err
		}()
		synctest.Wait()
		began = time.Now()
		mustMerge(t, e)
		mustClose(t, e)
		if took := time.Since(began); took > 0 {
			t.Errorf("merge and close waited %v for a snapshot", took)
		}
		if err := <-failed; !errors.Is(err, ErrClosed) {
			t.Errorf("snapshot of an engine that was closed: %v", err)
		}
		wantContents(t, openAt(t, fs, snapshotDir, Options{}), want)
	})
}

// TestMergesPullNoFileAwayFromASnapshot merges what a snapshot has still to copy.
func TestMergesPullNoFileAwayFromASnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{SegmentBytesMax: 1 << 20, MergeBytesPerSecond: copyStepBytes, ReserveBytes: -1})
		value := strings.Repeat("x", 64<<10)
		for round := range 2 {
			for i := range 40 {
				mustPut(t, e, key(i), fmt.Sprint(round, value))
			}
			if round == 0 {
				mustMerge(t, e)
			}
		}
		settleHintFiles(e)
		want := contents(t, e)
		defer fs.Inject(vfstest.Fault{Ops: vfstest.OpLink, Err: syscall.EXDEV})()
		failed := make(chan error, 1)
		go func() {
			_, err := e.Snapshot(t.Context(), snapshotDir)
			failed <- err
		}()
		synctest.Wait()
		for i := range 40 {
			mustPut(t, e, key(i), "new")
		}
		mustMerge(t, e)
		mustMerge(t, e)
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
		wantContents(t, openAt(t, fs, snapshotDir, Options{}), want)
	})
}

// TestARunOfTheSameNameIsNotTakenForTheOneOfTheMoment merges a run alone while a snapshot is about to link it. What was written
// after the moment has replaced a record in there.
func TestARunOfTheSameNameIsNotTakenForTheOneOfTheMoment(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 30)
	mustMerge(t, e)
	want := contents(t, e)
	block, struck := make(chan struct{}), make(chan struct{}, 1)
	defer fs.Inject(vfstest.Fault{Ops: vfstest.OpLink, Path: runSuffix, Block: block, Struck: struck})()
	done := make(chan error, 2)
	go func() {
		_, err := e.Snapshot(t.Context(), snapshotDir)
		done <- err
	}()
	<-struck
	old := e.index.runs()
	mustPut(t, e, key(7), "later")
	go func() { done <- e.mergeNow(plan{runs: old, last: true}, func(int64) error { return nil }) }()
	for e.index.runs()[0] == old[0] {
		runtime.Gosched()
	}
	close(block)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	wantContents(t, openAt(t, fs, snapshotDir, smallSegments), want)
	want[key(7)] = "later"
	wantContents(t, e, want)
}

// TestFormatComesLast looks at the order of operations, in which a file system may make names durable as it likes between two
// syncs of their directory.
func TestFormatComesLast(t *testing.T) {
	fs := vfstest.New()
	e := mustOpen(t, fs, smallSegments)
	fill(t, e, 0, 45)
	fs.ResetEvents()
	mustSnapshot(t, e, snapshotDir)
	events := fs.Events(vfstest.OpChange)
	n := len(events)
	if n < 10 || events[n-1].Op != vfstest.OpSyncDir || events[n-2].Op != vfstest.OpRename || events[n-3].Op != vfstest.OpSyncDir {
		t.Errorf("events: %v", events)
	}
}
