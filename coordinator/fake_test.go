package coordinator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeTable is a table of fixed rows.
type fakeTable struct {
	nodes int
	rows  [][]ring.NodeID
}

// newFakeTable places n replicas of each partition on nodes n1, n2, …, round robin.
func newFakeTable(nodes, n, partitions int) *fakeTable {
	t := &fakeTable{nodes: nodes}
	for p := range partitions {
		var row []ring.NodeID
		for i := range n {
			row = append(row, nodeID((p+i)%nodes))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func nodeID(i int) ring.NodeID { return ring.NodeID(fmt.Sprintf("n%d", i+1)) }

func (t *fakeTable) Partition(key []byte) ring.PartitionID {
	return ring.PartitionOf(key, len(t.rows))
}
func (t *fakeTable) Replicas(p ring.PartitionID) []ring.NodeID { return t.rows[p] }
func (t *fakeTable) Preference(p ring.PartitionID) []ring.NodeID {
	list := slices.Clone(t.rows[p])
	for i := range t.nodes {
		if id := nodeID((int(p) + i) % t.nodes); !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}
func (t *fakeTable) PartitionCount() int { return len(t.rows) }
func (t *fakeTable) N() int              { return len(t.rows[0]) }

// cluster is nodes with in-memory replicas of real causal objects, joined by links that delay, drop and duplicate.
type cluster struct {
	table *fakeTable
	nodes []*fakeNode
	mu    sync.Mutex
	rand  *rand.Rand
	wait  sync.WaitGroup // what is under way
	// chances, of 1, that a message is lost on its way there or back, or delivered twice; delay is the most that one
	// way takes.
	lose, twice float64
	delay       time.Duration
	forwards    int
	log         func(format string, args ...any)
}

// trouble is what may be wrong with a node.
type trouble struct {
	down      bool // refuses connections
	unnoticed bool // that it is down
	silent    bool // takes requests and never answers: their deadline passes
	deaf      bool // as silent, and its link does not even keep the deadline
	health    Health
	serving   error // why it does not coordinate
	failSync  error // of local writes, after they were decided
	failDone  error // of local writes, before they are decided
	failHint  error // of hints, its own and those of others
}

func (n *fakeNode) now() trouble {
	n.flags.Lock()
	defer n.flags.Unlock()
	return n.trouble
}

// cause changes what is wrong with the node.
func (n *fakeNode) cause(f func(*trouble)) {
	n.flags.Lock()
	defer n.flags.Unlock()
	f(&n.trouble)
}

// fakeNode is a replica. It holds keys durably in dur; what is decided and not yet synced is in vol.
type fakeNode struct {
	c      *cluster
	id     ring.NodeID
	coord  *Coordinator
	mu     sync.Mutex
	actor  causal.Actor
	clock  causal.Timestamp
	dur    map[string]causal.Object
	vol    map[string]causal.Object
	quar   map[string]bool // keys it has lost
	calls  map[string]int  // by kind
	hints  hintBook        // its own
	copies hintBook        // counted, of others
	issued []causal.Dot

	trouble
	flags      sync.Mutex            // guards trouble
	decidedFor map[string]causal.Dot // by key and value: what was ever decided here
	syncTime   time.Duration         // of a local write
	siblings   int
	onStore    func(from ring.NodeID, items []Item) error
	scans      func(ScanRequest) *ScanPage // answers scans from peers, where it is set
	readMax    int                         // bytes of values that one read answers with; zero is no bound
	pageMax    int                         // items in a scan page, whatever was asked for; zero is as asked
}

func newCluster(table *fakeTable, nodes int, tune func(*Options)) *cluster {
	c := &cluster{table: table, rand: rand.New(rand.NewPCG(1, 2)), log: func(string, ...any) {}}
	for i := range nodes {
		n := &fakeNode{
			c: c, id: nodeID(i), actor: causal.Actor(i + 1), siblings: 100,
			dur: map[string]causal.Object{}, vol: map[string]causal.Object{}, quar: map[string]bool{},
			calls: map[string]int{}, decidedFor: map[string]causal.Dot{},
			hints: hintBook{}, copies: hintBook{},
		}
		c.nodes = append(c.nodes, n)
	}
	for _, n := range c.nodes {
		opt := Options{
			Self: n.id, Local: n, Hints: n, Table: func() Topology { return table }, Timeout: time.Second,
			Peers: func(id ring.NodeID) Peer {
				if to := c.node(id); to != nil && to != n {
					return &link{from: n, to: to}
				}
				return nil
			},
		}
		if tune != nil {
			tune(&opt)
		}
		var err error
		if n.coord, err = New(opt); err != nil {
			panic(err)
		}
	}
	return c
}

// bubble runs a test of a three-node cluster with fake time, and waits for all that is under way at its end.
func bubble(t *testing.T, tune func(*Options), f func(t *testing.T, c *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(newFakeTable(3, 3, 8), 3, tune)
		f(t, c)
		c.wait.Wait()
	})
}

func (c *cluster) node(id ring.NodeID) *fakeNode {
	for _, n := range c.nodes {
		if n.id == id {
			return n
		}
	}
	return nil
}

// draw takes a random number under the cluster's lock.
func (c *cluster) draw() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.Float64()
}

func (c *cluster) lag() time.Duration { return time.Duration(c.draw() * float64(c.delay)) }

// newActor is what a node does that may have forgotten something: unsynced state is gone.
func (n *fakeNode) newActor() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.actor += 100
	n.vol = map[string]causal.Object{}
}

func (n *fakeNode) set(key string, o causal.Object) { n.dur[key] = o }

// object is what the node holds durably.
func (n *fakeNode) object(key string) causal.Object {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dur[key]
}

// latest is what the next decision or join is based on. The caller holds mu.
func (n *fakeNode) latest(key string) causal.Object {
	if o, ok := n.vol[key]; ok {
		return causal.Join(o, n.dur[key])
	}
	return n.dur[key]
}

// hintBook keeps hints by target and key.
type hintBook map[ring.NodeID]map[string]causal.Object

func (b hintBook) note(target ring.NodeID, items []Item) {
	if b[target] == nil {
		b[target] = map[string]causal.Object{}
	}
	for _, it := range items {
		b[target][string(it.Key)] = causal.Join(b[target][string(it.Key)], it.Object)
	}
}

// Hint implements Hints.
func (n *fakeNode) Hint(target ring.NodeID, items []Item, done func(error)) {
	if err := n.now().failHint; err != nil {
		done(err)
		return
	}
	n.mu.Lock()
	n.calls["hint"]++
	n.hints.note(target, items)
	n.mu.Unlock()
	done(nil)
}

// keepCopies keeps counted hints.
func (n *fakeNode) keepCopies(target ring.NodeID, items []Item) (StoreAck, error) {
	if err := n.now().failHint; err != nil {
		return StoreAck{}, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.copies.note(target, items)
	return StoreAck{Actor: n.actor}, nil
}

// kept are the values of a key that a book has for a target.
func (n *fakeNode) kept(b hintBook, target ring.NodeID, key string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return values(b[target][key])
}

// Store, Read and Scan are the replica's own part: at once, and without the network.

func (n *fakeNode) Store(deadline time.Time, items []Item, done func(StoreAck, error)) {
	done(n.store(n.id, items))
}

func (n *fakeNode) store(from ring.NodeID, items []Item) (StoreAck, error) {
	if n.onStore != nil {
		if err := n.onStore(from, items); err != nil {
			return StoreAck{}, err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls["store"]++
	for _, it := range items {
		if n.quar[string(it.Key)] {
			return StoreAck{}, ErrUnknownKey
		}
	}
	for _, it := range items {
		k := string(it.Key)
		n.dur[k] = causal.Join(n.dur[k], it.Object)
		n.clock = max(n.clock, it.Object.Vector.Max())
	}
	return StoreAck{Actor: n.actor}, nil
}

func (n *fakeNode) Read(deadline time.Time, keys [][]byte, want ReadWant, done func([]ReadItem, error)) {
	done(n.read(keys, want), nil)
}

func (n *fakeNode) read(keys [][]byte, want ReadWant) []ReadItem {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls[map[ReadWant]string{WantValues: "values", WantHeads: "heads"}[want]]++
	items := make([]ReadItem, len(keys))
	size := 0
	for i, k := range keys {
		if n.readMax > 0 && size >= n.readMax {
			items[i].State = ReadOmitted
			continue
		}
		o := n.dur[string(k)]
		if want == WantHeads {
			o = o.Heads()
		}
		items[i].Object = o
		size += o.ValueBytes()
		if n.quar[string(k)] {
			items[i] = ReadItem{State: ReadUnknown}
		}
	}
	return items
}

func (n *fakeNode) Scan(deadline time.Time, req ScanRequest, done func(*ScanPage, error)) {
	done(n.scan(req), nil)
}

func (n *fakeNode) scan(req ScanRequest) *ScanPage {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls["scan"]++
	keys := map[string]bool{}
	for k := range n.dur {
		keys[k] = true
	}
	for k := range n.quar {
		keys[k] = true
	}
	sorted := slices.Sorted(maps.Keys(keys))
	if req.Reverse {
		slices.Reverse(sorted)
	}
	page := &ScanPage{}
	size, scanned, itemsMax := 0, 0, req.ItemsMax
	if n.pageMax > 0 {
		itemsMax = min(itemsMax, n.pageMax)
	}
	for _, k := range sorted {
		if k < string(req.Start) || len(req.End) > 0 && k >= string(req.End) {
			continue
		}
		if len(page.Items) >= itemsMax || size >= req.BytesMax || scanned >= req.ScannedMax {
			return page
		}
		scanned++
		page.More, page.Resume = true, justBeyond([]byte(k))
		if req.Reverse {
			page.Resume = []byte(k)
		}
		if req.Partitions != nil && !slices.Contains(req.Partitions, n.c.table.Partition([]byte(k))) {
			continue
		}
		if n.quar[k] {
			page.Unknown = append(page.Unknown, []byte(k))
			continue
		}
		o := n.dur[k]
		if req.HeadsOnly {
			o = o.Heads()
		}
		page.Items = append(page.Items, Item{Key: []byte(k), Object: o})
		for _, s := range o.Siblings {
			size += len(s.Value)
		}
	}
	page.More, page.Resume = false, nil
	return page
}

func (n *fakeNode) scanForPeer(req ScanRequest) *ScanPage {
	if n.scans != nil {
		return n.scans(req)
	}
	return n.scan(req)
}

func (n *fakeNode) called(kind string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls[kind]
}

func (n *fakeNode) Actor() causal.Actor {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.actor
}

func (n *fakeNode) Serving() error { return n.now().serving }

// Write decides after a random wait, as a queue would, and is durable after syncTime.
func (n *fakeNode) Write(deadline time.Time, ds []Decision, decided func([]Decided), durable func(error)) {
	n.c.wait.Go(func() {
		time.Sleep(n.c.lag())
		if err := n.now().failDone; err != nil {
			n.cause(func(w *trouble) { w.serving = err })
			durable(err)
			return
		}
		if !time.Now().Before(deadline) {
			durable(context.DeadlineExceeded)
			return
		}
		out, actor := n.decide(ds)
		decided(out)
		time.Sleep(n.syncTime)
		if err := n.now().failSync; err != nil {
			n.newActor()
			durable(err)
			return
		}
		n.mu.Lock()
		lost := n.actor != actor
		for i, d := range ds {
			if out[i].Err == nil && !lost {
				n.dur[string(d.Key)] = causal.Join(n.dur[string(d.Key)], out[i].Object)
			}
		}
		n.mu.Unlock()
		if lost {
			durable(errors.New("crashed"))
			return
		}
		durable(nil)
	})
}

func (n *fakeNode) decide(ds []Decision) ([]Decided, causal.Actor) {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]Decided, len(ds))
	for i, d := range ds {
		base := n.latest(string(d.Key))
		switch {
		case n.quar[string(d.Key)]:
			out[i].Err = ErrUnknownKey
			continue
		case causal.Survivors(base, d.Context, d.HasContext)+1 > n.siblings:
			out[i].Err = ErrTooManySiblings
			continue
		}
		now := causal.Timestamp(time.Now().UnixMilli()) << 16
		n.clock = max(n.clock, now, d.Context.Max(), base.Vector.Max()) + 1
		dot := causal.Dot{Actor: n.actor, Time: n.clock}
		n.issued = append(n.issued, dot)
		n.decidedFor[string(d.Key)+" "+string(d.Value)] = dot
		s := causal.Sibling{Dot: dot, Tombstone: d.Tombstone, Value: d.Value, ExpiresAt: d.ExpiresAt}
		out[i] = Decided{Dot: dot, Object: causal.Put(base, d.Context, d.HasContext, s)}
		n.vol[string(d.Key)] = out[i].Object
	}
	return out, n.actor
}

// link is a peer as another node sees it.
type link struct{ from, to *fakeNode }

func (l *link) Reachable() bool     { w := l.to.now(); return !w.down || w.unnoticed }
func (l *link) Health() Health      { return l.to.now().health }
func (l *link) Actor() causal.Actor { return l.to.Actor() }

// send carries a request over and its answer back. call is run at the other node; answer hands over what it returned.
// late is what the caller hears when either got lost.
func (l *link) send(deadline time.Time, call func() (answer func()), late func(error)) {
	c := l.from.c
	if l.to.now().down {
		late(&UnreachableError{Node: l.to.id, Err: errors.New("connection refused")})
		return
	}
	c.wait.Go(func() {
		expire := func() {
			time.Sleep(time.Until(deadline))
			if l.to.now().deaf {
				time.Sleep(10 * time.Second)
			}
			late(context.DeadlineExceeded)
		}
		time.Sleep(c.lag())
		if w := l.to.now(); w.silent || w.deaf || c.draw() < c.lose || !time.Now().Before(deadline) {
			expire()
			return
		}
		if c.draw() < c.twice {
			c.wait.Go(func() { time.Sleep(c.lag()); call() })
		}
		answer := call()
		time.Sleep(c.lag())
		if c.draw() < c.lose || !time.Now().Before(deadline) {
			expire()
			return
		}
		answer()
	})
}

func (l *link) Store(deadline time.Time, items []Item, done func(StoreAck, error)) {
	l.send(deadline, func() func() {
		ack, err := l.to.store(l.from.id, items)
		return func() { done(ack, err) }
	}, func(err error) { done(StoreAck{}, err) })
}

func (l *link) Hint(deadline time.Time, target ring.NodeID, items []Item, done func(StoreAck, error)) {
	l.send(deadline, func() func() {
		ack, err := l.to.keepCopies(target, items)
		return func() { done(ack, err) }
	}, func(err error) { done(StoreAck{}, err) })
}

func (l *link) Read(deadline time.Time, keys [][]byte, want ReadWant, done func([]ReadItem, error)) {
	l.send(deadline, func() func() {
		items := l.to.read(keys, want)
		return func() { done(items, nil) }
	}, func(err error) { done(nil, err) })
}

func (l *link) Scan(deadline time.Time, req ScanRequest, done func(*ScanPage, error)) {
	l.send(deadline, func() func() {
		page := l.to.scanForPeer(req)
		return func() { done(page, nil) }
	}, func(err error) { done(nil, err) })
}

func (l *link) Coordinate(deadline time.Time, req *WriteRequest, done func([]Outcome, error)) {
	c := l.from.c
	c.mu.Lock()
	c.forwards++
	c.mu.Unlock()
	if l.to.now().down {
		done(nil, &UnreachableError{Node: l.to.id, Err: errors.New("connection refused")})
		return
	}
	c.wait.Go(func() {
		time.Sleep(c.lag())
		if w := l.to.now(); w.silent || w.deaf || c.draw() < c.lose || !time.Now().Before(deadline) {
			time.Sleep(time.Until(deadline))
			if w.deaf {
				time.Sleep(10 * time.Second)
			}
			done(nil, context.DeadlineExceeded)
			return
		}
		c.wait.Add(1)
		l.to.coord.CoordinateForPeer(deadline, req, func(out []Outcome, err error) {
			c.wait.Go(func() {
				defer c.wait.Done()
				time.Sleep(c.lag())
				if c.draw() < c.lose || !time.Now().Before(deadline) {
					out, err = nil, context.DeadlineExceeded
				}
				done(out, err)
			})
		})
	})
}

// Requests as tests make them.

func put(key, value string) Op { return Op{Kind: OpPut, Key: []byte(key), Value: []byte(value)} }
func del(key string) Op        { return Op{Kind: OpDelete, Key: []byte(key)} }

func (o Op) with(cc causal.Vector) Op {
	o.Context, o.HasContext = cc, true
	return o
}

// write writes through node n and returns the outcomes.
func (n *fakeNode) write(t testing.TB, req WriteRequest, ops ...Op) []Outcome {
	t.Helper()
	req.Ops = ops
	out, err := n.coord.Write(context.Background(), &req)
	if err != nil {
		t.Fatalf("write: %v", err)
	}
	return out
}

// put writes one op and must succeed.
func (n *fakeNode) put(t testing.TB, op Op) Outcome {
	t.Helper()
	out := n.write(t, WriteRequest{}, op)[0]
	if out.Err != nil {
		t.Fatalf("%s of %s: %v", op.name(), op.Key, out.Err)
	}
	return out
}

func (n *fakeNode) get(t testing.TB, key string, r Level) ReadResult {
	t.Helper()
	res, err := n.coord.Read(context.Background(), &ReadRequest{Keys: [][]byte{[]byte(key)}, R: r})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return res[0]
}

// values are the values that an object shows, sorted.
func values(o causal.Object) string {
	var vs []string
	for _, s := range o.Siblings {
		if s.Tombstone {
			vs = append(vs, "†")
		} else {
			vs = append(vs, string(s.Value))
		}
	}
	slices.SortFunc(vs, cmp.Compare[string])
	return strings.Join(vs, " ")
}
