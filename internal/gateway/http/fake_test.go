package httpgw

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
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

var wall = time.UnixMilli(1_700_000_000_000)

// fakeStore is a coordinator of one replica in memory, whose calls can be watched and made to fail.
type fakeStore struct {
	mu      sync.Mutex
	objects map[string]causal.Object
	time    causal.Timestamp
	// pageMax bounds the items of a page.
	pageMax int
	// err fails the next calls, outcome one write, page a call of Range by its number.
	err     error
	outcome func(op *coordinator.Op) error
	page    func(n int, req *coordinator.RangeRequest) (*coordinator.RangePage, error)
	block   chan struct{}
	started chan struct{}

	write *coordinator.WriteRequest
	read  *coordinator.ReadRequest
	rng   []coordinator.RangeRequest
}

func newFakeStore() *fakeStore {
	return &fakeStore{objects: make(map[string]causal.Object), time: causal.TimestampOf(wall), pageMax: 1000}
}

func (s *fakeStore) wait(ctx context.Context) error {
	if s.block == nil {
		return nil
	}
	s.started <- struct{}{}
	select {
	case <-s.block:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fakeStore) Write(ctx context.Context, req *coordinator.WriteRequest) ([]coordinator.Outcome, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.write = req; s.err != nil {
		return nil, s.err
	}
	outs := make([]coordinator.Outcome, len(req.Ops))
	for i := range req.Ops {
		op := &req.Ops[i]
		s.time++
		dot := causal.Dot{Actor: 0xa1b2c3, Time: s.time}
		if s.outcome != nil {
			outs[i].Err = s.outcome(op)
		}
		if outs[i].Err != nil && coordinator.EffectOf(outs[i].Err) != wire.EffectApplied {
			continue
		}
		o := causal.Put(s.objects[string(op.Key)], op.Context, op.HasContext, causal.Sibling{
			Dot: dot, Tombstone: op.Kind == coordinator.OpDelete, ExpiresAt: op.ExpiresAt, Value: op.Value,
		})
		s.objects[string(op.Key)] = o
		outs[i].Context = o.Vector
		outs[i].Receipt = coordinator.Receipt{Dot: dot, Replicas: []ring.NodeID{"n1", "n2"}}
		if req.Sloppy == wire.ChoiceYes {
			outs[i].Receipt.Hints = []coordinator.KeptHint{{Target: "n3", Node: "n4", Counted: true}, {Target: "n5", Node: "n1"}}
		}
	}
	return outs, nil
}

func (s *fakeStore) Read(ctx context.Context, req *coordinator.ReadRequest) ([]coordinator.ReadResult, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.read = req; s.err != nil {
		return nil, s.err
	}
	results := make([]coordinator.ReadResult, len(req.Keys))
	for i, key := range req.Keys {
		results[i].Object = s.objects[string(key)]
	}
	return results, nil
}

func (s *fakeStore) Range(ctx context.Context, req *coordinator.RangeRequest) (*coordinator.RangePage, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rng = append(s.rng, *req)
	if s.err != nil {
		return nil, s.err
	}
	if req.Limit < 0 || req.BytesMax < 0 { // as the coordinator does
		return nil, &coordinator.RequestError{Detail: "negative limit", Err: coordinator.ErrBadRequest}
	}
	if s.page != nil {
		if page, err := s.page(len(s.rng), req); page != nil || err != nil {
			return page, err
		}
	}
	return s.pageOf(req), nil
}

func (s *fakeStore) pageOf(req *coordinator.RangeRequest) *coordinator.RangePage {
	var keys []string
	for key, o := range s.objects {
		winner, _ := o.Winner()
		if key >= string(req.Start) && (len(req.End) == 0 || key < string(req.End)) && winner.Visible(wall) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if req.Reverse {
		slices.Reverse(keys)
	}
	limit := s.pageMax
	if req.Limit > 0 {
		limit = min(limit, req.Limit)
	}
	page := &coordinator.RangePage{}
	size := 0
	for i, key := range keys {
		if i == limit || i > 0 && req.BytesMax > 0 && size >= req.BytesMax {
			page.More, page.Resume = true, []byte(key)
			if req.Reverse {
				page.Resume = []byte(keys[i-1]) // an exclusive end
			}
			break
		}
		o := s.objects[key]
		if req.KeysOnly {
			o = o.Heads()
		}
		size += len(key) + o.ValueBytes()
		page.Items = append(page.Items, coordinator.RangeItem{Key: []byte(key), Object: o})
	}
	return page
}

func (s *fakeStore) put(key, value string) {
	_, _ = s.Write(context.Background(), &coordinator.WriteRequest{
		Ops: []coordinator.Op{{Key: []byte(key), Value: []byte(value)}},
	})
}

// value is what the store holds, or false.
func (s *fakeStore) value(key string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	winner, found := s.objects[key].Winner()
	return string(winner.Value), found && !winner.Tombstone
}

// fakeNode is a Clock, an Inspector and an Admin.
type fakeNode struct {
	mu       sync.Mutex
	observed causal.Timestamp
	ahead    causal.Timestamp
	notReady error
	// hurried counts calls of ExchangeNow, sized those of Partitions that asked for sizes.
	hurried, sized int
	paused         bool
	keyErr         error
}

func (n *fakeNode) Last() causal.Timestamp { return 0 }

func (n *fakeNode) ObserveClient(t causal.Timestamp) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ahead != 0 && t > n.ahead {
		return errors.New("clock is ahead")
	}
	n.observed = max(n.observed, t)
	return nil
}

func (n *fakeNode) Status() *wire.Status {
	return &wire.Status{
		Node: "n1", State: "serving", Version: "test", StartedAt: wall,
		Members: []wire.MemberStatus{{ID: "n1", Reachable: true, Primaries: 3, Replicas: 7}, {ID: "n2"}},
		Storage: wire.StorageStatus{Keys: 42, ReadOnly: "disk is full", MergeHeldWrites: 3, MergeHeldMicros: 1_500_000},
		Replication: wire.ReplicationStatus{
			Partitions: 7, Unfilled: 1, UnderReplicatedSince: wall.Add(-time.Minute).UnixMilli(), KeysFetched: 5,
			Peers: []wire.ExchangeStatus{{ID: "n2", Needs: 2, Never: 3, OldestComplete: wall.Add(-time.Hour).UnixMilli()}},
		},
	}
}

func (n *fakeNode) Topology() *wire.Topology { return &wire.Topology{} }

func (n *fakeNode) Partitions(_ context.Context, partition int, sizes bool) *wire.PartitionsReport {
	report := &wire.PartitionsReport{Node: "n1", Partitions: []wire.PartitionReport{}}
	if sizes {
		n.sized++
		report.SizesAt = wall.UnixMilli()
	}
	for p := range 3 {
		if partition == gateway.AllPartitions || p == partition {
			report.Partitions = append(report.Partitions, wire.PartitionReport{Partition: p, Tree: "stands", Root: "00ff"})
		}
	}
	return report
}

func (n *fakeNode) Key(key []byte) (*wire.KeyReport, error) {
	return &wire.KeyReport{Node: "n1", State: "held", Leaf: len(key)}, n.keyErr
}

func (n *fakeNode) PauseExchange(paused bool) { n.paused = paused }
func (n *fakeNode) ExchangePaused() bool      { return n.paused }
func (n *fakeNode) ExchangeNow()              { n.hurried++ }

func (n *fakeNode) Ready() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.notReady
}

// fixture is a gateway before a fake store.
type fixture struct {
	*Gateway
	t     testing.TB
	store *fakeStore
	node  *fakeNode
	adm   *gateway.Admission
}

func newFixture(t testing.TB, change ...func(*Options)) *fixture {
	t.Helper()
	f := &fixture{t: t, store: newFakeStore(), node: &fakeNode{}, adm: gateway.NewAdmission(64, 1<<24, 1500*time.Millisecond)}
	opt := Options{
		Store: f.store, Clock: f.node, Inspector: f.node, Admin: f.node, Admission: f.adm,
		Now: func() time.Time { return wall },
	}
	for _, c := range change {
		c(&opt)
	}
	var err error
	if f.Gateway, err = New(opt); err != nil {
		t.Fatal(err)
	}
	return f
}

// request makes a request as net/http would read it from a socket.
func request(method, target string, body io.Reader, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// do sends a request and returns the answer; whatever came of it, nothing stays admitted.
func (f *fixture) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, request(method, target, reader, header...))
	if s := f.adm.Status(); s.InFlight != 0 || s.InFlightBytes != 0 {
		f.t.Fatalf("%s %s left %+v admitted", method, target, s)
	}
	return w
}

// answer is any JSON answer.
type answer struct {
	Key         *string          `json:"key"`
	KeyBase64   []byte           `json:"key_base64"`
	Value       *string          `json:"value"`
	ValueBase64 []byte           `json:"value_base64"`
	Values      []map[string]any `json:"values"`
	Context     string           `json:"context"`
	Siblings    int              `json:"siblings"`
	ExpiresAt   int64            `json:"expires_at"`
	Deleted     bool             `json:"deleted"`
	Receipt     *struct {
		Replicas []string         `json:"replicas"`
		Hints    []map[string]any `json:"hints"`
		Dot      string           `json:"dot"`
	} `json:"receipt"`
	Error *struct {
		Code       string  `json:"code"`
		Message    string  `json:"message"`
		Effect     string  `json:"effect"`
		Need       int     `json:"need"`
		Got        int     `json:"got"`
		RetryAfter float64 `json:"retry_after"`
	} `json:"error"`
	Items   []answer `json:"items"`
	Cursor  *string  `json:"cursor"`
	Missing []int    `json:"missing_partitions"`
	Results []answer `json:"results"`
}

func decode(t testing.TB, body []byte) (a answer) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		t.Fatalf("answer %q: %v", body, err)
	}
	return a
}

// want sends a request, checks the status and decodes the answer.
func (f *fixture) want(status int, method, target, body string, header ...string) answer {
	f.t.Helper()
	w := f.do(method, target, body, header...)
	if w.Code != status {
		f.t.Fatalf("%s %s answered %d %s, want %d", method, target, w.Code, w.Body, status)
	}
	return decode(f.t, w.Body.Bytes())
}

// refuse checks that a request fails with a code and says a text, having done nothing.
func (f *fixture) refuse(code, says, method, target, body string, header ...string) {
	f.t.Helper()
	f.store.write = nil
	w := f.do(method, target, body, header...)
	a := decode(f.t, w.Body.Bytes())
	if a.Error == nil || a.Error.Code != code || a.Error.Effect != "none" || !strings.Contains(a.Error.Message, says) {
		f.t.Errorf("%s %s answered %d %s, want %s with %q", method, target, w.Code, w.Body, code, says)
	}
	if f.store.write != nil {
		f.t.Errorf("%s %s was refused, and written", method, target)
	}
}

func keysOf(items []answer) string {
	var keys []string
	for _, item := range items {
		if item.Key == nil {
			keys = append(keys, fmt.Sprintf("%x", item.KeyBase64))
			continue
		}
		keys = append(keys, *item.Key)
	}
	return strings.Join(keys, " ")
}

// parseRequest reads a request as net/http does from a socket; ok is false for what net/http refuses itself.
func parseRequest(method, target, body string) (r *http.Request, ok bool) {
	if strings.ContainsAny(method+target, " \r\n") {
		return nil, false
	}
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", method, target, len(body), body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	return r, err == nil
}

func serve(f *fixture, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// countingWriter is a client that takes up to most bytes (zero: any number) and keeps none.
type countingWriter struct {
	header     http.Header
	n, flushes int
	largest    int
	most       int
	check      func()
}

func (w *countingWriter) Header() http.Header { return w.header }
func (w *countingWriter) WriteHeader(int)     {}
func (w *countingWriter) Flush()              { w.flushes++ }

func (w *countingWriter) Write(b []byte) (int, error) {
	if w.check != nil {
		w.check()
	}
	w.largest = max(w.largest, len(b))
	if w.n += len(b); w.most > 0 && w.n > w.most {
		return 0, io.ErrClosedPipe
	}
	return len(b), nil
}
