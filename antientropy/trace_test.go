package antientropy

import (
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// trace is a history that breaks a weaker rule than the one that stands: docs/decisions/0004-stability.md has the rules. Each is the shape that the
// model's counter-examples have, on the real exchanger.
type trace struct {
	// bug breaks the rule, where the replicas could; the history must find it then. Else the rule is the exchanger's own.
	bug plant
	// run says what is wrong in the end.
	run func(c *fakeCluster, a, b, other *fakeNode) string
}

var traces = map[string]trace{
	"what a message carries is the full vector":                   {bug: plant{rawVectors: true}, run: fullVectors},
	"a replica in refill has not seen what is stable":             {bug: plant{unfilledSeen: true}, run: unfilledSeesNothing},
	"an exchange that began before a mark does not count for it":  {run: beganBeforeTheMark},
	"a mark of an earlier actor is void":                          {run: markOfEarlierActor},
	"a replica in refill does not vouch for what is stable":       {run: unfilledVouches},
	"a replica that has to be filled is not by one that must be":  {run: unfilledFills},
	"what is stable supersedes what comes late, where nothing is": {run: lateRepair},
	"what came late to a replica in refill goes again":            {run: lateToUnfilled},
}

func TestTraces(t *testing.T) {
	for name, tr := range traces {
		t.Run(name, func(t *testing.T) {
			simulate(t, func(t *testing.T) {
				if wrong := tr.in(plant{}); wrong != "" {
					t.Error(wrong)
				}
				if tr.bug != (plant{}) && tr.in(tr.bug) == "" {
					t.Error("it does not find the bug that it is for")
				}
			})
		})
	}
}

func (tr *trace) in(bug plant) string {
	c := newFakeCluster(3, 1, Options{}, bug)
	return tr.run(c, c.nodes[0], c.nodes[1], c.nodes[2])
}

// send has replicas take an object as a put, a repair or a hint.
func send(key string, o causal.Object, to ...*fakeNode) {
	for _, n := range to {
		if err := n.deliver(key, o); err != nil {
			panic(err)
		}
	}
}

// holds says whether a replica holds exactly the last sibling of an object.
func (n *fakeNode) holds(key string, o causal.Object) bool {
	want, _ := o.Winner()
	held := n.object(key).Siblings
	return len(held) == 1 && held[0].Dot == want.Dot
}

// settle has all that is issued become stable, as far as exchanges make it.
func (c *fakeCluster) settle() {
	for range 3 {
		for _, n := range c.nodes {
			for _, to := range c.nodes {
				if n != to {
					n.exchangeWith(to)
				}
			}
		}
	}
}

// fullVectors: a tombstone is forgotten where it is known to be stable, and the key is written anew. Who holds the tombstone still, and does not know
// that it is stable, must hear that the write has seen it.
func fullVectors(c *fakeCluster, a, b, other *fakeNode) string {
	gone := other.write("key", true)
	send("key", gone, a, b)
	if a.Learn(map[ring.PartitionID]causal.Vector{0: gone.Vector}) != nil {
		return "cannot learn"
	}
	a.Want(0, Rule{Stable: gone.Vector})
	if a.reclaim() != 0 {
		return "the tombstone is not forgotten"
	}
	o := a.write("key", false)
	send("key", o, b)
	if !b.holds("key", o) {
		return "what was superseded is taken for news"
	}
	return ""
}

// unfilledSeesNothing: a replica loses its disk, learns what is stable, and is given a put of a key of which it lost another sibling.
func unfilledSeesNothing(c *fakeCluster, a, b, other *fakeNode) string {
	one := b.write("key", false)
	two := a.write("key", false) // has not seen it
	send("key", one, a, other)
	send("key", two, b, other)
	c.settle()
	other.wipe()
	other.exchangeWith(a) // learns what is stable, and is filled by one of two
	other.mu.Lock()
	clear(other.objects)
	other.mu.Unlock()
	send("key", two, other)
	a.exchangeWith(other)
	b.exchangeWith(other)
	for _, n := range []*fakeNode{a, b} {
		if len(n.object("key").Siblings) != 2 {
			return "a replica that has lost a sibling has others drop it"
		}
	}
	return ""
}

// beganBeforeTheMark: an exchange has compared the trees when an event is issued. Another exchange, with another replica, sets the mark.
func beganBeforeTheMark(c *fakeCluster, a, b, other *fakeNode) string {
	var o causal.Object
	happens := func() {
		o = a.write("key", true)
		send("key", o, other)
		a.exchangeWith(other)
	}
	dial := a.x.opt.Peer
	a.x.opt.Peer = func(id ring.NodeID) Peer {
		if id == b.id {
			return interrupted{dial(id), &happens}
		}
		return dial(id)
	}
	a.exchangeWith(b)
	if a.Stable(0).CoversAll(o.Vector) {
		return "an event is stable that a replica has never seen"
	}
	return ""
}

// markOfEarlierActor: a replica crashes between the exchanges that a mark of its needs.
func markOfEarlierActor(c *fakeCluster, a, b, other *fakeNode) string {
	o := a.write("key", true)
	send("key", o, b, other)
	a.exchangeWith(b)
	a.mu.Lock()
	a.actor = c.newActor() // it has lost something at work
	a.mu.Unlock()
	a.exchangeWith(other)
	if len(a.Stable(0)) != 0 {
		return "an actor that is gone announces its events"
	}
	return ""
}

// unfilledVouches: one of the replicas that a mark needs is being filled.
func unfilledVouches(c *fakeCluster, a, b, other *fakeNode) string {
	other.wipe()
	o := a.write("key", true)
	send("key", o, b)
	a.exchangeWith(b)
	a.exchangeWith(other)
	if len(a.Stable(0)) != 0 {
		return "a replica in refill has vouched"
	}
	return ""
}

// unfilledFills: a replica is filled by one that has lost its disk itself.
func unfilledFills(c *fakeCluster, a, b, other *fakeNode) string {
	o := a.write("key", false)
	send("key", o, other)
	other.wipe()
	b.wipe()
	b.exchangeWith(other)
	b.exchangeWith(other)
	if b.Filled(0) {
		return "filled by who knows nothing"
	}
	b.exchangeWith(a)
	if b.Filled(0) {
		return "filled by one replica"
	}
	return ""
}

// lateRepair: a value comes late that a forgotten tombstone has superseded.
func lateRepair(c *fakeCluster, a, b, other *fakeNode) string {
	late := a.write("key", false)
	o := a.write("key", true)
	send("key", o, b, other)
	c.settle()
	for _, n := range c.nodes {
		if n.reclaim() != 0 {
			return "the tombstone is not forgotten"
		}
	}
	send("key", late, b)
	if len(b.object("key").Siblings) != 0 {
		return "what was deleted is back"
	}
	return ""
}

// lateToUnfilled: the same, to a replica that has lost its disk and does not know what is stable. Nobody else has the key in a tree.
func lateToUnfilled(c *fakeCluster, a, b, other *fakeNode) string {
	late := a.write("key", false)
	o := a.write("key", true)
	send("key", o, b, other)
	c.settle()
	for _, n := range c.nodes {
		n.reclaim()
	}
	b.wipe()
	send("key", late, b)
	b.exchangeWith(a)
	b.exchangeWith(other)
	for _, n := range c.nodes {
		if !n.Filled(0) || len(n.object("key").Siblings) != 0 {
			return "what was deleted is back"
		}
	}
	return ""
}
