package antientropy

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

const treesPath = "/trees"

var savedMark = LogMark{LastSeq: 0x0a0b0c, ID: [16]byte{0: 1, 15: 16}}

// savedForest has two trees of three partitions, under different rules; the third is not saved, for it is poisoned.
func savedForest(t fataler) *Forest {
	t.Helper()
	f := newForest(t, ForestOptions{Partitions: 3})
	s := newFakeStore(f.Observe)
	for i, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		sibling := live(0xa1, causal.Timestamp(i+1)<<16)
		sibling.Tombstone = i%2 == 0
		s.set(key, metaOf(nil, sibling))
	}
	s.set("expiring", metaOf(nil, expiring(0xb2, 1<<16, 1_700_000_000_000)))
	rules := []Rule{{}, {Stable: causal.Vector{{Actor: 0xa1, Time: 3 << 16}, {Actor: 0xb2, Time: 1}}, Expired: 1_600_000_000_000}, {}}
	if err := f.Rebuild(t.(testing.TB).Context(), s, allPartitions(f), func(p ring.PartitionID) Rule { return rules[p] }); err != nil {
		t.Fatalf("%v", err)
	}
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		if p, _ := f.LeafOf([]byte(key)); p == 2 {
			f.Poison([]byte(key))
		}
	}
	return f
}

func goldenPath(name string) string { return filepath.Join("testdata", name) }

func TestFileFormatIsTheOneThatWasReleased(t *testing.T) {
	got := savedForest(t).appendTrees(nil, savedMark)
	if *update {
		if err := os.WriteFile(goldenPath("trees.hex"), []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(goldenPath("trees.hex"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the format has changed (%v)\ngot  %x…", err, got[:min(len(got), 128)])
	}
}

func mustSave(t testing.TB, f *Forest, fsys vfs.FS) {
	t.Helper()
	if err := f.Save(fsys, treesPath, savedMark); err != nil {
		t.Fatal(err)
	}
}

func TestSavedTreesStandAgain(t *testing.T) {
	fsys, f := vfstest.New(), savedForest(t)
	mustSave(t, f, fsys)
	g := newForest(t, ForestOptions{Partitions: 3})
	if n, err := g.Load(fsys, treesPath, savedMark); n != 2 || err != nil {
		t.Fatalf("%d trees stand, %v", n, err)
	}
	for _, p := range []ring.PartitionID{0, 1} {
		before, _ := f.under(p)
		if rule, ok := g.under(p); !ok || !rule.Equal(before) || g.Stats(p) != f.Stats(p) || leavesOf(t, g, p) != leavesOf(t, f, p) {
			t.Errorf("partition %d came back under %v as %+v", p, rule, g.Stats(p))
		}
	}
	if g.Stands(2) {
		t.Error("a poisoned tree stands again")
	}
	if n, err := g.Load(fsys, treesPath, savedMark); n != 0 || err != nil {
		t.Errorf("a file was used twice: %d trees, %v", n, err)
	}
}

// TestFileThatDoesNotBelongIsIgnoredAndGone has the log at another place, other partitions, and damage.
func TestFileThatDoesNotBelongIsIgnoredAndGone(t *testing.T) {
	good := savedForest(t).appendTrees(nil, savedMark)
	other := savedMark
	other.ID[3]++
	for name, c := range map[string]struct {
		partitions int
		mark       LogMark
		data       []byte
	}{
		"a longer log":          {3, LogMark{savedMark.LastSeq + 1, savedMark.ID}, good},
		"another log":           {3, other, good},
		"other partitions":      {4, savedMark, good},
		"a flipped bit":         {3, savedMark, patched(good, 200, good[200]^1, false)},
		"another magic":         {3, savedMark, patched(good, 0, 'X', true)},
		"a later format":        {3, savedMark, patched(good, 4, treesFormat+1, true)},
		"another scheme":        {3, savedMark, patched(good, 5, HashScheme+1, true)},
		"partitions not sorted": {3, savedMark, patched(good, treesHeadBytes+3, 1, true)},
		"more trees than bytes": {3, savedMark, patched(good, treesHeadBytes-1, 3, true)},
		"bytes left over":       {3, savedMark, patched(good, treesHeadBytes-1, 1, true)},
		"a negative count":      {3, savedMark, patched(good, treesHeadBytes+4, 0x80, true)},
		"no vector":             {3, savedMark, patched(good, treesHeadBytes+4+5*8+3, 0, true)},
		"a long vector":         {3, savedMark, patched(good, treesHeadBytes+4+5*8, 0xff, true)},
		"an empty file":         {3, savedMark, nil},
		"a file too long":       {1, savedMark, make([]byte, 1<<20)},
	} {
		fsys := vfstest.New()
		if err := vfs.WriteFileAtomic(fsys, treesPath, c.data); err != nil {
			t.Fatal(err)
		}
		f := newForest(t, ForestOptions{Partitions: c.partitions})
		n, err := f.Load(fsys, treesPath, c.mark)
		if n != 0 || !errors.Is(err, ErrTreesIgnored) || f.Stands(0) {
			t.Errorf("%s: %d trees, %v", name, n, err)
		}
		if names, _ := fsys.Crash(vfstest.Nothing()).List("/"); len(names) != 0 {
			t.Errorf("%s: the file is still there", name)
		}
	}
}

// patched is data with one byte changed, and the checksum with it if right says so.
func patched(data []byte, at int, b byte, right bool) []byte {
	data = bytes.Clone(data)
	data[at] = b
	if right {
		body := data[:len(data)-checksumBytes]
		binary.BigEndian.PutUint32(data[len(body):], crc32.Checksum(body, castagnoli))
	}
	return data
}

func TestTreesThatMissedAChangeAreNotUsed(t *testing.T) {
	fsys := vfstest.New()
	mustSave(t, savedForest(t), fsys)
	g := newForest(t, ForestOptions{Partitions: 3})
	key := "0"
	for p, _ := g.LeafOf([]byte(key)); p != 0; p, _ = g.LeafOf([]byte(key)) {
		key += "0"
	}
	newFakeStore(g.Observe).set(key, metaOf(nil, live(1, 1)))
	if n, err := g.Load(fsys, treesPath, savedMark); n != 1 || err != nil || g.Stands(0) {
		t.Errorf("the tree stands: %v; %d trees, %v", g.Stands(0), n, err)
	}
}

// TestTreesThatAreNotTheWholeTruthAreNotSaved has one of each kind.
func TestTreesThatAreNotTheWholeTruthAreNotSaved(t *testing.T) {
	for name, harm := range map[string]func(*Forest, *fakeStore){
		"poisoned":   func(f *Forest, _ *fakeStore) { f.Poison([]byte("key")) },
		"spoiled":    func(_ *Forest, s *fakeStore) { s.damage("key"); s.set("key", metaOf(nil, live(1, 2))) },
		"incomplete": func(f *Forest, s *fakeStore) { s.lostRange = true; rebuild(t, f, s, Rule{}) },
		"nothing":    func(*Forest, *fakeStore) {},
	} {
		fsys := vfstest.New()
		f, s := grown(t, ForestOptions{Partitions: 1})
		s.set("key", metaOf(nil, live(1, 1)))
		harm(f, s)
		mustSave(t, f, fsys)
		n, err := newForest(t, ForestOptions{Partitions: 1}).Load(fsys, treesPath, savedMark)
		if err != nil || (n == 1) != (name == "nothing") {
			t.Errorf("%s: %d trees stand, %v", name, n, err)
		}
	}
}

// TestFileIsGoneForGoodBeforeLoadReturns loses power at every step of Load: what is left is the file before any change, or none.
func TestFileIsGoneForGoodBeforeLoadReturns(t *testing.T) {
	for point := 0; ; point++ {
		fsys := vfstest.New()
		mustSave(t, savedForest(t), fsys)
		fsys.CrashAfter(point)
		_, err := newForest(t, ForestOptions{Partitions: 3}).Load(fsys, treesPath, savedMark)
		for seed := range uint64(10) {
			after := fsys.Crash(vfstest.Random(seed))
			n, loadErr := newForest(t, ForestOptions{Partitions: 3}).Load(after, treesPath, savedMark)
			if loadErr != nil || n != 0 && n != 2 || err == nil && n != 0 {
				t.Fatalf("crash point %d, seed %d: %d trees after %v, %v", point, seed, n, err, loadErr)
			}
		}
		if err == nil {
			if point == 0 {
				t.Error("Load changes nothing")
			}
			return
		}
	}
}

func TestLoadFailsWhereTheFileCannotBeRemoved(t *testing.T) {
	for skip := range 2 { // remove, sync of the directory
		fsys := vfstest.New()
		mustSave(t, savedForest(t), fsys)
		fsys.Inject(vfstest.Fault{Ops: vfstest.OpChange, Skip: skip, Times: 1, Err: errPlanted})
		f := newForest(t, ForestOptions{Partitions: 3})
		if n, err := f.Load(fsys, treesPath, savedMark); n != 0 || !errors.Is(err, errPlanted) || errors.Is(err, ErrTreesIgnored) || f.Stands(0) {
			t.Errorf("step %d: %d trees, %v", skip, n, err)
		}
	}
}

func TestSaveSaysThatItFailed(t *testing.T) {
	fsys := vfstest.New()
	fsys.Inject(vfstest.Fault{Ops: vfstest.OpChange, Times: 1, Err: errPlanted})
	if err := savedForest(t).Save(fsys, treesPath, savedMark); !errors.Is(err, errPlanted) {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeTrees(f *testing.F) {
	good := savedForest(f).appendTrees(nil, savedMark)
	f.Add(good)
	f.Add(newForest(f, ForestOptions{Partitions: 3}).appendTrees(nil, savedMark))
	f.Add(good[:treesHeadBytes+treeHeadBytes])
	f.Fuzz(func(t *testing.T, data []byte) {
		// A wrong checksum would hide all the rest.
		if len(data) > checksumBytes {
			data = patched(data, 0, data[0], true)
		}
		trees, err := decodeTrees(data, 3, savedMark)
		if err != nil {
			if !errors.Is(err, ErrTreesIgnored) {
				t.Fatal(err)
			}
			return
		}
		g := newForest(t, ForestOptions{Partitions: 3})
		g.plant(trees)
		if again := g.appendTrees(nil, savedMark); !bytes.Equal(again, data) {
			t.Fatalf("%d bytes were accepted, but are written as %d others", len(data), len(again))
		}
	})
}
