package antientropy

import (
	"time"

	"github.com/ringcask/ringcask/ring"
)

// movedFor is how long a peer counts as moving the keys of a partition after it has last asked for some of them.
const movedFor = 2 * time.Second

// noteMoved takes note that a peer's exchange moves the keys of partitions.
func noteMoved[T any](x *Exchanger, peer ring.NodeID, of []T, partition func(T) ring.PartitionID) {
	now := x.opt.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, v := range of {
		x.moved[pairing{partition(v), peer}] = now
	}
}

// yields says whether the keys of a partition are left to the peer, whose exchange is moving them. When a node returns both sides of a
// pair begin, and each would bring the other what that has just fetched. The side that is being filled goes on, else that of the lesser
// id: it never yields, so that one of them always moves. The other compares again until they are equal, which completes its exchange, too.
func (e *exchange) yields(p ring.PartitionID) bool {
	filled := e.x.replica.Filled(p)
	theirs := e.theirs[p]
	switch {
	case theirs == nil || theirs.Filled && !filled:
		return false
	case theirs.Filled == filled && e.x.opt.Self < e.peer:
		return false
	}
	e.x.mu.Lock()
	defer e.x.mu.Unlock()
	at, moved := e.x.moved[pairing{p, e.peer}]
	return moved && e.x.opt.Now().Sub(at) < movedFor
}

// leavesAtOnce is how many of some leaves are looked through at a time, one at least.
func (x *Exchanger) leavesAtOnce(leaves []Leaf) int {
	expected, inEach := 0.0, 0.0
	for i, l := range leaves {
		if i == 0 || l.Partition != leaves[i-1].Partition {
			inEach = float64(x.trees.KeyCount(l.Partition)) / LeafCount
		}
		expected += inEach
		if i == leavesPerMessage || i > 0 && expected > keysExpected {
			return i
		}
	}
	return len(leaves)
}
