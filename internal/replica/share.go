package replica

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// share is what a replica durably knows of the partitions that it holds, besides their keys.
type share struct {
	dir *dataDir
	now func() time.Time
	// parts are all partitions of the ring, by their number.
	parts []partition
	// mu is held while the file is replaced: what the partitions say is durable whenever it can be seen.
	mu sync.Mutex
}

// partition is one of them. What is read on the way of every request is atomic.
type partition struct {
	held bool
	// filled says that an absent key is known to be absent. A replica that lost its data, or never had it, is filled again by
	// exchanges.
	filled atomic.Bool
	// unfilledSince is when it was found in this run not to be filled, in milliseconds since the epoch; zero if it is.
	unfilledSince atomic.Int64
	// fresh says that it is not filled only because the directory is new: it has lost nothing that this directory held. It is under share.mu.
	fresh bool
	// stable is the vector of the events that all replicas of the partition hold. What is stored is without what it implies.
	stable atomic.Pointer[causal.Vector]
	// refused has the retired actors whose events only an exchange may still bring, and what time the clock showed when they
	// were first refused: no event of theirs that was seen before is later.
	refused atomic.Pointer[causal.Vector]
	// issued is no less than any time of a dot that the present actor has issued here and that is published, and less than those of all
	// others.
	issued atomic.Uint64
	// aside is what was learned of stable while the partition was not filled. It is under share.mu.
	aside causal.Vector
}

func (p *partition) stableVector() causal.Vector { return *p.stable.Load() }

// implied is what need not be stored of a vector. While the partition is not filled that is nothing: of a key that was lost it is not known what
// was seen.
func (p *partition) implied() causal.Vector {
	if !p.filled.Load() {
		return nil
	}
	return p.stableVector()
}

// impliedBy is what an object has seen that is stored with a meta, and does not say: while the partition is not filled, only what was stored
// without some of it has, which was before the loss.
func (p *partition) impliedBy(meta []byte) causal.Vector {
	if !p.filled.Load() && !causal.IsCompact(meta) {
		return nil
	}
	return p.stableVector()
}

// refuses says whether only an exchange may bring an event of an actor that is not held: of one that is retiring, or has.
func (p *partition) refuses(a causal.Actor) bool {
	return p.refused.Load().Get(a) > 0 || p.stableVector().Get(a).IsFinal()
}

// publish says that the dot of a write, and all that were issued before it, are durable.
func (p *partition) publish(at causal.Timestamp) {
	for was := p.issued.Load(); uint64(at) > was && !p.issued.CompareAndSwap(was, uint64(at)); was = p.issued.Load() {
	}
}

// publishAll is publish for all partitions that are held. No dot has the last time of a millisecond, which as stable would say that the actor has
// retired.
func (s *share) publishAll(at causal.Timestamp) {
	if at.IsFinal() {
		at--
	}
	for i := range s.parts {
		if p := &s.parts[i]; p.held {
			p.publish(at)
		}
	}
}

func newShare(d *dataDir, table *ring.Table, node ring.NodeID, now func() time.Time) *share {
	s := &share{dir: d, now: now, parts: make([]partition, table.PartitionCount())}
	for i := range s.parts {
		p := &s.parts[i]
		p.held = table.Holds(node, ring.PartitionID(i))
		p.stable.Store(new(causal.Vector))
		p.refused.Store(new(causal.Vector))
	}
	return s
}

// change has fn change partitions of a copy, makes the copy durable, and then has everyone see it. It does nothing where fn says that
// nothing has changed.
func (s *share) change(fn func(states map[ring.PartitionID]*partitionState) (changed bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := s.statesLocked()
	if !fn(states) {
		return nil
	}
	if err := s.dir.savePartitions(len(s.parts), states); err != nil {
		return err
	}
	for id, state := range states {
		s.parts[id].set(state, s.now())
	}
	return nil
}

func (p *partition) set(state *partitionState, now time.Time) {
	if state.filled {
		p.unfilledSince.Store(0)
	} else {
		p.unfilledSince.CompareAndSwap(0, now.UnixMilli())
	}
	p.stable.Store(&state.stable)
	p.refused.Store(&state.refused)
	p.aside, p.fresh = state.aside, state.fresh
	p.filled.Store(state.filled) // last: who sees it filled sees what was aside
}

// partitionState is what the file says of a partition.
type partitionState struct {
	filled, fresh          bool
	stable, aside, refused causal.Vector
}

func (s *share) statesLocked() map[ring.PartitionID]*partitionState {
	states := make(map[ring.PartitionID]*partitionState)
	for i := range s.parts {
		if p := &s.parts[i]; p.held {
			states[ring.PartitionID(i)] = &partitionState{
				filled: p.filled.Load(), fresh: p.fresh, stable: p.stableVector(), aside: p.aside, refused: *p.refused.Load(),
			}
		}
	}
	return states
}

// fill ends the refill of a partition.
func (s *partitionState) fill() (changed bool) {
	if s.filled {
		return false
	}
	s.filled, s.fresh = true, false
	s.learn(s.aside)
	s.aside = nil
	return true
}

// lose says that what was held may be gone. The stable vector stays: what is held was stored without what it implies.
func (s *partitionState) lose() (changed bool) {
	changed = s.filled || s.fresh
	s.filled, s.fresh = false, false
	return changed
}

// learn joins a stable vector. What it covers of the refused actors is told from their entries from now on.
func (s *partitionState) learn(v causal.Vector) (changed bool) {
	to := &s.stable
	if !s.filled {
		to = &s.aside
	}
	if to.CoversAll(v) {
		return false
	}
	*to = to.Join(v)
	return true
}

// Holds says whether the node is a replica of the partition.
func (r *Replica) Holds(p ring.PartitionID) bool { return r.share.parts[p].held }

// Filled says whether the replica vouches for what it does not hold of a partition. Until then it answers no reads of it, coordinates no
// writes, and keeps stable vectors aside.
func (r *Replica) Filled(p ring.PartitionID) bool { return r.share.parts[p].filled.Load() }

// Unfilled are the partitions that the node holds and that are not filled, in order.
func (r *Replica) Unfilled() (ids []ring.PartitionID) {
	for i := range r.share.parts {
		if p := &r.share.parts[i]; p.held && !p.filled.Load() {
			ids = append(ids, ring.PartitionID(i))
		}
	}
	return ids
}

// UnfilledSince is when a partition was found in this run not to be filled, or lost what it held; zero if it is filled.
func (r *Replica) UnfilledSince(p ring.PartitionID) time.Time {
	if at := r.share.parts[p].unfilledSince.Load(); at != 0 {
		return time.UnixMilli(at)
	}
	return time.Time{}
}

// Fill makes it durable that partitions are filled. Errors: the file system's; nothing has changed then.
func (r *Replica) Fill(ids ...ring.PartitionID) error {
	return r.share.change(func(states map[ring.PartitionID]*partitionState) (changed bool) {
		for _, id := range ids {
			if s := states[id]; s != nil && s.fill() {
				changed = true
			}
		}
		return changed
	})
}

// Refill makes it durable that partitions have lost what they held. Errors: the file system's; nothing has changed then.
func (r *Replica) Refill(ids ...ring.PartitionID) error {
	return r.share.change(func(states map[ring.PartitionID]*partitionState) (changed bool) {
		for _, id := range ids {
			if s := states[id]; s != nil && s.lose() {
				changed = true
			}
		}
		return changed
	})
}

// Fresh says whether there are partitions that are not filled only because the data directory is new.
func (r *Replica) Fresh() bool {
	r.share.mu.Lock()
	defer r.share.mu.Unlock()
	for i := range r.share.parts {
		if r.share.parts[i].fresh {
			return true
		}
	}
	return false
}

// FillFresh is for a data directory that is new where nobody knows of an earlier one: there is nothing that could be missing
// in it, and all of its partitions are filled. Errors: the file system's; nothing has changed then.
func (r *Replica) FillFresh() error {
	return r.share.change(func(states map[ring.PartitionID]*partitionState) (changed bool) {
		for _, s := range states {
			if s.fresh {
				s.fill()
				changed = true
			}
		}
		return changed
	})
}

// Stable is the vector of the events that all replicas of a partition hold, as far as this one may use it: all that the replica holds
// is judged and sent as if it had seen them. It must not be changed.
func (r *Replica) Stable(p ring.PartitionID) causal.Vector { return r.share.parts[p].stableVector() }

// KnownStable is Stable, or what was learned of it while the partition is not filled.
func (r *Replica) KnownStable(p ring.PartitionID) causal.Vector {
	r.share.mu.Lock()
	defer r.share.mu.Unlock()
	part := &r.share.parts[p]
	return part.stableVector().Join(part.aside)
}

// Learn joins stable vectors that other replicas have, durably. Errors: the file system's; nothing has changed then.
func (r *Replica) Learn(vectors map[ring.PartitionID]causal.Vector) error {
	for _, v := range vectors {
		r.clock.Observe(v.Max())
	}
	return r.share.change(func(states map[ring.PartitionID]*partitionState) (changed bool) {
		for id, v := range vectors {
			if s := states[id]; s != nil && s.learn(v) {
				changed = true
			}
		}
		return changed
	})
}

// Refuse has every write, repair and hint refused from now on, durably, that brings an event of a retired actor which the replica does
// not hold: only an exchange may. Errors: the file system's; nothing has changed then.
func (r *Replica) Refuse(p ring.PartitionID, retired ...causal.Actor) error {
	return r.share.change(func(states map[ring.PartitionID]*partitionState) (changed bool) {
		s := states[p]
		if s == nil {
			return false
		}
		for _, a := range retired {
			if s.refused.Get(a) == 0 {
				s.refused, changed = s.refused.With(causal.Dot{Actor: a, Time: r.clock.Last()}), true
			}
		}
		return changed
	})
}

// Refused are the retired actors of a partition, each with a time that none of its events which were seen before it was refused exceeds.
// It must not be changed.
func (r *Replica) Refused(p ring.PartitionID) causal.Vector { return *r.share.parts[p].refused.Load() }

// Issued is a time up to which all dots that the present actor has issued in a partition, or ever will, are durable; zero if there is none.
// It is that of the last such dot, or what the clock showed when an earlier run of the actor ended.
func (r *Replica) Issued(p ring.PartitionID) causal.Timestamp {
	return causal.Timestamp(r.share.parts[p].issued.Load())
}

func (r *Replica) partition(key []byte) *partition {
	return &r.share.parts[r.opts.Table.Partition(key)]
}

// loadShare reads the file of the partitions. A directory that was there before there was such a file has all that it ever had;
// a new one is fresh, unless it is known that the cluster is new, too.
func (r *Replica) loadShare(before *identity) error {
	r.share = newShare(r.dir, r.opts.Table, r.opts.Node, r.opts.Now)
	states, err := r.dir.loadPartitions(len(r.share.parts))
	if err != nil {
		return err
	}
	for id, state := range states {
		if !r.share.parts[id].held {
			return fmt.Errorf("%w: %s is of another share", ErrIncomplete, r.dir.partitions())
		}
		r.share.parts[id].set(state, r.opts.Now())
	}
	filled := before != nil && states == nil || before == nil && (r.opts.NewCluster || r.opts.Table.N() == 1)
	return r.share.change(func(states map[ring.PartitionID]*partitionState) bool {
		for _, s := range states {
			s.fresh = s.fresh || before == nil && !s.filled
			if filled {
				s.fill()
			}
			if r.unknownAll.Load() && r.opts.Table.N() > 1 { // else nobody could fill it
				s.lose()
			}
		}
		return true
	})
}
