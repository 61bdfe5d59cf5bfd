package antientropy

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// fakeStore is a storage engine of metas only: it tells an observer of every change and can be scanned. What it hands out it
// overwrites afterwards, so that nobody can keep it.
type fakeStore struct {
	mu      sync.Mutex
	metas   map[string][]byte
	corrupt map[string]bool // keys that are there and cannot be read
	observe func([]storage.Change)

	// during, unless nil, is called while a scan is under way, before each record and once after the last. An error ends the scan.
	during func(n int) error
	// lostRange has a scan report damage of which the keys are not known.
	lostRange bool
}

func newFakeStore(observe func([]storage.Change)) *fakeStore {
	return &fakeStore{metas: map[string][]byte{}, corrupt: map[string]bool{}, observe: observe}
}

// set commits a change; a nil meta deletes.
func (s *fakeStore) set(key string, meta []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := storage.Change{Key: []byte(key), OldMeta: bytes.Clone(s.metas[key]), NewMeta: bytes.Clone(meta), OldUnknown: s.corrupt[key]}
	if c.OldUnknown {
		c.OldMeta = nil
	}
	delete(s.corrupt, key)
	if meta == nil {
		delete(s.metas, key)
	} else {
		s.metas[key] = bytes.Clone(meta)
	}
	s.observe([]storage.Change{c})
	clobber(c.Key, c.OldMeta, c.NewMeta)
}

// damage has a key that is there be unreadable.
func (s *fakeStore) damage(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corrupt[key] = true
}

func clobber(all ...[]byte) {
	for _, b := range all {
		for i := range b {
			b[i] = 0xee
		}
	}
}

func (s *fakeStore) ScanObserved(_ storage.Range, began func()) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		s.mu.Lock()
		metas, corrupt := maps.Clone(s.metas), maps.Clone(s.corrupt)
		began()
		s.mu.Unlock()
		if s.lostRange && !yield(storage.Record{}, &storage.CorruptError{Ranged: true}) {
			return
		}
		for n, key := range slices.Sorted(maps.Keys(metas)) {
			if err := s.betweenRecords(n); err != nil {
				yield(storage.Record{}, err)
				return
			}
			rec, err := storage.Record{Key: []byte(key), Meta: bytes.Clone(metas[key])}, error(nil)
			if corrupt[key] {
				rec.Meta, err = nil, &storage.CorruptError{Reason: "planted"}
			}
			more := yield(rec, err)
			clobber(rec.Key, rec.Meta)
			if !more {
				return
			}
		}
		if err := s.betweenRecords(len(metas)); err != nil {
			yield(storage.Record{}, err)
		}
	}
}

func (s *fakeStore) betweenRecords(n int) error {
	if s.during == nil {
		return nil
	}
	return s.during(n)
}

// leavesUnder are the leaves that a partition of f must have, from scratch, and how many keys are in them.
func (s *fakeStore) leavesUnder(t fataler, f *Forest, p ring.PartitionID, rule Rule) (leaves [LeafCount]uint64, keys, mortal, settled int64) {
	for key, meta := range s.metas {
		at, leaf := f.LeafOf([]byte(key))
		var o causal.Object
		complete, err := causal.DecodeMeta(&o, meta)
		if err != nil {
			t.Fatalf("meta of %q: %v", key, err)
		}
		if at != p {
			continue
		}
		if complete && o.Settled(rule.Stable, rule.Expired) {
			settled++
			continue
		}
		hash, err := KeyHash([]byte(key), meta)
		if err != nil {
			t.Fatalf("hash of %q: %v", key, err)
		}
		leaves[leaf] += hash
		keys++
		if g, _ := causal.GlanceAt(meta); g.Mortal() {
			mortal++
		}
	}
	return leaves, keys, mortal, settled
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

func leavesOf(t fataler, f *Forest, p ring.PartitionID) (leaves [LeafCount]uint64) {
	t.Helper()
	if !f.Stands(p) {
		t.Fatalf("no tree of partition %d stands", p)
	}
	for i := range InnerCount {
		some := f.Leaves(p, i)
		copy(leaves[i*LeavesPerInner:], some[:])
	}
	return leaves
}

func newForest(t fataler, opts ForestOptions) *Forest {
	t.Helper()
	f, err := NewForest(opts)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return f
}

func allPartitions(f *Forest) (all []ring.PartitionID) {
	for p := range f.partitions {
		all = append(all, ring.PartitionID(p))
	}
	return all
}

func always(r Rule) func(ring.PartitionID) Rule { return func(ring.PartitionID) Rule { return r } }

// grown is a forest whose trees stand under the zero rule, and the empty store that it lives off.
func grown(t testing.TB, opts ForestOptions) (*Forest, *fakeStore) {
	t.Helper()
	f := newForest(t, opts)
	s := newFakeStore(f.Observe)
	rebuild(t, f, s, Rule{})
	return f, s
}

func rebuild(t testing.TB, f *Forest, s Scanner, rule Rule) {
	t.Helper()
	if err := f.Rebuild(context.Background(), s, allPartitions(f), always(rule)); err != nil {
		t.Fatal(err)
	}
}

// metaOf is the meta of an object with the siblings and the vector that they imply, or more.
func metaOf(vector causal.Vector, siblings ...causal.Sibling) []byte {
	for _, s := range siblings {
		vector = vector.With(s.Dot)
	}
	return causal.AppendMeta(nil, causal.Object{Vector: vector, Siblings: siblings})
}

func live(a causal.Actor, t causal.Timestamp) causal.Sibling {
	return causal.Sibling{Dot: causal.Dot{Actor: a, Time: t}}
}

func tombstone(a causal.Actor, t causal.Timestamp) causal.Sibling {
	s := live(a, t)
	s.Tombstone = true
	return s
}

func expiring(a causal.Actor, t causal.Timestamp, at int64) causal.Sibling {
	s := live(a, t)
	s.ExpiresAt = at
	return s
}
