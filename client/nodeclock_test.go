package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

func TestARequestBringsItsDeadlineByTheClockOfItsNode(t *testing.T) {
	for _, ahead := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			f := startFake(t, 1)
			f.nodes[0].setClock(ahead, false)
			c := f.client(t, Options{Timeout: 4 * time.Second, AttemptTimeout: time.Second})
			for range 4 {
				if _, err := c.Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
					t.Fatal(err)
				}
			}
			for _, q := range f.nodes[0].requests() {
				if left := time.UnixMicro(q.DeadlineMicros).Sub(q.at.Add(ahead)); left > 1000*time.Millisecond || left < 300*time.Millisecond {
					t.Errorf("the node is given %v of an attempt of 1 s", left)
				}
			}
			if n := len(f.nodes[0].requests()); n != 4 {
				t.Errorf("%d requests for 4 puts", n)
			}
		})
	}
}

func TestANodeThatDoesNotTellItsTimeGetsNoDeadline(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].setClock(time.Hour, true)
	c := f.client(t, Options{})
	if _, err := c.Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	if q := f.nodes[0].requests()[0]; q.DeadlineMicros != 0 || q.Timeout == 0 {
		t.Fatalf("%+v", q)
	}
}

func TestANodeWhoseClockWasSetIsAskedForTheTimeAnew(t *testing.T) {
	f := startFake(t, 1)
	c := f.client(t, Options{})
	put := func() {
		t.Helper()
		if _, err := c.Put(t.Context(), []byte("k"), []byte("v"), &PutOptions{Context: []byte("cc")}); err != nil {
			t.Fatal(err)
		}
	}
	put()
	put()
	f.nodes[0].setClock(time.Hour, false)
	put()
	f.nodes[0].forget()
	put()
	put()
	if n := len(f.nodes[0].requests()); n != 2 {
		t.Errorf("%d requests for 2 puts after the new time was known", n)
	}
}

func TestNothingIsSentToANodeThatDoesNotAnswerAPing(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(func(*fakeSession, *fakeRequest) bool { return true })
	c := f.client(t, Options{Direct: true, Timeout: 100 * time.Millisecond, RetriesMax: -1})
	_, err := c.Put(t.Context(), []byte("k"), []byte("v"), nil)
	if e := asError(t, err); e.Effect != EffectNone || e.Code != CodeTimeout {
		t.Fatalf("%+v", e)
	}
	if n := len(f.nodes[0].requests()); n != 0 {
		t.Fatalf("%d requests were sent", n)
	}
}

func TestAConnectionThatBreaksBeforeItsFirstPingIsAnsweredSendsNothing(t *testing.T) {
	f := startFake(t, 1)
	f.nodes[0].behave(func(s *fakeSession, q *fakeRequest) bool {
		go s.link.Close() // it waits for this handler
		return true
	})
	c := f.client(t, Options{Direct: true, RetriesMax: -1})
	_, err := c.Put(t.Context(), []byte("k"), []byte("v"), nil)
	if e := asError(t, err); e.Effect != EffectNone || e.Code != CodeUnavailable {
		t.Fatalf("%+v", e)
	}
}

func TestAnEstimateIsTrustedWhileTheClocksRunOn(t *testing.T) {
	start := time.Now()
	wall := start.UnixNano()
	e := &estimate{at: start, wallNanos: wall, nowMicros: 5}
	for _, tc := range []struct {
		e         *estimate
		age, jump time.Duration
		want      trust
	}{
		{nil, 0, 0, trustNone},
		{e, 0, 0, trustFully},
		{e, -time.Second, 0, trustFully}, // measured while the request waited for it
		{e, 9 * time.Second, 0, trustFully},
		{e, 11 * time.Second, 0, trustAging},
		{e, 61 * time.Second, 0, trustNone},
		{e, time.Second, 90 * time.Millisecond, trustFully},
		{e, time.Second, time.Hour, trustNone}, // suspended, or set
		{e, time.Second, -time.Second, trustNone},
	} {
		if got := tc.e.trust(start.Add(tc.age), wall+int64(tc.age+tc.jump)); got != tc.want {
			t.Errorf("after %v, jump %v: %v, want %v", tc.age, tc.jump, got, tc.want)
		}
	}
}

func TestAnEstimateIsNeverBehindItsNodeAndKeepsTheStricterBound(t *testing.T) {
	const offset = int64(30_000_000) // of the node's clock, in microseconds
	start := time.Now()
	node := func(at time.Time) int64 { return start.UnixMicro() + at.Sub(start).Microseconds() + offset }
	// excess is how late an estimate errs a second later, after a ping that was answered so long after it was sent and took as long again.
	var last *estimate
	ping := func(after, there time.Duration) time.Duration {
		sent := start.Add(after)
		last = estimateOf(sent, 2*there, node(sent.Add(there)), last)
		at := sent.Add(time.Second)
		return time.Duration(last.micros(at)-node(at)) * time.Microsecond
	}
	for i, tc := range []struct{ after, there, most time.Duration }{
		{0, 300 * time.Millisecond, 302 * time.Millisecond},
		{time.Second, time.Millisecond, 3 * time.Millisecond},
		{11 * time.Second, 400 * time.Millisecond, 15 * time.Millisecond}, // it waited in a queue
		{5 * time.Minute, 200 * time.Millisecond, 202 * time.Millisecond}, // nothing is left of what was known
		{5*time.Minute + time.Second, 0, 2 * time.Millisecond},
	} {
		if excess := ping(tc.after, tc.there); excess < 0 || excess > tc.most {
			t.Errorf("ping %d: late by %v, want 0 to %v", i, excess, tc.most)
		}
	}
	// The node's clock is set: what was known is not held against what it says.
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		sent := last.at.Add(time.Second)
		says := node(sent) + step.Microseconds()
		if e := estimateOf(sent, time.Millisecond, says, last); e.nowMicros != says {
			t.Errorf("after a step by %v: off by %d us", step, e.nowMicros-says)
		}
	}
	if e := estimateOf(start, 0, 0, nil); e.micros(start) != 0 {
		t.Error("a time where the node tells none")
	}
}

func TestAnEstimateThatAgesIsRenewedWhileRequestsGoOn(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	c := &Client{opts: Options{}.withDefaults()}
	conn := newConn(near, newNode(c, "n"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { conn.run(ctx); close(ended) }()
	pings := make(chan uint32)
	link := wire.NewLink(far, wire.LinkOptions{})
	go link.Run(ctx, func(msg []byte) error {
		e, err := wire.ParseEnvelope(msg)
		if err == nil && string(e.Method) == wire.MethodPing {
			pings <- e.ID
		}
		return err
	}, nil)
	now := time.Now()
	old := &estimate{at: now.Add(-20 * time.Second), wallNanos: now.Add(-20 * time.Second).UnixNano(), nowMicros: 1}
	conn.estimate.Store(old)
	for range 3 { // one ping for all of them, and none of them waits
		if e, err := conn.nodeClock(ctx, now, 0); e != old || err != nil {
			t.Fatalf("%+v, %v", e, err)
		}
	}
	id := <-pings
	link.Send(func(w *wire.Writer) { w.Result(id); (&wire.PingResult{NowMicros: 1 << 50}).Encode(w) })
	eventually(t, "the new estimate", func() bool { return conn.estimate.Load().nowMicros == 1<<50 })

	// What cannot be trusted is waited for, not longer than there is time, and not on a connection that has ended.
	conn.estimate.Store(nil)
	if _, err := conn.nodeClock(ctx, time.Now(), time.Millisecond); !errors.Is(err, errAttemptTimeout) {
		t.Fatal(err)
	}
	<-pings
	cancel()
	<-ended
	if _, err := conn.nodeClock(t.Context(), time.Now(), time.Minute); err == nil {
		t.Fatal("an estimate from a connection that has ended")
	}
}
