package antientropy

import (
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
)

// TestHashesAreThoseOfTheScheme: replicas that hash in different ways never agree. Who changes one of these numbers must change
// HashScheme.
func TestHashesAreThoseOfTheScheme(t *testing.T) {
	meta := metaOf(nil, live(0xa1, 0x10000), tombstone(0xb2, 0x20000))
	hash, err := KeyHash([]byte("key"), meta)
	if err != nil || hash != 0x9ba535096307db9a {
		t.Errorf("a key's hash is %#x, %v", hash, err)
	}
	f, s := grown(t, ForestOptions{Partitions: 1})
	if root := f.Root(0); root != 0x50f5f8b3e2e15ead {
		t.Errorf("the root of nothing is %#x", root)
	}
	s.set("key", meta)
	s.set("another", metaOf(nil, live(1, 1)))
	if root := f.Root(0); root != 0xc589c6ddb61c3565 {
		t.Errorf("the root is %#x", root)
	}
	if _, leaf := f.LeafOf([]byte("key")); leaf != 820 {
		t.Errorf("the leaf is %d", leaf)
	}
}

func TestRulesAreCoveredEntryByEntry(t *testing.T) {
	a, b := causal.Vector{{Actor: 1, Time: 5}}, causal.Vector{{Actor: 1, Time: 6}, {Actor: 2, Time: 1}}
	for _, c := range []struct {
		r, older Rule
		covers   bool
	}{
		{Rule{}, Rule{}, true},
		{Rule{b, 0}, Rule{a, 0}, true},
		{Rule{a, 0}, Rule{b, 0}, false},
		{Rule{a, 1}, Rule{a, 0}, true},
		{Rule{b, 0}, Rule{a, 1}, false},
	} {
		if got := c.r.Covers(c.older); got != c.covers {
			t.Errorf("%v covers %v: %v", c.r, c.older, got)
		}
		if got := c.r.Equal(c.older); got != (c.covers && c.older.Covers(c.r)) {
			t.Errorf("%v equals %v: %v", c.r, c.older, got)
		}
	}
}

func TestKeyHashRefusesWhatIsNoMeta(t *testing.T) {
	if _, err := KeyHash([]byte("key"), []byte{0xff}); err == nil {
		t.Error("no error")
	}
}
