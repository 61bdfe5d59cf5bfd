package antientropy

import (
	"context"
	"testing"
	"time"

	"github.com/ringcask/ringcask/ring"
)

// lose has a running node lose all that it holds, find that out, and go on as one that has forgotten it.
func (n *fakeNode) lose() {
	n.mu.Lock()
	clear(n.objects)
	n.actor = n.cluster.newActor()
	for p := range n.parts {
		n.parts[p].filled, n.parts[p].issued = false, 0
	}
	n.mu.Unlock()
	for p := range n.parts {
		n.exchanger().Lost(ring.PartitionID(p))
	}
}

// interrupted is a link on which something happens once, when the roots have been compared.
type interrupted struct {
	Peer
	happens *func()
}

func (l interrupted) Exchange(deadline time.Time, request []byte, done func([]byte, error)) {
	l.Peer.Exchange(deadline, request, func(answer []byte, err error) {
		if happens := *l.happens; happens != nil && len(request) > 1 && request[1] == byte(kindRoots) {
			*l.happens = nil
			happens()
		}
		done(answer, err)
	})
}

// TestAnExchangeThatBeganBeforeALossFillsNothing has the only other copy of a write on a replica whose last exchange began before the loss.
func TestAnExchangeThatBeganBeforeALossFillsNothing(t *testing.T) {
	for name, lose := range map[string]func(c *fakeCluster, n *fakeNode){
		"between exchanges": func(c *fakeCluster, n *fakeNode) {
			c.isolate(c.nodes[2], true)
			n.lose()
			n.exchangeWith(c.nodes[1])
			n.lose()
		},
		"in an exchange": func(c *fakeCluster, n *fakeNode) {
			c.isolate(c.nodes[2], true)
			happens := n.lose
			dial := n.x.opt.Peer
			n.x.opt.Peer = func(id ring.NodeID) Peer { return interrupted{dial(id), &happens} }
			n.exchangeWith(c.nodes[1])
			n.x.opt.Peer = dial
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				c := newFakeCluster(3, 1, Options{}, plant{})
				victim, holder, other := c.nodes[0], c.nodes[1], c.nodes[2]
				put(t, "key", false, holder, victim) // acknowledged by two
				lose(c, victim)
				c.isolate(other, false)
				c.isolate(holder, true)
				victim.exchangeWith(other)
				if victim.Filled(0) {
					t.Error("it vouches for what only a replica holds that it was not filled from")
				}
				c.isolate(holder, false)
				victim.exchangeWith(holder)
				if !victim.Filled(0) || victim.contents()["key"] == "" {
					t.Errorf("filled: %v, holds %v", victim.Filled(0), victim.contents())
				}
			})
		})
	}
}

// exchangeWith is one exchange of everything, begun here.
func (n *fakeNode) exchangeWith(to *fakeNode) (left []ring.PartitionID) {
	x := n.exchanger()
	return x.exchangeWith(context.Background(), to.id, x.opt.Peer(to.id), x.peers[to.id].shared)
}
