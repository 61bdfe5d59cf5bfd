package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tcpPair is a connection over loopback.
func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// start runs a link in the background; the channel gets what Run returned.
func start(t testing.TB, l *Link, onMessage func([]byte) error, onBatchEnd func()) <-chan error {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(context.Background(), onMessage, onBatchEnd) }()
	t.Cleanup(func() { l.Close() })
	return ended
}

func ignore([]byte) error { return nil }

// sendBin sends a message that is one byte string.
func sendBin(l *Link, b []byte) error { return l.Send(func(w *Writer) { w.Bin(b) }) }

func framings(t *testing.T, f func(t *testing.T, framing Framing)) {
	t.Run("bare", func(t *testing.T) { f(t, Bare) })
	t.Run("framed", func(t *testing.T) { f(t, Framed) })
}

func TestMessagesArriveWholeAndInOrderWhateverTheirSize(t *testing.T) {
	framings(t, func(t *testing.T, framing Framing) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		rnd := rand.New(rand.NewPCG(seed, 1))
		var sent [][]byte
		for range 300 {
			size := rnd.IntN(100)
			switch rnd.IntN(20) {
			case 0:
				size = rnd.IntN(300 << 10)
			case 1:
				size = 0
			}
			sent = append(sent, bytes.Repeat([]byte{byte(rnd.Uint32())}, size))
		}
		a, b := tcpPair(t)
		from := NewLink(a, LinkOptions{Framing: framing})
		to := NewLink(b, LinkOptions{Framing: framing, ChunkBytesMax: 8 << 10})
		var got [][]byte
		all := make(chan struct{})
		start(t, from, ignore, nil)
		start(t, to, func(msg []byte) error {
			if got = append(got, msg); len(got) == len(sent) {
				close(all)
			}
			return nil
		}, nil)
		for _, b := range sent {
			if err := sendBin(from, b); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, all)
		for i, msg := range got {
			r := NewReader(msg)
			if b := r.Bytes(); r.Done() != nil || !bytes.Equal(b, sent[i]) {
				t.Fatalf("message %d: %d bytes, want %d; %v", i, len(b), len(sent[i]), r.Err())
			}
		}
	})
}

func waitFor(t testing.TB, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing happened for 20 s")
	}
}

func waitEnd(t testing.TB, ended <-chan error) error {
	t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the link did not end for 20 s")
		return nil
	}
}

func TestAMessageInSmallestPiecesIsReadWhole(t *testing.T) {
	framings(t, func(t *testing.T, framing Framing) {
		var stream []byte
		if framing == Framed {
			stream = appendPreamble(nil)
		}
		var w Writer
		for i := range 3 {
			w.Reset()
			w.Request(uint32(i), MethodPut)
			q := PutRequest{Key: []byte("key"), Value: bytes.Repeat([]byte("v"), 300)}
			q.Encode(&w)
			stream = appendMessage(stream, framing, w.Bytes())
		}
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close() })
		l := NewLink(b, LinkOptions{Framing: framing})
		var ids []uint32
		ended := start(t, l, func(msg []byte) error {
			e, err := ParseEnvelope(msg)
			if err != nil {
				return err
			}
			ids = append(ids, e.ID)
			var q PutRequest
			return q.Decode(&e.Body)
		}, nil)
		if framing == Framed {
			if _, err := io.ReadFull(a, make([]byte, preambleBytes)); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range stream {
			if _, err := a.Write([]byte{c}); err != nil {
				t.Fatal(err)
			}
		}
		a.Close()
		if err := waitEnd(t, ended); err != io.EOF {
			t.Fatalf("ended with %v, want io.EOF", err)
		}
		if fmt.Sprint(ids) != "[0 1 2]" {
			t.Fatalf("ids %v", ids)
		}
	})
}

func appendMessage(stream []byte, framing Framing, payload []byte) []byte {
	if framing == Bare {
		return append(stream, payload...)
	}
	start := len(stream)
	stream = append(appendFrameHead(stream), payload...)
	sealFrame(stream[start:])
	return stream
}

func TestABatchIsWhatOneReadBrought(t *testing.T) {
	a, b := net.Pipe()
	l := NewLink(b, LinkOptions{})
	var batches []int
	n := 0
	ended := start(t, l, func([]byte) error { n++; return nil }, func() { batches = append(batches, n) })
	for _, write := range []string{"\x01\x02\x03", "\x04", "\xc4\x05ab", "cde\x06\x07"} {
		if _, err := a.Write([]byte(write)); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	waitEnd(t, ended)
	if fmt.Sprint(batches) != "[3 4 7]" {
		t.Fatalf("batches ended after %v messages, want [3 4 7]", batches)
	}
}

// countingConn counts writes and can hold them back: it says on held that it has one, and waits for hold to be closed.
type countingConn struct {
	net.Conn
	writes     atomic.Int64
	hold, held chan struct{}
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.writes.Add(1)
	if c.hold != nil {
		c.held <- struct{}{}
		<-c.hold
	}
	return c.Conn.Write(b)
}

func TestAnswersToABatchLeaveWithOneWrite(t *testing.T) {
	a, b := tcpPair(t)
	conn := &countingConn{Conn: b}
	l := NewLink(conn, LinkOptions{})
	start(t, l, func(msg []byte) error { return l.Send(func(w *Writer) { w.Raw(msg) }) }, nil)
	if _, err := a.Write(bytes.Repeat([]byte{7}, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a, make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if n := conn.writes.Load(); n != 1 {
		t.Fatalf("%d writes for one batch, want 1", n)
	}
}

func TestSendNeverWaitsAndRefusesPastItsBound(t *testing.T) {
	a, b := net.Pipe() // nobody reads from b
	defer b.Close()
	l := NewLink(a, LinkOptions{SendBytesMax: 1000, MessageBytesMax: 500, WriteTimeout: time.Minute})
	start(t, l, ignore, nil)
	if err := sendBin(l, make([]byte, 600)); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("message over the limit: %v", err)
	}
	sent := 0
	for {
		err := sendBin(l, make([]byte, 98))
		if err != nil {
			if !errors.Is(err, ErrSendFull) {
				t.Fatal(err)
			}
			break
		}
		sent++
	}
	if sent != 10 || l.Pending() != 1000 {
		t.Fatalf("%d messages of 100 bytes taken (%d bytes), want 10", sent, l.Pending())
	}
}

func TestAReaderThatReadsNothingEndsTheLink(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	l := NewLink(a, LinkOptions{WriteTimeout: 20 * time.Millisecond})
	ended := start(t, l, ignore, nil)
	if err := sendBin(l, []byte("x")); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if err := waitEnd(t, ended); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("ended with %v, want a timeout", err)
	}
}

func TestASlowSenderIsCutByMessageTimeoutHoweverItTrickles(t *testing.T) {
	framings(t, func(t *testing.T, framing Framing) {
		a, b := net.Pipe()
		l := NewLink(b, LinkOptions{Framing: framing, MessageTimeout: 100 * time.Millisecond})
		ended := start(t, l, ignore, nil)
		go io.Copy(io.Discard, a)
		stop := make(chan struct{})
		var trickle sync.WaitGroup
		trickle.Go(func() {
			stream := appendMessage(appendPreamble(nil), Framed, make([]byte, 1<<20))
			if framing == Bare {
				stream = append([]byte{codeBin32, 0, 0x10, 0, 0}, make([]byte, 1<<20)...)
			}
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for _, c := range stream {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				if _, err := a.Write([]byte{c}); err != nil {
					return
				}
			}
		})
		err := waitEnd(t, ended)
		close(stop)
		a.Close()
		trickle.Wait()
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Fatalf("ended with %v, want a timeout", err)
		}
	})
}

func TestAnIdleConnectionEndsAndABusyOneDoesNot(t *testing.T) {
	a, b := net.Pipe()
	l := NewLink(b, LinkOptions{IdleTimeout: 200 * time.Millisecond, MessageTimeout: time.Hour})
	ended := start(t, l, ignore, nil)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for begin := time.Now(); time.Since(begin) < 400*time.Millisecond; <-tick.C {
		if _, err := a.Write([]byte{1}); err != nil {
			t.Fatalf("busy connection ended: %v", err)
		}
	}
	var timeout net.Error
	if err := waitEnd(t, ended); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("ended with %v, want a timeout", err)
	}
}

func TestAnErrorOfOnMessageEndsTheLinkAfterWhatWasSent(t *testing.T) {
	a, b := tcpPair(t)
	l := NewLink(b, LinkOptions{})
	refusal := errors.New("no")
	ended := start(t, l, func([]byte) error {
		if err := sendBin(l, []byte("bye")); err != nil {
			t.Error(err)
		}
		return refusal
	}, nil)
	if _, err := a.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(a); string(got) != "\xc4\x03bye" {
		t.Fatalf("got %q, %v", got, err)
	}
	if err := waitEnd(t, ended); err != refusal {
		t.Fatalf("ended with %v", err)
	}
}

func TestShutdownWritesWhatWasSentAndRefusesMore(t *testing.T) {
	a, b := tcpPair(t)
	hold := make(chan struct{})
	held := make(chan struct{}, 100)
	l := NewLink(&countingConn{Conn: b, hold: hold, held: held}, LinkOptions{})
	ended := start(t, l, ignore, nil)
	for range 10 {
		if err := sendBin(l, []byte("last")); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, held)
	down := make(chan struct{})
	go func() {
		defer close(down)
		l.Shutdown(10 * time.Second)
	}()
	for sendBin(l, nil) == nil {
	}
	close(hold)
	got, err := io.ReadAll(a)
	if err != nil || !bytes.HasPrefix(got, bytes.Repeat([]byte("\xc4\x04last"), 10)) {
		t.Fatalf("got %q, %v", got, err)
	}
	waitFor(t, down)
	if err := waitEnd(t, ended); !errors.Is(err, ErrClosed) {
		t.Fatalf("ended with %v", err)
	}
}

func TestShutdownGivesUpOnAReaderThatReadsNothing(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	l := NewLink(a, LinkOptions{WriteTimeout: time.Hour})
	ended := start(t, l, ignore, nil)
	if err := sendBin(l, []byte("x")); err != nil {
		t.Fatal(err)
	}
	l.Shutdown(20 * time.Millisecond)
	if err := waitEnd(t, ended); !errors.Is(err, ErrClosed) {
		t.Fatalf("ended with %v", err)
	}
}

func TestTheLinkEndsForItsReason(t *testing.T) {
	stop := errors.New("stop")
	cases := []struct {
		name string
		opts LinkOptions
		do   func(l *Link, peer net.Conn, cancel context.CancelCauseFunc)
		want func(err error) bool
	}{
		{"the peer closes between messages", LinkOptions{}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) { p.Close() },
			func(err error) bool { return err == io.EOF }},
		{"the peer closes within a message", LinkOptions{}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write([]byte{codeBin8})
			p.Close()
		}, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"the context ends", LinkOptions{}, func(_ *Link, _ net.Conn, cancel context.CancelCauseFunc) { cancel(stop) },
			func(err error) bool { return errors.Is(err, stop) }},
		{"closed", LinkOptions{}, func(l *Link, _ net.Conn, _ context.CancelCauseFunc) { l.Close() },
			func(err error) bool { return errors.Is(err, ErrClosed) }},
		{"a message over the limit", LinkOptions{MessageBytesMax: 100}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write([]byte{codeBin32, 0xff, 0xff, 0xff, 0xff})
		}, isLimit("bytes")},
		{"nesting over the limit", LinkOptions{DepthMax: 4}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write(bytes.Repeat([]byte{0x91}, 5))
		}, isLimit("depth")},
		{"elements over the limit", LinkOptions{ElementsMax: 10}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write([]byte{codeArray32, 0xff, 0xff, 0xff, 0xff})
		}, isLimit("elements")},
		{"no peer", LinkOptions{Framing: Framed}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write([]byte("GET / HTTP/1.1"))
		}, isFrame},
		{"another version", LinkOptions{Framing: Framed}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write([]byte("RCPEER\xff\xff"))
		}, isFrame},
		{"a frame over the limit", LinkOptions{Framing: Framed, MessageBytesMax: 100}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write(append(appendPreamble(nil), 0, 0, 0, 101))
			p.Write([]byte{0, 0, 0, 0})
		}, isLimit("bytes")},
		{"an empty frame", LinkOptions{Framing: Framed}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			p.Write(append(appendPreamble(nil), make([]byte, 8)...))
		}, isFrame},
		{"a flipped bit", LinkOptions{Framing: Framed}, func(_ *Link, p net.Conn, _ context.CancelCauseFunc) {
			frame := appendMessage(nil, Framed, []byte("\xa5hello"))
			frame[len(frame)-1] ^= 1
			p.Write(append(appendPreamble(nil), frame...))
		}, isFrame},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a, b := tcpPair(t)
			l := NewLink(b, c.opts)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ended := make(chan error, 1)
			go func() { ended <- l.Run(ctx, ignore, nil) }()
			c.do(l, a, cancel)
			if err := waitEnd(t, ended); !c.want(err) {
				t.Fatalf("ended with %v", err)
			}
			if err := sendBin(l, nil); err == nil {
				t.Fatal("an ended link takes messages")
			}
			if err := l.Run(ctx, ignore, nil); !errors.Is(err, ErrClosed) {
				t.Fatalf("an ended link runs: %v", err)
			}
		})
	}
}

func isLimit(what string) func(error) bool {
	return func(err error) bool {
		var limit *LimitError
		return errors.As(err, &limit) && limit.What == what
	}
}

func isFrame(err error) bool {
	var frame *FrameError
	return errors.As(err, &frame)
}

func TestADeclaredLengthTakesNoMemoryBeforeItsBytesAreThere(t *testing.T) {
	framings(t, func(t *testing.T, framing Framing) {
		const declared = 32 << 20
		a, b := net.Pipe()
		defer a.Close()
		l := NewLink(b, LinkOptions{Framing: framing})
		start(t, l, ignore, nil)
		go io.Copy(io.Discard, a)
		head := append(appendPreamble(nil), 2, 0, 0, 0, 0, 0, 0, 0)
		if framing == Bare {
			head = []byte{codeBin32, 2, 0, 0, 0}
		}
		arrived := 200 << 10
		if _, err := a.Write(append(head, make([]byte, arrived)...)); err != nil {
			t.Fatal(err)
		}
		l.Close() // the reader has ended: its chunk can be looked at
		if size := len(l.in.chunk); size > 3*arrived || size < arrived {
			t.Fatalf("%d bytes held for %d of %d that have arrived", size, arrived, declared)
		}
	})
}

func TestTheReceiveBudgetBoundsUnfinishedMessagesOfAllLinks(t *testing.T) {
	budget := NewBudget(1 << 20)
	opts := LinkOptions{ReceiveBudget: budget}
	var ends []<-chan error
	var conns []net.Conn
	piece := append([]byte{codeBin32, 2, 0, 0, 0}, make([]byte, 400<<10)...)
	for range 3 {
		a, b := net.Pipe()
		ends = append(ends, start(t, NewLink(b, opts), ignore, nil))
		conns = append(conns, a)
	}
	refused := 0
	for i, c := range conns {
		if _, err := c.Write(piece); err != nil {
			refused++
			if err := waitEnd(t, ends[i]); !errors.Is(err, ErrBudget) {
				t.Fatalf("ended with %v", err)
			}
			ends[i] = nil
		}
	}
	if refused == 0 || refused == len(conns) {
		t.Fatalf("%d of %d connections refused", refused, len(conns))
	}
	for i, c := range conns {
		c.Close()
		if ends[i] != nil {
			waitEnd(t, ends[i])
		}
	}
	if used := budget.Used(); used != 0 {
		t.Fatalf("%d bytes of the budget never given back", used)
	}
}

func TestManySendersLoseAndMixNothing(t *testing.T) {
	framings(t, func(t *testing.T, framing Framing) {
		const senders, each = 16, 200
		a, b := tcpPair(t)
		from, to := NewLink(a, LinkOptions{Framing: framing}), NewLink(b, LinkOptions{Framing: framing})
		next := make([]uint64, senders)
		total := 0
		all := make(chan struct{})
		start(t, from, ignore, nil)
		start(t, to, func(msg []byte) error {
			r := NewReader(msg)
			r.ArrayLen(2)
			s, i := r.Uint(senders-1), r.Uint64()
			if next[s] != i {
				return fmt.Errorf("sender %d: message %d, want %d", s, i, next[s])
			}
			next[s]++
			if total++; total == senders*each {
				close(all)
			}
			return r.Done()
		}, nil)
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for i := range each {
					err := from.Send(func(w *Writer) {
						w.ArrayLen(2)
						w.Uint(uint64(s))
						w.Uint(uint64(i))
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		waitFor(t, all)
	})
}
