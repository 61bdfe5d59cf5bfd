package antientropy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// fakeNode is a replica with its trees, in memory: what package replica and the trees do, written as plainly as can be.
type fakeNode struct {
	id      ring.NodeID
	cluster *fakeCluster
	x       *Exchanger
	open    func() *Exchanger

	mu       sync.Mutex
	actor    causal.Actor
	clock    causal.Timestamp
	objects  map[string]causal.Object // as they are stored: with whatever vector
	unread   map[string]bool          // keys that cannot be read
	parts    []fakePartition
	rules    []Rule
	hints    map[ring.PartitionID]bool
	diskFull bool // nothing can be learnt: there is no room to keep it
	stored   int
	// epoch counts restarts: what was under way in an earlier one comes to nothing. running is of the present one.
	epoch   int
	running func()
}

type fakePartition struct {
	filled                 bool
	stable, aside, refused causal.Vector
	issued                 causal.Timestamp
}

// fakeCluster is some nodes, every one a replica of every partition, and who can reach whom.
type fakeCluster struct {
	bug        plant
	partitions int
	nodes      []*fakeNode
	ids        []ring.NodeID
	actors     causal.Actor
	latency    time.Duration // of a request

	mu    sync.Mutex
	cut   map[[2]ring.NodeID]bool
	bytes int
}

// simulate runs a test with clusters in fake time.
func simulate(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if raceDetector {
		t.Skip("fails in the race detector itself: see race_test.go")
	}
	synctest.Test(t, test)
}

var (
	errCut  = errors.New("cut")
	errFull = errors.New("full")
)

func newFakeCluster(nodes, partitions int, o Options, bug plant) *fakeCluster {
	c := &fakeCluster{bug: bug, partitions: partitions, cut: make(map[[2]ring.NodeID]bool)}
	for i := range nodes {
		c.ids = append(c.ids, ring.NodeID(fmt.Sprint("n", i)))
	}
	for _, id := range c.ids {
		n := &fakeNode{id: id, cluster: c, objects: map[string]causal.Object{}, unread: map[string]bool{}, hints: map[ring.PartitionID]bool{}}
		n.parts, n.rules = make([]fakePartition, partitions), make([]Rule, partitions)
		for p := range n.parts {
			n.parts[p].filled = true
		}
		n.actor = c.newActor()
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		o.Self, o.Members, o.Table, o.Partition = n.id, c.ids, c, c.partition
		o.WritesMin = nodes/2 + 1
		o.Peer = func(id ring.NodeID) Peer { return fakeLink{n, c.node(id), n.now()} }
		o.Actors = c.liveActors
		o.Seen = n.seen
		o.HasHints = func(p ring.PartitionID) bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.hints[p]
		}
		own := o
		n.open = func() *Exchanger {
			x, err := New(n, n, own)
			if err != nil {
				panic(err)
			}
			return x
		}
		n.x = n.open()
	}
	return c
}

// start runs all exchangers until the returned function is called.
func (c *fakeCluster) start() (stop func()) {
	for _, n := range c.nodes {
		n.start()
	}
	return func() {
		for _, n := range c.nodes {
			n.running()
		}
	}
}

func (n *fakeNode) start() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	x := n.exchanger()
	go func() { ended <- x.Run(ctx) }()
	n.running = func() {
		cancel()
		<-ended
	}
}

func (c *fakeCluster) Replicas(ring.PartitionID) []ring.NodeID { return c.ids }
func (c *fakeCluster) PartitionCount() int                     { return c.partitions }
func (c *fakeCluster) N() int                                  { return len(c.ids) }
func (c *fakeCluster) partition(key []byte) ring.PartitionID {
	return ring.PartitionOf(key, c.partitions)
}

func (c *fakeCluster) node(id ring.NodeID) *fakeNode { return c.nodes[slices.Index(c.ids, id)] }

func (c *fakeCluster) newActor() causal.Actor {
	c.actors++
	return c.actors
}

func (c *fakeCluster) liveActors() (map[causal.Actor]bool, bool) {
	all := make(map[causal.Actor]bool)
	for _, n := range c.nodes {
		n.mu.Lock()
		all[n.actor] = true
		n.mu.Unlock()
	}
	return all, true
}

// isolate cuts a node off, or lets it in again.
func (c *fakeCluster) isolate(n *fakeNode, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range c.ids {
		c.cut[[2]ring.NodeID{n.id, id}], c.cut[[2]ring.NodeID{id, n.id}] = cut, cut
	}
}

func (c *fakeCluster) isCut(a, b ring.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut[[2]ring.NodeID{a, b}]
}

// fakeLink is a link of one epoch of its owner.
type fakeLink struct {
	from, to *fakeNode
	epoch    int
}

func (l fakeLink) Reachable() bool {
	return !l.from.cluster.isCut(l.from.id, l.to.id)
}

func (n *fakeNode) now() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.epoch
}

func (n *fakeNode) exchanger() *Exchanger {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.x
}

// object is what the node holds for a key.
func (n *fakeNode) object(key string) causal.Object {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.objects[key]
}

// storedItems is how many objects were stored, setHints whether there are hints for partition 0.
func (n *fakeNode) storedItems() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stored
}

func (n *fakeNode) setDiskFull(full bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.diskFull = full
}

func (n *fakeNode) setHints(there bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hints[0] = there
}

// moved is how many bytes exchanges have moved.
func (c *fakeCluster) moved() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

func (l fakeLink) Exchange(deadline time.Time, request []byte, done func([]byte, error)) {
	request = slices.Clone(request)
	go func() {
		if !l.Reachable() {
			done(nil, errCut)
			return
		}
		if d := l.from.cluster.latency; d > 0 {
			time.Sleep(d)
		}
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		was := l.to.now()
		answer, err := l.to.exchanger().Serve(ctx, l.from.id, request)
		if !l.Reachable() || l.to.now() != was || l.from.now() != l.epoch {
			answer, err = nil, errCut
		}
		l.from.cluster.mu.Lock()
		l.from.cluster.bytes += len(request) + len(answer)
		l.from.cluster.mu.Unlock()
		done(answer, err)
	}()
}

func (n *fakeNode) part(key []byte) *fakePartition { return &n.parts[n.cluster.partition(key)] }

// full is an object as it is judged and sent. While the partition is not filled it is what is stored: that was stored whole.
func (n *fakeNode) full(key []byte, o causal.Object) causal.Object {
	if p := n.part(key); (p.filled || n.cluster.bug.unfilledSeen) && !n.cluster.bug.rawVectors {
		return o.Expand(p.stable, nil)
	}
	return o
}

// write decides a write here and sends it nowhere.
func (n *fakeNode) write(key string, tombstone bool) causal.Object {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.full([]byte(key), n.objects[key])
	n.clock = max(n.clock, o.Vector.Max()) + 1
	s := causal.Sibling{Dot: causal.Dot{Actor: n.actor, Time: n.clock}, Tombstone: tombstone}
	if !tombstone {
		s.Value = fmt.Append(nil, key, s.Dot)
	}
	o = causal.Put(o, nil, false, s)
	n.objects[key] = o
	n.part([]byte(key)).issued = n.clock
	return o
}

// deliver is a put that arrives, from a coordinator or as a hint.
func (n *fakeNode) deliver(key string, o causal.Object) error {
	return n.join([]Item{{[]byte(key), o}}, false)
}

func (n *fakeNode) Store(_ context.Context, items []Item) error { return n.join(items, true) }

func (n *fakeNode) join(items []Item, exchanged bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, item := range items {
		key := string(item.Key)
		if n.unread[key] {
			return errors.New("cannot be read")
		}
		own := n.full(item.Key, n.objects[key])
		for _, s := range item.Object.Siblings {
			held := slices.ContainsFunc(own.Siblings, func(o causal.Sibling) bool { return o.Dot == s.Dot })
			if !exchanged && !held && n.part(item.Key).refused.Get(s.Dot.Actor) > 0 {
				return errors.New("retired")
			}
		}
		n.clock = max(n.clock, item.Object.Vector.Max())
		n.stored++
		if j := causal.Join(own, item.Object); len(j.Siblings) > 0 {
			n.objects[key] = j
		} else {
			delete(n.objects, key)
		}
	}
	return nil
}

// crash restarts the node with a new actor; wipe loses everything besides.
func (n *fakeNode) crash() { n.restart(false) }
func (n *fakeNode) wipe()  { n.restart(true) }

func (n *fakeNode) restart(lost bool) {
	if n.running != nil {
		n.running()
	}
	n.mu.Lock()
	n.epoch++
	if n.cluster.bug.keepActor {
		n.clock = 0
	} else {
		n.actor = n.cluster.newActor()
	}
	for p := range n.parts {
		n.parts[p].issued = 0
	}
	if lost {
		clear(n.objects)
		n.parts, n.rules = make([]fakePartition, len(n.parts)), make([]Rule, len(n.rules))
		for p := range n.parts {
			n.parts[p].filled = n.cluster.bug.keepFilled
		}
	}
	n.x = n.open()
	n.mu.Unlock()
	if n.running != nil {
		n.start()
	}
}

// reclaim drops what is settled under the rules of the trees, as a merge does, and returns how many keys are left.
func (n *fakeNode) reclaim() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key := range n.objects {
		if p := n.cluster.partition([]byte(key)); n.parts[p].filled && n.settled(key) {
			delete(n.objects, key)
		}
	}
	return len(n.objects)
}

func (n *fakeNode) settled(key string) bool {
	rule := n.rules[n.cluster.partition([]byte(key))]
	return n.objects[key].Settled(rule.Stable, rule.Expired)
}

func (n *fakeNode) seen(p ring.PartitionID) (actors []causal.Actor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, o := range n.objects {
		for _, e := range o.Vector {
			if n.cluster.partition([]byte(key)) == p && !slices.Contains(actors, e.Actor) {
				actors = append(actors, e.Actor)
			}
		}
	}
	return actors
}

func (n *fakeNode) Filled(p ring.PartitionID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parts[p].filled
}

func (n *fakeNode) Fill(ps ...ring.PartitionID) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range ps {
		part := &n.parts[p]
		part.filled, part.stable, part.aside = true, part.stable.Join(part.aside), nil
	}
	return nil
}

func (n *fakeNode) Stable(p ring.PartitionID) causal.Vector {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parts[p].stable
}

func (n *fakeNode) KnownStable(p ring.PartitionID) causal.Vector {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parts[p].stable.Join(n.parts[p].aside)
}

func (n *fakeNode) Learn(vectors map[ring.PartitionID]causal.Vector) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.diskFull {
		return errFull
	}
	for p, v := range vectors {
		n.clock = max(n.clock, v.Max())
		if part := &n.parts[p]; part.filled || n.cluster.bug.unfilledSeen {
			part.stable = part.stable.Join(v)
		} else {
			part.aside = part.aside.Join(v)
		}
	}
	return nil
}

func (n *fakeNode) Refuse(p ring.PartitionID, retired ...causal.Actor) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range retired {
		if n.parts[p].refused.Get(a) == 0 {
			n.parts[p].refused = n.parts[p].refused.With(causal.Dot{Actor: a, Time: n.clock})
		}
	}
	return nil
}

func (n *fakeNode) Refused(p ring.PartitionID) causal.Vector {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parts[p].refused
}

func (n *fakeNode) Actor() causal.Actor {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.actor
}

func (n *fakeNode) Issued(p ring.PartitionID) causal.Timestamp {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.parts[p].issued
}

func fakeLeaf(key []byte, partitions int) uint16 {
	return uint16(xxhash.Sum64(key) / uint64(partitions) % LeafCount)
}

func fakeHash(key string, o causal.Object) uint64 {
	h := xxhash.Sum64String(key)
	for _, s := range o.Siblings {
		h = digest([]uint64{h, uint64(s.Dot.Actor), uint64(s.Dot.Time), uint64(s.ExpiresAt), uint64(len(s.Value))})
	}
	return h
}

// eachKey calls fn for the keys that are in the tree of a partition.
func (n *fakeNode) eachKey(p ring.PartitionID, fn func(leaf uint16, key string, hash uint64, unknown bool)) {
	for _, key := range slices.Sorted(maps.Keys(n.objects)) {
		if k := []byte(key); n.cluster.partition(k) == p && (n.unread[key] || !n.settled(key)) {
			fn(fakeLeaf(k, n.cluster.partitions), key, fakeHash(key, n.objects[key]), n.unread[key])
		}
	}
}

func (n *fakeNode) Keys(_ context.Context, leaves []Leaf, fn func(Leaf, []byte, uint64, bool)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	wanted := make(map[Leaf]bool)
	for _, l := range leaves {
		wanted[l] = true
	}
	for _, p := range slices.Sorted(slices.Values(partitionsOf(leaves))) {
		n.eachKey(p, func(leaf uint16, key string, hash uint64, unknown bool) {
			if l := (Leaf{p, leaf}); wanted[l] {
				fn(l, []byte(key), hash, unknown)
			}
		})
	}
	return nil
}

func partitionsOf(leaves []Leaf) (ps []ring.PartitionID) {
	for _, l := range leaves {
		if !slices.Contains(ps, l.Partition) {
			ps = append(ps, l.Partition)
		}
	}
	return ps
}

func (n *fakeNode) Held(keys [][]byte, _ int) (items []Item, known []bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, key := range keys {
		known = append(known, !n.unread[string(key)])
		if !n.unread[string(key)] {
			items = append(items, Item{key, n.full(key, n.objects[string(key)])})
		}
	}
	return items, known
}

func (n *fakeNode) KeyCount(p ring.PartitionID) (count int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.eachKey(p, func(uint16, string, uint64, bool) { count++ })
	return count
}

func (n *fakeNode) Stands(ring.PartitionID) bool { return true }

func (n *fakeNode) Rule(p ring.PartitionID) Rule {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.rules[p]
}

func (n *fakeNode) Want(p ring.PartitionID, rule Rule) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules[p] = rule
}

func (n *fakeNode) sums(p ring.PartitionID) (sums [LeafCount]uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.eachKey(p, func(leaf uint16, _ string, hash uint64, unknown bool) {
		if sums[leaf] += hash; unknown {
			sums[leaf] += uint64(len(n.id)) + uint64(n.id[1])
		}
	})
	return sums
}

func digest(sums []uint64) uint64 {
	h := uint64(1)
	for _, s := range sums {
		h = (h ^ s) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}

func (n *fakeNode) Root(p ring.PartitionID) uint64 {
	sums := n.sums(p)
	return digest(sums[:])
}

func (n *fakeNode) Inner(p ring.PartitionID) (inner [InnerCount]uint64) {
	sums := n.sums(p)
	for i := range inner {
		inner[i] = digest(sums[i*LeavesPerInner : (i+1)*LeavesPerInner])
	}
	return inner
}

func (n *fakeNode) Leaves(p ring.PartitionID, inner int) (leaves [LeavesPerInner]uint64) {
	sums := n.sums(p)
	copy(leaves[:], sums[inner*LeavesPerInner:])
	return leaves
}

func (n *fakeNode) Poisoned(p ring.PartitionID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key := range n.unread {
		if n.cluster.partition([]byte(key)) == p {
			return true
		}
	}
	return false
}
