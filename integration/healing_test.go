package integration

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
)

// The size of the healing tests. A campaign takes its own, and one failure at a time: -parallel 1 -heal.outage 60s -heal.keys 100000.
var (
	healOutage = flag.Duration("heal.outage", 2*time.Second, "how long each failure lasts in the healing tests")
	healKeys   = flag.Int("heal.keys", 2000, "how many keys they write")
	healWithin = flag.Duration("heal.within", 30*time.Second, "how long all roots may take to be equal after healing")
	healGap    = flag.Duration("heal.gap", 0, "the longest time without any acknowledgement that they allow; 0 is any")
)

// healWriting is how long the writers go on when a failure is over.
const healWriting = 500 * time.Millisecond

// TestEveryFailureHeals has writers at full speed, a failure, and its end. Then all replicas are equal in time, no acknowledged write is
// lost, and no deleted key is back.
func TestEveryFailureHeals(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, clusterOptions{stopped: true})
			c.give("--segment-bytes-max", "1MiB")
			fail := f.arrange(c)
			c.start()
			ch := c.startChurn(*healKeys)
			defer ch.stop()
			over := ch.outlast(fail)
			stopped, cpu := time.Now(), c.cpuSeconds()
			c.waitReady(c.nodes...)
			c.mustConverge()
			t.Logf("all roots are equal %v after the writers stopped, %v after the failure was over, for %.1f s of the nodes' CPU",
				since(stopped), since(over), c.cpuSeconds()-cpu)

			began := time.Now()
			for _, n := range c.nodes { // reads find what cannot be read
				ch.mustHold(c.direct(n), "through "+n.id, client.LevelQuorum)
			}
			c.mustConverge()
			t.Logf("all keys are read through each node and the roots equal again after %v", since(began))
			for _, n := range c.nodes {
				ch.mustHold(c.direct(n), "after healing, through "+n.id, client.LevelAll)
			}
		})
	}
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }

// outlast has the writers go on through a failure and for a while after it, and then stop. It returns when the failure was over.
func (ch *churn) outlast(fail func()) (over time.Time) {
	ch.t.Helper()
	calm, _, loading := ch.acks.reset()
	ch.failed.Store(0)
	began := time.Now()
	fail()
	over = time.Now()
	wait(ch.t, healWriting)
	gap, from, acks := ch.acks.reset()
	ch.stop()
	ch.t.Logf("%d keys; %d writes acknowledged in %v of failure and healing, %d failed; longest time without an acknowledgement %v, from %v on (%v in %d before)",
		churnWriters*ch.keys, acks, since(began), ch.failed.Load(), gap, from, calm, loading)
	if *healGap > 0 && gap > *healGap {
		ch.t.Errorf("no acknowledgement for %v, allowed are %v", gap, *healGap)
	}
	return over
}

// mustConverge waits until all replicas are equal.
func (c *cluster) mustConverge() {
	c.t.Helper()
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.rpc)
	}
	mustRun(c.t, "", "cluster", "wait-converged", "--addr", strings.Join(addrs, ","), "--timeout", healWithin.String())
	mustRun(c.t, "", "cluster", "verify", "--addr", strings.Join(addrs, ","))
}
