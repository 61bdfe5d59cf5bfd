package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

func TestWhatWasPutIsGotAndWhatWasDeletedIsNot(t *testing.T) {
	f := startFake(t, 3)
	c := f.client(t, Options{})
	ctx := t.Context()
	key, value := []byte{0xff, 0, 'k'}, bytes.Repeat([]byte{0, 1, 0xfe}, 100_000)
	receipt, err := c.Put(ctx, key, value, &PutOptions{W: LevelAll, TTL: time.Hour})
	if err != nil || len(receipt.Context) == 0 || receipt.Retried || receipt.Replicas[0] != "n0" {
		t.Fatalf("%+v, %v", receipt, err)
	}
	got, err := c.Get(ctx, key, nil)
	if err != nil || !bytes.Equal(got.Value, value) || got.Siblings != 1 || len(got.Context) == 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := c.Delete(ctx, key, nil); err != nil {
		t.Fatal(err)
	}
	got, err = c.Get(ctx, key, nil)
	if !errors.Is(err, ErrNotFound) || got == nil || len(got.Context) == 0 || got.Value != nil {
		t.Fatalf("%+v, %v; want not found, with the context", got, err)
	}
}

func TestEachKeyGoesStraightToItsPrimary(t *testing.T) {
	f := startFake(t, 4)
	c := f.client(t, Options{Addrs: f.addrs()[:1]})
	for i := range f.nodes {
		key := f.keyOf(i)
		if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
		if rs := f.nodes[i].requests(); len(rs) != 1 || rs[0].key != string(key) {
			t.Fatalf("node %d saw %v", i, rs)
		}
	}
}

func TestADirectClientTalksToItsAddressesOnly(t *testing.T) {
	f := startFake(t, 3)
	c := f.client(t, Options{Addrs: []string{f.nodes[1].addr}, Direct: true})
	for i := range f.nodes {
		if _, err := c.Put(t.Context(), f.keyOf(i), []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.nodes[1].requests()); n != 3 {
		t.Fatalf("the one node saw %d requests, want 3", n)
	}
	f.nodes[1].stop()
	_, err := c.Get(t.Context(), []byte("k"), nil)
	if e := asError(t, err); e.Code != CodeUnavailable || e.Effect != EffectNone || e.Attempts != 5 {
		t.Fatalf("%+v", e)
	}
}

func TestAnswersFindTheirRequestsInAnyOrder(t *testing.T) {
	f := startFake(t, 1)
	c := f.client(t, Options{ConnectionsPerNode: 1})
	const callers = 20
	var mu sync.Mutex
	var held []*fakeRequest
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		if q.method != wire.MethodGet {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, q); len(held) == callers {
			for _, q := range slices.Backward(held) {
				g := wire.GetResult{Found: true, Value: []byte("value of " + q.key)}
				s.send(q, g.Encode)
			}
		}
		return true
	})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			key := fmt.Sprint("k", i)
			v, err := c.Get(t.Context(), []byte(key), nil)
			if err != nil || string(v.Value) != "value of "+key {
				t.Errorf("%s: %+v, %v", key, v, err)
			}
		})
	}
	wg.Wait()
}

func TestTheRetryRule(t *testing.T) {
	type op struct {
		name string
		do   func(c *Client, key []byte) error
	}
	get := op{"get", func(c *Client, key []byte) error { _, err := c.Get(context.Background(), key, nil); return err }}
	put := op{"put", func(c *Client, key []byte) error {
		_, err := c.Put(context.Background(), key, []byte("v"), nil)
		return err
	}}
	putWithContext := op{"put with context", func(c *Client, key []byte) error {
		_, err := c.Put(context.Background(), key, []byte("v"), &PutOptions{Context: []byte("cc")})
		return err
	}}
	deleteWithContext := op{"delete with context", func(c *Client, key []byte) error {
		_, err := c.Delete(context.Background(), key, &DeleteOptions{Context: []byte("cc")})
		return err
	}}
	cases := []struct {
		op      op
		fault   *wire.Fault
		opts    Options
		retried bool // a second attempt is made
		marked  bool // and says that it is one
	}{
		{op: get, fault: fault(CodeUnavailable, EffectNone), retried: true},
		{op: get, fault: fault(CodeQuorumNotMet, EffectNone), retried: true},
		{op: get, fault: fault(CodeTimeout, EffectUnknown), retried: true},
		{op: get, fault: fault(CodeInternal, EffectUnknown), retried: true},
		{op: get, fault: fault(CodeBadRequest, EffectNone)},
		{op: get, fault: fault(CodeTooLarge, EffectNone)},
		{op: get, fault: fault(CodeUnauthorized, EffectNone)},
		{op: get, fault: fault(CodeForbidden, EffectNone)},
		{op: put, fault: fault(CodeUnavailable, EffectNone), retried: true},
		{op: put, fault: fault(CodeReadOnly, EffectNone), retried: true},
		{op: put, fault: fault(CodeNoSpace, EffectNone), retried: true},
		{op: put, fault: fault(CodeTooManySiblings, EffectNone)},
		{op: put, fault: fault(CodeTimeout, EffectUnknown), retried: true, marked: true},
		{op: put, fault: fault(CodeQuorumNotMet, EffectApplied), retried: true, marked: true},
		{op: put, fault: fault(CodeTimeout, EffectUnknown), opts: Options{NoUnknownRetries: true}},
		{op: put, fault: fault(CodeOverloaded, EffectNone), opts: Options{NoUnknownRetries: true}, retried: true},
		{op: put, fault: fault(CodeUnavailable, EffectNone), opts: Options{RetriesMax: -1}},
		{op: putWithContext, fault: fault(CodeUnavailable, EffectNone), retried: true},
		{op: putWithContext, fault: fault(CodeTimeout, EffectUnknown)},
		{op: putWithContext, fault: fault(CodeQuorumNotMet, EffectApplied)},
		{op: deleteWithContext, fault: fault(CodeOverloaded, EffectNone), retried: true},
		{op: deleteWithContext, fault: fault(CodeInternal, EffectUnknown)},
	}
	for _, tc := range cases {
		t.Run(fmt.Sprintf("%s/%s/%s/%+d", tc.op.name, tc.fault.Code, tc.fault.Effect, tc.opts.RetriesMax), func(t *testing.T) {
			f := startFake(t, 2)
			key := f.keyOf(0)
			f.values[string(key)] = "v"
			f.nodes[0].behave(always(tc.fault))
			err := tc.op.do(f.client(t, tc.opts), key)
			second := f.nodes[1].requests()
			if tc.retried {
				if err != nil || len(second) != 1 || second[0].Retried != tc.marked {
					t.Fatalf("error %v, the other node saw %+v", err, second)
				}
				return
			}
			e := asError(t, err)
			if len(second) != 0 || e.Attempts != 1 || e.Code != tc.fault.Code {
				t.Fatalf("error %+v, the other node saw %+v", e, second)
			}
			if tc.op.name != "get" && e.Effect != tc.fault.Effect {
				t.Fatalf("effect %v, want %v", e.Effect, tc.fault.Effect)
			}
		})
	}
}

func TestAConnectionThatBreaksHasAnUnknownEffect(t *testing.T) {
	f := startFake(t, 2)
	key := f.keyOf(0)
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		if isData(q) {
			go s.link.Close()
		}
		return isData(q)
	})
	c := f.client(t, Options{})
	_, err := c.Put(t.Context(), key, []byte("v"), &PutOptions{Context: []byte("cc")})
	if e := asError(t, err); e.Effect != EffectUnknown || e.Attempts != 1 || e.Code != CodeUnavailable || e.Node != f.nodes[0].addr {
		t.Fatalf("with a context: %+v", e)
	}
	eventually(t, "node 0 answers pings again", func() bool { return !c.routing.Load().members[0].out.Load() })
	receipt, err := c.Put(t.Context(), key, []byte("v"), nil)
	if err != nil || !receipt.Retried {
		t.Fatalf("without: %+v, %v", receipt, err)
	}
}

func TestAnErrorHasTheGravestEffectOfItsAttempts(t *testing.T) {
	f := startFake(t, 2)
	f.nodes[0].behave(always(fault(CodeTimeout, EffectUnknown)))
	f.nodes[1].behave(always(fault(CodeReadOnly, EffectNone)))
	c := f.client(t, Options{RetriesMax: 1})
	_, err := c.Put(t.Context(), f.keyOf(0), []byte("v"), nil)
	if e := asError(t, err); e.Effect != EffectUnknown || e.Code != CodeReadOnly || e.Attempts != 2 {
		t.Fatalf("%+v", e)
	}
}

func TestADeadNodeCostsNothingButItsFirstRequest(t *testing.T) {
	f := startFake(t, 3)
	c := f.client(t, Options{})
	key := f.keyOf(0)
	if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	f.nodes[0].stop()
	for i := range 20 {
		if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
			t.Fatalf("put %d after the node died: %v", i, err)
		}
	}
	// It comes back under its address and is used again.
	f.nodes[0].forget()
	f.nodes[0].listen(t, f.nodes[0].addr)
	eventually(t, "the node that came back is asked", func() bool {
		if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
		return len(f.nodes[0].requests()) > 0
	})
}

func TestANodeThatHangsCostsOneAttemptAndThenNothing(t *testing.T) {
	f := startFake(t, 3)
	c := f.client(t, Options{AttemptTimeout: 50 * time.Millisecond, DialTimeout: 50 * time.Millisecond, ConnectionsPerNode: 1})
	key := f.keyOf(0)
	if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	f.nodes[0].behave(func(*fakeSession, *fakeRequest) bool { return true })
	start := time.Now()
	receipt, err := c.Put(t.Context(), key, []byte("w"), nil)
	if err != nil || !receipt.Retried {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if took := time.Since(start); took < 50*time.Millisecond || took > 2*time.Second {
		t.Fatalf("took %v", took)
	}
	f.nodes[0].forget()
	for range 50 {
		if _, err := c.Put(t.Context(), key, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.nodes[0].requests()); n != 0 {
		t.Fatalf("the hung node got %d more requests", n)
	}
	f.nodes[0].behave(nil)
	eventually(t, "the node that woke is asked", func() bool {
		if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
		return len(f.nodes[0].requests()) > 0
	})
}

func TestASlowAnswerDoesNotTakeABusyNodeOutOfTheChoice(t *testing.T) {
	f := startFake(t, 2)
	c := f.client(t, Options{AttemptTimeout: 100 * time.Millisecond, ConnectionsPerNode: 1})
	slow := f.keyOf(0)
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool { return q.key == string(slow) })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := c.Status(t.Context(), f.nodes[0].addr); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	eventually(t, "the node is busy", func() bool { return len(f.nodes[0].requests()) > 3 })
	if _, err := c.Get(t.Context(), slow, nil); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	if c.routing.Load().members[0].out.Load() {
		t.Error("the busy node is out")
	}
	close(stop)
	wg.Wait()
}

func TestACallEndsAtItsDeadlineThoughEveryNodeHangs(t *testing.T) {
	f := startFake(t, 2)
	for _, n := range f.nodes {
		n.behave(func(_ *fakeSession, q *fakeRequest) bool { return isData(q) })
	}
	c := f.client(t, Options{AttemptTimeout: 30 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := c.Put(ctx, []byte("k"), []byte("v"), nil)
	took := time.Since(start)
	e := asError(t, err)
	if e.Code != CodeTimeout || e.Effect != EffectUnknown || !errors.Is(err, context.DeadlineExceeded) || e.Attempts < 2 {
		t.Fatalf("%+v", e)
	}
	if took > time.Second {
		t.Fatalf("took %v", took)
	}
	for _, n := range f.nodes {
		for _, q := range n.requests() {
			if q.Timeout <= 0 || q.Timeout > 150*time.Millisecond {
				t.Fatalf("a node was given %v", q.Timeout)
			}
		}
	}
}

func TestACancelledCallEndsAtOnce(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(func(_ *fakeSession, q *fakeRequest) bool { return isData(q) })
	c := f.client(t, Options{Timeout: time.Hour, AttemptTimeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		eventually(t, "the request arrived", func() bool { return len(f.nodes[0].requests()) == 1 })
		cancel()
	}()
	_, err := c.Put(ctx, []byte("k"), []byte("v"), nil)
	if e := asError(t, err); !errors.Is(err, context.Canceled) || e.Effect != EffectUnknown || e.Attempts != 1 {
		t.Fatalf("%+v", e)
	}
}

func TestCloseEndsCallsUnderWay(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(func(_ *fakeSession, q *fakeRequest) bool { return isData(q) })
	c := f.client(t, Options{Timeout: time.Hour, AttemptTimeout: time.Hour})
	ended := make(chan error, 1)
	go func() {
		_, err := c.Put(context.Background(), []byte("k"), []byte("v"), nil)
		ended <- err
	}()
	eventually(t, "the request arrived", func() bool { return len(f.nodes[0].requests()) == 1 })
	c.Close()
	select {
	case err := <-ended:
		if e := asError(t, err); e.Effect != EffectUnknown {
			t.Fatalf("%+v", e)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the call goes on")
	}
	_, err := c.Get(t.Context(), []byte("k"), nil)
	if e := asError(t, err); !errors.Is(err, ErrClosed) || e.Effect != EffectNone {
		t.Fatalf("after Close: %+v", e)
	}
}

func TestAnOverloadedNodeIsLeftAloneForAsLongAsItAsked(t *testing.T) {
	f := startFake(t, 1)
	var refusals atomic.Int32
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		if isData(q) && refusals.Add(1) <= 2 {
			o := fault(CodeOverloaded, EffectNone)
			o.RetryAfter = 60 * time.Millisecond
			return s.fail(q, o)
		}
		return false
	})
	c := f.client(t, Options{})
	if _, err := c.Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	rs := f.nodes[0].requests()
	for i := 1; i < len(rs); i++ {
		if wait := rs[i].at.Sub(rs[i-1].at); wait < 55*time.Millisecond {
			t.Fatalf("asked again after %v", wait)
		}
	}
	// No longer than the deadline allows.
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		o := fault(CodeOverloaded, EffectNone)
		o.RetryAfter = time.Hour
		return isData(q) && s.fail(q, o)
	})
	_, err := c.Put(t.Context(), []byte("k"), []byte("v"), nil)
	if e := asError(t, err); e.Code != CodeOverloaded || e.RetryAfter != time.Hour || e.Attempts != 1 {
		t.Fatalf("%+v", e)
	}
}

func TestWhatTheNodesAnsweredIsReportedRatherThanThatOneIsDead(t *testing.T) {
	f := startFake(t, 3)
	q := fault(CodeQuorumNotMet, EffectNone)
	q.Need, q.Got = 2, 1
	f.nodes[0].behave(always(q))
	f.nodes[1].stop()
	f.nodes[2].stop()
	c := f.client(t, Options{})
	_, err := c.Get(t.Context(), f.keyOf(0), nil)
	if e := asError(t, err); e.Code != CodeQuorumNotMet || e.Need != 2 || e.Got != 1 || e.Node != f.nodes[0].addr {
		t.Fatalf("%+v", e)
	}
}

func TestEachRequestCarriesTheGreatestClockOfAllAnswers(t *testing.T) {
	f := startFake(t, 2)
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		if q.method != wire.MethodPut {
			return false
		}
		x := wire.WriteResult{Clock: 5_000_000}
		s.send(q, x.Encode)
		return true
	})
	c := f.client(t, Options{Clock: 77})
	for _, i := range []int{0, 1} {
		if _, err := c.Put(t.Context(), f.keyOf(i), []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if first := f.nodes[0].requests()[0]; first.Clock < 77 {
		t.Fatalf("the first request has clock %d, want 77 or more", first.Clock)
	}
	if second := f.nodes[1].requests()[0]; second.Clock != 5_000_000 {
		t.Fatalf("the second request has clock %d, want that of the first answer", second.Clock)
	}
	// A fault brings a clock, too.
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		s.link.Send(func(w *wire.Writer) { w.Failure(q.id, fault(CodeBadRequest, EffectNone), 6_000_000) })
		return true
	})
	c.Put(t.Context(), f.keyOf(0), []byte("v"), nil)
	if c.Clock() != 6_000_000 {
		t.Fatalf("clock %d after a fault with 6000000", c.Clock())
	}
}

func TestTheTopologyIsReadAgainAfterAFailure(t *testing.T) {
	f := startFake(t, 3)
	c := f.client(t, Options{Addrs: f.addrs()[1:2]})
	key := f.keyOf(0)
	if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	// Node 2 takes the place of node 0.
	f.mu.Lock()
	next := *f.topology
	next.Version = 2
	next.Members = []wire.TopologyMember{f.topology.Members[2], f.topology.Members[1], f.topology.Members[2]}
	f.topology = &next
	f.mu.Unlock()
	f.nodes[0].stop()
	eventually(t, "the new table is used", func() bool {
		if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
		return c.routing.Load().topology.Version == 2
	})
	f.nodes[2].forget()
	if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil || len(f.nodes[2].requests()) != 1 {
		t.Fatalf("%v; the new primary saw %v", err, f.nodes[2].requests())
	}
}

func TestWithoutATopologyTheGivenAddressesServe(t *testing.T) {
	f := startFake(t, 2)
	f.topology = nil
	c := f.client(t, Options{})
	for range 4 {
		if _, err := c.Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
	}
	topology, err := c.Topology(t.Context())
	if e := asError(t, err); e.Code != CodeInternal || topology != nil {
		t.Fatalf("%+v, %v", topology, err)
	}
}

func TestGarbageFromANodeIsAnErrorAndNotTheEnd(t *testing.T) {
	f := startFake(t, 2)
	key := f.keyOf(0)
	f.values[string(key)] = "v"
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		if isData(q) {
			s.link.Send(func(w *wire.Writer) { w.Raw([]byte{0x94, 1, byte(q.id), 0xc0, 0x92, 1, 2}) })
		}
		return isData(q)
	})
	c := f.client(t, Options{})
	if v, err := c.Get(t.Context(), key, nil); err != nil || string(v.Value) != "v" {
		t.Fatalf("%+v, %v", v, err)
	}
	_, err := c.Put(t.Context(), key, nil, &PutOptions{Context: []byte("cc")})
	if e := asError(t, err); e.Code != CodeInternal || e.Effect != EffectUnknown {
		t.Fatalf("%+v", e)
	}
}

func TestStatusIsOfTheNodeThatWasNamed(t *testing.T) {
	f := startFake(t, 3)
	c := f.client(t, Options{Addrs: f.addrs()[:1]})
	for _, n := range f.nodes {
		s, err := c.Status(t.Context(), n.addr)
		if err != nil || s.Node != n.addr {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if _, err := c.Status(t.Context(), "127.0.0.1:1"); err == nil {
		t.Fatal("a node that is not there has a status")
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	for _, o := range []Options{
		{}, {Addrs: []string{"nowhere"}}, {Addrs: []string{"a:1"}, Timeout: -1}, {Addrs: []string{"a:1"}, ConnectionsPerNode: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestAConnectionThatComesTooLateForAStatusIsClosed(t *testing.T) {
	f := startFake(t, 1)
	stranger := startFake(t, 1).nodes[0]
	dialling, dial := make(chan struct{}, 10), make(chan struct{})
	closed := make(chan struct{}, 10)
	c := f.client(t, Options{Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		if addr == stranger.addr {
			dialling <- struct{}{}
			<-dial
		}
		nc, err := new(net.Dialer).DialContext(context.Background(), "tcp", addr)
		if addr == stranger.addr && err == nil {
			nc = &watchedConn{Conn: nc, closed: closed}
		}
		return nc, err
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-dialling
		cancel()
	}()
	if _, err := c.Status(ctx, stranger.addr); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(dial)
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the connection stays open though nobody will use it")
	}
}

// watchedConn says when it is closed.
type watchedConn struct {
	net.Conn
	closed chan<- struct{}
}

func (c *watchedConn) Close() error {
	select {
	case c.closed <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}
