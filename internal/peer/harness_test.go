package peer

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/testport"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dataDir = "/data"

// fakeLocal is a replica in a map. Its hooks stand in for calls where they are set.
type fakeLocal struct {
	actor atomic.Uint64

	mu      sync.Mutex
	objects map[string]causal.Object
	stores  int
	onStore func(deadline time.Time, items []coordinator.Item, done func(coordinator.StoreAck, error))
	onRead  func(deadline time.Time, keys [][]byte, want coordinator.ReadWant, done func([]coordinator.ReadItem, error))
	onScan  func(deadline time.Time, req coordinator.ScanRequest, done func(*coordinator.ScanPage, error))
}

func newFakeLocal(actor causal.Actor) *fakeLocal {
	l := &fakeLocal{objects: make(map[string]causal.Object)}
	l.actor.Store(uint64(actor))
	return l
}

func (l *fakeLocal) Store(deadline time.Time, items []coordinator.Item, done func(coordinator.StoreAck, error)) {
	l.mu.Lock()
	l.stores++
	hook := l.onStore
	if hook == nil {
		for _, it := range items {
			l.objects[string(it.Key)] = causal.Join(l.objects[string(it.Key)], it.Object)
		}
	}
	l.mu.Unlock()
	if hook != nil {
		hook(deadline, items, done)
		return
	}
	done(coordinator.StoreAck{Actor: l.Actor()}, nil)
}

func (l *fakeLocal) Read(deadline time.Time, keys [][]byte, want coordinator.ReadWant, done func([]coordinator.ReadItem, error)) {
	l.mu.Lock()
	hook := l.onRead
	items := make([]coordinator.ReadItem, len(keys))
	for i, k := range keys {
		items[i].Object = l.objects[string(k)]
		if string(k) == "lost" {
			items[i] = coordinator.ReadItem{State: coordinator.ReadUnknown}
		}
		if want == coordinator.WantHeads {
			items[i].Object = items[i].Object.Heads()
		}
	}
	l.mu.Unlock()
	if hook != nil {
		hook(deadline, keys, want, done)
		return
	}
	done(items, nil)
}

func (l *fakeLocal) Scan(deadline time.Time, req coordinator.ScanRequest, done func(*coordinator.ScanPage, error)) {
	l.mu.Lock()
	hook := l.onScan
	page := &coordinator.ScanPage{}
	for k, o := range l.objects {
		page.Items = append(page.Items, coordinator.Item{Key: []byte(k), Object: o})
	}
	l.mu.Unlock()
	if hook != nil {
		hook(deadline, req, done)
		return
	}
	slices.SortFunc(page.Items, func(a, b coordinator.Item) int { return slices.Compare(a.Key, b.Key) })
	done(page, nil)
}

func (l *fakeLocal) Write(_ time.Time, _ []coordinator.Decision, _ func([]coordinator.Decided), durable func(error)) {
	durable(coordinator.ErrNotServing)
}

func (l *fakeLocal) Actor() causal.Actor { return causal.Actor(l.actor.Load()) }
func (l *fakeLocal) Serving() error      { return nil }

func (l *fakeLocal) hook(set func(l *fakeLocal)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	set(l)
}

// testNode is one running node.
type testNode struct {
	*Peers
	opt               Options
	local             *fakeLocal
	clock             *causal.Clock
	addr              string
	refused, outdated chan *HandshakeError
	cancel            context.CancelFunc
	ended             sync.WaitGroup
}

func newTestClock(now func() time.Time) *causal.Clock {
	return causal.NewClock(causal.ClockOptions{Now: now, Persist: func(causal.Timestamp) error { return nil }})
}

// testOptions are the options of node i of members.
func testOptions(t testing.TB, members []Member, i int) Options {
	disk := vfstest.New()
	must(t, disk.MkdirAll(dataDir))
	local := newFakeLocal(causal.Actor(100 + i))
	return Options{
		Self: Self{
			ID: members[i].ID, PeerAddr: members[i].Addr, RPCAddr: fmt.Sprintf("rpc-%d", i), HTTPAddr: fmt.Sprintf("http-%d", i),
		},
		Runs:    ran(Run{1, uint64(1000 + i)}),
		Members: members,
		Table:   Table{Fingerprint: 7, Replicas: 3, Partitions: 256},
		Clock:   newTestClock(nil),
		Local:   local,
		Coordinate: func(_ time.Time, req *coordinator.WriteRequest, done func([]coordinator.Outcome, error)) {
			done(make([]coordinator.Outcome, len(req.Ops)), nil)
		},
		FS: disk, Dir: dataDir,
		Logger:       slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		PingInterval: 50 * time.Millisecond, BackoffMin: 5 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
		Seed: uint64(i),
	}
}

// ran are the runs of a node, the last one being the present.
func ran(runs ...Run) func() (Run, []Run) {
	last := len(runs) - 1
	return func() (Run, []Run) { return runs[last], runs[:last] }
}

type testLog struct{ testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	if testing.Verbose() {
		l.Logf("%s", b)
	}
	return len(b), nil
}

// listen reserves an address for each of n members.
func listen(t testing.TB, n int) ([]Member, []net.Listener) {
	members, listeners := make([]Member, n), make([]net.Listener, n)
	for i, addr := range testport.Addrs(t, n) { // nodes come back to their addresses
		ln, err := net.Listen("tcp", addr)
		must(t, err)
		members[i] = Member{ID: ring.NodeID(fmt.Sprintf("n%d", i+1)), Addr: ln.Addr().String(), Zone: fmt.Sprintf("z%d", i)}
		listeners[i] = ln
	}
	return members, listeners
}

// start runs a node; the end of the test stops it.
func start(t testing.TB, o Options, ln net.Listener) *testNode {
	p, err := New(o)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	n := &testNode{Peers: p, opt: o, local: o.Local.(*fakeLocal), addr: ln.Addr().String(), cancel: cancel}
	n.clock, _ = o.Clock.(*causal.Clock)
	n.refused, n.outdated = make(chan *HandshakeError, 1), make(chan *HandshakeError, 1)
	p.opt.Refused = func(err *HandshakeError) { n.refused <- err }
	p.opt.Outdated = func(err *HandshakeError) {
		select {
		case n.outdated <- err:
		default:
		}
	}
	n.ended.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	n.ended.Go(func() {
		if err := p.Serve(ctx, ln); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

func (n *testNode) stop() {
	n.cancel()
	n.ended.Wait()
}

// startCluster runs n nodes and waits until all reach all.
func startCluster(t testing.TB, n int, change func(i int, o *Options)) []*testNode {
	members, listeners := listen(t, n)
	nodes := make([]*testNode, n)
	for i := range n {
		o := testOptions(t, members, i)
		if change != nil {
			change(i, &o)
		}
		nodes[i] = start(t, o, listeners[i])
	}
	awaitAll(t, nodes)
	return nodes
}

func awaitAll(t testing.TB, nodes []*testNode) {
	t.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				awaitReachable(t, a, b.opt.Self.ID)
			}
		}
	}
}

// awaitReachable waits until both links are up.
func awaitReachable(t testing.TB, n *testNode, id ring.NodeID) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s reaches %s", n.opt.Self.ID, id), func() bool {
		r := n.remotes[id]
		return r.Reachable() && r.links[bulk].Load() != nil
	})
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("does not happen within 10 s: %s", what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answerOf is what a call's done was called with; the test fails at a second call.
type answerOf[T any] struct {
	v   T
	err error
}

// once makes a done function, and a channel that gets what it is called with.
func once[T any](t testing.TB) (func(T, error), <-chan answerOf[T]) {
	got := make(chan answerOf[T], 1)
	var called atomic.Bool
	return func(v T, err error) {
		if called.Swap(true) {
			t.Error("done was called twice")
			return
		}
		got <- answerOf[T]{v, err}
	}, got
}

func wait[T any](t testing.TB, got <-chan T) T {
	t.Helper()
	select {
	case v := <-got:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("no answer within 10 s")
		panic("unreachable")
	}
}

func store(t testing.TB, p coordinator.Peer, timeout time.Duration, items ...coordinator.Item) (coordinator.StoreAck, error) {
	t.Helper()
	done, got := once[coordinator.StoreAck](t)
	p.Store(time.Now().Add(timeout), items, done)
	a := wait(t, got)
	return a.v, a.err
}

func read(t testing.TB, p coordinator.Peer, timeout time.Duration, want coordinator.ReadWant, keys ...string) ([]coordinator.ReadItem, error) {
	t.Helper()
	done, got := once[[]coordinator.ReadItem](t)
	var ks [][]byte
	for _, k := range keys {
		ks = append(ks, []byte(k))
	}
	p.Read(time.Now().Add(timeout), ks, want, done)
	a := wait(t, got)
	return a.v, a.err
}

// object is an object with one sibling.
func object(actor causal.Actor, at causal.Timestamp, value string) causal.Object {
	d := causal.Dot{Actor: actor, Time: at}
	return causal.Object{Vector: causal.Vector{d}, Siblings: []causal.Sibling{{Dot: d, Value: []byte(value)}}}
}

func item(key, value string) coordinator.Item {
	return coordinator.Item{Key: []byte(key), Object: object(5, 9, value)}
}
