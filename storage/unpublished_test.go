package storage

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestDecisionsSeeTheNewestChangeThatIsNotPublished holds the tables of groups that come and go in order against all of their changes.
func TestDecisionsSeeTheNewestChangeThatIsNotPublished(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		groups := new(groupPool)
		seg := newSegment(dataDir, engineID{}, 1, 1)
		w := &writer{open: groups.get(), groups: groups}
		w.open.begin(seg, 0, false)
		keys := rapid.IntRange(1, 300).Draw(t, "keys")
		newest := func(key string) (seq uint64) {
			for _, g := range append(w.queue[:len(w.queue):len(w.queue)], w.open) {
				for i := range g.changes {
					if c := &g.changes[i]; string(g.key(c)) == key {
						seq = c.seq
					}
				}
			}
			return seq
		}
		writes, seq := &Writes{limits: limits{100, 100, 100_000}}, uint64(0)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				if !w.open.empty() {
					w.enqueue()
				}
			case 1:
				if len(w.queue) > 0 {
					g := w.queue[0]
					w.queue = w.queue[1:]
					g.release()
				}
			default:
				writes.reset()
				for range rapid.IntRange(1, 100).Draw(t, "changes") {
					writes.Put(fmt.Appendf(nil, "key %d", rapid.IntRange(0, keys-1).Draw(t, "key")), nil, nil)
				}
				w.open.encode(writes, seq+1)
				w.open.members = append(w.open.members, member{})
				seq += uint64(len(writes.ops))
			}
			if rapid.Bool().Draw(t, "somebody decides") {
				w.enterUnpublished()
				for i := range keys {
					key := fmt.Appendf(nil, "key %d", i)
					c, g := w.unpublished(key)
					switch want := newest(string(key)); {
					case (c != nil) != (want > 0):
						t.Fatalf("%s is found %v, want change %d", key, c != nil, want)
					case c != nil && (c.seq != want || string(g.key(c)) != string(key)):
						t.Fatalf("%s is change %d of %q, want %d", key, c.seq, g.key(c), want)
					}
				}
			}
		}
	})
}

// Keys whose hashes are alike are told apart, and found wherever they have come to stand.
func TestUnpublishedKeysWithTheSameHashAreToldApart(t *testing.T) {
	for _, hash := range []uint32{0, 1 << 31, 1<<32 - 1} {
		g := new(groupPool).get()
		g.begin(newSegment(dataDir, engineID{}, 1, 1), 0, false)
		writes := &Writes{limits: limits{100, 100, 100_000}}
		const keys = 100
		for i := range 2 * keys {
			writes.Put([]byte(key(i%keys)), nil, nil)
		}
		g.encode(writes, 1)
		for range g.changes {
			g.unpublished.enterNext(g, hash)
		}
		for i := range keys {
			if c := g.unpublished.find(g, hash, []byte(key(i))); c != &g.changes[keys+i] {
				t.Fatalf("%s is not what it was changed to last", key(i))
			}
		}
		if c := g.unpublished.find(g, hash, []byte("absent")); c != nil {
			t.Errorf("what nobody has changed is %q", g.key(c))
		}
	}
}

func TestAnEmptyGroupKeepsLittleOfALargeOne(t *testing.T) {
	g := new(groupPool).get()
	fill := func(keys int) {
		g.begin(newSegment(dataDir, engineID{}, 1, 1), 0, false)
		writes := &Writes{limits: limits{100, 100, 1 << 30}}
		for i := range keys {
			writes.Put([]byte(key(i)), nil, nil)
		}
		g.encode(writes, 1)
		g.unpublished.enter(g)
	}
	fill(2 * groupChangesKept)
	g.reset()
	if slots, changes := len(g.unpublished.slots), cap(g.changes); slots > unpublishedSlotsKept || changes > groupChangesKept {
		t.Errorf("%d slots and %d changes are kept", slots, changes)
	}
	fill(unpublishedSlotsKept / 2)
	g.reset()
	if slots := len(g.unpublished.slots); slots != unpublishedSlotsKept {
		t.Errorf("%d slots are kept, want %d", slots, unpublishedSlotsKept)
	}
	fill(1)
	g.reset()
	if slots := len(g.unpublished.slots); slots > unpublishedSlotsMin {
		t.Errorf("%d slots are emptied for one key", slots)
	}
}

func BenchmarkUnpublished(b *testing.B) {
	const keys = 100
	writes := &Writes{limits: limits{100, 100, 100_000}}
	for i := range keys {
		writes.Put(fmt.Appendf(nil, "bench/%d", i), nil, nil)
	}
	groups := new(groupPool)
	w := &writer{open: groups.get(), groups: groups}
	w.open.begin(newSegment(dataDir, engineID{}, 1, 1), 0, false)
	w.open.encode(writes, 1)
	g := w.open
	b.ReportAllocs()
	for b.Loop() {
		w.enterUnpublished()
		for i := range g.changes {
			c := &g.changes[i]
			if found, _ := w.unpublished(g.key(c)); found != c {
				b.Fatal("not found")
			}
		}
		g.unpublished.reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}
