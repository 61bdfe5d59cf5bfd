package client

import (
	"testing"
	"time"
)

// teach has the client see how long a node usually takes.
func teach(t *testing.T, c *Client, key []byte) {
	t.Helper()
	for range 100 {
		if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// lastTimeout is how long the last request that a node got was given.
func (n *fakeNode) lastTimeout() time.Duration {
	rs := n.requests()
	return rs[len(rs)-1].Timeout
}

func TestANodeThatUsuallyIsQuickIsNotWaitedForLongWhenItHangs(t *testing.T) {
	f := startFake(t, 3)
	c := f.client(t, Options{Timeout: time.Minute})
	key := f.keyOf(0)
	if _, err := c.Put(t.Context(), key, []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	if got := f.nodes[0].lastTimeout(); got < 10*time.Second {
		t.Errorf("a node of which nothing is known is given %v", got)
	}
	teach(t, c, key)
	f.nodes[0].behave(func(*fakeSession, *fakeRequest) bool { return true })
	start := time.Now()
	receipt, err := c.Put(t.Context(), key, []byte("w"), nil)
	if err != nil || !receipt.Retried {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if took := time.Since(start); took < tailTimeoutMin || took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	// It is told to do nothing after we have given up: what comes later must not be undone by what was late.
	if got := f.nodes[0].lastTimeout(); got > time.Since(start) {
		t.Errorf("the hung node was given %v", got)
	}
}

func TestPatienceFollowsTheNodeTheValueAndTheOptions(t *testing.T) {
	f := startFake(t, 1)
	c := f.client(t, Options{Timeout: 8 * time.Second})
	n := c.node(nil, f.nodes[0].addr)
	call := func(q request) *call { return &call{c: c, q: &q, patience: 2 * time.Second} }
	put := request{key: []byte("k"), safe: safeOverwrite}
	if got := call(put).patienceWith(n); got != 2*time.Second {
		t.Errorf("nothing known: %v", got)
	}
	for range 200 {
		n.writes.Record(time.Millisecond)
	}
	for name, tc := range map[string]struct {
		q    request
		want time.Duration
	}{
		"a put":      {put, tailTimeoutMin},
		"a long put": {request{key: []byte("k"), safe: safeOverwrite, bytes: 16 << 20}, tailTimeoutMin + time.Second},
		"a huge put": {request{key: []byte("k"), safe: safeOverwrite, bytes: 1 << 30}, 2 * time.Second},
		"a get":      {request{key: []byte("k"), safe: safeRead}, 2 * time.Second}, // reads are another matter
		"many keys":  {request{safe: safeOverwrite}, 2 * time.Second},
	} {
		if got := call(tc.q).patienceWith(n); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
	for range 2000 {
		n.writes.Record(300 * time.Millisecond)
	}
	if got := call(put).patienceWith(n); got < 600*time.Millisecond || got > 800*time.Millisecond {
		t.Errorf("a node that has become slow: %v", got)
	}
	c.opts.AttemptTimeout = time.Second
	if got := call(put).patienceWith(n); got != 2*time.Second {
		t.Errorf("with a fixed timeout: %v", got)
	}
}

func TestWhatWasNotAnsweredInTimeCountsForTheTail(t *testing.T) {
	f := startFake(t, 1)
	c := f.client(t, Options{})
	n := c.routing.Load().all[0]
	x := &call{c: c, q: &request{key: []byte("k"), safe: safeOverwrite}}
	for range 100 {
		x.measure(n, time.Second, errAttemptTimeout)
		x.measure(n, time.Millisecond, ErrClosed) // says nothing of the node
	}
	if got := n.writes.P99(); got < time.Second || n.reads.P99() != 0 {
		t.Errorf("writes %v, reads %v", got, n.reads.P99())
	}
}
