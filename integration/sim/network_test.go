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
				b := &blow{Fault: fault.Fault{Kind: fault.CutLink, Nodes: []int{0, 1}}, fate: want.fate}
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
	parts := func(f fault.Fault, nodes int) (cut []string) {
		for from := range nodes {
			for to := range nodes {
				if from != to && parted(f, from, to, nodes) {
					cut = append(cut, fmt.Sprint(from, to))
				}
			}
		}
		return cut
	}
	for _, c := range []struct {
		f     fault.Fault
		nodes int
		want  string
	}{
		{fault.Fault{Kind: fault.Halves, Nodes: []int{0}}, 3, "[0 1 0 2 1 0 2 0]"},
		{fault.Fault{Kind: fault.Isolate, Nodes: []int{2}}, 3, "[0 2 1 2 2 0 2 1]"},
		{fault.Fault{Kind: fault.OneWay, Nodes: []int{2, 0}}, 3, "[2 0]"},
		{fault.Fault{Kind: fault.CutLink, Nodes: []int{2, 0}}, 3, "[0 2 2 0]"},
		{fault.Fault{Kind: fault.MajorityRing, Nodes: []int{1, 0, 2}}, 3, "[1 2 2 1]"},
		{fault.Fault{Kind: fault.MajorityRing, Nodes: []int{0, 1, 2, 3, 4}}, 5, "[0 2 0 3 1 3 1 4 2 0 2 4 3 0 3 1 4 1 4 2]"},
	} {
		if got := fmt.Sprint(parts(c.f, c.nodes)); got != c.want {
			t.Errorf("%v: %s, want %s", c.f, got, c.want)
		}
	}
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
