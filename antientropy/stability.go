package antientropy

import (
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// mark is how things stood in a partition when an exchange began: all events of the actor up to at were durable here, none smaller was in
// flight, the events of those that retire were refused, and so often something of it had been lost.
type mark struct {
	actor    causal.Actor
	at       causal.Timestamp
	retiring []causal.Actor
	losses   int
}

// credit is a mark with the replicas that have durably joined, since, all that this one held at it. When all have, the events up to it are
// stable. Source: Gonçalves et al., "DottedDB", §4; the model in docs/decisions/0004-stability.md says why only exchanges that begin after a mark count for it.
type credit struct {
	mark
	from map[ring.NodeID]bool
}

// marksOf sets the marks of partitions that have none and need one, and returns those that stand.
func (x *Exchanger) marksOf(ps []ring.PartitionID) map[ring.PartitionID]mark {
	marks := make(map[ring.PartitionID]mark, len(ps))
	actor := x.replica.Actor()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range ps {
		c := x.marks[p]
		if c != nil && c.actor != actor {
			delete(x.marks, p) // the actor's memory is broken
			c = nil
		}
		if at := x.replica.Issued(p); c == nil && x.replica.Filled(p) && at > x.replica.Stable(p).Get(actor) {
			c = &credit{mark{actor: actor, at: at}, make(map[ring.NodeID]bool)}
			x.marks[p] = c
		}
		m := mark{retiring: x.retiringLocked(p), losses: x.losses[p]}
		if c != nil {
			m.actor, m.at = c.actor, c.at
		}
		marks[p] = m
	}
	return marks
}

// Lost says that this replica does not hold any more all that it held of some partitions, or does not know whether it does. What was
// proven by exchanges that began before counts no more. To be called once no tree stands that was built before the loss.
func (x *Exchanger) Lost(ps ...ring.PartitionID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range ps {
		x.losses[p]++
		delete(x.marks, p)
		delete(x.filledFrom, p)
		delete(x.retire, p)
	}
}

// stableAlone has all that the only replica of partitions has issued be stable: there is nobody to exchange it with.
func (x *Exchanger) stableAlone() {
	if x.opt.Table.N() > 1 {
		return
	}
	var ps []ring.PartitionID
	for p := range ring.PartitionID(x.opt.Table.PartitionCount()) {
		if x.holds(x.opt.Self, p) {
			ps = append(ps, p)
		}
	}
	x.raiseOwnExpired(ps)
	stable := make(map[ring.PartitionID]causal.Vector)
	for p, m := range x.marksOf(ps) {
		x.mu.Lock()
		v := x.creditLocked(p, x.opt.Self, m)
		x.mu.Unlock()
		if v != nil {
			stable[p] = v
		}
	}
	if len(stable) > 0 {
		x.count.Stable.Add(int64(len(stable)))
		x.learn(stable)
	}
	for _, p := range ps {
		x.WantTree(p)
	}
}

// creditLocked says that a replica, which vouches for the partition, has joined all that was held at a mark. It returns what is stable
// now because of it.
func (x *Exchanger) creditLocked(p ring.PartitionID, id ring.NodeID, m mark) causal.Vector {
	c := x.marks[p]
	if c == nil || c.actor != m.actor || c.at != m.at || x.replica.Actor() != m.actor {
		return nil
	}
	c.from[id] = true
	if len(c.from) < x.opt.Table.N()-1 {
		return nil
	}
	delete(x.marks, p)
	return causal.Vector{{Actor: c.actor, Time: c.at}}
}
