package storage

import (
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// freshFixture shows groups in an index without an engine.
type freshFixture struct {
	t   *testing.T
	x   *index
	seg *segment
	seq uint64
}

func newFreshFixture(t *testing.T) *freshFixture {
	log := newSegmentLog()
	f := &freshFixture{t: t, x: newIndex(log, 1), seg: newSegment(dataDir, engineID{}, 1, 1), seq: 1}
	f.x.freezeFrom = math.MaxInt // but for tests of it
	t.Cleanup(f.x.close)
	return f
}

// show shows a group of puts, and of deletes where a key has a minus in front, and returns it. Nobody but its changes holds it.
func (f *freshFixture) show(keys ...string) *group {
	g := new(groupPool).get()
	g.begin(f.seg, int64(f.seq)*100, false)
	w := &Writes{limits: limits{100, 100, 1000}}
	for _, key := range keys {
		w.reset()
		if key[0] == '-' {
			w.Delete([]byte(key[1:]))
		} else {
			w.Put([]byte(key), []byte("m"+strconv.Itoa(int(f.seq))), nil)
		}
		g.encode(w, f.seq)
		f.seq++
	}
	f.x.publish(g, nil)
	g.release()
	return g
}

// want is the number of a key's record; zero is that of a deleted one that is known as such, -1 that of one that is not known.
func (f *freshFixture) want(key string, seq int64) {
	f.t.Helper()
	en, _, ok := f.x.find([]byte(key), nil, true)
	switch {
	case ok != (seq >= 0), ok && en.live() != (seq > 0):
		f.t.Errorf("%q is known %v, live %v, want %d", key, ok, en.live(), seq)
	case seq > 0 && (en.Seq != uint64(seq) || string(en.meta) != "m"+strconv.FormatInt(seq, 10)):
		f.t.Errorf("%q is %d with meta %q, want %d", key, en.Seq, en.meta, seq)
	}
}

func TestWhatIsShownIsFoundBeforeItIsAbsorbedAndAfter(t *testing.T) {
	f := newFreshFixture(t)
	first := f.show("a", "b", "c", "a")
	f.show("-b", "c")
	f.want("a", 4)
	f.want("b", 0)
	f.want("c", 6)
	f.want("d", -1)
	if n := f.x.entries(); n != 0 {
		t.Errorf("%d entries are absorbed already", n)
	}
	f.x.absorb()
	f.want("a", 4)
	f.want("b", -1) // there is nothing left that the tombstone hides
	f.want("c", 6)
	if f.x.anyFresh() || f.x.entries() != 2 {
		t.Errorf("%d entries, fresh %v; want 2", f.x.entries(), f.x.anyFresh())
	}
	if n := first.holders.Load(); n != 0 {
		t.Errorf("%d hold a group that is absorbed", n)
	}
}

func TestWhoLocksOrLooksAtAllHasWhatIsFreshAbsorbed(t *testing.T) {
	for name, do := range map[string]func(f *freshFixture){
		"view": func(f *freshFixture) {
			v := f.x.view()
			defer v.release()
			n := 0
			for w, ok := v.walk(&Range{}, nil); ok; ok = w.next() {
				n++
			}
			if n != 2 {
				f.t.Errorf("a view has %d keys, want 2", n)
			}
		},
		"usage": func(f *freshFixture) {
			if u := f.x.usage(); u.keys != 2 {
				f.t.Errorf("%d keys, want 2", u.keys)
			}
		},
		"flag": func(f *freshFixture) {
			en, _ := f.x.get([]byte("a"))
			if !f.x.flag(&en, flagUnreadable) {
				f.t.Error("not flagged")
			}
			if en, _ := f.x.get([]byte("a")); en.Flags&flagUnreadable == 0 {
				f.t.Error("the flag is gone")
			}
		},
		"forget": func(f *freshFixture) {
			f.x.forget([]byte("a"), 1)
			f.want("a", -1)
		},
		"merge": func(f *freshFixture) {
			f.x.beginMerge()
			defer f.x.endMerge()
			if n := f.x.entries(); n != 2 {
				f.t.Errorf("a merge begins with %d keys, want 2", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFreshFixture(t)
			f.show("a", "b")
			do(f)
		})
	}
}

func TestABatchIsNotShownChangeByChange(t *testing.T) {
	f := newFreshFixture(t)
	g := new(groupPool).get()
	g.begin(f.seg, 100, false)
	w := &Writes{limits: limits{100, 100, 1000}}
	w.Put([]byte("a"), []byte("m1"), nil)
	w.Put([]byte("b"), []byte("m2"), nil)
	g.encode(w, 1)
	f.x.publish(g, nil)
	if f.x.anyFresh() || f.x.entries() != 2 {
		t.Errorf("fresh %v, %d entries", f.x.anyFresh(), f.x.entries())
	}
	f.want("a", 1)
	f.want("b", 2)
}

// TestManyWritersFindWhatTheyWrote has so many at once that groups are shown, and goes on until one of them was seen in that state.
func TestManyWritersFindWhatTheyWrote(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{Sync: SyncAlways})
	const writers, rounds = 4 * showFromDefault, 40
	var shown atomic.Bool
	for began := time.Now(); !shown.Load() && time.Since(began) < 10*time.Second; {
		var running sync.WaitGroup
		for w := range writers {
			running.Go(func() {
				key := fmt.Sprintf("key %d", w)
				for i := range rounds {
					value := strconv.Itoa(i)
					mustPut(t, e, key, value)
					shown.Store(shown.Load() || e.index.anyFresh())
					if v := got(t, e, key); v != value {
						t.Errorf("%s is %s, want %s", key, v, value)
					}
					if i%8 == w%8 {
						e.index.view().release()
					}
				}
			})
		}
		running.Wait()
	}
	if !shown.Load() {
		t.Error("no group was shown")
	}
	mustClose(t, e)
	if e.index.anyFresh() {
		t.Error("something is fresh after Close")
	}
}

func TestAShardKeepsFewFreshChanges(t *testing.T) {
	f := newFreshFixture(t)
	keys := make([]string, 3*freshMax*len(f.x.shards))
	for i := range keys {
		keys[i] = fmt.Sprintf("key %d", i)
	}
	f.show(keys...)
	for i := range f.x.shards {
		if n := f.x.shards[i].fresh.len(); n > freshMax {
			t.Errorf("%d changes are fresh, want at most %d", n, freshMax)
		}
	}
	for i, key := range keys {
		f.want(key, int64(i+1))
	}
	// A list that is never empty does not grow.
	for range 10 * freshMax {
		f.show("a", "a")
		s := f.x.shard(run.Hash([]byte("a")))
		s.mu.Lock()
		s.absorb(f.x, 2)
		if n := len(s.fresh.hashes); n > 3*freshMax {
			t.Fatalf("the list has %d places for %d changes", n, s.fresh.len())
		}
		s.mu.Unlock()
		f.want("a", int64(f.seq-1))
	}
}
