package antientropy

import (
	"fmt"
	"testing"
	"time"
)

func TestOfTwoExchangesOfAPairOneMovesTheKeys(t *testing.T) {
	simulate(t, func(t *testing.T) {
		const keys = 20 * batchKeys
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
