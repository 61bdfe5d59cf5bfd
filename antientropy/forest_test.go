package antientropy

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

type wanting interface{ Want(ring.PartitionID, Rule) }

// A Forest is the Trees of an Exchanger, but for who decides when to build them.
var _ Trees = struct {
	*Forest
	wanting
}{}

func TestOptionsOutOfBoundsAreRefused(t *testing.T) {
	for _, o := range []ForestOptions{{}, {Partitions: -1}, {Partitions: ring.PartitionsMax + 1}, {Partitions: 1, PoisonedKeysMax: 1 << 20}} {
		if _, err := NewForest(o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	if _, err := NewForest(ForestOptions{Partitions: 1, Random: bytes.NewReader(nil)}); !errors.Is(err, io.EOF) {
		t.Errorf("without random numbers: %v", err)
	}
}

func TestNoTreeStandsBeforeItIsBuilt(t *testing.T) {
	f := newForest(t, ForestOptions{Partitions: 1})
	newFakeStore(f.Observe).set("key", metaOf(nil, live(1, 1)))
	if f.Stands(0) || f.Poisoned(0) || !f.Rule(0).Equal(Rule{}) || f.Advance(0, Rule{}) || f.Settled(0, metaOf(nil)) {
		t.Error("something is said of a tree that does not stand")
	}
	if s := f.Stats(0); s != (TreeStats{}) {
		t.Errorf("stats are %+v", s)
	}
}

func TestPartitionsAreThoseOfTheRing(t *testing.T) {
	f := newForest(t, ForestOptions{Partitions: 7})
	leaves := map[int]bool{}
	for i := range 5000 {
		key := []byte{byte(i), byte(i >> 8)}
		p, leaf := f.LeafOf(key)
		if want := ring.PartitionOf(key, 7); p != want {
			t.Fatalf("key %x is in partition %d, want %d", key, p, want)
		}
		if p == 3 {
			leaves[leaf] = true
		}
	}
	if len(leaves) < 450 { // of 714 keys in 1024 leaves: 514 expected
		t.Errorf("the keys of a partition are in %d leaves only", len(leaves))
	}
}

func TestStatsCountWhatMayLeave(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 1})
	s.set("live", metaOf(nil, live(1, 1)))
	s.set("live beside a tombstone", metaOf(nil, live(1, 2), tombstone(2, 2)))
	s.set("tombstones", metaOf(nil, tombstone(1, 3), tombstone(2, 3)))
	s.set("expiring", metaOf(nil, expiring(1, 4, 10)))
	s.set("expiring beside a tombstone", metaOf(nil, expiring(1, 5, 10), tombstone(2, 5)))
	if st := f.Stats(0); st != (TreeStats{Stands: true, Keys: 5, Tombstones: 1, Expiring: 2}) {
		t.Errorf("stats are %+v", st)
	}
	rebuild(t, f, s, Rule{Stable: causal.Vector{{Actor: 1, Time: 9}, {Actor: 2, Time: 9}}})
	s.set("settled as it came", metaOf(nil, tombstone(1, 6)))
	if st := f.Stats(0); st != (TreeStats{Stands: true, Keys: 4, Expiring: 2, Settled: 2}) || f.SettledKeys() != 2 {
		t.Errorf("stats are %+v", st)
	}
	s.set("tombstones", nil) // a merge has dropped it
	if n := f.SettledKeys(); n != 1 {
		t.Errorf("%d are settled", n)
	}
}

func TestSettledNeedsAllStableAndNothingToShow(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 1})
	stable := causal.Vector{{Actor: 1, Time: 5}, {Actor: 2, Time: 5}}
	rebuild(t, f, s, Rule{Stable: stable, Expired: 10})
	for name, c := range map[string]struct {
		meta    []byte
		settled bool
	}{
		"a tombstone":                  {metaOf(nil, tombstone(1, 5)), true},
		"a later tombstone":            {metaOf(nil, tombstone(1, 6)), false},
		"a tombstone that saw more":    {metaOf(causal.Vector{{Actor: 3, Time: 1}}, tombstone(1, 5)), false},
		"a value":                      {metaOf(nil, live(1, 5)), false},
		"a value beside a tombstone":   {metaOf(nil, live(1, 5), tombstone(2, 5)), false},
		"expired":                      {metaOf(nil, expiring(1, 5, 10)), true},
		"not yet expired":              {metaOf(nil, expiring(1, 5, 11)), false},
		"expired, beside a tombstone":  {metaOf(nil, expiring(1, 5, 10), tombstone(2, 5)), true},
		"a later one among tombstones": {metaOf(nil, tombstone(1, 5), tombstone(2, 6)), false},
		"no siblings":                  {metaOf(stable), true},
		"what is no meta":              {[]byte{0xff}, false},
	} {
		if got := f.Settled(0, c.meta); got != c.settled {
			t.Errorf("%s is settled: %v", name, got)
		}
	}
}

// TestAdvanceTakesNothingOverThatCouldLeave has one tombstone stand in the way.
func TestAdvanceTakesNothingOverThatCouldLeave(t *testing.T) {
	f, s := grown(t, ForestOptions{Partitions: 1})
	to := Rule{Stable: causal.Vector{{Actor: 1, Time: 5}}}
	s.set("value", metaOf(nil, live(1, 1)))
	s.set("grave", metaOf(nil, tombstone(1, 2)))
	if f.Advance(0, to) {
		t.Error("the tombstone was settled, and is still in the tree")
	}
	s.set("grave", metaOf(nil, live(1, 3)))
	if !f.Advance(0, to) {
		t.Error("nothing stands in the way any longer")
	}
	if f.Advance(0, Rule{}) {
		t.Error("a rule went back")
	}
	s.set("grave", metaOf(nil, tombstone(1, 4)))
	if st := f.Stats(0); st.Keys != 1 || !f.Advance(0, to) {
		t.Errorf("a tombstone that is settled as it comes is in the tree: %+v", st)
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	f, _ := grown(t, ForestOptions{Partitions: 4})
	changes := []storage.Change{
		{Key: []byte("new"), NewMeta: metaOf(nil, live(1, 1))},
		{Key: []byte("old"), OldMeta: metaOf(nil, live(1, 1), live(2, 2)), NewMeta: metaOf(nil, tombstone(1, 2))},
		{Key: []byte("lost"), OldUnknown: true, NewMeta: metaOf(nil, live(1, 1))},
		{Key: []byte("gone"), OldMeta: metaOf(nil, tombstone(1, 2))},
	}
	if n := testing.AllocsPerRun(100, func() { f.Observe(changes) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
