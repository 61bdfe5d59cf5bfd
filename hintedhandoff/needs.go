package hintedhandoff

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Need is a partition of a target that hints were dropped or lost of.
type Need struct {
	Pair
	// Token says which state of the need this is: see Repaired.
	Token uint64
	// Since is when it became one.
	Since time.Time
}

// needs is the record of needs: in memory, and in the engine a moment later. Who changes the memory has it written afterwards; the
// decision of that write looks at the memory again, so that of several the last one in the log tells the last state.
type needs struct {
	// dirty wakes who writes.
	dirty chan struct{}

	mu sync.Mutex
	// last is the token given last. Tokens mean nothing after an open.
	last      uint64
	all       map[Pair]*need
	unwritten map[Pair]struct{}
}

type need struct {
	token uint64
	// shown says that the token was handed out.
	shown bool
	since time.Time
}

func newNeeds() *needs {
	return &needs{dirty: make(chan struct{}, 1), all: make(map[Pair]*need), unwritten: make(map[Pair]struct{})}
}

// needOf is the need whose key has this target and partition.
func needOf(target ring.NodeID, partition []byte) Pair {
	return Pair{target, ring.PartitionID(binary.BigEndian.Uint32(partition))}
}

// load adds a need that is in the engine.
func (n *needs) load(p Pair, since time.Time) {
	n.last++
	n.all[p] = &need{token: n.last, since: since}
}

// note makes p a need. It is true if that was not known already, or the need was shown since.
func (n *needs) note(p Pair, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	known := n.all[p]
	switch {
	case known == nil:
		known = &need{since: now}
		n.all[p] = known
		n.touch(p)
	case !known.shown:
		return false
	}
	n.last++
	known.token, known.shown = n.last, false
	return true
}

// touch has p written. The caller holds the lock.
func (n *needs) touch(p Pair) {
	n.unwritten[p] = struct{}{}
	select {
	case n.dirty <- struct{}{}:
	default:
	}
}

// clear ends needs: p, if its token is still this one.
func (n *needs) clear(p Pair, token uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known := n.all[p]; known == nil || known.token != token {
		return false
	}
	delete(n.all, p)
	n.touch(p)
	return true
}

// clearTarget ends all needs of a target.
func (n *needs) clearTarget(target ring.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.all {
		if p.Target == target {
			delete(n.all, p)
			n.touch(p)
		}
	}
}

// write adds the present state of p to w.
func (n *needs) write(w *storage.Writes, p Pair) {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := appendNeedKey(nil, p)
	if known := n.all[p]; known != nil {
		w.Put(key, appendNeedMeta(nil, known.since), nil)
		return
	}
	w.Delete(key)
}

// take returns some of what is to be written, and forgets it.
func (n *needs) take() (some []Pair) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p := range n.unwritten {
		delete(n.unwritten, p)
		if some = append(some, p); len(some) == removalItemsMax {
			break
		}
	}
	return some
}

// putBack has written later what take returned.
func (n *needs) putBack(some []Pair) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range some {
		n.unwritten[p] = struct{}{}
	}
}

// show returns the needs that are wanted, as shown.
func (n *needs) show(wanted func(Pair) bool) (shown []Need) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for p, known := range n.all {
		if wanted(p) {
			known.shown = true
			shown = append(shown, Need{p, known.token, known.since})
		}
	}
	slices.SortFunc(shown, func(a, b Need) int {
		return cmp.Or(cmp.Compare(a.Target, b.Target), cmp.Compare(a.Partition, b.Partition))
	})
	return shown
}

// count is the number of needs of each target.
func (n *needs) count() map[ring.NodeID]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := make(map[ring.NodeID]int)
	for p := range n.all {
		counts[p.Target]++
	}
	return counts
}

// need makes p a need.
func (s *Store) need(p Pair) {
	if s.needs.note(p, s.opts.Now()) {
		s.opts.Repair(p.Target, p.Partition)
	}
}

// Needs are the partitions that need repair, sorted by target and partition.
func (s *Store) Needs() []Need { return s.needs.show(func(Pair) bool { return true }) }

// NeedOf is the need of one partition of a target, if it is one. It is to be asked before an exchange begins.
func (s *Store) NeedOf(target ring.NodeID, partition ring.PartitionID) (Need, bool) {
	n := s.needs.show(func(p Pair) bool { return p == Pair{target, partition} })
	if len(n) == 0 {
		return Need{}, false
	}
	return n[0], true
}

// Repaired ends a need after a complete exchange that began when it had this token. It is false, and does nothing, if more was dropped
// since that was handed out, or there is no such need. Run makes it durable; after a crash before that the need is there again.
func (s *Store) Repaired(target ring.NodeID, partition ring.PartitionID, token uint64) bool {
	return s.needs.clear(Pair{target, partition}, token)
}

// keepNeeds writes the record of needs as it changes. What cannot be written, because the disk is full, is tried again.
func (s *Store) keepNeeds(ctx context.Context) {
	retry := time.NewTicker(s.opts.PollInterval)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.needs.dirty:
		case <-retry.C:
		}
		if err := s.writeNeeds(); err != nil {
			s.opts.Logger.Debug("hintedhandoff: write needs", "error", err)
		}
	}
}

// writeNeeds writes what is unwritten. Errors are those of Engine.Update.
func (s *Store) writeNeeds() error {
	for some := s.needs.take(); len(some) > 0; some = s.needs.take() {
		err := s.engine.Update(nil, func(_ []storage.Current, w *storage.Writes) error {
			for _, p := range some {
				s.needs.write(w, p)
			}
			return nil
		})
		if err != nil {
			s.needs.putBack(some)
			return err
		}
	}
	return nil
}
