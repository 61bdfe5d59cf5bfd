package antientropy

import (
	"fmt"
	"slices"
	"testing"

	"github.com/ringcask/ringcask/ring"
)

// twins are two forests that have the same keys in the same metas.
func twins(t *testing.T, opts ForestOptions, keys ...string) (a, b *Forest, sa *fakeStore) {
	t.Helper()
	a, sa = grown(t, opts)
	b, sb := grown(t, opts)
	for _, key := range keys {
		sa.set(key, metaOf(nil, live(1, 1)))
		sb.set(key, metaOf(nil, live(1, 1)))
	}
	return a, b, sa
}

func sameRoots(f, g *Forest) bool {
	for _, p := range allPartitions(f) {
		a := f.Root(p)
		if b := g.Root(p); a != b {
			return false
		}
	}
	return true
}

func TestPoisonedLeafDiffersFromEveryOther(t *testing.T) {
	a, b, _ := twins(t, ForestOptions{Partitions: 1}, "key", "another")
	a.Poison([]byte("key"))
	if sameRoots(a, b) {
		t.Error("a poisoned leaf was taken for equal")
	}
	b.Poison([]byte("key"))
	if sameRoots(a, b) {
		t.Error("two poisoned leaves were taken for equal")
	}
	_, bad := a.LeafOf([]byte("key"))
	la, lb := leavesOf(t, a, 0), leavesOf(t, b, 0)
	for leaf := range la {
		if (la[leaf] == lb[leaf]) == (leaf == bad) {
			t.Errorf("leaf %d is %x and %x", leaf, la[leaf], lb[leaf])
		}
	}
	a.Unpoison([]byte("key"))
	b.Unpoison([]byte("key"))
	if !sameRoots(a, b) {
		t.Error("what was healed still differs")
	}
}

func TestPoisonStaysThroughRebuildsUntilTakenBack(t *testing.T) {
	a, b, s := twins(t, ForestOptions{Partitions: 1}, "key")
	a.Poison([]byte("key"))
	rebuild(t, a, s, Rule{})
	if keys := a.PoisonedKeys(0); sameRoots(a, b) || len(keys) != 1 || string(keys[0]) != "key" {
		t.Errorf("the scan read it, and so it is healed? poisoned are %q", keys)
	}
	a.Unpoison([]byte("key"))
	if !sameRoots(a, b) {
		t.Error("what was healed still differs")
	}
}

// TestScanPoisonsWhatItCannotRead has the key healed afterwards: nothing of the old record is in the sum, but nobody can know.
func TestScanPoisonsWhatItCannotRead(t *testing.T) {
	a, b, s := twins(t, ForestOptions{Partitions: 2}, "key", "another")
	s.damage("key")
	rebuild(t, a, s, Rule{})
	p, _ := a.LeafOf([]byte("key"))
	if keys := a.PoisonedKeys(p); len(keys) != 1 || string(keys[0]) != "key" || sameRoots(a, b) {
		t.Fatalf("poisoned are %q", keys)
	}
	s.set("key", metaOf(nil, live(1, 1)))
	a.Unpoison([]byte("key"))
	if st := a.Stats(p); sameRoots(a, b) || st.SpoiledLeaves != 1 || st.PoisonedKeys != 0 {
		t.Errorf("written over what cannot be read: %+v", st)
	}
	rebuild(t, a, s, Rule{})
	if !sameRoots(a, b) {
		t.Error("what was healed and built anew still differs")
	}
}

// TestAKeeperBuildsWhatIsSpoiledAnewUnderTheSameRule has nothing else change: a quiet partition would differ for ever.
func TestAKeeperBuildsWhatIsSpoiledAnewUnderTheSameRule(t *testing.T) {
	a, b, s := twins(t, ForestOptions{Partitions: 1}, "key")
	s.damage("key")
	a.Poison([]byte("key"))
	s.set("key", metaOf(nil, live(1, 1)))
	a.Unpoison([]byte("key"))
	k := NewKeeper(a, s, nil)
	k.Want(0, a.Rule(0))
	if err := k.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := a.Stats(0); st.SpoiledLeaves != 0 || !sameRoots(a, b) {
		t.Errorf("%+v", st)
	}
}

// TestKeyHealedDuringARebuildIsNotPoisonedByIt has the scan come to the old record after the new one was written.
func TestKeyHealedDuringARebuildIsNotPoisonedByIt(t *testing.T) {
	a, b, s := twins(t, ForestOptions{Partitions: 1}, "key")
	s.damage("key")
	a.Poison([]byte("key"))
	s.during = func(n int) error {
		if n == 0 {
			s.set("key", metaOf(nil, live(1, 1)))
			a.Unpoison([]byte("key"))
		}
		return nil
	}
	rebuild(t, a, s, Rule{})
	s.during = nil
	if st := a.Stats(0); st.PoisonedKeys != 0 || st.SpoiledLeaves != 1 {
		t.Errorf("the key is healed: %+v", st)
	}
	rebuild(t, a, s, Rule{})
	if !sameRoots(a, b) {
		t.Error("what was healed and built anew still differs")
	}
	s.damage("key")
	rebuild(t, a, s, Rule{})
	if st := a.Stats(0); st.PoisonedKeys != 1 {
		t.Errorf("healed once is not healed for good: %+v", st)
	}
}

func TestMetaThatIsNoneIsAsUnreadable(t *testing.T) {
	a, b, s := twins(t, ForestOptions{Partitions: 1}, "key", "other")
	s.set("key", []byte{0xff})
	if st := a.Stats(0); st.PoisonedKeys != 1 || st.Keys != 1 {
		t.Errorf("observed: %+v", st)
	}
	c := newForest(t, ForestOptions{Partitions: 1})
	s.set("other", []byte{})
	rebuild(t, c, s, Rule{})
	if st := c.Stats(0); st.PoisonedKeys != 2 || st.Keys != 0 {
		t.Errorf("scanned: %+v", st)
	}
	for _, key := range []string{"key", "other"} {
		s.set(key, metaOf(nil, live(1, 1)))
		a.Unpoison([]byte(key))
	}
	if !sameRoots(a, b) {
		t.Error("what was healed still differs")
	}
}

func TestPoisonedKeysAreBounded(t *testing.T) {
	a, _, s := twins(t, ForestOptions{Partitions: 1, PoisonedKeysMax: 2})
	var keys []string
	for i := range 5 {
		keys = append(keys, fmt.Sprint("key", i))
	}
	for _, key := range append(slices.Clone(keys), keys...) {
		a.Poison([]byte(key))
	}
	if st := a.Stats(0); st.PoisonedKeys != 2 || st.SpoiledLeaves != 3 {
		t.Errorf("%+v", st)
	}
	for _, key := range keys {
		a.Unpoison([]byte(key))
	}
	rebuild(t, a, s, Rule{})
	if st := a.Stats(0); st != (TreeStats{Stands: true}) {
		t.Errorf("healed and built anew: %+v", st)
	}
}

// TestPoisonOfATreeInTheMakingIsInItWhenItStands goes over the bound, too.
func TestPoisonOfATreeInTheMakingIsInItWhenItStands(t *testing.T) {
	f := newForest(t, ForestOptions{Partitions: 1, PoisonedKeysMax: 1})
	s := newFakeStore(f.Observe)
	s.during = func(int) error {
		f.Poison([]byte("a"))
		f.Poison([]byte("b"))
		return nil
	}
	rebuild(t, f, s, Rule{})
	if st := f.Stats(0); st.PoisonedKeys != 1 || st.SpoiledLeaves != 1 {
		t.Errorf("%+v", st)
	}
	var p ring.PartitionID
	if got := leavesOf(t, f, p); got == [LeafCount]uint64{} {
		t.Error("no leaf is poisoned")
	}
}
