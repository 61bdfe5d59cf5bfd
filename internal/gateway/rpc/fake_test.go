package rpc

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore keeps objects in a map and remembers what it was asked.
type fakeStore struct {
	mu      sync.Mutex
	objects map[string]causal.Object
	last    causal.Timestamp
	writes  []coordinator.WriteRequest
	reads   []coordinator.ReadRequest
	ranges  []coordinator.RangeRequest
	// err fails every request; errs the operations of a key.
	err  error
	errs map[string]error
	// contexts are those of operations that fail.
	contexts map[string]causal.Vector
	// hold, if it is set, keeps each request until it is closed or the request's context ends.
	hold chan struct{}
	held chan struct{}
}

func newFakeStore() *fakeStore {
	return &fakeStore{objects: map[string]causal.Object{}, errs: map[string]error{}, contexts: map[string]causal.Vector{}, last: 1 << 20}
}

func (s *fakeStore) wait(ctx context.Context) error {
	s.mu.Lock()
	hold := s.hold
	s.mu.Unlock()
	if hold == nil {
		return s.err
	}
	if s.held != nil {
		s.held <- struct{}{}
	}
	select {
	case <-hold:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fakeStore) Write(ctx context.Context, q *coordinator.WriteRequest) ([]coordinator.Outcome, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes = append(s.writes, *q)
	outcomes := make([]coordinator.Outcome, len(q.Ops))
	for i, op := range q.Ops {
		if err := s.errs[string(op.Key)]; err != nil {
			outcomes[i] = coordinator.Outcome{Err: err, Context: s.contexts[string(op.Key)]}
			continue
		}
		s.last++
		dot := causal.Dot{Actor: 7, Time: s.last}
		sibling := causal.Sibling{Dot: dot, Tombstone: op.Kind == coordinator.OpDelete, ExpiresAt: op.ExpiresAt}
		sibling.Value = slices.Clone(op.Value)
		o := causal.Put(s.objects[string(op.Key)], op.Context, op.HasContext, sibling)
		s.objects[string(op.Key)] = o
		outcomes[i] = coordinator.Outcome{Context: o.Vector, Receipt: coordinator.Receipt{
			Dot: dot, Replicas: []ring.NodeID{"a", "b"}, Retried: q.Retried,
		}}
		if q.Sloppy == wire.ChoiceYes {
			outcomes[i].Receipt.Hints = []coordinator.KeptHint{{Target: "c", Node: "d", Counted: true}}
		}
	}
	return outcomes, nil
}

func (s *fakeStore) Read(ctx context.Context, q *coordinator.ReadRequest) ([]coordinator.ReadResult, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads = append(s.reads, *q)
	results := make([]coordinator.ReadResult, len(q.Keys))
	for i, key := range q.Keys {
		results[i] = coordinator.ReadResult{Err: s.errs[string(key)], Object: s.objects[string(key)]}
	}
	return results, nil
}

func (s *fakeStore) Range(ctx context.Context, q *coordinator.RangeRequest) (*coordinator.RangePage, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ranges = append(s.ranges, *q)
	var keys []string
	for key := range s.objects {
		if key >= string(q.Start) && (len(q.End) == 0 || key < string(q.End)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if q.Reverse {
		slices.Reverse(keys)
	}
	limit := 3
	if q.Limit > 0 {
		limit = q.Limit
	}
	page := &coordinator.RangePage{}
	for i, key := range keys {
		if i == limit {
			page.More, page.Resume = true, []byte(key)
			if q.Reverse {
				page.Resume = []byte(keys[i-1])
			}
			break
		}
		page.Items = append(page.Items, coordinator.RangeItem{Key: []byte(key), Object: s.objects[key]})
	}
	if q.Partial {
		page.Missing = []ring.PartitionID{4}
	}
	return page, nil
}

// fakeClock refuses what is beyond its limit.
type fakeClock struct {
	mu    sync.Mutex
	last  causal.Timestamp
	limit causal.Timestamp
}

func (c *fakeClock) Last() causal.Timestamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

func (c *fakeClock) ObserveClient(t causal.Timestamp) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if t > c.limit {
		return errors.New("too far ahead")
	}
	c.last = max(c.last, t)
	return nil
}

type fakeInspector struct{}

func (fakeInspector) Status() *wire.Status { return &wire.Status{Node: "a", State: "serving"} }
func (fakeInspector) Topology() *wire.Topology {
	return &wire.Topology{Version: 3, Partitions: 1, Members: []wire.TopologyMember{{ID: "a"}}, Table: [][]int{{0}}}
}
func (fakeInspector) Ready() error { return nil }

// port is a server under test.
type port struct {
	t     testing.TB
	addr  string
	store *fakeStore
	clock *fakeClock
	adm   *gateway.Admission
	stop  context.CancelFunc
	ended chan error
}

func startPort(t testing.TB, change func(*Options)) *port {
	t.Helper()
	p := &port{t: t, store: newFakeStore(), clock: &fakeClock{last: 100, limit: 1 << 40}, ended: make(chan error, 1)}
	p.adm = gateway.NewAdmission(1000, 1<<30, 50*time.Millisecond)
	opts := Options{Store: p.store, Clock: p.clock, Inspector: fakeInspector{}, Admission: p.adm}
	if change != nil {
		change(&opts)
		p.adm = opts.Admission
	}
	srv, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go func() { p.ended <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() { p.shutdown() })
	return p
}

// shutdown stops the server and waits for it.
func (p *port) shutdown() {
	p.stop()
	select {
	case err := <-p.ended:
		if err != nil {
			p.t.Errorf("Serve: %v", err)
		}
		p.ended <- nil
	case <-time.After(20 * time.Second):
		p.t.Error("the server does not stop")
	}
}

// caller is a bare connection that sends requests and gets answers as they come.
type caller struct {
	t    testing.TB
	nc   net.Conn
	scan *wire.Scanner
	buf  []byte
	next uint32
}

func (p *port) dial() *caller {
	p.t.Helper()
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &caller{t: p.t, nc: nc, scan: wire.NewScanner(wire.ScanLimits{})}
}

// send sends a request and returns its id.
func (c *caller) send(method string, params func(*wire.Writer)) uint32 {
	c.t.Helper()
	c.next++
	w := wire.NewWriter(nil)
	w.Request(c.next, method)
	params(w)
	c.raw(w.Bytes())
	return c.next
}

func (c *caller) raw(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next answer.
func (c *caller) receive() (wire.Envelope, error) {
	seen := 0
	for {
		n, done, err := c.scan.Scan(c.buf[seen:])
		if err != nil {
			return wire.Envelope{}, err
		}
		seen += n
		if done {
			msg := slices.Clone(c.buf[:seen])
			c.buf = c.buf[seen:]
			return wire.ParseEnvelope(msg)
		}
		more := make([]byte, 64<<10)
		got, err := c.nc.Read(more)
		if got == 0 && err != nil {
			return wire.Envelope{}, err
		}
		c.buf = append(c.buf, more[:got]...)
	}
}

// call sends a request and decodes the answer to it, which must be the next.
func (c *caller) call(method string, params func(*wire.Writer), decode func(*wire.Reader) error) *wire.Fault {
	c.t.Helper()
	id := c.send(method, params)
	e, err := c.receive()
	if err != nil {
		c.t.Fatal(err)
	}
	if e.ID != id || e.Type != wire.TypeResponse {
		c.t.Fatalf("answer of type %d to %d, want to %d", e.Type, e.ID, id)
	}
	if f, _ := e.Failure(); f != nil {
		return f
	}
	if err := decode(&e.Body); err != nil {
		c.t.Fatal(err)
	}
	return nil
}

// must is call where a fault is a failure.
func (c *caller) must(method string, params func(*wire.Writer), decode func(*wire.Reader) error) {
	c.t.Helper()
	if f := c.call(method, params, decode); f != nil {
		c.t.Fatalf("%s: %v", method, f)
	}
}

// ended waits until the server closes the connection.
func (c *caller) ended() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.nc)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatal("the server does not close the connection")
	}
}
