package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/ringcask/ringcask/internal/wire"
)

func TestGetManyHasAResultForEachKeyInItsPlace(t *testing.T) {
	f := startFake(t, 2)
	f.values["a"], f.values["c"] = "1", "3"
	c := f.client(t, Options{})
	got, err := c.GetMany(t.Context(), [][]byte{[]byte("c"), []byte("b"), []byte("a")}, nil)
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if string(got[0].Value.Value) != "3" || string(got[2].Value.Value) != "1" || got[0].Err != nil {
		t.Fatalf("%+v", got)
	}
	if !errors.Is(got[1].Err, ErrNotFound) || len(got[1].Value.Context) == 0 {
		t.Fatalf("%+v", got[1])
	}
}

func TestGetManyAsksAgainForWhatAnAnswerHadNoRoomFor(t *testing.T) {
	f := startFake(t, 1)
	var keys [][]byte
	for i := range 5 {
		keys = append(keys, []byte(fmt.Sprint(i)))
		f.values[fmt.Sprint(i)] = fmt.Sprint("value ", i)
	}
	c := f.client(t, Options{RetriesMax: -1})
	roomFor := func(n int) func(*fakeSession, *fakeRequest) bool {
		return func(s *fakeSession, q *fakeRequest) bool {
			if q.method != wire.MethodMultiGet {
				return false
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			m := wire.MultiGetResult{}
			for i, key := range q.keys {
				r := wire.KeyResult{GetResult: f.get(string(key))}
				if i >= n {
					r = wire.KeyResult{Fault: fault(CodeTooLarge, EffectNone)}
				}
				m.Results = append(m.Results, r)
			}
			s.send(q, m.Encode)
			return true
		}
	}
	f.nodes[0].behave(roomFor(2))
	got, err := c.GetMany(t.Context(), keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		if r.Err != nil || string(r.Value.Value) != fmt.Sprint("value ", i) {
			t.Errorf("key %d: %+v", i, r)
		}
	}
	f.nodes[0].behave(roomFor(0))
	if got, err = c.GetMany(t.Context(), keys, nil); err != nil || asError(t, got[4].Err).Code != CodeTooLarge {
		t.Errorf("where not even one fits: %+v, %v", got, err)
	}
}

func TestOnePartsEffectIsNotAnothers(t *testing.T) {
	f := startFake(t, 1)
	var rounds atomic.Int32
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		switch {
		case q.method != wire.MethodBatch:
			return false
		case rounds.Add(1) > 1:
			return s.fail(q, fault(CodeForbidden, EffectNone))
		}
		s.send(q, (&wire.BatchResult{Results: []wire.WriteResult{
			{Fault: fault(CodeTimeout, EffectUnknown)}, {Fault: fault(CodeUnavailable, EffectNone)},
		}}).Encode)
		return true
	})
	c := f.client(t, Options{})
	got, err := c.Batch(t.Context(), []Op{{Key: []byte("a")}, {Key: []byte("b")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := asError(t, got[0].Err), asError(t, got[1].Err); a.Effect != EffectUnknown || b.Effect != EffectNone {
		t.Errorf("effects %v and %v", a.Effect, b.Effect)
	}
}

// TestAPartsEffectIsAlsoThatOfAnAttemptThatFailedAsAWhole loses the answer to a batch. Where it is sent again its parts are answered one
// by one, and who does that knows nothing of the first attempt.
func TestAPartsEffectIsAlsoThatOfAnAttemptThatFailedAsAWhole(t *testing.T) {
	f := startFake(t, 1)
	var rounds atomic.Int32
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		switch {
		case q.method != wire.MethodBatch:
			return false
		case rounds.Add(1) == 1:
			return s.fail(q, fault(CodeTimeout, EffectUnknown))
		}
		s.send(q, (&wire.BatchResult{Results: []wire.WriteResult{{Fault: fault(CodeForbidden, EffectNone)}}}).Encode)
		return true
	})
	got, err := f.client(t, Options{}).Batch(t.Context(), []Op{{Key: []byte("a")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := asError(t, got[0].Err); e.Effect != EffectUnknown || rounds.Load() != 2 {
		t.Errorf("effect %v after %d rounds", e.Effect, rounds.Load())
	}
}

func TestAWriteThatWasAppliedAndFailedHasItsContext(t *testing.T) {
	f := startFake(t, 1)
	applied := fault(CodeQuorumNotMet, EffectApplied)
	applied.Context = []byte("cc")
	var writes atomic.Int32
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		answer := applied
		if isData(q) && writes.Add(1)%2 == 0 {
			answer = fault(CodeUnavailable, EffectNone)
		}
		if q.method == wire.MethodBatch {
			s.send(q, (&wire.BatchResult{Results: []wire.WriteResult{{Fault: answer}}}).Encode)
			return true
		}
		return isData(q) && s.fail(q, answer)
	})
	c := f.client(t, Options{RetriesMax: 1})
	_, put := c.Put(t.Context(), []byte("a"), nil, nil)
	batch, err := c.Batch(t.Context(), []Op{{Key: []byte("a")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"put": put, "batch": batch[0].Err} {
		e := asError(t, err)
		if string(e.Context) != "cc" || e.Effect != EffectApplied || e.Code != CodeUnavailable || e.Attempts != 2 {
			t.Errorf("%s: context %q, %+v", what, e.Context, e)
		}
	}
}

func TestAWriteThatSurelyDidNothingIsNotCalledRetried(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(faultyParts(1, fault(CodeUnavailable, EffectNone), "b"))
	c := f.client(t, Options{})
	got, err := c.Batch(t.Context(), []Op{{Key: []byte("a")}, {Key: []byte("b")}}, nil)
	if err != nil || got[1].Err != nil || got[1].Receipt.Retried {
		t.Errorf("%+v, %v", got, err)
	}
}

// faultyParts fails some parts of the first batches with a fault.
func faultyParts(times int32, f *wire.Fault, parts ...string) func(*fakeSession, *fakeRequest) bool {
	var left atomic.Int32
	left.Store(times)
	return func(s *fakeSession, q *fakeRequest) bool {
		if q.method != wire.MethodBatch || left.Add(-1) < 0 {
			return false
		}
		cluster := s.node.cluster
		cluster.mu.Lock()
		defer cluster.mu.Unlock()
		b := wire.BatchResult{}
		for _, op := range q.ops {
			if slices.Contains(parts, string(op.Key)) {
				b.Results = append(b.Results, wire.WriteResult{Fault: f})
				continue
			}
			b.Results = append(b.Results, cluster.write(op.Delete, string(op.Key), string(op.Value), q.Retried))
		}
		s.send(q, b.Encode)
		return true
	}
}

func TestOnlyThePartsOfABatchThatFailedAreSentAgain(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(faultyParts(2, fault(CodeQuorumNotMet, EffectUnknown), "b"))
	c := f.client(t, Options{})
	results, err := c.Batch(t.Context(), []Op{
		{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b"), Value: []byte("2")}, {Key: []byte("c"), Delete: true},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if r.Err != nil || r.Receipt == nil || r.Receipt.Retried != (i == 1) {
			t.Fatalf("operation %d: %+v, %v", i, r.Receipt, r.Err)
		}
	}
	var sizes []int
	for _, q := range f.nodes[0].requests() {
		sizes = append(sizes, len(q.ops))
	}
	if fmt.Sprint(sizes) != "[3 1 1]" || f.values["b"] != "2" {
		t.Fatalf("batches of %v operations", sizes)
	}
}

func TestAPartWithAContextIsNotSentAgainWhenItsEffectIsUnknown(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(faultyParts(1, fault(CodeTimeout, EffectUnknown), "a", "b"))
	c := f.client(t, Options{})
	results, err := c.Batch(t.Context(), []Op{
		{Key: []byte("a"), Context: []byte("cc")}, {Key: []byte("b")},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := asError(t, results[0].Err); e.Effect != EffectUnknown || e.Attempts != 1 {
		t.Fatalf("%+v", e)
	}
	if results[1].Err != nil {
		t.Fatal(results[1].Err)
	}
}

func TestAPartThatNeverSucceedsFailsAlone(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(faultyParts(1000, fault(CodeUnavailable, EffectNone), "b"))
	c := f.client(t, Options{RetriesMax: 2})
	results, err := c.Batch(t.Context(), []Op{{Key: []byte("a")}, {Key: []byte("b")}}, nil)
	if err != nil || results[0].Err != nil {
		t.Fatalf("%+v, %v", results, err)
	}
	if e := asError(t, results[1].Err); e.Effect != EffectNone || e.Code != CodeUnavailable || e.Attempts != 3 {
		t.Fatalf("%+v", e)
	}
}

func TestABatchOverItsLimitsIsNotSent(t *testing.T) {
	f := startFake(t, 1)
	c := f.client(t, Options{BatchOpsMax: 2, BatchBytesMax: 100})
	for _, ops := range [][]Op{make([]Op, 3), {{Key: []byte("k"), Value: make([]byte, 100)}}} {
		_, err := c.Batch(t.Context(), ops, nil)
		if e := asError(t, err); e.Code != CodeTooLarge || e.Effect != EffectNone {
			t.Fatalf("%+v", e)
		}
	}
	if len(f.nodes[0].requests()) != 0 {
		t.Fatal("something was sent")
	}
}

func fill(f *fakeCluster, n int) (keys []string) {
	for i := range n {
		key := fmt.Sprintf("p/%03d", i)
		f.values[key] = "value of " + key
		keys = append(keys, key)
	}
	f.values["a"], f.values["q"] = "", ""
	return keys
}

func collect(t *testing.T, c *Client, o RangeOptions) (keys []string) {
	t.Helper()
	for kv, err := range c.Range(t.Context(), o) {
		if err != nil {
			t.Fatal(err)
		}
		if o.KeysOnly != (kv.Value == nil) {
			t.Fatalf("%s: value %q", kv.Key, kv.Value)
		}
		keys = append(keys, string(kv.Key))
	}
	return keys
}

func TestARangeFollowsItsPages(t *testing.T) {
	f := startFake(t, 2)
	keys := fill(f, 50)
	back := slices.Clone(keys)
	slices.Reverse(back)
	c := f.client(t, Options{})
	for name, tc := range map[string]struct {
		o    RangeOptions
		want []string
	}{
		"prefix":         {RangeOptions{Prefix: []byte("p/")}, keys},
		"reverse":        {RangeOptions{Prefix: []byte("p/"), Reverse: true}, back},
		"keys only":      {RangeOptions{Prefix: []byte("p/"), KeysOnly: true}, keys},
		"both inclusive": {RangeOptions{Start: []byte(keys[3]), End: []byte(keys[20])}, keys[3:21]},
		"limit":          {RangeOptions{Prefix: []byte("p/"), Limit: 7}, keys[:7]},
		"limit of pages": {RangeOptions{Prefix: []byte("p/"), Limit: 7, PageItems: 2}, keys[:7]},
		"nothing":        {RangeOptions{Prefix: []byte("x")}, nil},
		"everything":     {RangeOptions{}, append(append([]string{"a"}, keys...), "q")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := collect(t, c, tc.o); !slices.Equal(got, tc.want) {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func TestARangeGoesOnWithAnotherNodeWhenOneFails(t *testing.T) {
	f := startFake(t, 3)
	keys := fill(f, 30)
	c := f.client(t, Options{})
	var got []string
	for kv, err := range c.Range(t.Context(), RangeOptions{Prefix: []byte("p/")}) {
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, string(kv.Key)); len(got) == 5 {
			f.nodes[0].stop()
		}
	}
	if !slices.Equal(got, keys) {
		t.Fatalf("got %v", got)
	}
}

func TestAbandoningARangeEndsItsReading(t *testing.T) {
	f := startFake(t, 1)
	fill(f, 300)
	c := f.client(t, Options{})
	for range c.Range(t.Context(), RangeOptions{}) {
		break
	}
	if n := len(f.nodes[0].requests()); n > 3 {
		t.Fatalf("%d pages were read for the first key", n)
	}
}

func TestARangeThatIsCutShortSaysSo(t *testing.T) {
	f := startFake(t, 1)
	fill(f, 300)
	c := f.client(t, Options{})
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		n, failed := 0, error(nil)
		for _, err := range c.Range(ctx, RangeOptions{}) {
			if err != nil {
				failed = err
				break
			}
			if n++; n == 5 {
				cancel()
			}
		}
		cancel()
		if !errors.Is(failed, context.Canceled) {
			t.Fatalf("%d keys of 302, and then %v", n, failed)
		}
	}
}

func TestMissingPartitionsAreReported(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		if q.method != wire.MethodRange || !q.ranged.Partial {
			return false
		}
		p := wire.RangeResult{Missing: []uint32{3, 9}}
		s.send(q, p.Encode)
		return true
	})
	c := f.client(t, Options{})
	var missing []uint32
	for range c.Range(t.Context(), RangeOptions{Partial: true, Missing: func(p []uint32) { missing = append(missing, p...) }}) {
	}
	if fmt.Sprint(missing) != "[3 9]" {
		t.Fatalf("missing %v", missing)
	}
}
