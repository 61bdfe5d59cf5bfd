package node

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/internal/cluster"
)

func TestAMemberThatWouldRefuseIsAvoidedUntilItServesAgain(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	defer tr.end()
	n, other := tr.nodes[0], tr.nodes[1]
	avoided := func() bool { return n.peers.Peer("n2").Health().Reluctant }
	tr.await("all serve, by their own word", func() bool {
		for _, m := range n.liveness.Members() {
			if m.State != cluster.Alive || m.Condition != cluster.Serving {
				return false
			}
		}
		return !avoided()
	})
	tr.await("a node with its clock off is avoided", func() bool {
		other.offset.Store(int64(2 * other.cfg.ClockOffsetMax)) // until the clock is next compared
		return avoided()
	})
	tr.await("it is not avoided when its clock is right again", func() bool { return !avoided() })
	for _, m := range n.Status().Members {
		if m.Liveness != "alive" || m.Condition == "" || m.LivenessSince > time.Now().UnixMilli() {
			t.Errorf("%+v", m)
		}
	}
}

func TestTheGossipAddressesDefaultToThePortsAfterThePeers(t *testing.T) {
	for _, tc := range []struct {
		listen, peer, gossip, wantMember, wantListen string
	}{
		{"", "10.0.0.1:8083", "", "10.0.0.1:8084", "127.0.0.1:8084"},
		{"0.0.0.0:9000", "10.0.0.1:9000", "", "10.0.0.1:9001", "0.0.0.0:9001"},
		{"0.0.0.0:9000", "10.0.0.1:9000", "10.0.0.1:7946", "10.0.0.1:7946", "0.0.0.0:7946"},
		{"[::1]:8083", "[::1]:8083", "", "[::1]:8084", "[::1]:8084"},
		{"", "10.0.0.1:65535", "", "", "127.0.0.1:8084"},
	} {
		c := Config{ID: "n1", PeerAddr: tc.listen, Members: []Member{{ID: "n1", Peer: tc.peer, Gossip: tc.gossip}}}.WithDefaults()
		if got := c.Members[0].gossipAddr(); got != tc.wantMember || c.GossipAddr != tc.wantListen {
			t.Errorf("%+v: member %q, listens on %q", tc, got, c.GossipAddr)
		}
	}
}

func TestANodeThatDrainsServesNoMore(t *testing.T) {
	n := &Node{turned: make(chan struct{}, 1)}
	for _, step := range []struct{ enter, want int32 }{
		{phaseStarting, phaseStarting}, {phaseServing, phaseServing}, {phaseDraining, phaseDraining}, {phaseServing, phaseDraining},
	} {
		before := n.phase.Load()
		n.enter(step.enter)
		told := len(n.turned) == 1
		if told {
			<-n.turned
		}
		if now := n.phase.Load(); now != step.want || told != (now != before) {
			t.Errorf("from %d to %d it is in %d, told %v", before, step.enter, now, told)
		}
	}
}

func TestANodeTellsAtOnceThatItDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Node{turned: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		told := make(chan cluster.Condition, 8)
		go n.tellCondition(ctx, func(c cluster.Condition) { told <- c })
		began := time.Now()
		if c := <-told; c != cluster.Starting {
			t.Errorf("told %v", c)
		}
		n.enter(phaseDraining)
		if c := <-told; c != cluster.Draining || time.Since(began) > 0 {
			t.Errorf("told %v after %v", c, time.Since(began))
		}
	})
}
