package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestMergeWalkComesToWhatStays walks while keys come, go and change: each that is there all the time is come to once, in order, as it is or was.
func TestMergeWalkComesToWhatStays(t *testing.T) {
	for name, long := range map[string]int{"many in a step": 4, "as many as bytes allow": 240} {
		t.Run(name, func(t *testing.T) {
			const n = 4 * mergeWalkEntriesDefault
			name := func(i int) string { return fmt.Sprintf("%0*d", long, i) }
			e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever})
			for i := range n {
				if i%4 != 3 {
					mustPut(t, e, name(i), "old")
				}
			}
			walk, ok := e.index.walkForMerge(mergeWalkEntriesDefault, never)
			last, come := "", map[string]bool{}
			for steps := 0; ok; ok = walk.next() {
				en := walk.entry()
				key := string(en.key)
				if key <= last || string(en.meta) != "m:"+key && en.live() {
					t.Fatalf("%s with %q after %s", key, en.meta, last)
				}
				last, come[key] = key, true
				i := steps * 7919 % n
				switch steps++; i % 4 {
				case 0:
					mustPut(t, e, name(i), "new")
				case 1:
					mustDelete(t, e, name(i))
				case 3:
					mustPut(t, e, name(i), "first")
				}
			}
			for i := range n {
				if i%4 == 0 || i%4 == 2 {
					if !come[name(i)] {
						t.Errorf("%s was not come to", name(i))
					}
				}
			}
		})
	}
	e := mustOpen(t, vfstest.New(), Options{})
	if _, ok := e.index.walkForMerge(mergeWalkEntriesDefault, never); ok {
		t.Error("an empty index has an entry")
	}
	mustPut(t, e, strings.Repeat("k", 200), "v")
	if w, ok := e.index.walkForMerge(mergeWalkEntriesDefault, never); !ok || w.next() {
		t.Error("one key is not one")
	}
}

// never is a walk's pause that nothing ends.
func never() error { return nil }

func TestMergeWalkEndsThoughKeysComeBehindIt(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever})
	const n = 100
	for i := range n {
		mustPut(t, e, key(i), "v")
	}
	seen := 0
	for walk, ok := e.index.walkForMerge(7, never); ok; ok = walk.next() {
		mustPut(t, e, key(n+seen), "v")
		if seen++; seen > 2*n {
			t.Fatalf("%d keys were come to, of %d", seen, n)
		}
	}
	if seen != n {
		t.Errorf("%d keys were come to, of %d", seen, n)
	}
	enough := errors.New("enough")
	walk, ok := e.index.walkForMerge(3, func() error { return enough })
	for seen = 0; ok; seen++ {
		ok = walk.next()
	}
	if seen != 3 || walk.err != enough {
		t.Errorf("it ended after %d keys with %v", seen, walk.err)
	}
}

// TestMergeHoldsNoView: writers would copy what a view sees.
func TestMergeHoldsNoView(t *testing.T) {
	e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever})
	overwrite := func() {
		for i := range 30_000 {
			mustPut(t, e, key(i), "v")
		}
	}
	overwrite()
	overwrite()
	grown := func() (bytes int64) {
		before := e.Stats().IndexBytes
		overwrite()
		return e.Stats().IndexBytes - before
	}
	if err := e.writer.sealActive(); err != nil {
		t.Fatal(err)
	}
	byMerge, paces := int64(0), 0
	err := e.mergeNow(e.planSegments(true), func(int64) error {
		if paces++; paces == 3 {
			byMerge = grown()
		}
		return nil
	})
	if err != nil || paces < 3 {
		t.Fatalf("merge: %v, after %d paces", err, paces)
	}
	overwrite()
	v := e.index.view()
	defer v.release()
	if byView := grown(); byMerge > byView/4 {
		t.Errorf("the index grew by %d bytes beside a merge, by %d beside a view", byMerge, byView)
	}
}

// TestWhatComesDuringAMergeIsDurableWithIt has keys overwritten, deleted and put before and behind a merge that is under way, and then the power fail.
func TestWhatComesDuringAMergeIsDurableWithIt(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		fs := vfstest.New()
		e := mustOpen(t, fs, Options{Sync: SyncNever, mergeWalkEntries: 3})
		const n = 60
		for i := range n {
			mustPut(t, e, key(i), "first")
		}
		mergeSegmentsNow(t, e, false)
		for i := range n / 2 {
			mustPut(t, e, key(2*i), "second")
		}
		if err := e.writer.sealActive(); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		step := func() {
			switch k := key(rng.IntN(n + 10)); rng.IntN(3) {
			case 0:
				mustDelete(t, e, k)
				want[k] = "-"
			default:
				mustPut(t, e, k, fmt.Sprint("third ", seed))
				want[k] = fmt.Sprint("third ", seed)
			}
		}
		for _, choose := range []func() plan{func() plan { return e.planSegments(true) }, e.planAllRuns} {
			p := e.merger.claim(choose)
			steps := 0
			err := e.mergeAndCount(p, func(int64) error {
				if e.merger.finishing.TryLock() { // else the log has been synced
					e.merger.finishing.Unlock()
					step()
					steps++
				}
				return nil
			})
			e.merger.release(&p)
			if err != nil || steps < 2 {
				t.Fatalf("merge: %v, after %d steps", err, steps)
			}
		}
		for i := range n {
			if _, ok := want[key(i)]; !ok {
				want[key(i)] = map[bool]string{true: "second", false: "first"}[i%2 == 0]
			}
		}
		for k, v := range want {
			wantValue(t, e, k, v)
		}
		after := mustOpen(t, fs.Crash(vfstest.Nothing()), Options{})
		for k, v := range want {
			wantValue(t, after, k, v)
		}
		mustClose(t, after)
		mustClose(t, e)
	}
}
