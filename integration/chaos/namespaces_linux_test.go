package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testNamespaces are namespaces for two nodes and clients; node 1 echoes on its peer port.
func testNamespaces(t *testing.T) *namespaces {
	t.Helper()
	if err := NamespacesImpossible(); err != nil {
		t.Skip(err)
	}
	n, err := openNamespaces(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Error(err)
		}
	})
	ln := listenAtNode1(t, n, n.place(1).peer)
	var serving sync.WaitGroup
	serving.Go(func() { serveEcho(ln) })
	t.Cleanup(func() {
		ln.Close()
		serving.Wait()
	})
	return n
}

// listenAtNode1 listens in the namespace of node 1.
func listenAtNode1(t *testing.T, n *namespaces, addr string) (ln net.Listener) {
	t.Helper()
	if err := onThread(func() (err error) {
		if err := n.all[1].enter(); err != nil {
			return err
		}
		ln, err = net.Listen("tcp", addr)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return ln
}

func dialFrom(t *testing.T, n *namespaces, from int) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := n.all[from].dial(ctx, "tcp", n.place(1).peer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receives says whether a byte comes in time.
func receives(c net.Conn, within time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestAConnectionOutlivesACut(t *testing.T) {
	n := testNamespaces(t)
	c := dialFrom(t, n, 0)
	if err := answers(c, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]int{{0, 1}, {1, 0}} {
		lift := n.impose("cut", [][2]int{way}, nil, condition{cut: true})
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		var late net.Error
		if err := receives(c, 100*time.Millisecond); !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("cut %v: %v, want a timeout", way, err)
		}
		lift()
		if err := receives(c, 20*time.Second); err != nil { // what was sent meanwhile is answered after all
			t.Fatalf("after the cut %v: %v", way, err)
		}
	}
}

func TestNamespacesBreakConnectionsAndTakeNewOnes(t *testing.T) {
	n := testNamespaces(t)
	ofNode, ofClient := dialFrom(t, n, 0), dialFrom(t, n, n.clients())
	for _, c := range []net.Conn{ofNode, ofClient} {
		if err := answers(c, 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	n.reset(0)
	if err := answers(ofNode, 5*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection of a node that was struck: %v, want a reset", err)
	}
	if err := answers(ofClient, 5*time.Second); err != nil {
		t.Errorf("another connection: %v", err)
	}
	n.reset(1)
	if err := answers(ofClient, 5*time.Second); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection of a client: %v, want a reset", err)
	}
	if err := answers(dialFrom(t, n, 0), 5*time.Second); err != nil {
		t.Error(err)
	}
}

func TestBothEndsOfABrokenConnectionLearnOfIt(t *testing.T) {
	n := testNamespaces(t)
	ln := listenAtNode1(t, n, n.place(1).rpc)
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sender, err := n.dial(ctx, n.place(1).rpc)
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	receiver, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer receiver.Close()
	n.reset(1)
	if _, err := sender.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]net.Conn{"sender": sender, "receiver": receiver} {
		if err := receives(c, 20*time.Second); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %v, want a reset", name, err)
		}
	}
}

func TestTCPSurvivesWhatHappensToPackets(t *testing.T) {
	n := testNamespaces(t)
	c := dialFrom(t, n, 0)
	n.impose("f", everywhere(2), []int{0, 1}, condition{loss: 0.05, duplicate: 0.05, reorder: 0.05, delay: time.Millisecond, bytesPerSecond: 8 << 20})
	if err := c.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 200_000)
	for i := range sent {
		sent[i] = byte(i * i >> 8)
	}
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() { _, _ = c.Write(sent) }) // a short answer shows that it failed
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != string(sent) {
		t.Error("the echo differs")
	}
}
