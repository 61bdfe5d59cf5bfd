package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/wire"
)

// The size of the test of what rounds cost. A campaign takes its own: -round.keys 1000000 -round.count 20 -timeout 30m.
var (
	roundKeys  = flag.Int("round.keys", 5000, "how many keys are stored in the test of rounds")
	roundCount = flag.Int("round.count", 3, "over how many rounds their cost is averaged")
)

const (
	// roundBytesMax is what a round over a converged store may move between three nodes, and roundCoreMax what part of one core it may take at the default
	// period.
	roundBytesMax = 1_000_000
	roundCoreMax  = 0.01
	roundPeriod   = 10 * time.Minute
	// repairFactorMax is how many times their own bytes the repair of keys may move, the rounds with the returning node included.
	repairFactorMax = 10
)

// bulk writes keys in batches from several clients at once; op makes the i-th write.
func (c *cluster) bulk(count int, op func(i int) client.Op) {
	c.t.Helper()
	const writers, perBatch = 8, 500
	errs := make(chan error, writers)
	var running sync.WaitGroup
	cl := c.routed()
	for w := range writers {
		running.Go(func() {
			for from := w * perBatch; from < count; from += writers * perBatch {
				var ops []client.Op
				for i := from; i < min(from+perBatch, count); i++ {
					ops = append(ops, op(i))
				}
				if err := batchAll(c.t.Context(), cl, ops); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	running.Wait()
	select {
	case err := <-errs:
		c.t.Fatal(err)
	default:
	}
}

// batchAll writes a batch, and what of it was refused for load once more: a campaign is no less than the cluster can take.
func batchAll(ctx context.Context, cl *client.Client, ops []client.Op) error {
	for try := 0; ; try++ {
		outcomes, err := cl.Batch(ctx, ops, nil)
		if err == nil {
			var left []client.Op
			for i := range outcomes {
				if outcomes[i].Err != nil {
					left, err = append(left, ops[i]), outcomes[i].Err
				}
			}
			ops = left
		}
		if err == nil || try == 10 || ctx.Err() != nil {
			return err
		}
	}
}

func roundKey(i int) []byte { return fmt.Appendf(nil, "round/%09d", i) }

// replications are what the nodes say of their exchanges.
func (c *cluster) replications() (all []wire.ReplicationStatus) {
	c.t.Helper()
	cl := c.routed()
	defer cl.Close()
	for _, n := range c.nodes {
		s, err := cl.Status(c.t.Context(), n.rpc)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, s.Replication)
	}
	return all
}

// moved is what the exchanges of all nodes have sent and received: each byte between two nodes once, for only who begins an exchange counts it.
func moved(all []wire.ReplicationStatus) (bytes int64) {
	for i := range all {
		bytes += all[i].BytesSent + all[i].BytesReceived
	}
	return bytes
}

func keysMoved(all []wire.ReplicationStatus) (keys int64) {
	for i := range all {
		keys += all[i].KeysFetched + all[i].KeysPushed
	}
	return keys
}

// round has every node exchange all partitions with both others, and waits until all are complete.
func (c *cluster) round() {
	c.t.Helper()
	before := c.replications()
	for _, n := range c.nodes {
		var report wire.ExchangeReport
		n.operate(c.t, "POST", "/admin/exchange", &report)
	}
	c.seldom(time.Minute, "a whole round", func() error {
		for i, now := range c.replications() {
			if done := now.Complete - before[i].Complete; done < 2*int64(now.Partitions) {
				return fmt.Errorf("%s has completed %d of 2 × %d", c.nodes[i].id, done, now.Partitions)
			}
		}
		return nil
	})
}

// seldom is eventually with looks that cost the nodes next to nothing.
func (c *cluster) seldom(limit time.Duration, what string, check func() error) {
	c.t.Helper()
	retry(c.t, 500*time.Millisecond, limit, what, check)
}

// settle has rounds done until one finds nothing that is newly stable.
func (c *cluster) settle() {
	c.t.Helper()
	for range 10 {
		before := stableOf(c.replications())
		c.round()
		if stableOf(c.replications()) == before {
			return
		}
	}
	c.t.Fatal("ten rounds, and there is always something that has just become stable")
}

func stableOf(all []wire.ReplicationStatus) (n int64) {
	for i := range all {
		n += all[i].Stable + all[i].Retired
	}
	return n
}

// TestARoundCostsLittleAndMovesWhatDiffers counts what a round over a converged store moves, and what CPU it takes; and what moves when
// some keys of 1 KiB differ on a node that comes back.
func TestARoundCostsLittleAndMovesWhatDiffers(t *testing.T) {
	c := startCluster(t, clusterOptions{args: func(int) []string {
		// Whole rounds are begun by hand; and there is no room for hints, so that exchanges have all to do.
		return []string{"--exchange-period", "24h", "--hint-bytes-max", "1"}
	}})
	began := time.Now()
	c.bulk(*roundKeys, func(i int) client.Op {
		return client.Op{Key: roundKey(i), Value: fmt.Appendf(nil, "%0100d", i)}
	})
	t.Logf("%d keys loaded in %v", *roundKeys, time.Since(began).Round(time.Millisecond))
	c.awaitConverged(c.nodes[0])
	c.settle()
	t.Run("converged", c.roundsAreCheap)
	t.Run("differing", c.repairsMoveLittle)
}

func (c *cluster) roundsAreCheap(t *testing.T) {
	before, cpu, began := moved(c.replications()), c.cpuSeconds(), time.Now()
	for range *roundCount {
		c.round()
	}
	took := time.Since(began)
	bytes, cpu := moved(c.replications())-before, c.cpuSeconds()-cpu
	idle := c.idleCPU(t, took)
	bytes /= int64(*roundCount)
	perRound := (cpu - idle) / float64(*roundCount)
	core := perRound / roundPeriod.Seconds()
	t.Logf("%d keys: a round moves %d bytes and takes %.3f s of CPU on all nodes: %.4f %% of a core at a period of %v; idle they take %.2f %%",
		*roundKeys, bytes, perRound, 100*core, roundPeriod, 100*idle/took.Seconds())
	if bytes >= roundBytesMax {
		t.Errorf("%d bytes, want fewer than %d", bytes, roundBytesMax)
	}
	if core >= roundCoreMax {
		t.Errorf("%.4f of a core, want less than %.4f", core, roundCoreMax)
	}
}

// idleCPU is what the nodes take in a time without exchanges, with the looks at them that round takes.
func (c *cluster) idleCPU(t *testing.T, during time.Duration) float64 {
	cpu, began := c.cpuSeconds(), time.Now()
	c.seldom(2*during, "it is time", func() error {
		c.replications()
		if time.Since(began) < during {
			return errors.New("not yet")
		}
		return nil
	})
	return (c.cpuSeconds() - cpu) * during.Seconds() / time.Since(began).Seconds()
}

// repairsMoveLittle has a node miss keys, and counts all bytes of exchanges from its return on until all are equal again: those of the rounds that its
// return begins among them.
func (c *cluster) repairsMoveLittle(t *testing.T) {
	const keys, valueBytes = 100, 1 << 10
	away := c.nodes[2]
	away.signal(syscall.SIGTERM)
	if _, err := away.wait(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	c.bulk(keys, func(i int) client.Op {
		value := make([]byte, valueBytes)
		_, _ = random.Read(value) // never fails
		return client.Op{Key: roundKey(i * max(*roundKeys/keys, 1)), Value: value}
	})
	var there []wire.ReplicationStatus
	for _, n := range c.nodes[:2] {
		s, err := c.routed().Status(t.Context(), n.rpc)
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Hints.Targets) > 0 && s.Hints.Targets[0].Count > 0 {
			t.Fatalf("%s keeps hints: %+v", n.id, s.Hints)
		}
		there = append(there, s.Replication)
	}
	c.restart(away)
	c.awaitConverged(c.nodes[0])
	all := c.replications()
	bytes := moved(all) - moved(there)
	t.Logf("%d keys of %d bytes differed: exchanges moved %d keys and %d bytes, %.1f × their size",
		keys, valueBytes, keysMoved(all)-keysMoved(there), bytes, float64(bytes)/(keys*valueBytes))
	if bytes > repairFactorMax*keys*valueBytes {
		t.Errorf("%d bytes, want at most %d × %d", bytes, repairFactorMax, keys*valueBytes)
	}
}
