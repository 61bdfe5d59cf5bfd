package storage

import (
	"sync"
	"sync/atomic"
)

// publishSplitFrom is from how many changes on it is worth it that several goroutines publish them.
const publishSplitFrom = 32

// seen is told of a change what stood there; its entry is valid in the call only.
type seen func(c *change, old entry, existed bool)

// publish makes the changes of a group visible, those of one mutation all at once.
func (x *index) publish(g *group, before seen) {
	if before == nil && x.mayShow(g) {
		x.show(g)
		return
	}
	for changes := g.changes; len(changes) > 0; {
		n := 1
		for !changes[n-1].last {
			n++
		}
		x.enter(changes[:n])
		x.set(g, changes[:n], before, true)
		changes = changes[n:]
	}
}

// enter locks the shards of the changes of one mutation, and set makes the changes and unlocks them. Whoever enters in log order
// has what they write in that order, however long it takes between.
func (x *index) enter(changes []change) {
	if len(changes) == 1 {
		x.shard(changes[0].hash).lock(x)
		return
	}
	// Who would have to wait for others to make their changes makes some of them instead.
	x.help()
	x.lock()
}

// set has a goroutine of its own help if alone says that nobody is about to enter.
func (x *index) set(g *group, changes []change, before seen, alone bool) {
	switch {
	case len(changes) == 1:
		x.setOne(g, &changes[0], before)
		x.shard(changes[0].hash).mu.Unlock()
		return
	case before == nil && len(changes) >= publishSplitFrom && len(x.shards) > 1:
		x.setShared(g, changes, alone)
	default:
		for i := range changes {
			x.setOne(g, &changes[i], before)
		}
	}
	x.unlock()
}

// publication is the changes of a mutation that may be made by several goroutines, a shard at a time.
type publication struct {
	g       *group
	changes []change
	// next is the shard that is to be taken next, if there is one; undone counts those that are not done.
	next   atomic.Int64
	undone sync.WaitGroup
}

// setShared makes changes with all shards locked, and lets others help.
func (x *index) setShared(g *group, changes []change, alone bool) {
	p := &x.entering
	p.g, p.changes = g, changes
	p.undone.Add(len(x.shards))
	p.next.Store(0)
	if alone {
		go x.help() // if it comes too late it finds nothing to do, and nobody waits for it
	}
	x.help()
	p.undone.Wait()
}

// help makes changes that are entering, until all shards are taken. Who has taken one is waited for: what is entering does not
// change before it is made.
func (x *index) help() {
	p := &x.entering
	for {
		i := p.next.Add(1) - 1
		if i >= int64(len(x.shards)) {
			return
		}
		for k := range p.changes {
			if c := &p.changes[k]; x.shardOf(c.hash) == int(i) {
				x.setOne(p.g, c, nil)
			}
		}
		p.undone.Done()
	}
}

// setOne makes one change in its shard, which is locked.
func (x *index) setOne(g *group, c *change, before seen) {
	s := x.shard(c.hash)
	s.published = g.endOf(c)
	x.enterTable(s, g, c, before)
}

// enterTable has the table of a shard, which is locked, take a change.
func (x *index) enterTable(s *shard, g *group, c *change, before seen) {
	en := g.entry(c)
	n := s.table.Len()
	old, existed := s.set(&en, c.at, x.inRuns(c.hash), x.merging > 0 || x.keepTombstones)
	s.grew(s.table.Len()-n, &en, old.meta)
	if before != nil {
		before(c, old, existed)
	}
}
