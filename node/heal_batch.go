package node

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

const (
	// healBatchKeys are asked for in one request, and their restores share a sync. What an answer may hold bounds their bytes.
	healBatchKeys = 512
	// healBatchesAtOnce are under way at a time: each waits for other replicas, and for a sync.
	healBatchesAtOnce = 4
)

// healBatch is some keys that the same other replicas are asked for.
type healBatch struct {
	others []coordinator.Peer
	keys   [][]byte

	mu sync.Mutex // while they are asked
	// joined is what those that answered hold of each key, known how many they are.
	joined []causal.Object
	known  []int
}

// batches sorts keys by who else holds them.
func (h *healer) batches(keys []string) (batches []*healBatch) {
	open := make(map[string]*healBatch)
	for _, key := range keys {
		replicas := h.n.table.Replicas(h.n.table.Partition([]byte(key)))
		names := ""
		for _, id := range replicas {
			names += string(id) + "\x00"
		}
		b := open[names]
		if b == nil || len(b.keys) == healBatchKeys {
			b = &healBatch{others: h.others(replicas)}
			open[names] = b
			batches = append(batches, b)
		}
		b.keys = append(b.keys, []byte(key))
	}
	return batches
}

func (h *healer) others(replicas []ring.NodeID) (others []coordinator.Peer) {
	for _, id := range replicas {
		if peer := h.n.peers.Peer(id); peer != nil {
			others = append(others, peer)
		}
	}
	return others
}

// healAll heals keys, and returns those that could be.
func (h *healer) healAll(ctx context.Context, keys []string) (healed [][]byte) {
	var mu sync.Mutex
	var healing errgroup.Group
	healing.SetLimit(healBatchesAtOnce)
	for _, b := range h.batches(keys) {
		healing.Go(func() error {
			stored := h.heal(ctx, b)
			mu.Lock()
			defer mu.Unlock()
			healed = append(healed, stored...)
			return nil
		})
	}
	_ = healing.Wait() // each says what went wrong by itself
	return healed
}

// heal stores the joins of what enough of the other replicas hold of some keys. The only replica of a key has nobody to ask: what it cannot
// read stays unknown.
func (h *healer) heal(ctx context.Context, b *healBatch) (healed [][]byte) {
	deadline := time.Now().Add(h.n.cfg.Timeout)
	b.begin()
	var asking sync.WaitGroup
	for _, peer := range b.others {
		asking.Go(func() { b.ask(ctx, deadline, peer) })
	}
	asking.Wait()
	need := max(h.n.exchanger.Needed(), 1)
	for _, key := range b.restore(deadline, need, h.n.replica.Restore) {
		h.done(string(key))
		h.n.forest.Unpoison(key)
		healed = append(healed, key)
	}
	if len(healed) < len(b.keys) {
		h.n.log.Debug("keys cannot be healed yet", slog.Int("keys", len(b.keys)-len(healed)), slog.Int("others_needed", need))
	}
	return healed
}

func (b *healBatch) begin() {
	b.joined, b.known = make([]causal.Object, len(b.keys)), make([]int, len(b.keys))
}

// ask joins what a peer holds of the keys. It asks again for those that one answer had no room for.
func (b *healBatch) ask(ctx context.Context, deadline time.Time, peer coordinator.Peer) {
	left := make([]int, len(b.keys))
	for i := range left {
		left[i] = i
	}
	for len(left) > 0 {
		asked := make([][]byte, len(left))
		for i, at := range left {
			asked[i] = b.keys[at]
		}
		omitted := b.join(left, readKeys(ctx, deadline, peer, asked))
		if len(omitted) == len(left) {
			return
		}
		left = omitted
	}
}

// join joins an answer about some of the keys, and returns those that it had no room for.
func (b *healBatch) join(asked []int, answer []coordinator.ReadItem) (omitted []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, item := range answer {
		switch at := asked[i]; item.State {
		case coordinator.ReadKnown:
			b.joined[at] = causal.Join(b.joined[at], item.Object)
			b.known[at]++
		case coordinator.ReadOmitted:
			omitted = append(omitted, at)
		}
	}
	return omitted
}

// readKeys is what a peer answers; nothing if it does not.
func readKeys(ctx context.Context, deadline time.Time, peer coordinator.Peer, keys [][]byte) []coordinator.ReadItem {
	answer := make(chan []coordinator.ReadItem, 1)
	peer.Read(deadline, keys, coordinator.WantValues, func(items []coordinator.ReadItem, err error) {
		if err != nil {
			items = nil
		}
		answer <- items
	})
	select {
	case items := <-answer:
		return items
	case <-ctx.Done():
		return nil
	}
}

// restore has the keys stored of which enough others are known, and returns those that were. All are handed over before it waits for one, so that
// they share the engine's syncs.
func (b *healBatch) restore(
	deadline time.Time, need int, store func(time.Time, coordinator.Item, func(coordinator.StoreAck, error)),
) (stored [][]byte) {
	ended := make(chan []byte, len(b.keys))
	waiting := 0
	for i, key := range b.keys {
		if b.known[i] < need {
			continue
		}
		waiting++
		store(deadline, coordinator.Item{Key: key, Object: b.joined[i]}, func(_ coordinator.StoreAck, err error) {
			if err != nil {
				key = nil
			}
			ended <- key
		})
	}
	for range waiting {
		if key := <-ended; key != nil {
			stored = append(stored, key)
		}
	}
	return stored
}
