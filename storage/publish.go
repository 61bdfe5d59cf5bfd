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
		x.enter(g, changes[:n], before)
		x.set(g, changes[:n], before, true)
		changes = changes[n:]
	}
}

// enter locks the shards of the changes of one mutation, and set makes the changes and unlocks them. Whoever enters in log order
// has what they write in that order, however long it takes between. Both are given the same before.
func (x *index) enter(g *group, changes []change, before seen) {
	if len(changes) == 1 {
		x.shard(changes[0].hash).lock(x)
		return
	}
	x.help() // rather than wait for what is entering
	if x.freezes(changes) {
		x.freezing.Add(1)
		x.lock()
		x.freeze()
	} else {
		x.lock()
	}
	if x.shares(changes, before) {
		p := &g.publication
		p.changes = changes
		p.undone.Add(len(x.shards))
		p.next.Store(0) // last: whoever still has the group from its last use may begin now, as good as anybody
		x.entering.Store(g)
	}
}

// shares says whether several goroutines make changes, from their entry on.
func (x *index) shares(changes []change, before seen) bool {
	return before == nil && len(changes) >= publishSplitFrom && len(x.shards) > 1
}

// set has a goroutine of its own help if alone says that nobody is about to enter.
func (x *index) set(g *group, changes []change, before seen, alone bool) {
	switch {
	case len(changes) == 1:
		x.setOne(g, &changes[0], before)
		x.shard(changes[0].hash).mu.Unlock()
	case x.shares(changes, before):
		if alone {
			go x.help() // if it comes too late it finds nothing to do, and nobody waits for it
		}
		x.makeShared(g)
		g.publication.undone.Wait()
		x.entering.CompareAndSwap(g, nil)
		x.made(changes)
		g.publication.changes = nil // until the group's next use whoever still comes to help looks at next alone
	default:
		for i := range changes {
			x.setOne(g, &changes[i], before)
		}
		if !x.made(changes) {
			x.unlock()
		}
	}
}

// made unlocks the shards if the mutation was large: until all of it was made they had to stay locked.
func (x *index) made(changes []change) bool {
	if !x.freezes(changes) {
		return false
	}
	x.thaw()
	x.unlock()
	return true
}

// publication is the changes of a mutation that several goroutines make, a shard at a time.
type publication struct {
	changes []change
	// next is the shard that is to be taken next, if there is one; undone counts those that are not done.
	next   atomic.Int64
	undone sync.WaitGroup
}

// help makes changes that are entering, if there are any that are shared.
func (x *index) help() {
	if g := x.entering.Load(); g != nil {
		x.makeShared(g)
	}
}

// makeShared makes changes that have entered, until all shards are taken, and unlocks each shard when it is done, unless it is frozen: all of them were locked, so
// who sees the change of one sees those of all. Who has taken a shard is waited for: what is entering does not change before it is made.
func (x *index) makeShared(g *group) {
	for {
		i := g.publication.next.Add(1) - 1
		if i >= int64(len(x.shards)) {
			return
		}
		x.makeShard(g, int(i))
	}
}

// makeShard makes the changes in a shard that was taken.
func (x *index) makeShard(g *group, i int) {
	changes := g.publication.changes
	for k := range changes {
		if c := &changes[k]; x.shardOf(c.hash) == i {
			x.setOne(g, c, nil)
		}
	}
	if !x.freezes(changes) {
		x.shards[i].mu.Unlock()
	}
	g.publication.undone.Done()
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
