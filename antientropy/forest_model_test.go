package antientropy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

func genVector(t *rapid.T) (v causal.Vector) {
	for a := causal.Actor(1); a <= 3; a++ {
		if at := rapid.IntRange(0, 5).Draw(t, "seen"); at > 0 {
			v = append(v, causal.Entry{Actor: a, Time: causal.Timestamp(at)})
		}
	}
	return v
}

func genObject(t *rapid.T) causal.Object {
	o := causal.Object{Vector: genVector(t)}
	for _, e := range o.Vector {
		switch rapid.IntRange(0, 5).Draw(t, "sibling") {
		case 0:
			o.Siblings = append(o.Siblings, live(e.Actor, e.Time))
		case 1:
			o.Siblings = append(o.Siblings, expiring(e.Actor, e.Time, int64(rapid.IntRange(1, 3).Draw(t, "expiry"))))
		case 2, 3:
			o.Siblings = append(o.Siblings, tombstone(e.Actor, e.Time))
		}
	}
	return o
}

// withLongVector is o with so many entries that its heads are stored elsewhere.
func withLongVector(o causal.Object) causal.Object {
	for a := causal.Actor(100); a < 120; a++ {
		o.Vector = o.Vector.With(causal.Dot{Actor: a, Time: 1})
	}
	return o
}

func genMeta(t *rapid.T) []byte {
	o := genObject(t)
	if rapid.IntRange(0, 4).Draw(t, "elsewhere") == 0 {
		o = withLongVector(o)
	}
	return causal.AppendMeta(nil, o)
}

// simulation is a forest over a store, and what must be true of it.
type simulation struct {
	t     *rapid.T
	f     *Forest
	store *fakeStore
	// seq counts what happens; spoiled is when a leaf last was, built when a partition's tree last began.
	seq      int
	spoiled  map[place]int
	built    map[ring.PartitionID]int
	poisoned map[string]place
	// rules are those that trees were seen under last.
	rules map[ring.PartitionID]Rule
}

type place struct {
	partition ring.PartitionID
	leaf      int
}

func (m *simulation) place(key string) place {
	p, leaf := m.f.LeafOf([]byte(key))
	return place{p, leaf}
}

func (m *simulation) key() string { return fmt.Sprint("key", rapid.IntRange(0, 30).Draw(m.t, "key")) }

// set writes a key, which heals it if it could not be read.
func (m *simulation) set(key string, meta []byte) {
	m.seq++
	healed := m.store.corrupt[key]
	m.store.set(key, meta)
	if healed {
		m.spoiled[m.place(key)] = m.seq
		m.f.Unpoison([]byte(key))
		delete(m.poisoned, key)
	}
}

// damage has a key be unreadable, as a reader finds out.
func (m *simulation) damage(key string) {
	if _, ok := m.store.metas[key]; ok {
		m.store.damage(key)
		m.f.Poison([]byte(key))
		m.poisoned[key] = m.place(key)
	}
}

// drop is a merge that drops what is settled.
func (m *simulation) drop() {
	for key, meta := range m.store.metas {
		if p, _ := m.f.LeafOf([]byte(key)); !m.store.corrupt[key] && m.f.Settled(p, meta) {
			m.set(key, nil)
		}
	}
}

func (m *simulation) change() {
	switch rapid.IntRange(0, 9).Draw(m.t, "change") {
	case 0:
		m.set(m.key(), nil)
	case 1:
		m.damage(m.key())
	case 2:
		m.drop()
	default:
		m.set(m.key(), genMeta(m.t))
	}
}

var errPlanted = errors.New("planted")

// rebuild builds some partitions under rules that cover their old ones, with changes in between; it may fail.
func (m *simulation) rebuild() {
	var some []ring.PartitionID
	for _, p := range allPartitions(m.f) {
		if rapid.Bool().Draw(m.t, "rebuilt") {
			some = append(some, p)
		}
	}
	failsAt := rapid.IntRange(-40, 20).Draw(m.t, "fails")
	began := m.seq
	m.store.during = func(n int) error {
		if n == failsAt {
			return errPlanted
		}
		if rapid.Bool().Draw(m.t, "meanwhile") {
			m.change()
			m.advance()
			m.check()
		}
		return nil
	}
	switch err := m.f.Rebuild(context.Background(), m.store, some, m.nextRule); {
	case err == nil:
		for _, p := range some {
			m.built[p] = began
		}
	case !errors.Is(err, errPlanted):
		m.t.Fatalf("rebuild: %v", err)
	}
}

func (m *simulation) nextRule(p ring.PartitionID) Rule {
	r, _ := m.f.under(p)
	return Rule{r.Stable.Join(genVector(m.t)), r.Expired + int64(rapid.IntRange(0, 1).Draw(m.t, "later"))}
}

// advance moves a rule where that needs no rebuild.
func (m *simulation) advance() {
	p := ring.PartitionID(rapid.IntRange(0, len(m.f.partitions)-1).Draw(m.t, "partition"))
	to := m.nextRule(p)
	before := m.f.Stats(p)
	ok := m.f.Advance(p, to)
	if now, _ := m.f.under(p); ok && !now.Equal(to) {
		m.t.Fatalf("partition %d is under %v, not %v", p, now, to)
	}
	if want := before.Stands && !before.Rebuilding && before.Tombstones+before.Expiring == 0; want && !ok {
		m.t.Fatalf("partition %d cannot advance, with %+v", p, before)
	}
}

func (m *simulation) check() {
	for _, p := range allPartitions(m.f) {
		rule, stands := m.f.under(p)
		if stands {
			m.checkTree(p, rule)
		}
	}
}

func (m *simulation) checkTree(p ring.PartitionID, rule Rule) {
	if !rule.Covers(m.rules[p]) {
		m.t.Fatalf("the rule of partition %d went back from %v to %v", p, m.rules[p], rule)
	}
	m.rules[p] = rule
	want, keys, mortal, settled := m.store.leavesUnder(m.t, m.f, p, rule)
	got := leavesOf(m.t, m.f, p)
	var bad [LeafCount]bool
	spoiled := 0
	for at, seq := range m.spoiled {
		if at.partition == p && seq > m.built[p] {
			bad[at.leaf] = true
			spoiled++
		}
	}
	for _, at := range m.poisoned {
		if at.partition == p {
			bad[at.leaf] = true
		}
	}
	for leaf := range got {
		if bad[leaf] == (got[leaf] == want[leaf]) {
			m.t.Fatalf("leaf %d of %d under %v is %x, from scratch it is %x; poisoned: %v", leaf, p, rule, got[leaf], want[leaf], bad[leaf])
		}
	}
	s := m.f.Stats(p)
	if s.SpoiledLeaves != spoiled {
		m.t.Fatalf("partition %d has %+v, and %d leaves are spoiled", p, s, spoiled)
	}
	if spoiled == 0 && len(m.poisoned) == 0 && (s.Keys != keys || s.Tombstones+s.Expiring != mortal || s.Settled != settled) {
		m.t.Fatalf("partition %d has %+v, from scratch %d keys, %d of them mortal, and %d settled", p, s, keys, mortal, settled)
	}
	inner := m.f.Inner(p)
	if root := m.f.Root(p); inner != innerHashes(&got) || root != nodeHash(inner[:]) {
		m.t.Fatalf("the nodes of partition %d are not those above its leaves", p)
	}
}

// TestTreesAreWhatBuildingThemFromScratchGives has changes, damage, merges, new rules and rebuilds, with all of them while a rebuild is under
// way, too.
func TestTreesAreWhatBuildingThemFromScratchGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &simulation{
			t: t, f: newForest(t, ForestOptions{Partitions: 3, RebuildKeysPerSecond: -1}),
			spoiled: map[place]int{}, built: map[ring.PartitionID]int{}, poisoned: map[string]place{}, rules: map[ring.PartitionID]Rule{},
		}
		m.store = newFakeStore(m.f.Observe)
		for range rapid.IntRange(0, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				m.rebuild()
			case 2:
				m.advance()
			default:
				m.change()
			}
			m.check()
		}
	})
}

// TestSameSiblingsGiveTheSameRootsWhateverTheHistory has two replicas that come to the same siblings in different ways, with
// vectors that differ in what is stable, and store them in different forms.
func TestSameSiblingsGiveTheSameRootsWhateverTheHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rule := Rule{Stable: withLongVector(causal.Object{Vector: genVector(t)}).Vector, Expired: 1}
		opts := ForestOptions{Partitions: 2, RebuildKeysPerSecond: -1}
		a, b := newForest(t, opts), newForest(t, opts)
		sa, sb := newFakeStore(a.Observe), newFakeStore(b.Observe)
		if err := a.Rebuild(context.Background(), sa, allPartitions(a), always(rule)); err != nil {
			t.Fatal(err)
		}
		keys := rapid.SliceOfNDistinct(rapid.StringN(0, 4, 4), 1, 20, rapid.ID[string]).Draw(t, "keys")
		for _, key := range keys {
			o := genObject(t)
			sa.set(key, genMeta(t))
			sa.set(key, causal.AppendMeta(nil, o))
			sb.set(key, otherForm(t, o, rule))
		}
		slices.Reverse(keys)
		for _, key := range keys {
			if p, _ := a.LeafOf([]byte(key)); a.Settled(p, sa.metas[key]) && rapid.Bool().Draw(t, "dropped") {
				sa.set(key, nil)
			}
		}
		if err := b.Rebuild(context.Background(), sb, allPartitions(b), always(rule)); err != nil {
			t.Fatal(err)
		}
		for _, p := range allPartitions(a) {
			ra := a.Root(p)
			if rb := b.Root(p); ra != rb {
				t.Fatalf("roots of partition %d under %v are %x and %x\n%x\n%x", p, rule, ra, rb, sa.metas, sb.metas)
			}
		}
	})
}

// otherForm is a meta of o, or of o joined with what is stable.
func otherForm(t *rapid.T, o causal.Object, rule Rule) []byte {
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 0:
		return causal.AppendMeta(nil, o)
	case 1:
		o.Vector = o.Vector.Join(rule.Stable[:1])
		return causal.AppendMeta(nil, o)
	case 2: // elsewhere, which is never settled
		if o.Settled(rule.Stable, rule.Expired) {
			return causal.AppendMeta(nil, o)
		}
		o.Vector = o.Vector.Join(rule.Stable)
		return causal.AppendMeta(nil, o)
	}
	compact, less := o.Compact(rule.Stable)
	meta := causal.AppendMeta(nil, compact)
	if less {
		causal.MarkCompact(meta)
	}
	return meta
}
