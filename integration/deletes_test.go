package integration

import (
	"errors"
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/wire"
)

// The size of the test of deletes. A campaign takes its own: -deletes.keys 1000000 -deletes.within 10m -timeout 60m.
var (
	deletesKeys   = flag.Int("deletes.keys", 20_000, "how many keys are deleted in the test of deletes")
	deletesWithin = flag.Duration("deletes.within", time.Minute, "how long their tombstones may take to be gone")
	deletesAway   = flag.Duration("deletes.away", 5*time.Second, "how long a replica stays away that has not seen the deletes")
)

// inventory is what one node has: keys that show something and tombstones in its trees; what its store says that it holds, about, and how many
// records its merges have dropped since it started.
type inventory struct {
	shown, tombstones          int64
	stored, dropped, diskBytes int64
}

func (v inventory) String() string {
	return fmt.Sprintf("%d keys and %d tombstones in trees, %d stored, %d dropped by merges, %d bytes on the disk",
		v.shown, v.tombstones, v.stored, v.dropped, v.diskBytes)
}

func (c *cluster) inventoryOf(n *testNode) (v inventory) {
	c.t.Helper()
	var report wire.PartitionsReport
	n.operate(c.t, "GET", "/admin/partitions?sizes=false", &report)
	for _, p := range report.Partitions {
		v.shown, v.tombstones = v.shown+p.Keys-p.Tombstones, v.tombstones+p.Tombstones
	}
	cl := c.direct(n)
	defer cl.Close()
	s, err := cl.Status(c.t.Context(), n.rpc)
	if err != nil {
		c.t.Fatal(err)
	}
	v.stored, v.dropped, v.diskBytes = s.Storage.Keys, s.Storage.MergeDropped, s.Storage.DiskBytes
	return v
}

// awaitInventory waits until each of the nodes has what it should.
func (c *cluster) awaitInventory(what string, nodes []*testNode, right func(inventory) bool) {
	c.t.Helper()
	began := time.Now()
	for _, n := range nodes {
		var last inventory
		c.seldom(*deletesWithin, n.id+": "+what, func() error {
			if last = c.inventoryOf(n); !right(last) {
				return fmt.Errorf("it has %v", last)
			}
			return nil
		})
		c.t.Logf("%s after %v: %s has %v", what, time.Since(began).Round(time.Millisecond), n.id, last)
	}
}

// nearlyGone says that so few tombstones are left that no merge is due for them, and that what they took of the disk is given back: the store keeps
// some zeros ahead of its log.
func nearlyGone(v inventory) bool { return v.shown == 0 && v.stored < 1000 && v.diskBytes < 2<<20 }

func deleteKey(i int) []byte { return fmt.Appendf(nil, "deleted/%09d", i) }

// putThenConverge has all replicas hold all keys.
func (c *cluster) putThenConverge() {
	c.t.Helper()
	c.bulk(*deletesKeys, func(i int) client.Op { return client.Op{Key: deleteKey(i), Value: fmt.Appendf(nil, "%0100d", i)} })
	c.awaitConverged(c.nodes[0])
	c.awaitInventory("all keys are there", c.nodes, func(v inventory) bool { return v.shown == int64(*deletesKeys) })
}

func (c *cluster) deleteAll() {
	c.t.Helper()
	began := time.Now()
	c.bulk(*deletesKeys, func(i int) client.Op { return client.Op{Key: deleteKey(i), Delete: true} })
	c.t.Logf("%d keys deleted in %v", *deletesKeys, time.Since(began).Round(time.Millisecond))
}

// mustShowNothing reads some of the keys through one node.
func (c *cluster) mustShowNothing(via *testNode) {
	c.t.Helper()
	const sample = 500
	cl := c.direct(via)
	defer cl.Close()
	for i := range sample {
		key := deleteKey(i * max(*deletesKeys/sample, 1))
		c.seldom(*deletesWithin, "an answer for "+string(key), func() error {
			v, err := cl.Get(c.t.Context(), key, nil)
			if err == nil {
				c.t.Fatalf("%s shows %q of %s, which was deleted", via.id, v.Value, key)
			}
			if errors.Is(err, client.ErrNotFound) {
				return nil
			}
			return err // who has just come back may be busy
		})
	}
}

// awaitForgotten waits until next to nothing is left on any node. The nodes of there never had a value again.
func (c *cluster) awaitForgotten(there []*testNode) {
	c.t.Helper()
	c.awaitInventory("nothing shows, no tombstone is in a tree", c.nodes, func(v inventory) bool {
		for _, n := range there {
			if now := c.inventoryOf(n); now.shown > 0 {
				c.t.Fatalf("%s has %v: deleted keys are back", n.id, now)
			}
		}
		return v.shown+v.tombstones == 0
	})
	c.awaitInventory("next to nothing is stored", c.nodes, nearlyGone)
	for kv, err := range c.routed().Range(c.t.Context(), client.RangeOptions{Prefix: []byte("deleted/"), KeysOnly: true}) {
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Fatalf("%s, which was deleted, is in a range", kv.Key)
	}
}

func startForDeletes(t *testing.T) *cluster {
	return startCluster(t, clusterOptions{args: func(int) []string {
		// Hints would bring the deletes to the replica that was away: here exchanges have to.
		return []string{"--exchange-period", "2s", "--hint-bytes-max", "1"}
	}})
}

func TestTombstonesAreGoneFromTheDiskOnceAllReplicasHoldThem(t *testing.T) {
	t.Parallel()
	c := startForDeletes(t)
	c.putThenConverge()
	c.deleteAll()
	c.awaitForgotten(c.nodes)
	c.mustShowNothing(c.nodes[0])
}

func TestNoTombstoneGoesWhileAReplicaIsAwayAndNothingIsRevivedByItsReturn(t *testing.T) {
	t.Parallel()
	c := startForDeletes(t)
	c.putThenConverge()
	away, there := c.nodes[2], c.nodes[:2]
	away.signal(syscall.SIGTERM)
	if _, err := away.wait(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	c.deleteAll()
	allStay := func(v inventory) bool {
		return v.shown == 0 && v.tombstones == int64(*deletesKeys) && v.dropped == 0
	}
	c.awaitInventory("all tombstones are there", there, allStay)
	wait(t, *deletesAway)
	c.awaitInventory("all tombstones are still there", there, allStay)
	c.mustShowNothing(there[0])

	c.restart(away)
	for _, n := range c.nodes {
		c.mustShowNothing(n)
	}
	c.awaitForgotten(there)
	for _, n := range c.nodes {
		c.mustShowNothing(n)
	}
}
