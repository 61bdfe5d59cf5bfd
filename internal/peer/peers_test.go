package peer

import (
	"context"
	"errors"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

const second = time.Second

func TestRequestsCrossTheWire(t *testing.T) {
	written := &coordinator.WriteRequest{
		Ops: []coordinator.Op{
			{Kind: coordinator.OpPut, Key: []byte("a"), Value: []byte("1"), ExpiresAt: 77, Context: causal.Vector{{Actor: 3, Time: 4}}, HasContext: true},
			{Kind: coordinator.OpDelete, Key: []byte("b"), Value: []byte{}},
		},
		W: 2, R: coordinator.LevelQuorum, Ordered: wire.ChoiceYes, Sloppy: wire.ChoiceYes, Retried: true,
	}
	outcomes := []coordinator.Outcome{
		{Context: causal.Vector{{Actor: 3, Time: 9}}, Receipt: coordinator.Receipt{
			Dot: causal.Dot{Actor: 3, Time: 9}, Replicas: []ring.NodeID{"n2", "n1"}, Retried: true}},
		{Err: &coordinator.QuorumError{Op: "delete", Need: 2, Got: 1, Effect: wire.EffectApplied}},
	}
	var got coordinator.WriteRequest
	nodes := startCluster(t, 2, func(i int, o *Options) {
		o.Coordinate = func(deadline time.Time, req *coordinator.WriteRequest, done func([]coordinator.Outcome, error)) {
			if !req.Deadline.Equal(deadline) {
				t.Errorf("deadline %v, in the request %v", deadline, req.Deadline)
			}
			got = *req
			done(outcomes, nil)
		}
	})
	p := nodes[0].Peer("n2")

	ack, err := store(t, p, second, item("k", "v"), item("l", ""))
	if err != nil || ack.Actor != 101 || p.Actor() != 101 {
		t.Fatalf("store: %v %v, actor %v", ack, err, p.Actor())
	}
	values, err := read(t, p, second, coordinator.WantValues, "k", "absent", "lost")
	if err != nil || len(values) != 3 || string(values[0].Object.Siblings[0].Value) != "v" || !values[1].Object.IsZero() ||
		values[1].State != coordinator.ReadKnown || values[2].State != coordinator.ReadUnknown {
		t.Fatalf("read: %v %v", values, err)
	}
	heads, err := read(t, p, second, coordinator.WantHeads, "k")
	if err != nil || heads[0].Object.Siblings[0].Value != nil {
		t.Fatalf("heads: %v %v", heads, err)
	}

	scanned, pages := once[*coordinator.ScanPage](t)
	p.Scan(time.Now().Add(second), coordinator.ScanRequest{ItemsMax: 10, BytesMax: 10, ScannedMax: 10}, scanned)
	if page := wait(t, pages); page.err != nil || len(page.v.Items) != 2 || string(page.v.Items[1].Key) != "l" {
		t.Fatalf("scan: %+v", page)
	}

	coordinated, results := once[[]coordinator.Outcome](t)
	p.Coordinate(time.Now().Add(second), written, coordinated)
	if res := wait(t, results); res.err != nil || !reflect.DeepEqual(res.v, outcomes) {
		t.Fatalf("coordinate: %+v, want %+v", res, outcomes)
	}
	got.Deadline = time.Time{}
	if !reflect.DeepEqual(got, *written) {
		t.Fatalf("the peer got %+v, want %+v", got, *written)
	}
}

func TestAHintIsKeptForAnotherMemberOnly(t *testing.T) {
	type kept struct {
		target ring.NodeID
		items  []coordinator.Item
	}
	full := errors.New("full")
	hints := make(chan kept, 1)
	nodes := startCluster(t, 3, func(i int, o *Options) {
		if i != 1 {
			return // n3 keeps none
		}
		o.Hint = func(_ time.Time, target ring.NodeID, items []coordinator.Item, done func(error)) {
			if string(items[0].Key) == "too much" {
				done(full)
				return
			}
			hints <- kept{target, items}
			done(nil)
		}
	})
	hint := func(to, target ring.NodeID, key string) (coordinator.StoreAck, error) {
		t.Helper()
		done, acks := once[coordinator.StoreAck](t)
		nodes[0].Peer(to).Hint(time.Now().Add(second), target, []coordinator.Item{item(key, "v")}, done)
		answer := wait(t, acks)
		return answer.v, answer.err
	}
	ack, err := hint("n2", "n3", "k")
	if err != nil || ack.Actor != 101 {
		t.Fatalf("%v, %v", ack, err)
	}
	if got := <-hints; got.target != "n3" || len(got.items) != 1 || string(got.items[0].Key) != "k" {
		t.Errorf("kept %+v", got)
	}
	for _, c := range []struct{ to, target, key string }{
		{"n2", "n3", "too much"}, {"n2", "n2", "k"}, {"n2", "stranger", "k"}, {"n3", "n2", "k"},
	} {
		if _, err := hint(ring.NodeID(c.to), ring.NodeID(c.target), c.key); err == nil {
			t.Errorf("%s keeps a hint of %q for %s", c.to, c.key, c.target)
		}
	}
}

func TestPeerIsNilForItselfAndStrangers(t *testing.T) {
	members, listeners := listen(t, 2)
	for _, ln := range listeners {
		must(t, ln.Close())
	}
	p, err := New(testOptions(t, members, 0))
	must(t, err)
	if p.Peer("n1") != nil || p.Peer("n9") != nil || p.Peer("n2") == nil {
		t.Fatal("want a peer for n2 only")
	}
}

func TestEveryMessageCarriesTheClock(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	ahead := nodes[0].clock.Last() + 1<<30
	nodes[0].clock.Observe(ahead)
	if _, err := store(t, nodes[0].Peer("n2"), second, item("k", "v")); err != nil {
		t.Fatal(err)
	}
	if got := nodes[1].clock.Last(); got < ahead {
		t.Fatalf("a request brought clock %v, the receiver's is %v", ahead, got)
	}
	ahead += 1 << 30
	nodes[1].clock.Observe(ahead)
	if _, err := read(t, nodes[0].Peer("n2"), second, coordinator.WantValues, "k"); err != nil {
		t.Fatal(err)
	}
	if got := nodes[0].clock.Last(); got < ahead {
		t.Fatalf("an answer brought clock %v, the receiver's is %v", ahead, got)
	}
}

func TestAnswersArriveInAnyOrder(t *testing.T) {
	type held struct {
		key  string
		done func([]coordinator.ReadItem, error)
	}
	waiting := make(chan held, 3)
	nodes := startCluster(t, 2, nil)
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onRead = func(_ time.Time, keys [][]byte, _ coordinator.ReadWant, done func([]coordinator.ReadItem, error)) {
			waiting <- held{string(keys[0]), done}
		}
	})
	answers := make(map[string]<-chan answerOf[[]coordinator.ReadItem])
	for _, k := range []string{"a", "b", "c"} {
		done, got := once[[]coordinator.ReadItem](t)
		answers[k] = got
		nodes[0].Peer("n2").Read(time.Now().Add(5*second), [][]byte{[]byte(k)}, coordinator.WantValues, done)
	}
	all := []held{wait(t, waiting), wait(t, waiting), wait(t, waiting)}
	for _, i := range []int{2, 0, 1} {
		h := all[i]
		h.done([]coordinator.ReadItem{{Object: object(1, 1, h.key)}}, nil)
		if a := wait(t, answers[h.key]); a.err != nil || string(a.v[0].Object.Siblings[0].Value) != h.key {
			t.Fatalf("asked for %s, got %+v", h.key, a)
		}
	}
}

func TestErrorsOfTheLocalReplicaKeepTheirType(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onStore = func(_ time.Time, _ []coordinator.Item, done func(coordinator.StoreAck, error)) {
			done(coordinator.StoreAck{}, coordinator.ErrOverloaded)
		}
	})
	_, err := store(t, nodes[0].Peer("n2"), second, item("k", "v"))
	if !errors.Is(err, coordinator.ErrOverloaded) {
		t.Fatalf("got %v", err)
	}
}

func TestRequestToAPeerNeverMetIsUnreachable(t *testing.T) {
	members, listeners := listen(t, 2)
	must(t, listeners[1].Close())
	n := start(t, testOptions(t, members, 0), listeners[0])
	_, err := store(t, n.Peer("n2"), second, item("k", "v"))
	var never *coordinator.UnreachableError
	if !errors.As(err, &never) || never.Node != "n2" {
		t.Fatalf("got %v", err)
	}
	if n.Peer("n2").Reachable() {
		t.Fatal("a peer never met is reachable")
	}
}

func TestExpiredRequestEndsWithDeadlineExceeded(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	release := make(chan func(), 2)
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onStore = func(_ time.Time, _ []coordinator.Item, done func(coordinator.StoreAck, error)) {
			release <- func() { done(coordinator.StoreAck{}, nil) }
		}
	})
	p := nodes[0].Peer("n2")
	if _, err := store(t, p, 20*time.Millisecond, item("k", "v")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	wait(t, release)() // the late answer finds no call
	if _, err := store(t, p, -second, item("k", "v")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("past deadline: %v", err)
	}
	done, got := once[[]coordinator.Outcome](t)
	p.Coordinate(time.Now().Add(-second), &coordinator.WriteRequest{}, done)
	if a := wait(t, got); !errors.Is(a.err, context.DeadlineExceeded) || coordinator.EffectOf(a.err) != wire.EffectNone {
		t.Fatalf("a write that never left: %v", a.err)
	}
}

func TestLinkIsMadeAnewAfterAPeerDied(t *testing.T) {
	members, listeners := listen(t, 2)
	o2 := testOptions(t, members, 1)
	a := start(t, testOptions(t, members, 0), listeners[0])
	b := start(t, o2, listeners[1])
	awaitReachable(t, a, "n2")

	b.local.hook(func(l *fakeLocal) {
		l.onStore = func(time.Time, []coordinator.Item, func(coordinator.StoreAck, error)) {}
	})
	done, got := once[coordinator.StoreAck](t)
	a.Peer("n2").Store(time.Now().Add(10*second), []coordinator.Item{item("k", "v")}, done)
	eventually(t, "the store arrives", func() bool { b.local.mu.Lock(); defer b.local.mu.Unlock(); return b.local.stores > 0 })
	b.stop()
	var lost *LostError
	if ans := wait(t, got); !errors.As(ans.err, &lost) || lost.Node != "n2" || coordinator.EffectOf(ans.err) != wire.EffectUnknown {
		t.Fatalf("the request under way ended with %v", ans.err)
	}
	eventually(t, "n2 is unreachable", func() bool { return !a.Peer("n2").Reachable() })

	ln, err := net.Listen("tcp", members[1].Addr)
	must(t, err)
	o2.Runs = ran(Run{1, 1001}, Run{2, 2002})
	start(t, o2, ln)
	awaitReachable(t, a, "n2")
	if s := a.Status()[0]; s.Incarnation != 2 || s.RPCAddr != "rpc-1" || s.HTTPAddr != "http-1" {
		t.Fatalf("status %+v", s)
	}
	if err := a.lastKnown("n2"); err != (identity{id: "n2", incarnation: 2, boot: 2002, actor: 101}) {
		t.Fatalf("remembered %v", err)
	}
}

func TestPeerThatComesBackIsDialledAtOnce(t *testing.T) {
	members, listeners := listen(t, 2)
	must(t, listeners[1].Close())
	o := testOptions(t, members, 0)
	o.BackoffMin, o.BackoffMax = time.Hour, time.Hour
	failed := make(chan struct{}, 2)
	o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			failed <- struct{}{}
		}
		return nc, err
	}
	a := start(t, o, listeners[0])
	wait(t, failed)
	wait(t, failed) // both classes: the next attempts are half an hour away

	ln, err := net.Listen("tcp", members[1].Addr)
	must(t, err)
	b := start(t, testOptions(t, members, 1), ln)
	awaitAll(t, []*testNode{a, b})
}

// lastKnown is what the memory file says of a member.
func (n *testNode) lastKnown(id ring.NodeID) identity {
	a, err := openAdmission(n.opt.FS, n.opt.Dir)
	if err != nil {
		return identity{}
	}
	return a.known[id]
}
