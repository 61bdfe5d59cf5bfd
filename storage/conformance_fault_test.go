package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// opLook is every kind of operation that changes nothing.
const opLook = vfstest.OpOpen | vfstest.OpRead | vfstest.OpList | vfstest.OpStat | vfstest.OpFree

var faultOptions = Options{
	SegmentBytesMax: segmentBytesLeast, BlockBytes: 256, CacheBytes: -1, IndexBytesMax: 1, MergeBytesPerSecond: -1,
}

// layered is a store with a large old run, a small younger one, and sealed segments over both, and what it holds.
func layered(t *testing.T) (*vfstest.FS, map[string]string) {
	t.Helper()
	fs, want := vfstest.New(), map[string]string{}
	e := mustOpen(t, fs, faultOptions)
	write := func(k, v string) {
		want[k] = v
		mustPut(t, e, k, v)
	}
	remove := func(k string) {
		delete(want, k)
		mustDelete(t, e, k)
	}
	for i := range 120 {
		write(key(i), valueOf(i)+strings.Repeat(" old", 200)) // so much that merges of parts leave it out
	}
	mustMerge(t, e)
	for i := range 24 {
		write(key(i*5), valueOf(i)+" middle")
		remove(key(i*5 + 1))
	}
	mergeDue(e, false)
	for i := range 24 {
		write(key(i*3), valueOf(i)+" young")
		remove(key(i*3 + 2))
	}
	if runs, sealed, _ := e.index.runs(), e.log.all(), 0; len(runs) != 2 || len(sealed) < 2 {
		t.Fatalf("%d runs and %d segments", len(runs), len(sealed))
	}
	settleHintFiles(e)
	mustClose(t, e)
	return fs, want
}

// mustShow compares a store with what it should hold, key by key and in a scan.
func mustShow(t testing.TB, e *Engine, want map[string]string, when string) {
	t.Helper()
	if have := contents(t, e); !maps.Equal(have, want) {
		t.Fatalf("%s: %d keys, want %d:\n%s\nwant\n%s", when, len(have), len(want), show(have), show(want))
	}
	for i := range 121 {
		if have, value := got(t, e, key(i)), want[key(i)]; have != cmpOr(value, "-") {
			t.Fatalf("%s: get %q: %.40q, want %.40q", when, key(i), have, value)
		}
	}
}

// TestConformanceFailingMergeChangesNothing makes every single operation of a merge fail in turn. What is stored stays as it is,
// and merges succeed once the cause is gone, of all there is or of parts of it, and so does the next Open.
func TestConformanceFailingMergeChangesNothing(t *testing.T) {
	t.Parallel()
	base, want := layered(t)
	for name, merge := range map[string]func(e *Engine) error{
		"all":  func(e *Engine) error { return e.Merge(context.Background()) },
		"part": func(e *Engine) error { mergeDue(e, false); return e.merger.lastError() },
	} {
		for kinds, kindName := range map[vfstest.Op]string{vfstest.OpChange: "changes", opLook: "looks"} {
			for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
				t.Run(fmt.Sprintf("%s/%s/%v", name, kindName, cause), func(t *testing.T) {
					t.Parallel()
					fault := vfstest.Fault{Ops: kinds, Times: 1, Err: cause}
					for fault.Skip = 0; failMerge(t, base, maps.Clone(want), merge, fault); fault.Skip += every(1, 5) {
					}
				})
			}
		}
	}
}

// failMerge says whether there was an operation to fail.
func failMerge(t *testing.T, base *vfstest.FS, want map[string]string, merge func(*Engine) error, fault vfstest.Fault) bool {
	fs := base.Crash(vfstest.Everything())
	e := mustOpen(t, fs, faultOptions)
	struck := make(chan struct{}, 1)
	fault.Struck = struck
	remove := fs.Inject(fault)
	when := fmt.Sprintf("operation %d failed", fault.Skip)
	err := merge(e)
	settleHintFiles(e)
	remove()
	if err != nil && !errors.Is(err, fault.Err) {
		t.Fatalf("%s: merge: %v", when, err)
	}
	mustShow(t, e, want, when)
	if e.Err() != nil {
		// It was a write or sync of the log.
		e.Close()
		e = mustOpen(t, fs, faultOptions)
		mustShow(t, e, want, when+", reopened")
	}
	for i := range 30 {
		want[key(i*4)] = "written after " + valueOf(i)
		mustPut(t, e, key(i*4), want[key(i*4)])
	}
	mergeDue(e, false)
	if err := e.merger.lastError(); err != nil {
		t.Fatalf("%s: next merge: %v", when, err)
	}
	mustShow(t, e, want, when+", merged in part")
	crashed := fs.Crash(vfstest.Random(uint64(fault.Skip)))
	mustClose(t, e)
	for _, fs := range []*vfstest.FS{fs, crashed} {
		e = mustOpen(t, fs, faultOptions)
		mustShow(t, e, want, when+", reopened after a merge in part")
		mustMerge(t, e)
		mustShow(t, e, want, when+", merged")
		if d := e.Recovery().Damage; len(d) > 0 {
			t.Fatalf("%s: damage: %v", when, d)
		}
		mustClose(t, e)
	}
	return len(struck) > 0
}

// TestConformanceFailingOpenChangesNothing makes every single operation of an Open fail in turn.
func TestConformanceFailingOpenChangesNothing(t *testing.T) {
	t.Parallel()
	base, want := layered(t)
	for n := 0; ; n += every(1, 5) {
		fs := base.Crash(vfstest.Everything())
		struck := make(chan struct{}, 1)
		remove := fs.Inject(vfstest.Fault{Ops: opLook | vfstest.OpChange, Skip: n, Times: 1, Err: syscall.EIO, Struck: struck})
		o := faultOptions
		o.FS, o.MergeDisabled = fs, true
		e, err := Open(dataDir, o)
		remove()
		when := fmt.Sprintf("operation %d failed", n)
		if err != nil {
			var failed *IOError
			if !errors.As(err, &failed) || !errors.Is(err, syscall.EIO) {
				t.Fatalf("%s: open: %v", when, err)
			}
			e = mustOpen(t, fs, faultOptions)
		}
		mustShow(t, e, want, when)
		mustClose(t, e)
		if len(struck) == 0 {
			return
		}
	}
}

// TestConformanceFailingReadsAreNeverAbsence has reads fail at random. What is returned without an error is right, and an error is
// that of the read: a key is never absent, nor Unknown, because a disk did not answer once.
func TestConformanceFailingReadsAreNeverAbsence(t *testing.T) {
	t.Parallel()
	base, want := layered(t)
	eachSeed(t, 8, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 4))
		fs := base.Crash(vfstest.Everything())
		o := faultOptions
		o.CacheBytes = oneOf[int64](rng, -1, 0)
		e := mustOpen(t, fs, o)
		failed := 0
		// settle says whether an operation came through, and checks its error if not.
		settle := func(what string, err error) bool {
			var io *IOError
			if err != nil && (!errors.As(err, &io) || !errors.Is(err, syscall.EIO)) {
				t.Fatalf("%s: %v", what, err)
			}
			if err != nil {
				failed++
			}
			return err == nil
		}
		for range 600 {
			remove := fs.Inject(vfstest.Fault{Ops: vfstest.OpRead, Skip: rng.IntN(3) * rng.IntN(30), Times: 1, Err: syscall.EIO})
			k := key(rng.IntN(121))
			value, present := want[k]
			switch rng.IntN(5) {
			case 0:
				v, err := e.Get([]byte(k), nil)
				if absent := errors.Is(err, ErrNotFound); absent && present || !absent && settle("get", err) && string(v) != value {
					t.Fatalf("get %q: %.40q %v, want %.40q", k, v, err, value)
				}
			case 1:
				meta, err := e.Meta([]byte(k), nil)
				if absent := errors.Is(err, ErrNotFound); absent && present || !absent && settle("meta", err) && string(meta) != "m:"+k {
					t.Fatalf("meta %q: %.40q %v", k, meta, err)
				}
			case 2:
				err := e.Update([][]byte{[]byte(k)}, func(cur []Current, w *Writes) error {
					switch {
					case present != (cur[0].State == Present):
						t.Errorf("update of %q sees state %d, want %v", k, cur[0].State, present)
					case present && !cur[0].HasValue:
						return ErrNeedValues
					case string(cur[0].Value) != value:
						t.Errorf("update of %q sees %.40q, want %.40q", k, cur[0].Value, value)
					}
					return nil
				})
				settle("update", err)
			default:
				seen, r := 0, Range{Reverse: rng.IntN(2) == 0}
				var err error
				for rec, rerr := range e.Scan(r) {
					if err = rerr; err != nil {
						break
					}
					if seen++; string(rec.Value) != want[string(rec.Key)] {
						t.Fatalf("scan: %q has %.40q, want %.40q", rec.Key, rec.Value, want[string(rec.Key)])
					}
				}
				if settle("scan", err) && seen != len(want) {
					t.Fatalf("scan shows %d records without an error, want %d", seen, len(want))
				}
			}
			remove()
		}
		if failed == 0 {
			t.Fatal("no read failed")
		}
		mustShow(t, e, want, "afterwards")
		if s := e.Stats(); s.Damage > 0 || e.Err() != nil {
			t.Fatalf("failing reads were taken for damage: %+v, %v", s, e.Err())
		}
	})
}

// TestADiskThatOthersFillIsNoticedBeforeAWriteFails has a disk fill up that the store writes little to, or nothing.
func TestADiskThatOthersFillIsNoticedBeforeAWriteFails(t *testing.T) {
	for name, policy := range map[string]SyncPolicy{"always": SyncAlways, "never": SyncNever} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := vfstest.New()
				fs.SetCapacity(64 << 20)
				e := mustOpenMerging(t, fs, Options{Sync: policy, SegmentBytesMax: 1 << 20, ReserveBytes: 16 << 20})
				mustPut(t, e, "k", "1")
				fs.SetCapacity(1) // there is nothing left at all, not even in what files have
				mend := fs.Inject(vfstest.Fault{Ops: vfstest.OpWrite, Err: syscall.ENOSPC})
				time.Sleep(2 * spaceLookInterval)
				for i := range 100 {
					if err := e.Put([]byte(key(i)), make([]byte, 8<<10)); !errors.Is(err, ErrDiskFull) {
						t.Fatalf("put %d: %v", i, err)
					}
				}
				time.Sleep(2 * e.opts.IdleMergeAfter) // merges would make room, if they had some
				if err := e.Err(); err != nil {
					t.Fatal(err)
				}
				wantValue(t, e, "k", "1")
				mend()
				fs.SetCapacity(64 << 20)
				time.Sleep(2 * spaceLookInterval)
				mustPut(t, e, "k", "2")
				mustClose(t, e)
			})
		})
	}
}

// TestConformanceFullDisk fills a disk. Writes are refused before it is full, a merge makes room from the reserve, and writes
// are taken again; so they are when the disk grows.
func TestConformanceFullDisk(t *testing.T) {
	for name, policy := range map[string]SyncPolicy{"always": SyncAlways, "never": SyncNever} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := vfstest.New()
				const capacity, reserve = 40 << 20, 16 << 20
				fs.SetCapacity(capacity)
				e := mustOpen(t, fs, Options{Sync: policy, SegmentBytesMax: 4 << 20, ReserveBytes: reserve})
				value := []byte(strings.Repeat("v", 256<<10))
				fillUp := func() (n int) {
					t.Helper()
					for {
						err := e.Put([]byte(key(n%20)), append(value, fmt.Sprint(n)...))
						switch free, _ := fs.Free(dataDir); {
						case errors.Is(err, ErrDiskFull):
							return n
						case err != nil:
							t.Fatalf("put %d with %d bytes free: %v", n, free, err)
						}
						n++
					}
				}
				n := fillUp()
				if free, _ := fs.Free(dataDir); free >= reserve || free < reserve/4 {
					t.Fatalf("refused with %d bytes free, %d are reserved", free, reserve)
				}
				if err := e.Delete([]byte(key(0))); !errors.Is(err, ErrDiskFull) {
					t.Fatalf("delete on a full disk: %v", err)
				}
				wantValue(t, e, key((n-1)%20), string(value)+fmt.Sprint(n-1))
				mustMerge(t, e)
				wantValue(t, e, key((n-1)%20), string(value)+fmt.Sprint(n-1))
				time.Sleep(2 * spaceLookInterval) // of synctest's time
				if n = fillUp(); n < 20 {
					t.Fatalf("after a merge %d writes were taken", n)
				}
				fs.SetCapacity(2 * capacity)
				time.Sleep(2 * spaceLookInterval)
				if n = fillUp(); n < 20 {
					t.Fatalf("after the disk has grown %d writes were taken", n)
				}
				wantValue(t, e, key((n-1)%20), string(value)+fmt.Sprint(n-1))
				mustClose(t, e)
				// Opened on a full disk it refuses, too, and leads out in the same way.
				e = mustOpen(t, fs, Options{Sync: policy, SegmentBytesMax: 4 << 20, ReserveBytes: reserve})
				if err := e.Put([]byte("k"), nil); !errors.Is(err, ErrDiskFull) {
					t.Fatalf("put after opening on a full disk: %v", err)
				}
				mustMerge(t, e)
				time.Sleep(2 * spaceLookInterval)
				mustPut(t, e, "k", "v")
				mustClose(t, e)
			})
		})
	}
}
