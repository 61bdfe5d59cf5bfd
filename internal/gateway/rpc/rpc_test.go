package rpc

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
)

func TestAPutIsGotWithItsContextAndReceipt(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	put := wire.PutRequest{Key: []byte("k"), Value: []byte("v"), Options: wire.Options{
		W: wire.LevelAll, R: 2, Timeout: time.Minute, Clock: 5000, Ordered: wire.ChoiceYes, Sloppy: wire.ChoiceYes, Retried: true, TTL: time.Hour,
	}}
	var done wire.WriteResult
	before := time.Now()
	c.must(wire.MethodPut, put.Encode, done.Decode)
	if done.Receipt.Actor != 7 || done.Receipt.Time == 0 || !slices.Equal(done.Receipt.Replicas, []string{"a", "b"}) ||
		!done.Receipt.Retried || done.Clock != 5000 || !slices.Equal(done.Receipt.Hints, []wire.KeptHint{{For: "c", At: "d", Counted: true}}) {
		t.Fatalf("%+v", done)
	}
	q := p.store.writes[0]
	if q.W != coordinator.LevelAll || q.R != 2 || q.Ordered != wire.ChoiceYes || q.Sloppy != wire.ChoiceYes || !q.Retried || q.Ops[0].HasContext {
		t.Fatalf("the store was asked %+v", q)
	}
	if left := q.Deadline.Sub(before); left < 59*time.Second || left > 61*time.Second {
		t.Fatalf("deadline in %v", left)
	}
	if e := time.UnixMilli(q.Ops[0].ExpiresAt).Sub(before); e < 59*time.Minute || e > 61*time.Minute {
		t.Fatalf("expires in %v", e)
	}

	get := wire.GetRequest{Key: []byte("k"), Options: wire.Options{R: wire.LevelOne}}
	var got wire.GetResult
	c.must(wire.MethodGet, get.Encode, got.Decode)
	if !got.Found || string(got.Value) != "v" || got.Siblings != 1 || got.ExpiresAt == 0 || string(got.Context) != string(done.Context) {
		t.Fatalf("%+v", got)
	}

	again := wire.PutRequest{Key: []byte("k"), Value: []byte("w"), Options: wire.Options{Context: got.Context}}
	c.must(wire.MethodPut, again.Encode, done.Decode)
	if q := p.store.writes[1]; !q.Ops[0].HasContext || len(q.Ops[0].Context) != 1 || q.Ordered != wire.ChoiceDefault || q.Retried {
		t.Fatalf("the store was asked %+v", q)
	}
	if left := time.Until(p.store.writes[1].Deadline); left > 2*time.Second {
		t.Fatalf("deadline in %v without one in the request", left)
	}
}

func TestAGetOfWhatIsNotVisibleHasContextAndSiblings(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	dot := func(i int) causal.Dot { return causal.Dot{Actor: 1, Time: causal.Timestamp(i)} }
	now := time.Now().UnixMilli()
	value := func(i int) causal.Sibling { return causal.Sibling{Dot: dot(i), Value: []byte("v")} }
	for name, tc := range map[string]struct {
		siblings []causal.Sibling
		found    bool
	}{
		"never":                   {nil, false},
		"deleted":                 {[]causal.Sibling{{Dot: dot(1), Tombstone: true}}, false},
		"expired":                 {[]causal.Sibling{{Dot: dot(1), ExpiresAt: now - 1, Value: []byte("old")}}, false},
		"not yet expired":         {[]causal.Sibling{{Dot: dot(1), ExpiresAt: now + 60_000, Value: []byte("v")}}, true},
		"the greatest is deleted": {[]causal.Sibling{value(1), {Dot: dot(2), Tombstone: true}}, false},
		"a lesser is deleted":     {[]causal.Sibling{{Dot: dot(1), Tombstone: true}, value(2)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p.store.mu.Lock()
			p.store.objects["k"] = causal.Object{Vector: causal.Vector{dot(9)}, Siblings: tc.siblings}
			p.store.mu.Unlock()
			get := wire.GetRequest{Key: []byte("k"), Options: wire.Options{Values: true}}
			var got wire.GetResult
			c.must(wire.MethodGet, get.Encode, got.Decode)
			if got.Found != tc.found || got.Siblings != len(tc.siblings) || len(got.Values) != len(tc.siblings) || len(got.Context) == 0 {
				t.Fatalf("%+v", got)
			}
			if tc.found != (string(got.Value) == "v") {
				t.Fatalf("value %q", got.Value)
			}
			for i, v := range got.Values {
				if visible := string(v.Value) == "v"; visible == v.Deleted || v.Time != uint64(tc.siblings[i].Dot.Time) {
					t.Fatalf("sibling %d: %+v", i, v)
				}
			}
		})
	}
}

func TestEachPartOfAMultiGetAndABatchHasItsOwnOutcome(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	p.store.errs["bad"] = &coordinator.QuorumError{Op: "put", Need: 2, Got: 1, Effect: wire.EffectApplied}
	p.store.contexts["bad"] = causal.Vector{{Actor: 7, Time: 5}}
	batch := wire.BatchRequest{Ops: []wire.Op{
		{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("bad"), Value: []byte("2")}, {Delete: true, Key: []byte("c")},
	}}
	var done wire.BatchResult
	c.must(wire.MethodBatch, batch.Encode, done.Decode)
	if len(done.Results) != 3 || done.Results[0].Fault != nil || done.Results[2].Fault != nil || len(done.Results[2].Context) == 0 {
		t.Fatalf("%+v", done)
	}
	if f := done.Results[1].Fault; f == nil || f.Code != wire.CodeQuorumNotMet || f.Effect != wire.EffectApplied || f.Need != 2 || f.Got != 1 ||
		!bytes.Equal(f.Context, causal.AppendVector(nil, p.store.contexts["bad"])) {
		t.Fatalf("%+v", f)
	}
	if kind := p.store.writes[0].Ops[2].Kind; kind != coordinator.OpDelete {
		t.Fatalf("kind %v", kind)
	}
	multi := wire.MultiGetRequest{Keys: [][]byte{[]byte("c"), []byte("bad"), []byte("a")}}
	var got wire.MultiGetResult
	c.must(wire.MethodMultiGet, multi.Encode, got.Decode)
	if len(got.Results) != 3 || got.Results[0].Found || string(got.Results[2].Value) != "1" {
		t.Fatalf("%+v", got)
	}
	if f := got.Results[1].Fault; f == nil || f.Effect != wire.EffectNone {
		t.Fatalf("a read has an effect: %+v", f)
	}
	for _, empty := range []func() *wire.Fault{
		func() *wire.Fault {
			return c.call(wire.MethodBatch, (&wire.BatchRequest{}).Encode, new(wire.BatchResult).Decode)
		},
		func() *wire.Fault {
			return c.call(wire.MethodMultiGet, (&wire.MultiGetRequest{}).Encode, new(wire.MultiGetResult).Decode)
		},
	} {
		if f := empty(); f != nil {
			t.Fatalf("nothing to do: %v", f)
		}
	}
}

func TestAWriteThatFailsAndIsAppliedIsAnsweredWithItsContext(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	p.store.contexts["k"] = causal.Vector{{Actor: 7, Time: 5}}
	want := causal.AppendVector(nil, p.store.contexts["k"])
	for effect, told := range map[wire.Effect]bool{wire.EffectApplied: true, wire.EffectUnknown: false, wire.EffectNone: false} {
		p.store.errs["k"] = &coordinator.QuorumError{Op: "put", Need: 2, Got: 1, Effect: effect}
		put, del := wire.PutRequest{Key: []byte("k")}, wire.DeleteRequest{Key: []byte("k")}
		for method, params := range map[string]func(*wire.Writer){wire.MethodPut: put.Encode, wire.MethodDelete: del.Encode} {
			f := c.call(method, params, new(wire.WriteResult).Decode)
			if f == nil || f.Effect != effect || (f.Context != nil) != told || (told && !bytes.Equal(f.Context, want)) {
				t.Errorf("%s with effect %v: %+v", method, effect, f)
			}
		}
	}
}

func TestARangeIsInclusiveAndItsCursorGoesOn(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	for _, key := range []string{"a", "b1", "b2", "b3", "b4", "c"} {
		put := wire.PutRequest{Key: []byte(key), Value: []byte("value of " + key)}
		c.must(wire.MethodPut, put.Encode, new(wire.WriteResult).Decode)
	}
	for name, tc := range map[string]struct {
		q    wire.RangeRequest
		want string
	}{
		"all":              {wire.RangeRequest{}, "a b1 b2 b3 b4 c"},
		"inclusive":        {wire.RangeRequest{Start: []byte("b1"), End: []byte("b4")}, "b1 b2 b3 b4"},
		"prefix":           {wire.RangeRequest{Prefix: []byte("b")}, "b1 b2 b3 b4"},
		"prefix and start": {wire.RangeRequest{Prefix: []byte("b"), Start: []byte("b3")}, "b3 b4"},
		"reverse":          {wire.RangeRequest{Reverse: true, End: []byte("b4")}, "b4 b3 b2 b1 a"},
		"small pages":      {wire.RangeRequest{Limit: 1}, "a b1 b2 b3 b4 c"},
		"empty":            {wire.RangeRequest{Start: []byte("c"), End: []byte("b")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []string
			for {
				var page wire.RangeResult
				c.must(wire.MethodRange, tc.q.Encode, page.Decode)
				for _, item := range page.Items {
					keys = append(keys, string(item.Key))
					if string(item.Value) != "value of "+string(item.Key) || item.Siblings != 1 {
						t.Fatalf("%+v", item)
					}
				}
				if tc.q.Cursor = page.Cursor; page.Cursor == nil {
					break
				}
			}
			if got := strings.Join(keys, " "); got != tc.want {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
		})
	}
	var page wire.RangeResult
	c.must(wire.MethodRange, (&wire.RangeRequest{Limit: 1, KeysOnly: true, Partial: true}).Encode, page.Decode)
	if page.Items[0].Value != nil || !slices.Equal(page.Missing, []uint32{4}) {
		t.Fatalf("%+v", page)
	}
	other := wire.RangeRequest{Prefix: []byte("b"), Cursor: page.Cursor}
	if f := c.call(wire.MethodRange, other.Encode, page.Decode); f == nil || f.Code != wire.CodeBadRequest {
		t.Fatalf("the cursor of another range: %v", f)
	}
}

func TestStatusTopologyAndPing(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	var status wire.Status
	c.must(wire.MethodStatus, (&wire.PlainRequest{}).Encode, status.Decode)
	var topology wire.Topology
	c.must(wire.MethodTopology, (&wire.PlainRequest{}).Encode, topology.Decode)
	var pong wire.PingResult
	c.must(wire.MethodPing, (&wire.PlainRequest{Options: wire.Options{Clock: 700}}).Encode, pong.Decode)
	if status.Node != "a" || topology.Version != 3 || pong.Clock != 700 {
		t.Fatalf("%+v %+v %+v", status, topology, pong)
	}
}

func TestAWriteWithAClockThatCannotBeFollowedIsRefusedAndAReadIsNot(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	ahead := wire.Options{Clock: 1 << 50}
	put := wire.PutRequest{Key: []byte("k"), Options: ahead}
	f := c.call(wire.MethodPut, put.Encode, new(wire.WriteResult).Decode)
	if f == nil || f.Code != wire.CodeBadRequest || f.Effect != wire.EffectNone || len(p.store.writes) != 0 {
		t.Fatalf("%v; %d writes", f, len(p.store.writes))
	}
	var got wire.GetResult
	c.must(wire.MethodGet, (&wire.GetRequest{Key: []byte("k"), Options: ahead}).Encode, got.Decode)
	if got.Clock != 100 {
		t.Fatalf("clock %d", got.Clock)
	}
}

func TestARequestThatIsWrongIsAnsweredAndTheNextIsServed(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	array := func(values ...any) func(*wire.Writer) {
		return func(w *wire.Writer) { encodeAny(w, values) }
	}
	for name, tc := range map[string]struct {
		method string
		params func(*wire.Writer)
		says   string
	}{
		"unknown method":       {"shutdown", array(), `"shutdown"`},
		"unknown option":       {"put", array("k", "v", map[string]any{"colour": []any{1, map[string]any{"deep": 1}}}), `"colour"`},
		"option of another":    {"get", array("k", map[string]any{"ttl_ms": 1}), `"ttl_ms"`},
		"too few params":       {"put", array("k"), "params"},
		"too many params":      {"get", array("k", map[string]any{}, 1), "limit"},
		"params are no array":  {"get", func(w *wire.Writer) { w.MapLen(0) }, "array"},
		"a key that is none":   {"get", array(7), "byte string"},
		"level zero":           {"get", array("k", map[string]any{"r": 0}), "range"},
		"unknown level":        {"get", array("k", map[string]any{"r": "most"}), `"most"`},
		"negative timeout":     {"get", array("k", map[string]any{"timeout_ms": -1}), "range"},
		"context is no vector": {"put", array("k", "v", map[string]any{"context": "xx"}), "context"},
		"no such operation":    {"batch", array([]any{[]any{"swap", "k"}}), `"swap"`},
		"unknown range field":  {"range", array(map[string]any{"from": "a"}), `"from"`},
		"cursor that is none":  {"range", array(map[string]any{"cursor": "abc"}), "cursor"},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.call(tc.method, tc.params, func(*wire.Reader) error { return nil })
			if f == nil || f.Code != wire.CodeBadRequest || f.Effect != wire.EffectNone || !strings.Contains(f.Message, tc.says) {
				t.Fatalf("%v", f)
			}
			c.must(wire.MethodPing, (&wire.PlainRequest{}).Encode, new(wire.PingResult).Decode)
		})
	}
	if p.store.writes != nil || p.store.reads != nil {
		t.Fatal("the store was asked")
	}
}

// encodeAny writes what a careless client might.
func encodeAny(w *wire.Writer, v any) {
	switch v := v.(type) {
	case int:
		w.Int(int64(v))
	case string:
		w.Str(v)
	case []any:
		w.ArrayLen(len(v))
		for _, e := range v {
			encodeAny(w, e)
		}
	case map[string]any:
		w.MapLen(len(v))
		for key, e := range v {
			w.Str(key)
			encodeAny(w, e)
		}
	}
}

func TestFaultsOfTheStoreAreThoseOfTheTable(t *testing.T) {
	p := startPort(t, nil)
	c := p.dial()
	p.store.err = &coordinator.WriteError{Effect: wire.EffectApplied, Err: context.DeadlineExceeded}
	f := c.call(wire.MethodPut, (&wire.PutRequest{}).Encode, new(wire.WriteResult).Decode)
	if want := gateway.FaultOf(p.store.err); f == nil || f.Code != want.Code || f.Effect != want.Effect || f.Message != want.Message {
		t.Fatalf("%v, want %v", f, want)
	}
	p.store.err = errors.New("broken")
	for _, method := range []func() *wire.Fault{
		func() *wire.Fault {
			return c.call(wire.MethodGet, (&wire.GetRequest{}).Encode, new(wire.GetResult).Decode)
		},
		func() *wire.Fault {
			return c.call(wire.MethodRange, (&wire.RangeRequest{}).Encode, new(wire.RangeResult).Decode)
		},
	} {
		if f := method(); f == nil || f.Code != wire.CodeInternal || f.Effect != wire.EffectNone {
			t.Fatalf("%v", f)
		}
	}
}

func TestRequestsAreAnsweredAsTheyEndNotAsTheyCame(t *testing.T) {
	p := startPort(t, nil)
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	p.store.mu.Lock()
	p.store.hold, p.store.held = hold, held
	p.store.mu.Unlock()
	c := p.dial()
	first := c.send(wire.MethodGet, (&wire.GetRequest{Key: []byte("slow")}).Encode)
	<-held
	second := c.send(wire.MethodPing, (&wire.PlainRequest{}).Encode)
	e, err := c.receive()
	if err != nil || e.ID != second {
		t.Fatalf("answer to %d first, %v", e.ID, err)
	}
	close(hold)
	if e, err = c.receive(); err != nil || e.ID != first {
		t.Fatalf("answer to %d, %v", e.ID, err)
	}
}

func TestPastTheAdmissionsBoundRequestsAreRefusedAtOnce(t *testing.T) {
	p := startPort(t, func(o *Options) { o.Admission = gateway.NewAdmission(2, 1<<20, 70*time.Millisecond) })
	hold, held := make(chan struct{}), make(chan struct{}, 2)
	p.store.mu.Lock()
	p.store.hold, p.store.held = hold, held
	p.store.mu.Unlock()
	c := p.dial()
	for range 2 {
		c.send(wire.MethodGet, (&wire.GetRequest{}).Encode)
		<-held
	}
	f := c.call(wire.MethodGet, (&wire.GetRequest{}).Encode, nil)
	if f == nil || f.Code != wire.CodeOverloaded || f.Effect != wire.EffectNone || f.RetryAfter != 70*time.Millisecond {
		t.Fatalf("%v", f)
	}
	close(hold)
	for range 2 {
		if _, err := c.receive(); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.adm.Status(); s.Refused != 1 {
		t.Fatalf("%+v", s)
	}
	eventually(t, "everything admitted is released", func() bool { s := p.adm.Status(); return s.InFlight == 0 && s.InFlightBytes == 0 })
}

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

func TestShutdownFinishesWhatIsUnderWayAndRefusesTheRest(t *testing.T) {
	p := startPort(t, nil)
	hold, held := make(chan struct{}), make(chan struct{}, 1)
	p.store.mu.Lock()
	p.store.hold, p.store.held = hold, held
	p.store.mu.Unlock()
	c := p.dial()
	first := c.send(wire.MethodPut, (&wire.PutRequest{Key: []byte("k")}).Encode)
	<-held
	p.stop()
	var f *wire.Fault
	eventually(t, "requests are refused", func() bool {
		f = c.call(wire.MethodPing, (&wire.PlainRequest{}).Encode, new(wire.PingResult).Decode)
		return f != nil
	})
	if f.Code != wire.CodeUnavailable || f.Effect != wire.EffectNone {
		t.Fatalf("%v", f)
	}
	close(hold)
	e, err := c.receive()
	if err != nil || e.ID != first {
		t.Fatalf("answer to %d, %v", e.ID, err)
	}
	if f, _ := e.Failure(); f != nil {
		t.Fatalf("what was under way failed: %v", f)
	}
	c.ended()
	p.shutdown()
}

func TestShutdownDoesNotWaitForeverForAStoreThatHangs(t *testing.T) {
	p := startPort(t, func(o *Options) { o.DrainTimeout = 50 * time.Millisecond })
	held := make(chan struct{}, 1)
	p.store.mu.Lock()
	p.store.hold, p.store.held = make(chan struct{}), held
	p.store.mu.Unlock()
	c := p.dial()
	c.send(wire.MethodPut, (&wire.PutRequest{Key: []byte("k")}).Encode)
	<-held
	start := time.Now()
	p.shutdown()
	if took := time.Since(start); took > 5*time.Second {
		t.Fatalf("took %v", took)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	p := startPort(t, nil)
	good := Options{Store: p.store, Clock: p.clock, Inspector: fakeInspector{}, Admission: p.adm}
	for _, change := range []func(*Options){
		func(o *Options) { o.Store = nil }, func(o *Options) { o.Admission = nil },
		func(o *Options) { o.Timeout = -1 }, func(o *Options) { o.ConnectionsMax = -1 },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestTheValuesOfAnAnswerAreAdmitted(t *testing.T) {
	p := startPort(t, func(o *Options) { o.Admission = gateway.NewAdmission(10, 64<<10, time.Millisecond) })
	c := p.dial()
	p.store.objects["great"] = causal.Put(causal.Object{}, nil, false, causal.Sibling{
		Dot: causal.Dot{Actor: 1, Time: 1}, Value: make([]byte, 100<<10),
	})
	if f := c.call(wire.MethodGet, (&wire.GetRequest{Key: []byte("great")}).Encode, new(wire.GetResult).Decode); f == nil || f.Code != wire.CodeOverloaded {
		t.Errorf("a value over the bound: %v", f)
	}
	c.must(wire.MethodGet, (&wire.GetRequest{Key: []byte("small")}).Encode, new(wire.GetResult).Decode)
	p.shutdown()
	if s := p.adm.Status(); s.InFlight != 0 || s.InFlightBytes != 0 {
		t.Errorf("left in admission: %+v", s)
	}
}

func TestAWriteWhoseAnswerIsTooLargeIsOfUnknownEffect(t *testing.T) {
	p := startPort(t, func(o *Options) { o.MessageBytesMax = 4 << 10 })
	c := p.dial()
	var batch wire.BatchRequest
	for i := range 200 {
		batch.Ops = append(batch.Ops, wire.Op{Delete: true, Key: []byte{byte(i), 'k'}})
	}
	f := c.call(wire.MethodBatch, batch.Encode, new(wire.BatchResult).Decode)
	if f == nil || f.Code != wire.CodeTooLarge || f.Effect != wire.EffectUnknown || len(p.store.writes) != 1 {
		t.Errorf("%+v after %d writes", f, len(p.store.writes))
	}
}
