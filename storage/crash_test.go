package storage

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

var crashSeed = flag.Uint64("crash.seed", 0, "run the crash tests with this seed only")

// history is a deterministic sequence of operations with what it should leave behind: a model of the store.
type history struct {
	rng *rand.Rand
	// acked is what every acknowledged operation has left. pending is the one operation whose outcome is not known.
	acked   map[string]string
	pending map[string]string
	ops     int
	// merged says that the last operation was a merge of everything, which makes all before it durable.
	merged bool
}

func newHistory(seed uint64) *history {
	return &history{rng: rand.New(rand.NewPCG(seed, 1)), acked: map[string]string{}}
}

const historyKeys = 12

// step does one random operation and says whether it was acknowledged.
func (h *history) step(e *Engine) error {
	h.ops++
	h.merged = false
	changes := map[string]string{}
	var err error
	some := func() string { return key(h.rng.IntN(historyKeys)) }
	value := func() string { return fmt.Sprintf("v%d-%s", h.ops, strings.Repeat("x", h.rng.IntN(900))) }
	switch h.rng.IntN(8) {
	case 7:
		// What a merge in the background would do now, at a time that the seed knows.
		mergeDue(e, false)
		if e.Err() != nil {
			err = e.Err()
		}
	case 6:
		err = e.Merge(context.Background())
		h.merged = err == nil
		if e.Err() == nil && !errors.Is(err, vfstest.ErrCrashed) {
			err = nil // a merge that fails leaves everything as it is
		}
	case 0, 1:
		k, v := some(), value()
		changes[k] = v
		h.pending = changes
		err = e.PutMeta([]byte(k), []byte(cutMeta("m:"+v)), []byte(v))
	case 2:
		k := some()
		changes[k] = ""
		h.pending = changes
		err = e.Delete([]byte(k))
	case 3, 4:
		var b Batch
		for range 2 + h.rng.IntN(4) {
			k, v := some(), value()
			if h.rng.IntN(4) == 0 {
				b.Delete([]byte(k))
				v = ""
			} else {
				b.PutMeta([]byte(k), []byte(cutMeta("m:"+v)), []byte(v))
			}
			changes[k] = v
		}
		h.pending = changes
		err = e.Apply(&b)
	case 5:
		k, v := some(), value()
		h.pending = changes
		err = e.Update([][]byte{[]byte(k)}, func(cur []Current, w *Writes) error {
			if cur[0].State == Present && !cur[0].HasValue {
				return ErrNeedValues
			}
			if want := h.acked[k]; string(cur[0].Value) != want {
				return fmt.Errorf("update of %q saw %.40q, want %.40q", k, cur[0].Value, want)
			}
			changes[k] = v + string(cur[0].Value[:min(len(cur[0].Value), 10)])
			w.Put([]byte(k), []byte(cutMeta("m:"+changes[k])), []byte(changes[k]))
			return nil
		})
	}
	if err != nil {
		return err
	}
	apply(h.acked, changes)
	h.pending = nil
	return nil
}

func apply(to, changes map[string]string) {
	for k, v := range changes {
		if v == "" {
			delete(to, k)
		} else {
			to[k] = v
		}
	}
}

// check compares what an engine holds with what it may hold: all that was acknowledged, and all or nothing of the
// pending operation, which is settled by this.
func (h *history) check(t testing.TB, e *Engine) {
	t.Helper()
	have := contents(t, e)
	with := maps.Clone(h.acked)
	apply(with, h.pending)
	switch {
	case maps.Equal(have, h.acked):
	case h.pending != nil && maps.Equal(have, with):
		h.acked = with
	default:
		t.Fatalf("after %d operations the store holds\n%s\nwant\n%s\nperhaps with\n%s", h.ops, show(have), show(h.acked), show(h.pending))
	}
	h.pending = nil
	for i := range historyKeys {
		k := key(i)
		if value := got(t, e, k); value != cmpOr(h.acked[k], "-") {
			t.Fatalf("get %q: %.40q, want %.40q", k, value, h.acked[k])
		}
		meta, err := e.Meta([]byte(k), nil)
		if want := h.acked[k]; want == "" != errors.Is(err, ErrNotFound) || want != "" && string(meta) != cutMeta("m:"+want) {
			t.Fatalf("meta %q: %.40q %v", k, meta, err)
		}
	}
	if d := e.Recovery().Damage; len(d) > 0 {
		t.Fatalf("a crash was taken for damage: %v", d)
	}
}

func cutMeta(s string) string { return s[:min(len(s), MetaBytesMax)] }

func cmpOr(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

func show(m map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "  %s=%.20s(%d)\n", k, m[k], len(m[k]))
	}
	return b.String()
}

// crashOptions make small segments, so that rolls and hint files are among what crashes interrupt, and have each sealed segment
// merged that a merge in the background sees.
func crashOptions(fs *vfstest.FS, policy SyncPolicy) Options {
	return bucketsBy(100, Options{
		FS: fs, Sync: policy, SegmentBytesMax: segmentBytesLeast, BlockBytes: 512, IndexBytesMax: 1, MergeBytesPerSecond: -1,
		MergeDisabled: true, mergeWalkEntries: 3,
	})
}

// run opens the store and does operations until one fails, n are done, or the power is gone.
func (h *history) run(o Options, n int) error {
	e, err := Open(dataDir, o)
	if err != nil {
		return err
	}
	for range n {
		if err = h.step(e); err != nil {
			break
		}
		settleHintFiles(e)
	}
	return errors.Join(err, e.Close())
}

// reopen opens what a crash left, losing power again at a random point in between, as often as it happens.
func reopen(t *testing.T, fs *vfstest.FS, rng *rand.Rand, o Options) (*vfstest.FS, *Engine) {
	t.Helper()
	for {
		if rng.IntN(2) == 0 {
			fs.CrashAfter(rng.IntN(6))
		}
		o.FS = fs
		e, err := Open(dataDir, o)
		if err == nil && !fs.Crashed() {
			fs.CrashAfter(math.MaxInt32)
			return fs, e
		}
		if err == nil {
			e.Close()
		} else if !errors.Is(err, vfstest.ErrCrashed) {
			t.Fatalf("open after a crash: %v", err)
		}
		fs = fs.Crash(vfstest.Random(rng.Uint64()))
	}
}

// TestCrashAnywhereKeepsAcknowledgedWrites loses power at every change of the file system in a history, with what was
// not synced kept, dropped or torn at random, again and again during recovery, and then goes on.
func TestCrashAnywhereKeepsAcknowledgedWrites(t *testing.T) {
	seeds := []uint64{1, 2, 3, 4}
	if testing.Short() {
		seeds = seeds[:1]
	}
	if *crashSeed != 0 {
		seeds = []uint64{*crashSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("crash.seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			for point := 0; ; point++ {
				fs, h := vfstest.New(), newHistory(seed)
				fs.CrashAfter(point)
				err := h.run(crashOptions(fs, SyncAlways), 40)
				if err == nil {
					if point < 80 {
						t.Fatalf("only %d crash points", point)
					}
					return
				}
				if !errors.Is(err, vfstest.ErrCrashed) {
					t.Fatalf("crash point %d: %v", point, err)
				}
				if !survives(t, fs, h, crashOptions(nil, SyncAlways), rand.New(rand.NewPCG(seed, uint64(point)))) {
					t.Fatalf("replay with -crash.seed=%d, crash point %d", seed, point)
				}
			}
		})
	}
}

// survives checks one crash, and that the store can be used and crashed again.
func survives(t *testing.T, fs *vfstest.FS, h *history, o Options, rng *rand.Rand) bool {
	for range 2 {
		var e *Engine
		fs, e = reopen(t, fs.Crash(vfstest.Random(rng.Uint64())), rng, o)
		h.check(t, e)
		for range 6 {
			if h.step(e) != nil {
				break
			}
			settleHintFiles(e)
		}
		e.Close()
	}
	return !t.Failed()
}

// TestCrashCheckerNoticesALostWrite plants the bug that the crash tests look for: an engine that acknowledges before
// it syncs.
func TestCrashCheckerNoticesALostWrite(t *testing.T) {
	fs, h := vfstest.New(), newHistory(1)
	e, err := Open(dataDir, crashOptions(fs, SyncNever))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	for range 5 {
		if err := h.step(e); err != nil {
			t.Fatal(err)
		}
	}
	after, err := Open(dataDir, crashOptions(fs.Crash(vfstest.Nothing()), SyncNever))
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if maps.Equal(contents(t, after), h.acked) {
		t.Error("nothing was lost without a sync: the crash test would pass for any engine")
	}
}

// TestCrashUnderConcurrentWritersKeepsAcknowledgedWrites loses power while groups of many writers are under way.
func TestCrashUnderConcurrentWritersKeepsAcknowledgedWrites(t *testing.T) {
	points := 100
	if testing.Short() {
		points = 25
	}
	for point := range points {
		fs := vfstest.New()
		o := crashOptions(fs, SyncAlways)
		o.MergeDisabled = point%2 == 0
		e, err := Open(dataDir, o)
		if err != nil {
			t.Fatal(err)
		}
		fs.CrashAfter(point)
		// Each writer has keys of its own, and notes the last value that was acknowledged and the last one tried.
		const writers = 6
		var acked, tried [writers]int
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for {
					var b Batch
					for _, half := range []string{"a", "b"} {
						b.Put(fmt.Appendf(nil, "%d%s", w, half), fmt.Append(nil, tried[w]+1))
					}
					tried[w]++
					if e.Apply(&b) != nil {
						return
					}
					acked[w] = tried[w]
				}
			})
		}
		wg.Wait()
		e.Close()
		after, err := Open(dataDir, crashOptions(fs.Crash(vfstest.Random(uint64(point))), SyncAlways))
		if err != nil {
			t.Fatalf("crash point %d: %v", point, err)
		}
		have := contents(t, after)
		for w := range writers {
			a, b := have[fmt.Sprintf("%da", w)], have[fmt.Sprintf("%db", w)]
			n, _ := strconv.Atoi(a)
			if a != b || n < acked[w] || n > tried[w] {
				t.Errorf("crash point %d: writer %d has %q and %q, acknowledged %d, tried %d", point, w, a, b, acked[w], tried[w])
			}
		}
		if d := after.Recovery().Damage; len(d) > 0 {
			t.Errorf("crash point %d: taken for damage: %v", point, d)
		}
		after.Close()
	}
}

// TestCrashWithoutSyncKeepsAPrefix loses power under the lax policies: what is left is what some prefix of the
// operations had made, no batch in part, nothing older beside something newer.
func TestCrashWithoutSyncKeepsAPrefix(t *testing.T) {
	points := 160
	if testing.Short() {
		points = 30
	}
	for point := range points {
		seed := cmpSeed(*crashSeed, uint64(point))
		fs, h := vfstest.New(), newHistory(seed)
		e, err := Open(dataDir, crashOptions(fs, SyncNever))
		if err != nil {
			t.Fatal(err)
		}
		states := []map[string]string{{}}
		for range 30 {
			if err := h.step(e); err != nil {
				t.Fatal(err)
			}
			settleHintFiles(e)
			states = append(states, maps.Clone(h.acked))
		}
		if point%2 == 1 {
			// In the middle of a close, or of the roll that comes next.
			fs.CrashAfter(point / 2 % 4)
			e.Close()
		}
		after, err := Open(dataDir, crashOptions(fs.Crash(vfstest.Random(seed)), SyncNever))
		if err != nil {
			t.Fatal(err)
		}
		have := contents(t, after)
		if !slices.ContainsFunc(states, func(s map[string]string) bool { return maps.Equal(s, have) }) {
			t.Errorf("-crash.seed=%d: what is left is no prefix:\n%s", seed, show(have))
		}
		if d := after.Recovery().Damage; len(d) > 0 {
			t.Errorf("-crash.seed=%d: a crash was taken for damage: %v", seed, d)
		}
		after.Close()
		e.Close()
	}
}

func cmpSeed(fixed, or uint64) uint64 {
	if fixed != 0 {
		return fixed
	}
	return or
}

// TestFailureAnywhereTurnsReadOnly makes every single write, sync and name change fail in turn. The engine must
// refuse further writes, serve what was acknowledged, and hold all of it after a reopen.
func TestFailureAnywhereTurnsReadOnly(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, short := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/short=%v", cause, short), func(t *testing.T) {
				t.Parallel()
				step := 1
				if testing.Short() {
					step = 7
				}
				for n := 0; failOnce(t, n, cause, short); n += step {
				}
			})
		}
	}
}

// failOnce runs a history with the n-th change failing, and says whether there was one.
func failOnce(t *testing.T, n int, cause error, short bool) bool {
	fs, h := vfstest.New(), newHistory(7)
	fs.Inject(vfstest.Fault{Ops: vfstest.OpChange, Skip: n, Times: 1, Err: cause, Short: short})
	e, err := Open(dataDir, crashOptions(fs, SyncAlways))
	if err != nil {
		if !errors.Is(err, cause) {
			t.Fatalf("change %d: open: %v", n, err)
		}
		e, err = Open(dataDir, crashOptions(fs, SyncAlways))
		if err != nil {
			t.Fatalf("change %d: second open: %v", n, err)
		}
	}
	steps := 0
	for ; steps < 40; steps++ {
		if err = h.step(e); err != nil {
			break
		}
		settleHintFiles(e)
	}
	if err != nil {
		checkReadOnly(t, e, h, err, cause, n)
	}
	err = e.Close()
	struck := fs.Changes() > n
	if err != nil && !errors.Is(err, cause) {
		t.Fatalf("change %d: close: %v", n, err)
	}
	after, err := Open(dataDir, crashOptions(fs.Crash(vfstest.Random(uint64(n))), SyncAlways))
	if err != nil {
		t.Fatalf("change %d: reopen: %v", n, err)
	}
	h.check(t, after)
	mustClose(t, after)
	return struck
}

func checkReadOnly(t *testing.T, e *Engine, h *history, err, cause error, n int) {
	t.Helper()
	var io *IOError
	if !errors.As(err, &io) || !errors.Is(err, cause) {
		t.Fatalf("change %d: failed write says %v", n, err)
	}
	if err := e.Put([]byte("x"), nil); !errors.Is(err, ErrReadOnly) || !errors.Is(err, cause) {
		t.Fatalf("change %d: write to a failed engine says %v", n, err)
	}
	if e.Err() == nil || e.Stats().ReadOnly == "" {
		t.Fatalf("change %d: engine does not say that it is read-only", n)
	}
	if have := contents(t, e); !maps.Equal(have, h.acked) {
		t.Fatalf("change %d: failed engine serves\n%s\nwant\n%s", n, show(have), show(h.acked))
	}
}
