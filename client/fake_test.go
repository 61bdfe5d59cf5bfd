package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCluster is some nodes on loopback that share one map of values.
type fakeCluster struct {
	nodes []*fakeNode

	mu     sync.Mutex
	values map[string]string
	clock  uint64
	// topology is what the nodes say; nil is an error.
	topology *wire.Topology
}

// fakeNode answers on a real socket, as it is told.
type fakeNode struct {
	cluster *fakeCluster
	addr    string
	ln      net.Listener
	done    sync.WaitGroup

	mu sync.Mutex
	// misbehave, if it is set, is asked first: it may answer itself and return true.
	misbehave func(s *fakeSession, q *fakeRequest) bool
	seen      []fakeRequest
	sessions  map[*fakeSession]bool
	closed    bool
	// ahead is how far the node's clock is ahead of ours; silent keeps the node from telling it.
	ahead  time.Duration
	silent bool
}

type fakeSession struct {
	node *fakeNode
	link *wire.Link
}

// fakeRequest is what the fake decodes of a request.
type fakeRequest struct {
	id     uint32
	method string
	key    string
	value  string
	wire.Options
	ops    []wire.Op
	keys   [][]byte
	ranged wire.RangeRequest
	at     time.Time
}

func startFake(t testing.TB, n int) *fakeCluster {
	t.Helper()
	f := &fakeCluster{values: make(map[string]string), clock: 1000}
	topology := &wire.Topology{Version: 1, Partitions: 16, Replicas: n}
	for i := range n {
		node := &fakeNode{cluster: f, sessions: make(map[*fakeSession]bool)}
		node.listen(t, "127.0.0.1:0")
		f.nodes = append(f.nodes, node)
		topology.Members = append(topology.Members, wire.TopologyMember{ID: fmt.Sprint("n", i), RPC: node.addr})
	}
	for p := range topology.Partitions {
		var row []int
		for i := range n {
			row = append(row, (p+i)%n)
		}
		topology.Table = append(topology.Table, row)
	}
	f.topology = topology
	t.Cleanup(func() {
		for _, n := range f.nodes {
			n.stop()
		}
	})
	return f
}

func (f *fakeCluster) addrs() (addrs []string) {
	for _, n := range f.nodes {
		addrs = append(addrs, n.addr)
	}
	return addrs
}

// client is a client of the cluster.
func (f *fakeCluster) client(t testing.TB, o Options) *Client {
	t.Helper()
	if o.Addrs == nil {
		o.Addrs = f.addrs()
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// keyOf is a key whose replicas begin with node i.
func (f *fakeCluster) keyOf(i int) []byte {
	for k := 0; ; k++ {
		key := []byte(fmt.Sprint("key-", k))
		if f.topology.Table[ring.PartitionOf(key, f.topology.Partitions)][0] == i {
			return key
		}
	}
}

func (n *fakeNode) listen(t testing.TB, addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.ln, n.addr, n.closed = ln, ln.Addr().String(), false
	n.mu.Unlock()
	n.done.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s := &fakeSession{node: n, link: wire.NewLink(nc, wire.LinkOptions{})}
			n.mu.Lock()
			closed := n.closed
			n.sessions[s] = true
			n.mu.Unlock()
			if closed {
				nc.Close()
				continue
			}
			n.done.Go(func() { s.link.Run(context.Background(), s.onMessage, nil) })
		}
	})
}

// stop closes the port and every connection, as a killed process does.
func (n *fakeNode) stop() {
	n.mu.Lock()
	n.closed = true
	sessions := n.sessions
	n.sessions = make(map[*fakeSession]bool)
	n.mu.Unlock()
	n.ln.Close()
	for s := range sessions {
		s.link.Close()
	}
	n.done.Wait()
}

func (n *fakeNode) behave(f func(s *fakeSession, q *fakeRequest) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.misbehave = f
}

// setClock sets the node's clock so far ahead of ours.
func (n *fakeNode) setClock(ahead time.Duration, silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ahead, n.silent = ahead, silent
}

func (n *fakeNode) now() (now time.Time, silent bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Add(n.ahead), n.silent
}

// requests are what the node was asked, without pings and topologies.
func (n *fakeNode) requests() (rs []fakeRequest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, q := range n.seen {
		if q.method != wire.MethodPing && q.method != wire.MethodTopology {
			rs = append(rs, q)
		}
	}
	return rs
}

func (n *fakeNode) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = nil
}

func (s *fakeSession) onMessage(msg []byte) error {
	e, err := wire.ParseEnvelope(msg)
	if err != nil {
		return err
	}
	q := &fakeRequest{id: e.ID, method: string(e.Method), at: time.Now()}
	if err := q.decode(&e.Body); err != nil {
		return err
	}
	s.node.mu.Lock()
	s.node.seen = append(s.node.seen, *q)
	misbehave := s.node.misbehave
	s.node.mu.Unlock()
	if misbehave != nil && misbehave(s, q) {
		return nil
	}
	if now, _ := s.node.now(); q.DeadlineMicros != 0 && now.UnixMicro() >= q.DeadlineMicros {
		s.fail(q, fault(CodeTimeout, EffectNone))
		return nil
	}
	s.answer(q)
	return nil
}

func (q *fakeRequest) decode(r *wire.Reader) (err error) {
	switch q.method {
	case wire.MethodGet:
		var p wire.GetRequest
		err = p.Decode(r)
		q.key, q.Options = string(p.Key), p.Options
	case wire.MethodMultiGet:
		var p wire.MultiGetRequest
		err = p.Decode(r)
		q.keys, q.Options = p.Keys, p.Options
	case wire.MethodPut:
		var p wire.PutRequest
		err = p.Decode(r)
		q.key, q.value, q.Options = string(p.Key), string(p.Value), p.Options
	case wire.MethodDelete:
		var p wire.DeleteRequest
		err = p.Decode(r)
		q.key, q.Options = string(p.Key), p.Options
	case wire.MethodBatch:
		var p wire.BatchRequest
		err = p.Decode(r)
		q.ops, q.Options = p.Ops, p.Options
	case wire.MethodRange:
		err = q.ranged.Decode(r)
		q.Options = q.ranged.Options
	default:
		var p wire.PlainRequest
		err = p.Decode(r)
		q.Options = p.Options
	}
	return err
}

func (s *fakeSession) send(q *fakeRequest, encode func(*wire.Writer)) {
	s.link.Send(func(w *wire.Writer) {
		w.Result(q.id)
		encode(w)
	})
}

func (s *fakeSession) fail(q *fakeRequest, f *wire.Fault) bool {
	s.link.Send(func(w *wire.Writer) { w.Failure(q.id, f, 0) })
	return true
}

// answer does what a good node does.
func (s *fakeSession) answer(q *fakeRequest) {
	f := s.node.cluster
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = max(f.clock, q.Clock) + 1
	switch q.method {
	case wire.MethodGet:
		g := f.get(q.key)
		g.Clock = f.clock
		s.send(q, g.Encode)
	case wire.MethodMultiGet:
		m := wire.MultiGetResult{Clock: f.clock}
		for _, key := range q.keys {
			m.Results = append(m.Results, wire.KeyResult{GetResult: f.get(string(key))})
		}
		s.send(q, m.Encode)
	case wire.MethodPut, wire.MethodDelete:
		x := f.write(q.method == wire.MethodDelete, q.key, q.value, q.Retried)
		x.Clock = f.clock
		s.send(q, x.Encode)
	case wire.MethodBatch:
		b := wire.BatchResult{Clock: f.clock}
		for _, op := range q.ops {
			b.Results = append(b.Results, f.write(op.Delete, string(op.Key), string(op.Value), q.Retried))
		}
		s.send(q, b.Encode)
	case wire.MethodRange:
		p := f.scan(&q.ranged)
		s.send(q, p.Encode)
	case wire.MethodTopology:
		if f.topology == nil {
			s.fail(q, &wire.Fault{Code: wire.CodeInternal, Effect: wire.EffectNone, Message: "no topology"})
			return
		}
		s.send(q, f.topology.Encode)
	case wire.MethodStatus:
		status := wire.Status{Node: s.node.addr, State: "serving"}
		s.send(q, status.Encode)
	default:
		pong := wire.PingResult{Clock: f.clock}
		if now, silent := s.node.now(); !silent {
			pong.NowMicros = now.UnixMicro()
		}
		s.send(q, pong.Encode)
	}
}

func (f *fakeCluster) get(key string) wire.GetResult {
	v, ok := f.values[key]
	g := wire.GetResult{Context: []byte("context of " + key), Siblings: 1, Found: ok}
	if ok {
		g.Value = []byte(v)
	}
	return g
}

func (f *fakeCluster) write(del bool, key, value string, retried bool) wire.WriteResult {
	delete(f.values, key)
	if !del {
		f.values[key] = value
	}
	return wire.WriteResult{
		Context: []byte("context of " + key),
		Receipt: wire.Receipt{Actor: 1, Time: f.clock, Replicas: []string{"n0"}, Retried: retried},
	}
}

// scan gives pages of at most three keys.
func (f *fakeCluster) scan(q *wire.RangeRequest) wire.RangeResult {
	start, end, _, err := q.Span()
	if err != nil {
		panic(err)
	}
	var keys []string
	for key := range f.values {
		if key >= string(start) && (len(end) == 0 || key < string(end)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if q.Reverse {
		slices.Reverse(keys)
	}
	limit := 3
	if q.Limit > 0 {
		limit = min(limit, q.Limit)
	}
	var p wire.RangeResult
	for _, key := range keys[:min(limit, len(keys))] {
		item := wire.RangeItem{Key: []byte(key), Siblings: 1}
		if !q.KeysOnly {
			item.Value = []byte(f.values[key])
		}
		p.Items = append(p.Items, item)
	}
	if len(keys) > limit {
		resume := keys[limit] // the inclusive start of what is left
		if q.Reverse {
			resume = keys[limit-1] // its exclusive end
		}
		p.Cursor = q.NextCursor([]byte(resume))
	}
	return p
}

func fault(code wire.Code, effect wire.Effect) *wire.Fault {
	return &wire.Fault{Code: code, Effect: effect, Message: strings.ToUpper(code.String())}
}

// always answers every request for data with a fault.
func always(f *wire.Fault) func(*fakeSession, *fakeRequest) bool {
	return func(s *fakeSession, q *fakeRequest) bool { return isData(q) && s.fail(q, f) }
}

func isData(q *fakeRequest) bool {
	return q.method != wire.MethodPing && q.method != wire.MethodTopology
}

func asError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is no *Error", err)
	}
	return e
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		timer := time.NewTimer(time.Millisecond)
		<-timer.C
	}
}
