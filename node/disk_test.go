package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/peer"
)

func outdated() *peer.HandshakeError {
	return &peer.HandshakeError{Node: "n2", ByPeer: true, Reason: peer.ReasonOutdated, Last: peer.Run{Incarnation: 9, Boot: 0x91}}
}

func TestAnOutdatedNodeBeginsAnewAndIsFilled(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	c := tr.client()
	for i := range 50 {
		if _, err := c.Put(t.Context(), fmt.Appendf(nil, "key-%d", i), []byte("v"), &client.PutOptions{W: client.LevelAll}); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	n := tr.nodes[0]
	actor := n.replica.Actor()
	n.peerOptions().Outdated(outdated())
	if n.replica.Serving() == nil {
		t.Error("it coordinates writes before it has begun anew")
	}
	tr.await("it has begun anew", func() bool { return n.replica.Incarnation() == 10 })
	if n.replica.Actor() == actor {
		t.Error("it has the actor that it had")
	}
	tr.await("it is filled again", func() bool { return len(n.replica.Unfilled()) == 0 && n.Ready() == nil })
	n.peerOptions().Outdated(outdated()) // a peer that it told nothing of it yet
	tr.await("it goes on", func() bool { return n.Ready() == nil })
	if n.replica.Incarnation() != 10 || len(n.replica.Unfilled()) > 0 {
		t.Error("it began anew a second time")
	}
	tr.end()
	tr.start()
	defer tr.end()
	if n := tr.nodes[0]; n.replica.Incarnation() != 11 || len(n.replica.Unfilled()) > 0 {
		t.Errorf("after a restart: incarnation %d, unfilled %v", n.replica.Incarnation(), n.replica.Unfilled())
	}
}

func TestACopyDoesNotBeginAnewWhereItsOriginalIsSeen(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	n := tr.nodes[0]
	told := n.peerOptions()
	told.Outdated(outdated())
	tr.await("it vouches for nothing", func() bool { return len(n.replica.Unfilled()) > 0 })
	told.Refused(&peer.HandshakeError{Node: "n3", ByPeer: true, Reason: peer.ReasonDuplicateNode})
	if err := <-tr.ended; !errors.Is(err, errRefused) {
		t.Errorf("Run: %v", err)
	}
	if n.replica.Incarnation() != 1 {
		t.Error("it began anew")
	}
	tr.nodes = tr.nodes[1:]
	tr.end()
}

func TestANewNodeSaysWhomItWaitsFor(t *testing.T) {
	tr := newTrio(t)
	n, err := Open(tr.cfgs[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "waiting for n2, n3: a new data directory") {
		t.Errorf("ready: %v", err)
	}
	if !strings.Contains(n.Status().State, "waiting for n2, n3") || len(n.replica.Unfilled()) == 0 {
		t.Errorf("state %q", n.Status().State)
	}
	if err := errors.Join(n.ports.close(), n.close()); err != nil {
		t.Error(err)
	}
}
