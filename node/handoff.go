package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/hintedhandoff"
	"github.com/ringcask/ringcask/internal/cluster"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

const (
	// returnInterval is how often it is looked whether a member that came back has its hints.
	returnInterval = 250 * time.Millisecond
	// returnWait is how long an exchange with such a member waits for them at most: what they bring need not be compared.
	returnWait = 10 * time.Second
	// needsInterval is the least time between two looks at what is to be repaired, needsIntervalMax the greatest.
	needsInterval, needsIntervalMax = time.Second, 10 * time.Second
)

var (
	errStranger = errors.New("node: a hint for who is no other member")
	// errForgetful: the target acknowledged a hint, and may have forgotten it.
	errForgetful = errors.New("node: the target has another actor than the one that acknowledged")
)

// handoff keeps hints for other members, delivers them, and has exchanges make up for those that were dropped.
type handoff struct {
	n     *Node
	store *hintedhandoff.Store
	// needed has a token when there are new needs.
	needed chan struct{}

	mu sync.Mutex
	// back are the members that came back and are yet to be exchanged with, and since when.
	back map[ring.NodeID]time.Time
}

// openHandoff opens the store of hints.
func (n *Node) openHandoff() error {
	h := &handoff{n: n, needed: make(chan struct{}, 1), back: make(map[ring.NodeID]time.Time)}
	syncPolicy, err := parseSync(n.cfg.Sync)
	if err != nil {
		return err
	}
	h.store, err = n.openHints(hintedhandoff.Options{
		Partition: n.table.Partition, Send: h.send, Up: h.up, Shared: h.shared,
		Repair:   func(ring.NodeID, ring.PartitionID) { h.wake() },
		BytesMax: n.cfg.HintBytesMax, AgeMax: n.cfg.HintAgeMax, BytesPerSecond: n.cfg.HintBytesPerSecond,
		KeyBytesMax: n.cfg.KeyBytesMax,
		// On a disk that gets full hints give way before the replica's writes do.
		Storage: storage.Options{FS: n.opt.FS, Sync: syncPolicy, SyncInterval: n.cfg.SyncInterval, ReserveBytes: 2 * n.cfg.ReserveBytes},
		Now:     n.now, Logger: n.log,
	})
	if err == nil {
		n.handoff = h
	}
	return err
}

// close closes the store; there may be none.
func (h *handoff) close() error {
	if h == nil {
		return nil
	}
	if err := h.store.Close(); err != nil {
		return err
	}
	return h.n.writeHintsEnd(h.store.Stats().Engine.LastSeq)
}

// Hint implements coordinator.Hints.
func (h *handoff) Hint(target ring.NodeID, items []coordinator.Item, done func(error)) {
	h.store.Add(time.Time{}, target, hintItems(items), false, done)
}

// keep keeps copies that another coordinator counts.
func (h *handoff) keep(deadline time.Time, target ring.NodeID, items []coordinator.Item, done func(error)) {
	h.store.Add(deadline, target, hintItems(items), true, func(err error) {
		if errors.Is(err, hintedhandoff.ErrFull) || errors.Is(err, hintedhandoff.ErrOverloaded) {
			err = fmt.Errorf("%w: %w", coordinator.ErrOverloaded, err)
		}
		done(err)
	})
}

func hintItems(items []coordinator.Item) []hintedhandoff.Item {
	out := make([]hintedhandoff.Item, len(items))
	for i := range items {
		out[i] = hintedhandoff.Item(items[i])
	}
	return out
}

// send delivers hints.
func (h *handoff) send(deadline time.Time, target ring.NodeID, items []hintedhandoff.Item, done func(error)) {
	p := h.n.peers.Peer(target)
	if p == nil {
		done(errStranger)
		return
	}
	stored := make([]coordinator.Item, len(items))
	for i := range items {
		stored[i] = coordinator.Item(items[i])
	}
	p.Store(deadline, stored, func(ack coordinator.StoreAck, err error) {
		switch {
		case errors.Is(err, coordinator.ErrRetired):
			err = fmt.Errorf("%w: %w", hintedhandoff.ErrUndeliverable, err)
		case err == nil && p.Actor() != ack.Actor:
			err = errForgetful
		}
		done(err)
	})
}

// up says whether hints for a member would most likely arrive.
func (h *handoff) up(target ring.NodeID) bool {
	m, known := h.n.liveness.Member(target)
	p := h.n.peers.Peer(target)
	return p != nil && p.Reachable() && !(known && m.State == cluster.Dead)
}

// shared are the partitions that this node has in common with others.
func (h *handoff) shared() (pairs []hintedhandoff.Pair) {
	self := ring.NodeID(h.n.cfg.ID)
	for _, p := range h.n.table.Partitions(self) {
		for _, id := range h.n.table.Replicas(p) {
			if id != self {
				pairs = append(pairs, hintedhandoff.Pair{Target: id, Partition: p})
			}
		}
	}
	return pairs
}

func (h *handoff) wake() {
	select {
	case h.needed <- struct{}{}:
	default:
	}
}

// cameBack has a member get its hints, and then exchanged with: it may have missed more.
func (h *handoff) cameBack(id ring.NodeID) {
	h.mu.Lock()
	if _, waits := h.back[id]; !waits {
		h.back[id] = time.Now()
	}
	h.mu.Unlock()
	h.store.TargetUp(id)
}

// run has exchanges follow what the hints do not bring, until ctx is done.
func (h *handoff) run(ctx context.Context) {
	returns, needs := time.NewTicker(returnInterval), time.NewTicker(needsInterval)
	defer returns.Stop()
	defer needs.Stop()
	var looked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-returns.C:
			for _, id := range h.returned() {
				h.n.exchanger.Hurry(id)
			}
			continue
		case <-needs.C:
		}
		select {
		case <-h.needed:
		default:
			if time.Since(looked) < needsIntervalMax {
				continue
			}
		}
		looked = time.Now()
		h.hurryNeeds()
	}
}

// returned are the members that came back and have their hints, or have waited for them long enough.
func (h *handoff) returned() (ids []ring.NodeID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.back) == 0 {
		return nil
	}
	waiting := make(map[ring.NodeID]bool)
	for _, t := range h.store.Stats().Targets {
		waiting[t.Target] = t.Hints > t.Poisoned
	}
	for id, since := range h.back {
		if !waiting[id] || time.Since(since) > returnWait {
			ids = append(ids, id)
			delete(h.back, id)
		}
	}
	return ids
}

// hurryNeeds has partitions exchanged that hints were dropped of.
func (h *handoff) hurryNeeds() {
	for _, need := range h.store.Needs() {
		if slices.Contains(h.n.table.Replicas(need.Partition), ring.NodeID(h.n.cfg.ID)) {
			h.n.exchanger.Hurry(need.Target, need.Partition)
			continue
		}
		// A copy that was counted is lost; the replica that coordinated the write has another, and exchanges with the target in
		// each period. This node has nothing to exchange.
		h.n.log.Error("a copy that was kept for another node is lost", "target", need.Target, "partition", need.Partition)
		h.store.Repaired(need.Target, need.Partition, need.Token)
	}
}

// beginExchange is told of an exchange that begins, and afterwards of what it made equal: needs that were known before are met then.
func (h *handoff) beginExchange(peer ring.NodeID, ps []ring.PartitionID) (completed func([]ring.PartitionID)) {
	tokens := make(map[ring.PartitionID]uint64)
	for _, p := range ps {
		if need, is := h.store.NeedOf(peer, p); is {
			tokens[p] = need.Token
		}
	}
	return func(ps []ring.PartitionID) {
		for _, p := range ps {
			if token, is := tokens[p]; is {
				h.store.Repaired(peer, p, token)
			}
		}
	}
}
