package storage

import "bytes"

const (
	// showFromDefault is where it begins to take less to have somebody else absorb the changes of a group than to do it at once.
	showFromDefault = 24
	// freshMax bounds the fresh changes of a shard: a lookup may have to look through all of them. Each holds its group, so shownBytesMax
	// bounds the groups that are shown.
	freshMax      = 256
	shownBytesMax = 64 << 10
	// absorbAtOnce is how many changes are absorbed under one hold of a shard's lock, for which readers wait.
	absorbAtOnce = 2
)

// freshList has the changes of a shard that readers see and that its table has not absorbed yet, the oldest first. To be shown takes a
// change a tenth of the time in which a table absorbs it, and only for that do those wait who wrote it. Whoever else locks
// the shard to write, or takes a view of it, has the table absorb them first: only a lookup knows of them.
type freshList struct {
	hashes  []uint64
	changes []freshChange
	// absorbed is how many of them the table has.
	absorbed int
}

// freshChange is a change with the group that has its bytes.
type freshChange struct {
	g *group
	c *change
}

func (f *freshList) len() int { return len(f.hashes) - f.absorbed }

func (f *freshList) add(g *group, c *change) {
	if f.absorbed >= freshMax { // it has been long since there were none
		n := copy(f.hashes, f.hashes[f.absorbed:])
		copy(f.changes, f.changes[f.absorbed:])
		clear(f.changes[n:])
		f.hashes, f.changes, f.absorbed = f.hashes[:n], f.changes[:n], 0
	}
	f.hashes = append(f.hashes, c.hash)
	f.changes = append(f.changes, freshChange{g, c})
}

// find returns the newest change of a key.
func (f *freshList) find(hash uint64, key []byte) (fc freshChange, ok bool) {
	for i := len(f.hashes) - 1; i >= f.absorbed; i-- {
		if fc = f.changes[i]; f.hashes[i] == hash && bytes.Equal(fc.g.key(fc.c), key) {
			return fc, true
		}
	}
	return freshChange{}, false
}

// take takes the oldest change off.
func (f *freshList) take() freshChange {
	fc := f.changes[f.absorbed]
	f.changes[f.absorbed] = freshChange{}
	if f.absorbed++; f.absorbed == len(f.hashes) {
		f.hashes, f.changes, f.absorbed = f.hashes[:0], f.changes[:0], 0
	}
	return fc
}

// mayShow says whether a group is to be shown before the tables absorb it. A mutation of several changes is not: to be visible all at once
// takes every shard, whoever makes it so.
func (x *index) mayShow(g *group) bool {
	if len(g.changes) < x.showFrom || len(g.buf) > shownBytesMax {
		return false
	}
	for i := range g.changes {
		if !g.changes[i].last {
			return false
		}
	}
	return true
}

// show makes a group of single changes visible, in log order. It is held until they are absorbed.
func (x *index) show(g *group) {
	g.hold(len(g.changes))
	for i := range g.changes {
		c := &g.changes[i]
		s := x.shard(c.hash)
		s.mu.Lock()
		if s.fresh.len() >= freshMax {
			s.absorb(x, absorbAtOnce)
		}
		s.fresh.add(g, c)
		s.unabsorbed.Store(int32(s.fresh.len()))
		s.published = g.endOf(c)
		s.mu.Unlock()
	}
}

// absorb has the tables absorb what is fresh.
func (x *index) absorb() {
	for i := range x.shards {
		for s := &x.shards[i]; s.unabsorbed.Load() > 0; {
			s.mu.Lock()
			s.absorb(x, absorbAtOnce)
			s.mu.Unlock()
		}
	}
}

// anyFresh says whether there is something to absorb.
func (x *index) anyFresh() bool {
	for i := range x.shards {
		if x.shards[i].unabsorbed.Load() > 0 {
			return true
		}
	}
	return false
}

// lock locks the shard to write. Its table has all that is visible then.
func (s *shard) lock(x *index) {
	s.mu.Lock()
	s.absorb(x, s.fresh.len())
}

// absorb has the table of the shard, which is locked, absorb up to n fresh changes.
func (s *shard) absorb(x *index, n int) {
	if n = min(n, s.fresh.len()); n == 0 {
		return
	}
	for range n {
		fc := s.fresh.take()
		x.enterTable(s, fc.g, fc.c, nil)
		fc.g.release()
	}
	s.unabsorbed.Store(int32(s.fresh.len()))
}
