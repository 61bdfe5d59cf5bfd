package peer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
)

// acceptPuppet plays member 2 at its address: it accepts both links, lets the node in and then does nothing.
func acceptPuppet(t *testing.T, n *testNode, ln net.Listener) (links []*puppet) {
	for range classCount {
		nc, err := ln.Accept()
		must(t, err)
		p := newPuppet(t, nc)
		r := wire.NewReader(wait(t, p.msgs))
		exactly(&r, 4, "a request")
		r.Uint(kindRequest)
		r.Uint(helloID)
		r.Str()
		exactly(&r, 1, "parameters")
		theirs := decodeHello(&r)
		must(t, r.Done())
		ours := helloOf(n, 1, 1, 10)
		ours.class = theirs.class
		p.send(func(w *wire.Writer) { encodeHelloAnswer(w, helloID, ours, nil) })
		links = append(links, p)
	}
	return links
}

func TestHungPeerIsBoundedAndFoundOut(t *testing.T) {
	members, listeners := listen(t, 2)
	o := testOptions(t, members, 0)
	o.InFlightMax, o.InFlightBytesMax = 100, 1<<20
	n := start(t, o, listeners[0])
	acceptPuppet(t, n, listeners[1])
	defer listeners[1].Close()
	awaitLinks(t, n)
	p := n.Peer("n2")

	// By count: the 101st is refused at once.
	var ended, refused, expired atomic.Int64
	done := func(_ coordinator.StoreAck, err error) {
		var never *coordinator.UnreachableError
		switch {
		case errors.As(err, &never):
			refused.Add(1)
		case errors.Is(err, context.DeadlineExceeded):
			expired.Add(1)
		}
		ended.Add(1)
	}
	for range 1000 {
		p.Store(time.Now().Add(300*time.Millisecond), []coordinator.Item{item("k", "v")}, done)
	}
	if got := refused.Load(); got != 900 {
		t.Fatalf("%d of 1000 refused at once, want 900", got)
	}
	if s := n.Status()[0]; s.InFlight > 100 {
		t.Fatalf("%d in flight", s.InFlight)
	}
	eventually(t, "all end", func() bool { return ended.Load() == 1000 })
	if expired.Load() != 100 {
		t.Fatalf("%d expired, want 100", expired.Load())
	}
	eventually(t, "the peer is unreachable", func() bool { return !p.Reachable() })
	if s := n.Status()[0]; !strings.Contains(s.Reason, "no answer") {
		t.Fatalf("reason %q", s.Reason)
	}

	// By bytes.
	ended.Store(0)
	refused.Store(0)
	big := []coordinator.Item{item("k", strings.Repeat("x", 300<<10))}
	for range 10 {
		p.Store(time.Now().Add(100*time.Millisecond), big, done)
	}
	if got := refused.Load(); got != 7 {
		t.Fatalf("%d of 10 refused for their bytes, want 7", got)
	}
	eventually(t, "all end", func() bool { return ended.Load() == 10 })
}

// awaitLinks waits until both links to n2 are open.
func awaitLinks(t *testing.T, n *testNode) {
	t.Helper()
	eventually(t, "both links are open", func() bool {
		return n.remotes["n2"].links[foreground].Load() != nil && n.remotes["n2"].links[bulk].Load() != nil
	})
}

func TestLinkToAHungPeerIsGivenUp(t *testing.T) {
	members, listeners := listen(t, 2)
	o := testOptions(t, members, 0)
	o.LinkTimeout = 300 * time.Millisecond
	n := start(t, o, listeners[0])
	acceptPuppet(t, n, listeners[1])
	must(t, listeners[1].Close())
	awaitLinks(t, n)
	done, got := once[coordinator.StoreAck](t)
	n.Peer("n2").Store(time.Now().Add(time.Minute), []coordinator.Item{item("k", "v")}, done)
	var lost *LostError
	if a := wait(t, got); !errors.As(a.err, &lost) {
		t.Fatalf("got %v", a.err)
	}
}

func TestDoubtEndsWithTheNextPing(t *testing.T) {
	nodes := startCluster(t, 2, func(_ int, o *Options) {
		o.SuspectAfter, o.PingInterval, o.LinkTimeout = 20*time.Millisecond, time.Hour, 2*time.Hour
	})
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onStore = func(time.Time, []coordinator.Item, func(coordinator.StoreAck, error)) {}
	})
	r := nodes[0].remotes["n2"]
	pingsBefore := r.links[foreground].Load().answered.Load()
	if _, err := store(t, r, 50*time.Millisecond, item("k", "v")); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	eventually(t, "the peer is doubted, asked, and reachable again", func() bool {
		return r.links[foreground].Load().answered.Load() > pingsBefore && r.Reachable()
	})
}

func TestPeerThatSendsTooMuchIsRefusedWork(t *testing.T) {
	n := lonely(t, 2, func(o *Options) { o.InFlightMax = 10 })
	n.local.hook(func(l *fakeLocal) {
		l.onStore = func(time.Time, []coordinator.Item, func(coordinator.StoreAck, error)) {}
	})
	p := dialPuppet(t, n.addr)
	p.open(helloOf(n, 1, 1, 10))
	for id := range uint32(11) {
		p.send(func(w *wire.Writer) {
			encodeRequest(w, 100+id, methodStore, 3)
			w.Uint(1)
			w.Int(time.Now().Add(time.Minute).UnixNano())
			encodeItems(w, []coordinator.Item{item("k", "v")})
		})
	}
	id, err := answeredError(t, wait(t, p.msgs))
	if id != 110 || !errors.Is(err, coordinator.ErrOverloaded) {
		t.Fatalf("request %d was answered %v", id, err)
	}
}

// answeredError takes an error answer apart.
func answeredError(t *testing.T, msg []byte) (id uint32, err error) {
	t.Helper()
	r := wire.NewReader(msg)
	exactly(&r, 4, "an answer")
	r.Uint(kindAnswer)
	id = uint32(r.Uint64())
	exactly(&r, 2, "an error")
	r.Uint64()
	err = decodeError(&r)
	if !r.TryNil() || r.Done() != nil {
		t.Fatalf("no error answer: %x (%v)", msg, r.Err())
	}
	return id, err
}

func TestMalformedRequestIsAnsweredAndTheLinkGoesOn(t *testing.T) {
	n := lonely(t, 2, nil)
	p := dialPuppet(t, n.addr)
	p.open(helloOf(n, 1, 1, 10))
	for i, method := range []string{methodStore, methodHint, methodRead, methodScan, methodCoordinate, "drop_table"} {
		p.send(func(w *wire.Writer) {
			encodeRequest(w, uint32(i), method, 3)
			w.Uint(1)
			w.Int(time.Now().Add(second).UnixNano())
			w.Str("nonsense")
		})
		id, err := answeredError(t, wait(t, p.msgs))
		var fault *wire.Fault
		if id != uint32(i) || !errors.As(err, &fault) || fault.Code != wire.CodeBadRequest || fault.Effect != wire.EffectNone {
			t.Errorf("%s: %d %v", method, id, err)
		}
	}
	p.ping()
	wait(t, p.msgs)
}

func TestWorkThatIsLateIsNotDone(t *testing.T) {
	n := lonely(t, 2, nil)
	p := dialPuppet(t, n.addr)
	h := helloOf(n, 1, 1, 10)
	h.now = time.Now().Add(-time.Hour) // its clock is an hour behind, and so are its deadlines
	p.open(h)
	send := func(id uint32, deadline time.Time) {
		p.send(func(w *wire.Writer) {
			encodeRequest(w, id, methodStore, 3)
			w.Uint(1)
			w.Int(deadline.UnixNano())
			encodeItems(w, []coordinator.Item{item("k", "v")})
		})
	}
	send(7, h.now.Add(-second))
	if id, err := answeredError(t, wait(t, p.msgs)); id != 7 || !errors.Is(err, context.DeadlineExceeded) ||
		coordinator.EffectOf(err) != wire.EffectNone {
		t.Fatalf("late store: %d %v", id, err)
	}
	if n.local.stores != 0 {
		t.Fatal("late work was done")
	}
	deadlines := make(chan time.Time, 1)
	n.local.hook(func(l *fakeLocal) {
		l.onStore = func(deadline time.Time, _ []coordinator.Item, done func(coordinator.StoreAck, error)) {
			deadlines <- deadline
			done(coordinator.StoreAck{}, nil)
		}
	})
	want := time.Now().Add(10 * second)
	send(8, want.Add(-time.Hour))
	if got := wait(t, deadlines); got.Sub(want).Abs() > second {
		t.Fatalf("deadline %v, want about %v", got, want)
	}
}

func TestDeadlinesSurviveSkewedClocks(t *testing.T) {
	for _, skew := range []time.Duration{-30 * time.Second, 30 * time.Second, 24 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			nodes := startCluster(t, 2, func(i int, o *Options) {
				if i == 1 {
					o.Now = func() time.Time { return time.Now().Add(skew) }
				}
			})
			r := nodes[0].remotes["n2"]
			eventually(t, "the offset is measured", func() bool { _, ok := r.offset(); return ok })
			if got := nodes[0].Status()[0].Offset; (got - skew).Abs() > 50*time.Millisecond {
				t.Errorf("offset %v, want %v", got, skew)
			}
			if got := nodes[0].ClockOffset(); (got + skew/2).Abs() > 50*time.Millisecond {
				t.Errorf("clock offset %v, want half of %v", got, -skew)
			}
			deadlines := make(chan time.Time, 1)
			nodes[1].local.hook(func(l *fakeLocal) {
				l.onStore = func(deadline time.Time, _ []coordinator.Item, done func(coordinator.StoreAck, error)) {
					deadlines <- deadline
					done(coordinator.StoreAck{}, nil)
				}
			})
			sent := time.Now()
			if _, err := store(t, r, 5*second, item("k", "v")); err != nil {
				t.Fatal(err)
			}
			left := wait(t, deadlines).Sub(sent) // replicas judge deadlines by time.Now
			if (left - 5*second).Abs() > 100*time.Millisecond {
				t.Errorf("the peer had %v for a request of 5 s", left)
			}
			// The skewed node asks the other way: it is handed deadlines by time.Now, too.
			if _, err := store(t, nodes[1].remotes["n1"], 5*second, item("k", "v")); err != nil {
				t.Error(err)
			}
			nodes[0].local.hook(func(l *fakeLocal) {
				l.onStore = func(deadline time.Time, _ []coordinator.Item, _ func(coordinator.StoreAck, error)) {
					deadlines <- deadline
				}
			})
			sent = time.Now()
			if _, err := store(t, nodes[1].remotes["n1"], second/10, item("k", "v")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a request that is not answered ended with %v", err)
			}
			if waited := time.Since(sent); waited > 5*second {
				t.Errorf("it expired after %v", waited)
			}
			if left := wait(t, deadlines).Sub(sent); (left - second/10).Abs() > 100*time.Millisecond {
				t.Errorf("the peer had %v for a request of 100 ms", left)
			}
		})
	}
}

func TestThirdClockIsTheOneThatIsOff(t *testing.T) {
	nodes := startCluster(t, 3, func(i int, o *Options) {
		if i == 2 {
			o.Now = func() time.Time { return time.Now().Add(time.Minute) }
		}
	})
	for i, want := range []time.Duration{0, 0, time.Minute} {
		eventually(t, fmt.Sprintf("n%d finds itself off by %v", i+1, want), func() bool {
			return (nodes[i].ClockOffset() - want).Abs() < 50*time.Millisecond
		})
	}
}

func TestScansAndForwardedWritesHaveBoundedWorkers(t *testing.T) {
	const workers, queue = 2, 3
	nodes := startCluster(t, 2, func(_ int, o *Options) { o.Workers, o.WorkQueueMax = workers, queue })
	scanning := make(chan func(*coordinator.ScanPage, error), 10)
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onScan = func(_ time.Time, _ coordinator.ScanRequest, done func(*coordinator.ScanPage, error)) {
			scanning <- done
		}
	})
	var answered, overloaded atomic.Int64
	scan := func() {
		nodes[0].Peer("n2").Scan(time.Now().Add(time.Minute), coordinator.ScanRequest{ItemsMax: 1, BytesMax: 1, ScannedMax: 1},
			func(_ *coordinator.ScanPage, err error) {
				if errors.Is(err, coordinator.ErrOverloaded) {
					overloaded.Add(1)
				}
				answered.Add(1)
			})
	}
	for range workers {
		scan()
	}
	running := []func(*coordinator.ScanPage, error){wait(t, scanning), wait(t, scanning)}
	for range queue + 2 {
		scan()
	}
	eventually(t, "what does not fit the queue is refused", func() bool { return overloaded.Load() == 2 })
	if len(scanning) > 0 {
		t.Fatal("more scans run than there are workers")
	}
	// A scan that fills a node does not hold up its stores.
	if _, err := store(t, nodes[0].Peer("n2"), second, item("k", "v")); err != nil {
		t.Fatal(err)
	}
	for _, done := range running {
		done(&coordinator.ScanPage{}, nil)
	}
	for range queue {
		wait(t, scanning)(&coordinator.ScanPage{}, nil)
	}
	eventually(t, "all are answered", func() bool { return answered.Load() == workers+queue+2 })
}

func TestReadOfManyKeysHoldsUpNoWrite(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	release := make(chan struct{})
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onRead = func(_ time.Time, keys [][]byte, _ coordinator.ReadWant, done func([]coordinator.ReadItem, error)) {
			<-release // the disk is slow
			done(make([]coordinator.ReadItem, len(keys)), nil)
		}
	})
	keys := make([][]byte, readInlineMax+1)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "k%d", i)
	}
	done, got := once[[]coordinator.ReadItem](t)
	nodes[0].Peer("n2").Read(time.Now().Add(10*second), keys, coordinator.WantValues, done)
	if _, err := store(t, nodes[0].Peer("n2"), 2*second, item("k", "v")); err != nil {
		t.Errorf("a store behind the read: %v", err)
	}
	close(release)
	if a := wait(t, got); a.err != nil || len(a.v) != len(keys) {
		t.Errorf("%d items, %v", len(a.v), a.err)
	}
}

func TestOversizedRequestIsTooLarge(t *testing.T) {
	nodes := startCluster(t, 2, func(_ int, o *Options) { o.MessageBytesMax = 2 << 20 })
	p := nodes[0].Peer("n2")
	_, err := store(t, p, second, item("k", strings.Repeat("x", 3<<20)))
	if !errors.Is(err, coordinator.ErrTooLarge) || coordinator.EffectOf(err) != wire.EffectNone {
		t.Fatalf("got %v", err)
	}
	if _, err := store(t, p, second, item("k", strings.Repeat("x", 1500<<10))); err != nil {
		t.Fatal(err)
	}
	if _, err := store(t, p, second, item("l", strings.Repeat("x", 1500<<10))); err != nil {
		t.Fatal(err)
	}
	_, err = read(t, p, second, coordinator.WantValues, "k", "l")
	var fault *wire.Fault
	if !errors.As(err, &fault) || fault.Code != wire.CodeTooLarge {
		t.Fatalf("an answer that is too large: %v", err)
	}
	if _, err = read(t, p, second, coordinator.WantValues, "k"); err != nil {
		t.Fatalf("the link is of no further use: %v", err)
	}
}

func TestHostileBytesHarmNobodyElse(t *testing.T) {
	nodes := startCluster(t, 2, func(_ int, o *Options) {
		o.HandshakeTimeout, o.GreetingsMax = 500*time.Millisecond, 40
	})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	preamble := []byte("RCPEER\x00\x01")
	frame := func(payload []byte) []byte { return framed(t, payload) }
	deep := []byte(strings.Repeat("\x91", 100_000))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	var ours []byte
	{
		w := wire.NewWriter(nil)
		encodeRequest(w, helloID, methodHello, 1)
		helloOf(nodes[0], 1, 1, 10).encode(w)
		ours = w.Bytes()
	}
	attacks := map[string][]byte{
		"nothing":                {},
		"half a preamble":        preamble[:4],
		"wrong preamble":         []byte("GET / HTTP/1.1\r\n\r\n"),
		"wrong version":          []byte("RCPEER\x7f\xff"),
		"absurd length":          append(preamble[:8:8], 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4),
		"length over the limit":  append(preamble[:8:8], 0x02, 0, 0, 0, 1, 2, 3, 4),
		"length never met":       append(preamble[:8:8], 0, 0x0f, 0, 0, 1, 2, 3, 4, 5),
		"bad checksum":           append(preamble[:8:8], 0, 0, 0, 1, 0, 0, 0, 0, 0xc0),
		"deep nesting":           append(preamble[:8:8], frame(deep)...),
		"huge array header":      append(preamble[:8:8], frame([]byte{0xdd, 0xff, 0xff, 0xff, 0xff})...),
		"huge hello list":        append(preamble[:8:8], frame(append([]byte{0x94, 0, 0, 0xa5}, "hello\x91\xdd\xff\xff\xff\xff"...))...),
		"huge string":            append(preamble[:8:8], frame(append([]byte{0x94, 0, 0}, 0xdb, 0xff, 0xff, 0xff, 0xff))...),
		"hello cut short":        append(preamble[:8:8], frame(ours[:len(ours)-9])...),
		"hello with a tail":      append(preamble[:8:8], frame(append(ours[:len(ours):len(ours)], 0))...),
		"answer to nothing":      append(preamble[:8:8], frame([]byte{0x94, 1, 5, 0xc0, 0xc0})...),
		"notice before greeting": append(preamble[:8:8], frame(append([]byte{0x93, 2, 0xa6}, "refuse\x91\x92\x01\xa0"...))...),
	}
	for i := range 20 {
		attacks[fmt.Sprintf("random %d", i)] = random(rng.IntN(2000))
		attacks[fmt.Sprintf("random frame %d", i)] = append(preamble[:8:8], frame(random(1+rng.IntN(300)))...)
	}

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var open []net.Conn
	for name, bytes := range attacks {
		for _, addr := range []string{nodes[0].addr, nodes[1].addr} {
			nc, err := net.Dial("tcp", addr)
			must(t, err)
			if _, err := nc.Write(bytes); err != nil {
				t.Logf("%s: %v", name, err) // the node may have hung up already
			}
			open = append(open, nc) // left open: slow senders, too
		}
	}
	for range 50 {
		if _, err := store(t, nodes[0].Peer("n2"), 5*second, item("k", "v")); err != nil {
			t.Fatalf("a member is not served: %v", err)
		}
	}
	// A newcomer among the strangers gets in.
	for _, c := range []class{foreground, bulk} {
		nodes[0].remotes["n2"].links[c].Load().stop(errors.New("test"))
	}
	awaitAll(t, nodes)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 64<<20 {
		t.Errorf("%d MiB were allocated for garbage", grown>>20)
	}
	for _, n := range nodes {
		eventually(t, "strangers are thrown out", func() bool { n.mu.Lock(); defer n.mu.Unlock(); return len(n.greetings) == 0 })
	}
	for _, nc := range open {
		must(t, nc.Close())
	}
}

// framed is a frame with the right checksum, as the wire package makes it.
func framed(t *testing.T, payload []byte) []byte {
	a, b := net.Pipe()
	defer b.Close()
	l := wire.NewLink(a, wire.LinkOptions{Framing: wire.Framed})
	must(t, l.Send(func(w *wire.Writer) { w.Raw(payload) }))
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background(), func([]byte) error { return nil }, nil) }()
	out := make([]byte, 8+8+len(payload))
	for n := 0; n < len(out); {
		k, err := b.Read(out[n:])
		must(t, err)
		n += k
	}
	must(t, l.Close())
	<-ended
	return out[8:]
}
