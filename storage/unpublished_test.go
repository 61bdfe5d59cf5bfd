package storage

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/storage/internal/run"
)

// TestDecisionsSeeTheNewestChangeThatIsNotPublished holds the tables of groups that come and go in order against all of their changes, with keys
// whose hashes are alike in a half or as a whole.
func TestDecisionsSeeTheNewestChangeThatIsNotPublished(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := make(chan *group, groupsKept)
		seg := newSegment(dataDir, engineID{}, 1, 1)
		w := &writer{open: newGroup(kept), kept: kept}
		w.open.begin(seg, 0, false)
		keys := rapid.IntRange(1, 300).Draw(t, "keys")
		keep := rapid.SampledFrom([]uint64{0, 0xf, 0xffffffff, 0xffffffff << 32, 1<<64 - 1}).Draw(t, "bits of the hash that count")
		hashOf := func(key []byte) uint64 { return run.Hash(key) & keep }
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
				from := len(w.open.changes)
				w.open.encode(writes, seq+1)
				w.open.members = append(w.open.members, member{})
				seq += uint64(len(writes.ops))
				for i := range w.open.changes[from:] {
					c := &w.open.changes[from+i]
					c.hash = hashOf(w.open.key(c))
				}
			}
			if rapid.Bool().Draw(t, "somebody decides") {
				w.enterUnpublished()
				for i := range keys {
					key := fmt.Appendf(nil, "key %d", i)
					c, g := w.unpublished(hashOf(key), key)
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

func BenchmarkUnpublished(b *testing.B) {
	const keys = 100
	writes := &Writes{limits: limits{100, 100, 100_000}}
	for i := range keys {
		writes.Put(fmt.Appendf(nil, "bench/%d", i), nil, nil)
	}
	kept := make(chan *group, groupsKept)
	w := &writer{open: newGroup(kept), kept: kept}
	w.open.begin(newSegment(dataDir, engineID{}, 1, 1), 0, false)
	w.open.encode(writes, 1)
	g := w.open
	b.ReportAllocs()
	for b.Loop() {
		w.enterUnpublished()
		for i := range g.changes {
			c := &g.changes[i]
			if found, _ := w.unpublished(c.hash, g.key(c)); found != c {
				b.Fatal("not found")
			}
		}
		g.unpublished.reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
}
