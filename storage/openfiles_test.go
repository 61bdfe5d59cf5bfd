package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// openCounter counts the open files of a file system.
type openCounter struct {
	vfs.FS
	open, most atomic.Int64
}

func (c *openCounter) Create(path string) (vfs.File, error) { return c.count(c.FS.Create(path)) }
func (c *openCounter) Open(path string) (vfs.File, error)   { return c.count(c.FS.Open(path)) }
func (c *openCounter) OpenReadWrite(path string) (vfs.File, error) {
	return c.count(c.FS.OpenReadWrite(path))
}

func (c *openCounter) count(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	n := c.open.Add(1)
	for most := c.most.Load(); n > most && !c.most.CompareAndSwap(most, n); most = c.most.Load() {
	}
	return &countedFile{f, c}, nil
}

type countedFile struct {
	vfs.File
	c *openCounter
}

func (f *countedFile) Close() error {
	defer f.c.open.Add(-1)
	return f.File.Close()
}

// few are the settings of stores with many segments, of about four records each, that may have few files open.
func few(files int) Options {
	return Options{
		OpenFilesMax: files, SegmentBytesMax: segmentBytesLeast, MapBytesMax: -1, CacheBytes: -1, Sync: SyncNever, MergeDisabled: true,
		MergeBytesPerSecond: -1,
	}
}

func longValue(i int) string { return fmt.Sprint(i, strings.Repeat("x", 1000)) }

// putMany writes n records under their keys, and returns what the store holds then.
func putMany(t testing.TB, e *Engine, n int) map[string]string {
	t.Helper()
	all := map[string]string{}
	for i := range n {
		all[key(i)] = longValue(i)
		mustPut(t, e, key(i), all[key(i)])
	}
	return all
}

// TestOpenFilesKeepToTheirBound does everything there is to do with a store of hundreds of segments.
func TestOpenFilesKeepToTheirBound(t *testing.T) {
	const bound = 5
	// others are the active segment and those that background work reads and writes, and what Open reads at once for each processor.
	const others = 6
	for name, fsys := range map[string]vfs.FS{"memory": vfstest.New(), "system": vfs.OS{}} {
		t.Run(name, func(t *testing.T) {
			counter, dir := &openCounter{FS: fsys}, dataDir
			if name == "system" {
				dir = t.TempDir()
			}
			var e *Engine
			open := func() error {
				o := few(bound)
				o.FS = counter
				var err error
				e, err = Open(dir, o)
				return err
			}
			var all map[string]string
			for _, step := range []struct {
				what string
				do   func() error
			}{
				{"open", open},
				{"write", func() error { all = putMany(t, e, 1200); return nil }},
				{"read", func() error { mustShowAll(t, e, all); return nil }},
				{"verify", func() error { _, err := e.Verify(t.Context(), nil); return err }},
				{"snapshot", func() error {
					_, err := e.Snapshot(t.Context(), filepath.Join(dir, "..", name+"-snapshot"))
					return err
				}},
				{"close", func() error { return e.Close() }},
				{"open with hint files", open},
				{"read again", func() error { mustShowAll(t, e, all); return nil }},
				{"remove the hint files", func() error { return removeHintFiles(e) }},
				{"close again", func() error { return e.Close() }},
				{"open without hint files", open},
				{"merge", func() error { return e.Merge(t.Context()) }},
				{"read what was merged", func() error { mustShowAll(t, e, all); return nil }},
				{"close at last", func() error { return e.Close() }},
			} {
				counter.most.Store(counter.open.Load())
				if err := step.do(); err != nil {
					t.Fatalf("%s: %v", step.what, err)
				}
				if n := counter.most.Load(); n > bound+others {
					t.Errorf("%s: %d files were open", step.what, n)
				}
				if n := e.Stats().OpenFiles; n > bound+1 {
					t.Errorf("%s: %d files are open by the statistics", step.what, n)
				}
			}
			if n := counter.open.Load(); n != 0 {
				t.Errorf("%d files are open after Close", n)
			}
		})
	}
}

func mustShowAll(t *testing.T, e *Engine, all map[string]string) {
	t.Helper()
	for range len(all) {
		i := rand.IntN(len(all))
		wantValue(t, e, key(i), all[key(i)])
	}
	wantContents(t, e, all)
}

func removeHintFiles(e *Engine) error {
	var errs []error
	for _, s := range e.log.all() {
		errs = append(errs, e.removeFile(s.hintFilePath()))
	}
	return errors.Join(errs...)
}

// TestReadThatCannotOpenItsFileIsAnIOError makes opening fail in each way, for records in segments and in runs. It is neither damage
// nor absence, and passes.
func TestReadThatCannotOpenItsFileIsAnIOError(t *testing.T) {
	for _, cause := range []error{syscall.EMFILE, syscall.EIO, fs.ErrNotExist} {
		for _, where := range []string{segmentSuffix, runSuffix} {
			t.Run(fmt.Sprintf("%v/%s", cause, where), func(t *testing.T) {
				fsys := vfstest.New()
				e := mustOpen(t, fsys, few(1))
				all := putMany(t, e, 40)
				if where == runSuffix {
					mustMerge(t, e)
					for i := range 10 { // for others to be read, too
						all[fmt.Sprint("new", i)] = longValue(i)
						mustPut(t, e, fmt.Sprint("new", i), longValue(i))
					}
				}
				settleHintFiles(e)
				wantValue(t, e, "new0", cmpOr(all["new0"], "-")) // which has the file of what follows closed
				wantValue(t, e, key(30), all[key(30)])
				if where == runSuffix {
					wantValue(t, e, "new0", all["new0"])
				}
				for what, read := range map[string]func() error{
					"get":    func() error { _, err := e.Get([]byte(key(1)), nil); return err },
					"read":   func() error { _, err := e.Read([]byte(key(1)), nil); return err },
					"verify": func() error { _, err := e.Verify(t.Context(), nil); return err },
					"update": func() error {
						return e.Update([][]byte{[]byte(key(1))}, func(cur []Current, _ *Writes) error {
							if !cur[0].HasValue {
								return ErrNeedValues
							}
							return nil
						})
					},
					"scan": func() error {
						for _, err := range e.Scan(Range{}) {
							if err != nil {
								return err
							}
						}
						return nil
					},
				} {
					remove := fsys.Inject(vfstest.Fault{Ops: vfstest.OpOpen, Path: where, Err: cause})
					err := read()
					remove()
					var io *IOError
					if !errors.As(err, &io) || !errors.Is(err, cause) || isCorrupt(err) || errors.Is(err, ErrNotFound) {
						t.Errorf("%s: %v", what, err)
					}
					wantValue(t, e, cmpOr(map[string]string{runSuffix: "new0"}[where], key(30)), cmpOr(all["new0"], all[key(30)]))
				}
				if s := e.Stats(); s.Damage != 0 || s.ReadOnly != "" {
					t.Errorf("%d places are damaged, read-only: %q", s.Damage, s.ReadOnly)
				}
				wantContents(t, e, all)
			})
		}
	}
}

// beginScan begins a scan and returns what goes on with it to its end.
func beginScan(t *testing.T, e *Engine) (rest func() (map[string]string, error)) {
	t.Helper()
	next, stop := iter.Pull2(e.Scan(Range{}))
	t.Cleanup(stop)
	rec, err, ok := next()
	if err != nil || !ok {
		t.Fatal(err, ok)
	}
	shown := map[string]string{}
	return func() (map[string]string, error) {
		defer stop()
		for ; ok && err == nil; rec, err, ok = next() {
			shown[string(rec.Key)] = string(rec.Value)
		}
		return shown, err
	}
}

// TestScanReadsMergedFilesThatLostTheirNames merges what a scan has begun to read, twice: the second time the run takes the name of
// the first one, and has fewer records.
func TestScanReadsMergedFilesThatLostTheirNames(t *testing.T) {
	for _, files := range []int{1, 100} {
		t.Run(fmt.Sprint(files), func(t *testing.T) {
			var fewer atomic.Bool
			o := few(files)
			o.Filter = func(key, _ []byte) bool { return fewer.Load() && key[len(key)-1]%2 == 0 }
			e := place{vfs.OS{}, t.TempDir()}.open(t, o)
			defer e.Close()
			all := putMany(t, e, 60)
			segments := beginScan(t, e)
			mustMerge(t, e)
			run := beginScan(t, e)
			fewer.Store(true)
			mustRenew(t, e, nil)
			for what, rest := range map[string]func() (map[string]string, error){"segments": segments, "run": run} {
				if shown, err := rest(); err != nil || !maps.Equal(shown, all) {
					t.Errorf("scan of %s: %v, %s", what, err, show(shown))
				}
			}
			maps.DeleteFunc(all, func(key, _ string) bool { return o.Filter([]byte(key), nil) })
			wantContents(t, e, all)
		})
	}
}

// mustRenew merges the one run that there is into one of the same name. during runs before it gets it.
func mustRenew(t *testing.T, e *Engine, during func()) {
	t.Helper()
	if err := renew(e, during); err != nil {
		t.Fatal(err)
	}
}

func renew(e *Engine, during func()) error {
	p := plan{runs: e.index.runs(), last: true, rewrite: true}
	return e.mergeNow(p, func(int64) error {
		if during != nil {
			during()
		}
		return nil
	})
}

// TestMergeThatCannotHoldTheRunItReplacesChangesNothing has the run closed while it is merged, and not to be opened again.
func TestMergeThatCannotHoldTheRunItReplacesChangesNothing(t *testing.T) {
	fsys := vfstest.New()
	e := mustOpen(t, fsys, few(1))
	all := putMany(t, e, 60)
	mustMerge(t, e)
	for i := range 10 {
		all[fmt.Sprint("new", i)] = longValue(i)
		mustPut(t, e, fmt.Sprint("new", i), longValue(i))
	}
	settleHintFiles(e)
	fsys.ResetEvents()
	remove := func() {}
	err := renew(e, func() {
		remove()
		wantValue(t, e, "new0", all["new0"])
		remove = fsys.Inject(vfstest.Fault{Ops: vfstest.OpOpen, Path: runSuffix, Err: syscall.EMFILE})
	})
	remove()
	var io *IOError
	if !errors.As(err, &io) || !errors.Is(err, syscall.EMFILE) {
		t.Errorf("merge: %v", err)
	}
	if renamed := fsys.Events(vfstest.OpRename); len(renamed) > 0 {
		t.Errorf("renamed %v", renamed)
	}
	wantContents(t, e, all)
	mustRenew(t, e, nil)
	wantContents(t, e, all)
	mustClose(t, e)
	wantContents(t, mustOpen(t, fsys, few(1)), all)
}

// TestMergedFilesThatCannotBeHeldKeepTheirNamesForTheirReaders merges some segments under a scan that are too many to be held, and then
// some that are closed and cannot be opened once the run has its name.
func TestMergedFilesThatCannotBeHeldKeepTheirNamesForTheirReaders(t *testing.T) {
	const merged = 8
	for _, files := range []int{1, merged + 2} {
		for _, closed := range []bool{false, true} {
			fsys := vfstest.New()
			e := mustOpen(t, fsys, few(files))
			all := putMany(t, e, 80)
			settleHintFiles(e)
			before := countSegments(t, fsys)
			rest := beginScan(t, e)
			mustMergeClosed(t, fsys, e, merged, syscall.EMFILE)
			if n := countSegments(t, fsys); n != before {
				t.Errorf("%d of %d segments have names while they are read", n, before)
			}
			if closed { // what is left is for the next Open
				mustClose(t, e)
				e = mustOpen(t, fsys, few(1))
			} else if shown, err := rest(); err != nil || !maps.Equal(shown, all) {
				t.Errorf("scan: %v, %s", err, show(shown))
			}
			if n := countSegments(t, fsys); n != before-merged {
				t.Errorf("%d of %d segments have names when they are read no more", n, before)
			}
			wantContents(t, e, all)
			if closed {
				mustPutBack(t, fsys, e)
				before := countSegments(t, fsys)
				if _, err := rest(); err != ErrClosed {
					t.Errorf("scan of a closed engine: %v", err)
				}
				if n := countSegments(t, fsys); n < before {
					t.Error("removed what was put back")
				}
			}
		}
	}
}

// TestMergedFilesAreOpenedForTheirReaders merges some segments under a scan that are closed when the run gets its name.
func TestMergedFilesAreOpenedForTheirReaders(t *testing.T) {
	const merged = 8
	fsys := vfstest.New()
	e := mustOpen(t, fsys, few(merged+2))
	all := putMany(t, e, 80)
	settleHintFiles(e)
	before := countSegments(t, fsys)
	rest := beginScan(t, e)
	mustMergeClosed(t, fsys, e, merged, nil)
	if n := countSegments(t, fsys); n != before-merged {
		t.Errorf("%d of %d segments have names", n, before)
	}
	if shown, err := rest(); err != nil || !maps.Equal(shown, all) {
		t.Errorf("scan: %v, %s", err, show(shown))
	}
	if n := e.files.Held(); n != 1 {
		t.Errorf("%d files are held", n)
	}
}

// mustMergeClosed merges the oldest segments, which others have closed by the time when the run gets its name. If they are opened from
// then on until the merge is done, they get an error, unless it is nil.
func mustMergeClosed(t *testing.T, fsys *vfstest.FS, e *Engine, segments int, failure error) {
	t.Helper()
	named, atName := make(chan struct{}), make(chan struct{}, 1)
	defer fsys.Inject(vfstest.Fault{Ops: vfstest.OpRename, Path: runSuffix, Block: named, Struck: atName})()
	done := make(chan error)
	go func() {
		sealed, _, _ := e.sealedSegments()
		done <- e.mergeNow(plan{segments: sealed[:segments], last: true}, func(int64) error { return nil })
	}()
	<-atName
	for i := 4 * segments; i < 80; i++ {
		wantValue(t, e, key(i), longValue(i))
	}
	defer fsys.Inject(vfstest.Fault{Ops: vfstest.OpOpen, Path: segmentSuffix, Err: failure})()
	close(named)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// mustPutBack closes the engine and makes the files of segments, as who restores a backup does.
func mustPutBack(t *testing.T, fsys *vfstest.FS, e *Engine) {
	t.Helper()
	mustClose(t, e)
	for id := range SegmentID(40) {
		if err := fsys.SetContent(segmentPath(dataDir, id+1), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func countSegments(t *testing.T, fsys *vfstest.FS) (n int) {
	t.Helper()
	names, err := fsys.List(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, segmentSuffix) {
			n++
		}
	}
	return n
}

// TestScanOfAClosedEngineOpensNothing ends scans at each record of some blocks of a run whose file was closed for another's sake: the
// directory may be another engine's by then.
func TestScanOfAClosedEngineOpensNothing(t *testing.T) {
	for n := range 12 {
		fsys := vfstest.New()
		e := mustOpen(t, fsys, few(1))
		putMany(t, e, 60)
		mustMerge(t, e)
		for i := range 10 {
			mustPut(t, e, fmt.Sprint("new", i), longValue(i))
		}
		settleHintFiles(e)
		next, stop := iter.Pull2(e.Scan(Range{}))
		defer stop()
		for range n + 1 {
			if _, err, ok := next(); err != nil || !ok {
				t.Fatal(err, ok)
			}
		}
		wantValue(t, e, "new0", longValue(0))
		mustClose(t, e)
		fsys.ResetEvents()
		if _, err, ok := next(); !ok || err != ErrClosed {
			t.Errorf("scan of a closed engine: %v", err)
		}
		if opened := fsys.Events(vfstest.OpOpen); len(opened) > 0 {
			t.Errorf("opened %v", opened)
		}
	}
}
