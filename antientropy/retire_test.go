package antientropy

import (
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// cutPair cuts the link between two nodes, or lets them reach each other again.
func (c *fakeCluster) cutPair(a, b *fakeNode, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut[[2]ring.NodeID{a.id, b.id}], c.cut[[2]ring.NodeID{b.id, a.id}] = cut, cut
}

// exchangeAll has all nodes exchange all with all others.
func (c *fakeCluster) exchangeAll() {
	for _, n := range c.nodes {
		for _, id := range c.ids {
			n.exchanger().Hurry(id)
		}
	}
	time.Sleep(10 * time.Second)
}

// TestARefusalThatIsForgottenDoesNotCount has a replica lose its disk after everyone was ready to retire an actor, so that it takes one of
// its events again. What was then read from two replicas must not go.
func TestARefusalThatIsForgottenDoesNotCount(t *testing.T) {
	simulate(t, func(t *testing.T) {
		c := newFakeCluster(3, 1, Options{Period: 2 * time.Hour}, plant{})
		a, b, away := c.nodes[0], c.nodes[1], c.nodes[2]
		put(t, "key", false, a, c.nodes...)
		late := put(t, "late", false, a)
		was := a.actor
		a.mu.Lock()
		delete(a.objects, "late") // it was never durable
		a.mu.Unlock()
		a.crash()
		stop := c.start()
		defer stop()
		for _, n := range c.nodes {
			n.awaitRefusal(t, was)
		}
		away.setHints(true)
		for range 2 {
			c.exchangeAll()
		}
		reopen := b.open
		b.open = func() *Exchanger { // it does not know everyone's actor yet, and so cannot tell who is gone
			x := reopen()
			x.opt.Actors = func() (map[causal.Actor]bool, bool) { return nil, false }
			return x
		}
		b.wipe()
		time.Sleep(time.Minute)
		if !b.Filled(0) {
			t.Fatal("not filled")
		}
		c.cutPair(b, away, true)
		if err := b.deliver("late", late); err != nil {
			t.Fatal(err)
		}
		b.exchanger().Hurry(a.id)
		time.Sleep(5 * time.Second)
		if a.contents()["late"] == "" {
			t.Fatal("not exchanged")
		}
		away.setHints(false)
		time.Sleep(30 * time.Minute)
		c.cutPair(b, away, false)
		time.Sleep(3 * time.Hour)
		for _, n := range c.nodes {
			if n.contents()["late"] == "" {
				t.Errorf("%s does not hold any more what two replicas held", n.id)
			}
		}
	})
}
