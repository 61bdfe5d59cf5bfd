package sim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringcask/ringcask/integration/fault"
)

// pair is a connection from the first node to a port of the second one.
func pair(t *testing.T, n *Network, port string) (near, far net.Conn) {
	t.Helper()
	from, to := n.Attach(0), n.Attach(1)
	t.Cleanup(func() { from.Close(false); to.Close(false) })
	addr := net.JoinHostPort(hostOf(1), port)
	ln, err := to.Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	if near, err = from.Dial(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}

func inBubble(t *testing.T, test func(t *testing.T, n *Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, NewNetwork(5, 1, time.Millisecond, 0)) })
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear reads what arrives within a time.
func hear(t *testing.T, c net.Conn, wait time.Duration) (string, error) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1<<10)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func TestBytesTakeTheirTimeAndTheEndComesAfterThem(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Network) {
		near, far := pair(t, n, rpcPort)
		began := time.Now()
		send(t, near, "hello")
		if err := near.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := hear(t, far, time.Second); got != "hello" || err != nil || time.Since(began) != time.Millisecond {
			t.Errorf("%q, %v after %v", got, err, time.Since(began))
		}
		if got, err := hear(t, far, time.Second); got != "" || err != io.EOF {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := far.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("written to who has closed: %v", err)
		}
	})
}

func TestAFullWindowHoldsTheWriterUpUntilItsDeadline(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Network) {
		near, far := pair(t, n, rpcPort)
		send(t, near, string(make([]byte, windowBytes)))
		if err := near.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := near.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := io.ReadFull(far, make([]byte, windowBytes)); err != nil {
			t.Fatal(err)
		}
		if err := near.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		send(t, near, "x")
	})
}

func TestANetsplitHoldsLosesOrRefuses(t *testing.T) {
	for name, want := range map[string]struct {
		fate   fate
		during error
		after  string
	}{
		"hold":   {hold, os.ErrDeadlineExceeded, "hello"},
		"lose":   {lose, os.ErrDeadlineExceeded, ""},
		"refuse": {refuse, syscall.ECONNRESET, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *Network) {
				near, far := pair(t, n, rpcPort)
				f := fault.Fault{Kind: fault.CutLink, Nodes: []int{0, 1}}
				b := &blow{Fault: f, fate: want.fate, cuts: f.Cuts(n.nodes)}
				n.change(func() { n.blows = append(n.blows, b) })
				_, _ = near.Write([]byte("hello"))
				if got, err := hear(t, far, time.Second); got != "" || !errors.Is(err, want.during) {
					t.Errorf("during the netsplit: %q, %v", got, err)
				}
				dialling, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, err := n.Attach(0).Dial(dialling, net.JoinHostPort(hostOf(1), rpcPort)); err == nil {
					t.Error("connected during the netsplit")
				}
				n.change(func() { n.blows = nil })
				if got, _ := hear(t, far, time.Second); got != want.after {
					t.Errorf("after the netsplit: %q", got)
				}
				if c, err := n.Attach(0).Dial(t.Context(), net.JoinHostPort(hostOf(1), rpcPort)); err != nil {
					t.Errorf("after the netsplit: %v", err)
				} else {
					_ = c.Close()
				}
			})
		})
	}
}

func TestWhoIsKilledIsHeardOfAndWhoLosesPowerIsNot(t *testing.T) {
	for silent, want := range map[bool]error{false: syscall.ECONNRESET, true: os.ErrDeadlineExceeded} {
		inBubble(t, func(t *testing.T, n *Network) {
			near, far := pair(t, n, rpcPort)
			n.SetDark(0, silent)
			near.(*conn).port.Close(silent)
			if _, err := hear(t, far, time.Second); !errors.Is(err, want) {
				t.Errorf("silent %t: %v", silent, err)
			}
			if _, err := near.Write([]byte("x")); err == nil {
				t.Error("a process that has ended speaks")
			}
		})
	}
}

// frameOf is a frame as internal/wire writes it, but for its checksum.
func frameOf(payload string) []byte {
	head := make([]byte, headBytes)
	binary.BigEndian.PutUint32(head, uint32(len(payload)))
	return append(head, payload...)
}

func TestAFramerFindsFramesHoweverTheyAreWritten(t *testing.T) {
	stream := []byte("RCPEER\x00\x01")
	for i := range 6 {
		stream = append(stream, frameOf(fmt.Sprint("message ", i))...)
	}
	for size := 1; size <= len(stream); size++ {
		var f framer
		var got []byte
		whole := 0
		take := func(p framePart) {
			got = append(got, p.bytes...)
			if p.whole && !p.spared {
				whole++
			}
		}
		if size < preambleBytes {
			f.split(stream[:preambleBytes], take) // it is written at once
		}
		for b := stream[len(got):]; len(b) > 0; b = b[min(size, len(b)):] {
			f.split(b[:min(size, len(b))], take)
		}
		if !bytes.Equal(got, stream) {
			t.Fatalf("written %d bytes at a time: %q", size, got)
		}
		if size == len(stream) && whole != 6-sparedFrames {
			t.Errorf("%d frames can be lost", whole)
		}
	}
}

func TestFramesAreLostRepeatedAndHeldBackWhole(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Loss, fault.Duplicate, fault.Reorder} {
		inBubble(t, func(t *testing.T, n *Network) {
			near, far := pair(t, n, peerPort)
			end := n.Begin(fault.Fault{Kind: kind, Share: 0.3})
			send(t, near, "RCPEER\x00\x01")
			const count = 100
			for i := range count {
				send(t, near, string(frameOf(fmt.Sprintf("%03d", i))))
				time.Sleep(time.Millisecond)
			}
			end()
			time.Sleep(time.Second)
			_ = near.Close()
			all, err := io.ReadAll(far)
			if err != nil {
				t.Fatal(err)
			}
			var order []string
			for b := all[preambleBytes:]; len(b) > 0; b = b[headBytes+3:] {
				order = append(order, string(b[headBytes:headBytes+3]))
			}
			if got := judgeOrder(order, count); got != kind {
				t.Errorf("%s looks like %q: %v", kind, got, order)
			}
			if order[0] != "000" || order[1] != "001" {
				t.Errorf("the handshake was not spared: %v", order[:4])
			}
		})
	}
}

// judgeOrder says what became of numbered frames.
func judgeOrder(order []string, count int) fault.Kind {
	seen := map[string]bool{}
	sorted := true
	for i, s := range order {
		sorted = sorted && (i == 0 || order[i-1] < s)
		seen[s] = true
	}
	switch {
	case len(seen) < count && len(order) == len(seen) && sorted:
		return fault.Loss
	case len(seen) == count && len(order) > count:
		return fault.Duplicate
	case len(seen) == count && len(order) == count && !sorted:
		return fault.Reorder
	}
	return ""
}

func TestNetsplitsPartWhoTheyShould(t *testing.T) {
	for _, c := range []struct {
		f     fault.Fault
		nodes int
		want  string
	}{
		{fault.Fault{Kind: fault.Halves, Nodes: []int{0}}, 3, "[0 1 0 2 1 0 2 0]"},
		{fault.Fault{Kind: fault.Isolate, Nodes: []int{2}}, 3, "[0 2 1 2 2 0 2 1]"},
		{fault.Fault{Kind: fault.OneWay, Nodes: []int{2, 0}}, 3, "[2 0]"},
		{fault.Fault{Kind: fault.CutLink, Nodes: []int{2, 0}}, 3, "[0 2 2 0]"},
		{fault.Fault{Kind: fault.MajorityRing, Nodes: []int{1, 0, 2}}, 3, "[0 2 1 0 2 1]"},
		{fault.Fault{Kind: fault.MajorityRing, Nodes: []int{0, 1, 2, 3, 4}}, 5, "[0 2 0 3 1 3 1 4 2 0 2 4 3 0 3 1 4 1 4 2]"},
		{fault.Fault{Kind: fault.Latency, Nodes: []int{1}, Delay: 1}, 3, "[]"},
	} {
		n := NewNetwork(c.nodes, 1, time.Millisecond, 0)
		end := n.Begin(c.f)
		if got := fmt.Sprint(cutWays(n)); got != c.want {
			t.Errorf("%v: %s, want %s", c.f, got, c.want)
		}
		if end(); len(cutWays(n)) > 0 {
			t.Errorf("%v: %s is still cut after it", c.f, cutWays(n))
		}
	}
}

// cutWays are the ways of a network, from whom to whom, on which no message passes.
func cutWays(n *Network) (cut []string) {
	for from := clients; from < n.nodes; from++ {
		for to := clients; to < n.nodes; to++ {
			if n.paths[[2]int{from, to}].fate != pass {
				cut = append(cut, fmt.Sprint(from, to))
			}
		}
	}
	return cut
}

func TestANetsplitThatCutsOneWayLeavesTheOtherOpen(t *testing.T) {
	for _, f := range []fault.Fault{{Kind: fault.OneWay, Nodes: []int{0, 1}}, {Kind: fault.MajorityRing, Nodes: []int{0, 1, 2}}} {
		for seed := range uint64(20) {
			n := NewNetwork(3, seed, time.Millisecond, 0)
			n.Begin(f)
			if there, back := n.paths[[2]int{0, 1}].fate, n.paths[[2]int{1, 0}].fate; there != hold && there != lose || back != pass {
				t.Errorf("%v, seed %d: there %d, back %d", f, seed, there, back)
			}
		}
	}
}

// gossips are the sockets of the first two nodes, and the address of the second one.
func gossips(t *testing.T, n *Network) (from, to memberlist.Transport, addr string) {
	t.Helper()
	var both [2]memberlist.Transport
	for i := range both {
		p := n.Attach(i)
		s, err := p.Gossip(gossipAddr(i))
		if err != nil {
			t.Fatal(err)
		}
		both[i] = s
		t.Cleanup(func() {
			if err := s.Shutdown(); err != nil {
				t.Error(err)
			}
			p.Close(false)
		})
	}
	return both[0], both[1], gossipAddr(1)
}

// arrived are all datagrams that wait to be read.
func arrived(s memberlist.Transport) (all []string) {
	for {
		select {
		case p := <-s.PacketCh():
			all = append(all, string(p.Buf))
		default:
			return all
		}
	}
}

func TestDatagramsAreLostRepeatedAndHeldBack(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Loss, fault.Duplicate, fault.Reorder} {
		inBubble(t, func(t *testing.T, n *Network) {
			from, to, addr := gossips(t, n)
			n.Begin(fault.Fault{Kind: kind, Share: 0.3})
			const count = 100
			for i := range count {
				if _, err := from.WriteTo(fmt.Appendf(nil, "%03d", i), addr); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Millisecond)
			}
			time.Sleep(time.Second)
			if got := arrived(to); judgeOrder(got, count) != kind {
				t.Errorf("%s looks like %q: %v", kind, judgeOrder(got, count), got)
			}
		})
	}
}

func TestDatagramsThatNobodyReadsAreLostBeyondABound(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Network) {
		from, to, addr := gossips(t, n)
		for i := range packetsMax + 10 {
			if _, err := from.WriteTo(fmt.Appendf(nil, "%03d", i), addr); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		if got := arrived(to); len(got) != packetsMax || got[packetsMax-1] != fmt.Sprintf("%03d", packetsMax-1) {
			t.Errorf("%d datagrams wait, want the first %d", len(got), packetsMax)
		}
	})
}

func TestConnectionsThatNobodyAcceptsAreRefusedBeyondABound(t *testing.T) {
	inBubble(t, func(t *testing.T, n *Network) {
		from, to := n.Attach(0), n.Attach(1)
		defer to.Close(false)
		defer from.Close(false)
		addr := net.JoinHostPort(hostOf(1), rpcPort)
		ln, err := to.Listen(addr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range backlogMax {
			if _, err := from.Dial(t.Context(), addr); err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
		}
		if _, err := from.Dial(t.Context(), addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("one too many: %v", err)
		}
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		if _, err := from.Dial(t.Context(), addr); err != nil {
			t.Errorf("after one was accepted: %v", err)
		}
	})
}

func TestABoundOfTheBandwidthIsShared(t *testing.T) {
	var th throttle
	th.bytesPerSecond = 1000
	now := time.Unix(0, 0)
	if a, b := th.take(now, 500), th.take(now, 500); a != 500*time.Millisecond || b != time.Second {
		t.Errorf("%v, %v", a, b)
	}
	if c := th.take(now.Add(time.Minute), 1); c != time.Millisecond {
		t.Errorf("what was not used is kept: %v", c)
	}
}
