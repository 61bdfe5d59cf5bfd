package workload

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeStore is a store of one node behind a client port: what a cluster without faults looks like to its clients. It can be told to misbehave. Its only actor's
// dots are its clock; a context is the greatest dot that it covers.
type fakeStore struct {
	mu    sync.Mutex
	rand  *rand.Rand
	clock uint64
	keys  map[string]*fakeKey
	links sync.WaitGroup
	// refused and unsure are the shares of writes that fail without effect, and of those whose effect, if they have one, is not told.
	refused, unsure float64
	// bug is what it does wrong, in one case of ten.
	bug fakeBug
}

// fakeBug is a planted bug.
type fakeBug int

const (
	sound         fakeBug = iota
	losesWrites           // acknowledges and does nothing
	staleReads            // answers with what was there before the last write
	losesSiblings         // takes every context to cover everything
	lies                  // says that a write had no effect, and carries it out
	skips                 // leaves out one key of a page
	shuffles              // exchanges two keys of a page
	invents               // answers with something that nobody wrote
	keepsExpired          // shows what has expired
)

type fakeKey struct{ now, before []fakeVersion }

type fakeVersion struct {
	dot     uint64
	value   []byte
	deleted bool
	expires time.Time
}

func (v *fakeVersion) visible() bool {
	return !v.deleted && (v.expires.IsZero() || time.Now().Before(v.expires))
}

func newFakeStore(seed uint64, bug fakeBug) *fakeStore {
	return &fakeStore{rand: rand.New(rand.NewPCG(seed, 1)), keys: make(map[string]*fakeKey), refused: 0.02, unsure: 0.02, bug: bug}
}

func (f *fakeStore) clients(t *testing.T, n int) (all []*client.Client) {
	for range n {
		c, err := client.New(client.Options{Addrs: []string{"fake:1"}, Dial: f.dial, Random: func() float64 { return 0.5 }})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

func (f *fakeStore) dial(context.Context, string) (net.Conn, error) {
	near, far := net.Pipe()
	link := wire.NewLink(far, wire.LinkOptions{})
	f.links.Go(func() {
		var answers sync.WaitGroup
		link.Run(context.Background(), func(msg []byte) error {
			msg = slices.Clone(msg)
			answers.Go(func() { f.answer(link, msg) })
			return nil
		}, nil)
		answers.Wait()
	})
	return near, nil
}

// chance is true so often.
func (f *fakeStore) chance(share float64) bool { return f.rand.Float64() < share }

func (f *fakeStore) goesWrong(bug fakeBug) bool { return f.bug == bug && f.chance(0.1) }

// latency lets a few simulated milliseconds pass.
func (f *fakeStore) latency() {
	f.mu.Lock()
	d := time.Duration(f.rand.IntN(3000)) * time.Microsecond
	f.mu.Unlock()
	time.Sleep(d)
}

func (f *fakeStore) answer(link *wire.Link, msg []byte) {
	e, err := wire.ParseEnvelope(msg)
	if err != nil {
		panic(err)
	}
	f.latency()
	f.mu.Lock()
	encode, fault := f.carryOut(string(e.Method), &e.Body)
	f.mu.Unlock()
	f.latency()
	link.Send(func(w *wire.Writer) {
		if fault != nil {
			w.Failure(e.ID, fault, 0)
			return
		}
		w.Result(e.ID)
		encode(w)
	})
}

func (f *fakeStore) carryOut(method string, r *wire.Reader) (func(*wire.Writer), *wire.Fault) {
	switch method {
	case wire.MethodPut:
		var q wire.PutRequest
		must(q.Decode(r))
		x := f.write(&wire.Op{Key: q.Key, Value: q.Value, Options: q.Options}, &q.Options)
		return x.Encode, x.Fault
	case wire.MethodDelete:
		var q wire.DeleteRequest
		must(q.Decode(r))
		x := f.write(&wire.Op{Delete: true, Key: q.Key, Options: q.Options}, &q.Options)
		return x.Encode, x.Fault
	case wire.MethodBatch:
		var q wire.BatchRequest
		must(q.Decode(r))
		b := wire.BatchResult{Clock: f.clock}
		for i := range q.Ops {
			b.Results = append(b.Results, f.write(&q.Ops[i], &q.Options))
		}
		return b.Encode, nil
	case wire.MethodGet:
		var q wire.GetRequest
		must(q.Decode(r))
		g := f.get(string(q.Key), q.Values)
		g.Clock = f.clock
		return g.Encode, nil
	case wire.MethodMultiGet:
		var q wire.MultiGetRequest
		must(q.Decode(r))
		m := wire.MultiGetResult{Clock: f.clock}
		for _, key := range q.Keys {
			m.Results = append(m.Results, wire.KeyResult{GetResult: f.get(string(key), q.Values)})
		}
		return m.Encode, nil
	case wire.MethodRange:
		var q wire.RangeRequest
		must(q.Decode(r))
		p := f.scan(&q)
		return p.Encode, nil
	case wire.MethodTopology:
		t := wire.Topology{Version: 1, Partitions: 1, Replicas: 1, Members: []wire.TopologyMember{{ID: "n0", RPC: "fake:1"}}, Table: [][]int{{0}}}
		return t.Encode, nil
	}
	pong := wire.PingResult{Clock: f.clock, NowMicros: time.Now().UnixMicro()}
	return pong.Encode, nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// write carries out a put or a deletion, unless it is refused; op has what concerns it alone, o what concerns all of its request.
func (f *fakeStore) write(op *wire.Op, o *wire.Options) wire.WriteResult {
	f.clock = max(f.clock, o.Clock) + 1
	if f.chance(f.refused) {
		return wire.WriteResult{Fault: &wire.Fault{Code: wire.CodeQuorumNotMet, Effect: wire.EffectNone}}
	}
	unsure := f.chance(f.unsure)
	if !(unsure && f.chance(0.5)) && !f.goesWrong(losesWrites) {
		f.apply(op)
	}
	switch {
	case unsure:
		return wire.WriteResult{Fault: &wire.Fault{Code: wire.CodeTimeout, Effect: wire.EffectUnknown}}
	case f.goesWrong(lies):
		return wire.WriteResult{Fault: &wire.Fault{Code: wire.CodeTooLarge, Effect: wire.EffectNone}}
	}
	return wire.WriteResult{Context: contextOf(f.clock), Clock: f.clock, Receipt: wire.Receipt{Actor: 1, Time: f.clock, Retried: o.Retried}}
}

func (f *fakeStore) apply(op *wire.Op) {
	k := f.keys[string(op.Key)]
	if k == nil {
		k = &fakeKey{}
		f.keys[string(op.Key)] = k
	}
	k.before = k.now
	v := fakeVersion{dot: f.clock, value: op.Value, deleted: op.Delete}
	if op.TTL > 0 && !f.goesWrong(keepsExpired) {
		v.expires = time.Now().Add(op.TTL)
	}
	next := []fakeVersion{v}
	for _, v := range k.now {
		if op.Context != nil && v.dot > binary.BigEndian.Uint64(op.Context) && !f.goesWrong(losesSiblings) {
			next = append(next, v)
		}
	}
	k.now = next
}

func contextOf(dot uint64) []byte { return binary.BigEndian.AppendUint64(nil, dot) }

func (f *fakeStore) get(key string, all bool) (g wire.GetResult) {
	k := f.keys[key]
	if k == nil {
		return g
	}
	versions := k.now
	if f.goesWrong(staleReads) {
		versions = k.before
	}
	if len(versions) == 0 {
		return g
	}
	newest := slices.MaxFunc(versions, func(a, b fakeVersion) int { return int(a.dot) - int(b.dot) })
	g = wire.GetResult{Context: contextOf(newest.dot), Siblings: len(versions), Found: newest.visible()}
	if g.Found {
		g.Value = newest.value
	}
	if g.Found && f.goesWrong(invents) {
		g.Value = []byte("invented")
	}
	for _, v := range versions {
		if all {
			g.Values = append(g.Values, wire.Sibling{Value: v.value, Time: v.dot, Deleted: v.deleted})
		}
	}
	return g
}

// scan gives pages of at most five keys.
func (f *fakeStore) scan(q *wire.RangeRequest) (p wire.RangeResult) {
	start, end, _, err := q.Span()
	must(err)
	for key := range f.keys {
		if g := f.get(key, false); g.Found && key >= string(start) && (len(end) == 0 || key < string(end)) {
			p.Items = append(p.Items, wire.RangeItem{Key: []byte(key), Value: g.Value, Siblings: 1})
		}
	}
	slices.SortFunc(p.Items, func(a, b wire.RangeItem) int {
		if q.Reverse {
			a, b = b, a
		}
		return slices.Compare(a.Key, b.Key)
	})
	limit := 5
	if q.Limit > 0 {
		limit = min(limit, q.Limit)
	}
	if len(p.Items) > limit {
		resume := p.Items[limit].Key // the inclusive start of what is left
		if q.Reverse {
			resume = p.Items[limit-1].Key // its exclusive end
		}
		p.Cursor, p.Items = q.NextCursor(resume), p.Items[:limit]
	}
	if len(p.Items) > 2 && f.goesWrong(skips) {
		p.Items = slices.Delete(p.Items, 1, 2)
	}
	if len(p.Items) > 2 && f.goesWrong(shuffles) {
		p.Items[0], p.Items[1] = p.Items[1], p.Items[0]
	}
	return p
}
