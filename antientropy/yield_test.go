package antientropy

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringcask/ringcask/ring"
)

func TestOfTwoExchangesOfAPairOneMovesTheKeys(t *testing.T) {
	simulate(t, func(t *testing.T) {
		const keys = 8 * batchKeys
		c := newFakeCluster(2, 4, Options{}, plant{})
		c.latency = time.Millisecond
		for i := range keys {
			c.nodes[i%2].write(fmt.Sprint("key", i), false)
		}
		stop := c.start()
		defer stop()
		c.mustAgree(t, "after a difference in all keys")
		fetched := int64(0)
		for _, n := range c.nodes {
			fetched += n.x.Counters().KeysFetched.Load()
		}
		if fetched > keys*3/2 {
			t.Errorf("%d objects were fetched of %d keys that differ", fetched, keys)
		}
		time.Sleep(10 * time.Second)
		for p := range c.partitions {
			for i, n := range c.nodes {
				if n.x.LastComplete(n.x.peers[c.ids[1-i]].shared[p], c.ids[1-i]).IsZero() {
					t.Errorf("partition %d was never equal by an exchange of %s", p, n.id)
				}
			}
		}
	})
}

// countedTrees have so many keys in each partition.
type countedTrees struct {
	Trees
	keys int64
}

func (c countedTrees) KeyCount(ring.PartitionID) int64 { return c.keys }

func TestAsManyLeavesAreLookedThroughAsHoldSoManyKeys(t *testing.T) {
	var leaves []Leaf
	for p := range ring.PartitionID(64) {
		for n := range uint16(LeafCount) {
			leaves = append(leaves, Leaf{p, n})
		}
	}
	for keys, want := range map[int64]int{0: leavesPerMessage, 100: leavesPerMessage, 4 * LeafCount: keysExpected / 4, 1024 * LeafCount: 16, 1 << 40: 1} {
		x := &Exchanger{trees: countedTrees{keys: keys}}
		if got := x.leavesAtOnce(leaves); got != want {
			t.Errorf("%d leaves of partitions with %d keys, want %d", got, keys, want)
		}
		if got := x.leavesAtOnce(leaves[:1]); got != 1 {
			t.Errorf("%d leaves of one", got)
		}
	}
}
