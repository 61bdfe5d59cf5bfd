package workload

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// settleKeys is how many keys a final read asks for at once, settlePause how long it waits before it asks again for those that it did not get.
	settleKeys  = 500
	settlePause = 100 * time.Millisecond
)

// settle reads keys, and again those that could not be read, until all were or ctx ends. It takes no notice of Env.Rate.
func settle(ctx context.Context, e Env, workload string, keys []string, siblings bool) error {
	e.Rate = 0
	chunks := make(chan []string)
	var all sync.WaitGroup
	var unread atomic.Int64
	for _, w := range workers(e, workload) {
		all.Go(func() {
			for chunk := range chunks {
				unread.Add(int64(len(w.settle(ctx, chunk, siblings))))
			}
		})
	}
	for chunk := range slices.Chunk(keys, settleKeys) {
		chunks <- chunk
	}
	close(chunks)
	all.Wait()
	if n := unread.Load(); n > 0 {
		return fmt.Errorf("workload: %s: %d of %d keys could not be read in the end: %w", workload, n, len(keys), context.Cause(ctx))
	}
	return nil
}

// settle returns those keys that could not be read by the end of ctx.
func (w *worker) settle(ctx context.Context, keys []string, siblings bool) []string {
	for {
		keys = w.getMany(ctx, keys, true, siblings)
		if len(keys) == 0 || ctx.Err() != nil {
			return keys
		}
		pause(ctx, settlePause)
	}
}

// names are the keys that a workload has written. It is safe for concurrent use.
type names struct {
	mu   sync.Mutex
	keys []string
}

func (n *names) add(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys = append(n.keys, key)
}

func (n *names) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.keys)
}

// at is the key in a place that is counted from the newest; false if there are not so many.
func (n *names) at(back int) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if back >= len(n.keys) {
		return "", false
	}
	return n.keys[len(n.keys)-1-back], true
}

func (n *names) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.keys)
}
