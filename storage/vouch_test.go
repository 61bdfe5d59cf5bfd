package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// TestVouchEndsWhatIsUnknown damages a store in ways that leave unknown which keys are lost, writes what was lost from another copy, and
// vouches for it: the store is then as it was, now and after an Open.
func TestVouchEndsWhatIsUnknown(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, fs *vfstest.FS, e *Engine){
		"a segment without hint file": func(t *testing.T, fs *vfstest.FS, e *Engine) {
			path, en := placeOf(t, e, key(70))
			mustClose(t, e)
			mustDamage(t, fs, path, int64(en.Offset)+int64(en.Length)/2, 1)
			_ = fs.Remove(strings.TrimSuffix(path, segmentSuffix) + hintFileSuffix)
		},
		"a block of a run": func(t *testing.T, fs *vfstest.FS, e *Engine) {
			path := e.index.runs()[0].path
			mustClose(t, e)
			mustDamage(t, fs, path, 300, 4)
		},
		"the end of a run": func(t *testing.T, fs *vfstest.FS, e *Engine) {
			r := e.index.runs()[0]
			path, size := r.path, r.reader.Size()
			mustClose(t, e)
			mustDamage(t, fs, path, size-20, 8)
		},
	} {
		t.Run(name, func(t *testing.T) {
			fs, o := vfstest.New(), Options{CacheBytes: -1, BlockBytes: 256}
			e := mustOpen(t, fs, o)
			model := map[string]string{}
			put := func(from, to int) {
				for i := from; i < to; i++ {
					model[key(i)] = fmt.Sprint("value ", i, strings.Repeat("x", 50))
					mustPut(t, e, key(i), model[key(i)])
				}
			}
			put(0, 60)
			mustMerge(t, e)
			put(60, 90)
			damage(t, fs, e)
			e = mustOpen(t, fs, o)
			lost := 0
			for k, v := range model {
				if got(t, e, k) != v {
					lost++
					mustPut(t, e, k, v)
				}
			}
			if lost == 0 {
				t.Fatal("nothing is unknown")
			}
			if err := e.Vouch(context.Background(), e.Stats().Damage); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				mustShow(t, e, model, "vouched for")
				wantValue(t, e, "absent", "-")
				if s := e.Stats(); s.UnknownAll || s.Damage > 0 {
					t.Errorf("unknown %v, damage %d", s.UnknownAll, s.Damage)
				}
				mustClose(t, e)
				e = mustOpen(t, fs, o)
			}
		})
	}
}

// TestVouchThatIsCutOffLeavesWhatWasUnknown loses power in the middle.
func TestVouchThatIsCutOffLeavesWhatWasUnknown(t *testing.T) {
	for after := range 12 {
		fs, o := vfstest.New(), Options{CacheBytes: -1}
		e := mustOpen(t, fs, o)
		for i := range 50 {
			mustPut(t, e, key(i), "v")
		}
		path, en := placeOf(t, e, key(20))
		mustClose(t, e)
		mustDamage(t, fs, path, int64(en.Offset)+int64(en.Length)/2, 1)
		e = mustOpen(t, fs, o)
		mustPut(t, e, key(20), "again")
		fs.CrashAfter(after)
		err := e.Vouch(context.Background(), e.Stats().Damage)
		_ = e.Close()
		if fs = fs.Crash(vfstest.Random(uint64(after))); err == nil {
			continue
		}
		e = mustOpen(t, fs, o)
		if v := got(t, e, key(20)); v != "again" {
			t.Errorf("crash after %d: %q was acknowledged", after, v)
		}
		if err := e.Vouch(context.Background(), e.Stats().Damage); err != nil {
			t.Fatalf("crash after %d: again: %v", after, err)
		}
		wantValue(t, e, key(20), "again")
		wantValue(t, e, key(30), "v")
		wantValue(t, e, "absent", "-")
	}
}

// TestVouchLeavesDamageAloneThatIsNotKnown has one block of a run damaged before and one after the caller has looked.
func TestVouchLeavesDamageAloneThatIsNotKnown(t *testing.T) {
	fs, o := vfstest.New(), Options{CacheBytes: -1, BlockBytes: 256}
	e := mustOpen(t, fs, o)
	for i := range 200 {
		mustPut(t, e, key(i), strings.Repeat("x", 50))
	}
	mustMerge(t, e)
	path := e.index.runs()[0].path
	mustDamage(t, fs, path, 300, 1)
	contents(t, e) // which comes upon it
	seen := e.Stats().Damage
	mustDamage(t, fs, path, 6000, 1)
	if err := e.Vouch(context.Background(), seen); !isCorrupt(err) {
		t.Errorf("vouched for what was found by the merge: %v", err)
	}
	if err := e.Vouch(context.Background(), seen); !errors.Is(err, ErrMoreDamage) {
		t.Errorf("vouched for what was found since: %v", err)
	}
	unknown := 0
	for i := range 200 {
		if got(t, e, key(i)) == "?" {
			unknown++
		}
	}
	if unknown == 0 {
		t.Error("what nobody has vouched for is absent")
	}
}

// TestVouchSaysThatThereIsNoRoom has a disk with room for a merge of the young run only, not of the damaged one.
func TestVouchSaysThatThereIsNoRoom(t *testing.T) {
	fs, o := vfstest.New(), Options{CacheBytes: -1, BlockBytes: 256, ReserveBytes: -1}
	e := mustOpen(t, fs, o)
	value := strings.Repeat("x", 4<<10)
	for i := range 100 {
		mustPut(t, e, key(i), value)
	}
	mustMerge(t, e)
	path := e.index.runs()[0].path
	mustClose(t, e)
	mustDamage(t, fs, path, 300, 4)
	e = mustOpen(t, fs, o)
	mustPut(t, e, "young", "1")
	wantValue(t, e, key(0), "?")
	mustPut(t, e, key(0), value)
	damage := e.Stats().Damage
	used := diskBytes(t, fs)
	fs.SetCapacity(used + 100<<10)
	var full *SpaceError
	for range 2 {
		if err := e.Vouch(t.Context(), damage); !errors.As(err, &full) || full.NeedBytes <= full.FreeBytes {
			t.Fatalf("got %v", err)
		}
		if got := e.Stats().Damage; got != damage {
			t.Fatalf("damage %d after a merge without room, was %d", got, damage)
		}
	}
	if err := e.Merge(t.Context()); !errors.As(err, &full) {
		t.Errorf("a merge of all without room: %v", err)
	}
	fs.SetCapacity(10 * used)
	if err := e.Vouch(t.Context(), damage); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantValue(t, e, key(0), value)
		wantValue(t, e, "young", "1")
		if s := e.Stats(); s.Damage > 0 || s.UnknownAll {
			t.Errorf("unknown %v, damage %d", s.UnknownAll, s.Damage)
		}
		mustClose(t, e)
		e = mustOpen(t, fs, o)
	}
	mustClose(t, e)
}

// diskBytes is how much of its disk a file system uses.
func diskBytes(t *testing.T, fs *vfstest.FS) int64 {
	t.Helper()
	fs.SetCapacity(math.MaxInt64)
	free, err := fs.Free(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	return math.MaxInt64 - free
}
