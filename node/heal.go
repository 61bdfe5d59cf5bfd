package node

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// healer reads from other replicas what this one cannot read any more.
type healer struct {
	n    *Node
	wake chan struct{}

	healed atomic.Int64
	// due are partitions that had keys healed and were not exchanged since. It belongs to run.
	due map[ring.PartitionID]bool

	mu sync.Mutex
	// keys are those that wait, and since when; bytes is what they take.
	keys  map[string]time.Time
	bytes int
	// broken says that the replica has lost something since it drew its actor, lost that nobody can say which keys. unknown says that
	// keys are unknown for that reason, which nobody has vouched for yet.
	broken, lost, unknown bool
	// notBefore is when it is vouched again after an error, and needs what has to be free by then: a merge of everything may have failed. Both
	// belong to run.
	notBefore time.Time
	needs     int64
	// since is when damage was found, while it is not made up for; else zero.
	since time.Time
	// damage is what was known to be damaged before the trees were built by which partitions are filled again.
	damage int64
}

// healBytesMax bounds the keys that wait to be healed, each of which takes healKeyBytes besides itself: 160,000 short ones. Others are found
// again by the next exchange.
const (
	healBytesMax = 16 << 20
	healKeyBytes = 64
)

func newHealer(n *Node) *healer {
	return &healer{n: n, wake: make(chan struct{}, 1), keys: make(map[string]time.Time), due: make(map[ring.PartitionID]bool)}
}

// add has keys healed that cannot be read.
func (h *healer) add(keys [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.addLocked(keys)
}

func (h *healer) addLocked(keys [][]byte) {
	for _, key := range keys {
		if _, waits := h.keys[string(key)]; !waits && h.bytes < healBytesMax {
			h.keys[string(key)] = h.n.now()
			h.bytes += healKeyBytes + len(key)
		}
		h.n.forest.Poison(key)
	}
	h.poke()
}

// addPoisoned adds the keys of some partitions that are poisoned by name.
func (h *healer) addPoisoned(ps []ring.PartitionID) {
	for _, p := range ps {
		if h.n.forest.Stats(p).PoisonedKeys > 0 {
			h.add(h.n.forest.PoisonedKeys(p))
		}
	}
}

func (h *healer) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// damaged is the engine's: the keys of what was found cannot be read any more.
func (h *healer) damaged(d storage.Damage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = true
	if h.since.IsZero() {
		h.since = h.n.now()
	}
	h.lost = h.lost || !d.KeysKnown || len(d.Keys) < d.KeyCount
	h.addLocked(d.Keys)
}

// mend has the replica go on as one that has forgotten something, if it has. It is false if that cannot be done yet.
func (h *healer) mend() (done bool) {
	h.mu.Lock()
	broken, lost := h.broken, h.lost
	h.broken, h.lost = false, false
	h.mu.Unlock()
	if !broken {
		return true
	}
	err := h.n.replica.RenewActor("a stored record cannot be read")
	if err == nil {
		h.n.peers.TellActor() // before anybody is asked for what is lost: coordinators may count words that were given for it
	}
	if err == nil && lost {
		err = h.refill()
	}
	if err != nil {
		h.n.log.Error("cannot go on after a loss", "error", err)
		h.mu.Lock()
		h.broken, h.lost = true, h.lost || lost // more may have been found
		h.mu.Unlock()
		return false
	}
	h.mended()
	return true
}

// beginUnknown is for an engine that has lost keys without knowing which, as it found when it was opened.
func (h *healer) beginUnknown(damage int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unknown, h.since, h.damage = true, h.n.now(), damage
}

// mended notes that damage is made up for, if it is; keys that wait to be healed aside.
func (h *healer) mended() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.broken && !h.unknown {
		h.since = time.Time{}
	}
}

// refill has all partitions be filled again by exchanges, with trees that do not say any more what is lost. With a replication factor of
// one nobody could fill them: the engine goes on to tell what it can vouch for from what it cannot.
func (h *healer) refill() error {
	if h.n.table.N() == 1 {
		return nil
	}
	ps := h.n.table.Partitions(ring.NodeID(h.n.cfg.ID))
	h.n.exchanger.Lost(ps...) // and again once the trees are gone
	if err := h.n.replica.Refill(ps...); err != nil {
		return err
	}
	damage := h.n.replica.Damage()
	h.mu.Lock()
	h.unknown, h.damage = true, damage
	h.mu.Unlock()
	h.regrow(ps)
	h.n.log.Warn("part of what is stored is lost: all partitions are being filled again from the other replicas")
	return nil
}

// regrow has trees built anew that do not say any more what is there, and then compared.
func (h *healer) regrow(ps []ring.PartitionID) {
	for _, p := range ps {
		h.n.forest.Drop(p)
	}
	h.n.exchanger.Lost(ps...)
	for _, p := range ps {
		h.n.exchanger.WantTree(p)
		for _, id := range h.n.table.Replicas(p) {
			h.n.exchanger.Hurry(id, p)
		}
		h.add(h.n.forest.PoisonedKeys(p)) // those that can be read by now are found to be
	}
}

// vouch ends that keys are unknown because nobody knows which were lost, once the other replicas have made up for it.
func (h *healer) vouch(ctx context.Context) {
	h.mu.Lock()
	due := h.unknown && !h.broken
	damage := h.damage
	h.mu.Unlock()
	if !due || len(h.n.replica.Unfilled()) > 0 || !h.mayVouch(time.Now()) {
		return
	}
	if err := h.n.replica.Vouch(ctx, damage); err != nil {
		h.n.log.Warn("what was lost is filled again, but not forgotten yet", "error", err)
		if !errors.Is(err, storage.ErrMoreDamage) {
			h.notBefore, h.needs = time.Now().Add(vouchRetry), 0
			if full := (*storage.SpaceError)(nil); errors.As(err, &full) {
				h.needs = full.NeedBytes
			}
			return
		}
		h.mu.Lock()
		h.broken, h.lost = true, true // which of it is made up for is not known
		h.mu.Unlock()
		h.poke()
		return
	}
	h.mu.Lock()
	h.unknown = false
	h.mu.Unlock()
	h.regrow(h.n.table.Partitions(ring.NodeID(h.n.cfg.ID))) // what was unknown is there now, or is not
	h.mended()
	h.n.log.Info("what was lost is filled again")
}

// mayVouch says whether enough has changed since the last attempt. What it needs may be less by now than it was.
func (h *healer) mayVouch(now time.Time) bool {
	return !now.Before(h.notBefore) && (h.n.replica.HasFree(h.needs) || !now.Before(h.notBefore.Add(vouchRetryFull)))
}

// waiting are some of the keys that wait, and whether there are more; none while mend is due.
func (h *healer) waiting() (keys []string, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.broken {
		return nil, false
	}
	for key := range h.keys {
		if len(keys) == healPassKeys {
			return keys, true
		}
		keys = append(keys, key)
	}
	return keys, false
}

func (h *healer) done(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, waits := h.keys[key]; waits {
		delete(h.keys, key)
		h.bytes -= healKeyBytes + len(key)
	}
	h.healed.Add(1)
}

// status is how many keys wait, and since when the first of them does; and since when damage is known that is not made up for.
func (h *healer) status() (waiting int, since, mending time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, at := range h.keys {
		if since.IsZero() || at.Before(since) {
			since = at
		}
	}
	return len(h.keys), since, h.since
}

func (h *healer) waitsFor(key []byte) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, waits := h.keys[string(key)]
	return waits
}

const (
	// healInterval is the time between two attempts at the keys that are left.
	healInterval = time.Second
	// vouchRetry is the time between two attempts to forget what was lost, vouchRetryFull what is added to it while there is no room: each merges as
	// much as there is room for.
	vouchRetry     = 10 * time.Second
	vouchRetryFull = time.Minute
	// healPassKeys are healed before it is looked again whether more was lost.
	healPassKeys = healBatchKeys * healBatchesAtOnce
)

// run heals until ctx is done.
func (h *healer) run(ctx context.Context) {
	tick := time.NewTicker(healInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-tick.C:
		}
		if h.mend() { // what is healed has forgotten what an earlier actor issued
			h.vouch(ctx)
			h.healWaiting(ctx)
		}
	}
}

// healWaiting heals what it can of the keys that wait.
func (h *healer) healWaiting(ctx context.Context) {
	keys, more := h.waiting()
	healed := h.healAll(ctx, keys)
	if len(healed) == 0 {
		return
	}
	for _, key := range healed {
		h.due[h.n.table.Partition(key)] = true
	}
	h.exchangeHealed()
	h.n.log.Info("keys that could not be read were healed", slog.Int("keys", len(healed)))
	if more {
		h.poke()
	}
}

// exchangeHealed has partitions exchanged again of which all keys are healed: as long as one cannot be read, exchanges come to nothing, and
// while they do they keep those busy who help to heal.
func (h *healer) exchangeHealed() {
	waiting := make(map[ring.PartitionID]bool)
	h.mu.Lock()
	for key := range h.keys {
		waiting[h.n.table.Partition([]byte(key))] = true
	}
	h.mu.Unlock()
	for p := range h.due {
		if waiting[p] {
			continue
		}
		delete(h.due, p)
		h.n.wantTree(p)
		for _, id := range h.n.table.Replicas(p) {
			h.n.exchanger.Hurry(id, p)
		}
	}
}
