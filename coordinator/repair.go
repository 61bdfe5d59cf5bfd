package coordinator

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repairQueue holds the keys that wait for background repair, each once. It is bounded; what finds it full is dropped
// and counted, for anti-entropy finds it again.
type repairQueue struct {
	max   int
	ready chan struct{} // has a token while there may be keys

	mu      sync.Mutex
	waiting map[string]struct{}
	keys    []string
}

func (q *repairQueue) init(max int) {
	q.max = max
	q.ready = make(chan struct{}, 1)
	q.waiting = make(map[string]struct{})
}

// add never blocks. It copies the keys.
func (q *repairQueue) add(keys [][]byte, m *Metrics) {
	if len(keys) == 0 {
		return
	}
	q.mu.Lock()
	for _, key := range keys {
		if _, there := q.waiting[string(key)]; there {
			continue
		}
		if len(q.keys) >= q.max {
			m.RepairsDropped.Add(1)
			continue
		}
		k := string(key)
		q.waiting[k] = struct{}{}
		q.keys = append(q.keys, k)
	}
	q.mu.Unlock()
	q.wake()
}

func (q *repairQueue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// take is the oldest key; false if there is none.
func (q *repairQueue) take() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.keys) == 0 {
		return "", false
	}
	key := q.keys[0]
	q.keys[0] = ""
	q.keys = q.keys[1:]
	delete(q.waiting, key)
	if len(q.keys) > 0 {
		q.wake()
	} else {
		q.keys = nil
	}
	return key, true
}

// Run repairs in the background the keys that reads found divergent and had no need to repair themselves. It returns
// nil when ctx ends, after its workers have.
func (c *Coordinator) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range c.opt.RepairWorkers {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-c.repairs.ready:
				}
				for key, ok := c.repairs.take(); ok && ctx.Err() == nil; key, ok = c.repairs.take() {
					c.repair(ctx, []byte(key))
				}
			}
		})
	}
	workers.Wait()
	return nil
}

// repair reads a key from every replica that is reachable and stores the join on those that are stale.
func (c *Coordinator) repair(ctx context.Context, key []byte) {
	table := c.opt.Table()
	op := c.newReadOp(table, [][]byte{key}, 1, readRepair, time.Now().Add(c.opt.RepairTimeout))
	op.background = false
	reachable := 0
	for _, n := range op.quorums[0].nodes {
		if op.targets[n.target].reachable {
			reachable++
		}
	}
	if reachable < 2 {
		return // nothing to compare with
	}
	op.quorums[0].need = reachable
	op.quorums[0].op = "repair"
	op.run(ctx)
	if err := op.results()[0].Err; err != nil {
		c.metrics.RepairsFailed.Add(1)
		c.opt.Logger.Debug("background repair failed", slog.String("key", string(key)), slog.Any("error", err))
		return
	}
	c.metrics.BackgroundRepairs.Add(1)
}
