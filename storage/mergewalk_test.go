package storage

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestMergeWalkComesToWhatStays walks while keys come, go and change: each that is there all the time is come to once, in order, as it is or was.
func TestMergeWalkComesToWhatStays(t *testing.T) {
	for name, long := range map[string]int{"many in a step": 4, "as many as bytes allow": 240} {
		t.Run(name, func(t *testing.T) {
			const n = 4 * mergeWalkEntries
			name := func(i int) string { return fmt.Sprintf("%0*d", long, i) }
			e := mustOpen(t, vfstest.New(), Options{Sync: SyncNever})
			for i := range n {
				if i%4 != 3 {
					mustPut(t, e, name(i), "old")
				}
			}
			walk, ok := e.index.walkForMerge()
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
	if _, ok := e.index.walkForMerge(); ok {
		t.Error("an empty index has an entry")
	}
	mustPut(t, e, strings.Repeat("k", 200), "v")
	if w, ok := e.index.walkForMerge(); !ok || w.next() {
		t.Error("one key is not one")
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
	walk, ok := e.index.walkForMerge()
	if n := grown(); !ok || n > 0 {
		t.Errorf("the index grew by %d bytes", n)
	}
	if !walk.next() {
		t.Error("no second key")
	}
	v := e.index.view()
	defer v.release()
	if n := grown(); n <= 0 {
		t.Error("not even a view has it grow: the test proves nothing")
	}
}
