package antientropy

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// A retired actor announces nothing, so others have to find out that its events are stable. First each replica refuses, durably,
// whatever brings one of them and is no exchange. Once each has then completed an exchange with each other, all hold the same of them,
// and nothing that is still on its way can add to it. They are stable when nobody has hints that might.

// retirement is how far that of one actor in one partition has come.
type retirement struct {
	// done are the replicas that an exchange was completed with since both refuse; ready those that said that they have completed one
	// with each, and at what they had seen by then.
	done  map[ring.NodeID]bool
	ready map[ring.NodeID]causal.Timestamp
}

// retiringLocked are the actors whose events are refused in a partition and are not stable yet.
func (x *Exchanger) retiringLocked(p ring.PartitionID) (actors []causal.Actor) {
	stable := x.replica.KnownStable(p)
	for _, e := range x.replica.Refused(p) {
		if stable.Get(e.Actor).IsFinal() {
			delete(x.retire[p], e.Actor)
		} else {
			x.retirementLocked(p, e.Actor)
			actors = append(actors, e.Actor)
		}
	}
	return actors
}

// retirementLocked is the retirement of an actor whose events are refused; one that an earlier run began starts anew.
func (x *Exchanger) retirementLocked(p ring.PartitionID, a causal.Actor) *retirement {
	all := x.retire[p]
	if all == nil {
		all = make(map[causal.Actor]*retirement)
		x.retire[p] = all
	}
	if all[a] == nil {
		all[a] = &retirement{done: make(map[ring.NodeID]bool), ready: make(map[ring.NodeID]causal.Timestamp)}
	}
	return all[a]
}

// retiringOf is what this side says of retirements in a partition.
func (x *Exchanger) retiringOf(p ring.PartitionID) (list []retiring) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.retiringLocked(p) {
		r := x.retire[p][a]
		list = append(list, retiring{Actor: a, At: x.replica.Refused(p).Get(a), Ready: len(r.done) == x.opt.Table.N()-1})
	}
	return list
}

// noteRetiring has the events of actors refused that a peer refuses, if they are nobody's actors here, too.
func (x *Exchanger) noteRetiring(peer ring.NodeID, s *state) error {
	if len(s.Retiring) == 0 || !x.holds(x.opt.Self, s.Partition) {
		return nil
	}
	actors, all := x.opt.Actors()
	if !all {
		return nil
	}
	refused, stable := x.replica.Refused(s.Partition), x.replica.KnownStable(s.Partition)
	var fresh []causal.Actor
	for _, t := range s.Retiring {
		if !actors[t.Actor] && refused.Get(t.Actor) == 0 && !stable.Get(t.Actor).IsFinal() {
			fresh = append(fresh, t.Actor)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return x.replica.Refuse(s.Partition, fresh...)
}

// creditRetiringLocked says that an exchange with a replica is complete that began when both refused.
func (x *Exchanger) creditRetiringLocked(p ring.PartitionID, id ring.NodeID, m mark, s *state) {
	for _, t := range s.Retiring {
		if r := x.retire[p][t.Actor]; r != nil && slices.Contains(m.retiring, t.Actor) {
			r.done[id] = true
			if t.Ready {
				r.ready[id] = t.At
			}
		}
	}
}

// runStability finds actors to retire, and ends retirements, now and then.
func (x *Exchanger) runStability(ctx context.Context) {
	for sleep(ctx, max(x.opt.Period/8, x.opt.Hurry)) == nil {
		if x.paused.Load() {
			continue
		}
		actors, all := x.opt.Actors()
		if !all {
			continue // who cannot be asked may be one of them
		}
		for p := range ring.PartitionID(x.opt.Table.PartitionCount()) {
			if x.holds(x.opt.Self, p) && x.replica.Filled(p) {
				x.beginRetiring(p, actors)
			}
		}
		if ended := x.retirable(); len(ended) > 0 && x.nobodyHasHints(ctx, ended) {
			x.count.Retired.Add(int64(len(ended)))
			x.learn(ended)
		}
	}
}

// beginRetiring refuses the events of actors that are nobody's.
func (x *Exchanger) beginRetiring(p ring.PartitionID, actors map[causal.Actor]bool) {
	stable, refused := x.replica.Stable(p), x.replica.Refused(p)
	var gone []causal.Actor
	for _, a := range x.opt.Seen(p) {
		if !actors[a] && refused.Get(a) == 0 && stable.Get(a) == 0 {
			gone = append(gone, a)
		}
	}
	for _, e := range stable { // its last events may not be stable
		if !actors[e.Actor] && refused.Get(e.Actor) == 0 && !e.Time.IsFinal() {
			gone = append(gone, e.Actor)
		}
	}
	if len(gone) == 0 {
		return
	}
	if err := x.replica.Refuse(p, gone...); err != nil {
		x.opt.Logger.Error("cannot refuse the events of retired actors", slog.Any("error", err))
		return
	}
	for _, id := range x.opt.Table.Replicas(p) {
		x.Hurry(id, p)
	}
}

// retirable are the actors that everyone is ready to retire.
func (x *Exchanger) retirable() map[ring.PartitionID]causal.Vector {
	others := x.opt.Table.N() - 1
	vectors := make(map[ring.PartitionID]causal.Vector)
	x.mu.Lock()
	defer x.mu.Unlock()
	for p, all := range x.retire {
		for a, r := range all {
			if len(r.done) < others || len(r.ready) < others {
				continue
			}
			at := x.replica.Refused(p).Get(a)
			for _, t := range r.ready {
				at = max(at, t)
			}
			vectors[p] = vectors[p].With(causal.Dot{Actor: a, Time: at.Final()})
		}
	}
	return vectors
}

// nobodyHasHints asks all other members whether they have hints for the partitions.
func (x *Exchanger) nobodyHasHints(ctx context.Context, vectors map[ring.PartitionID]causal.Vector) bool {
	var ps []ring.PartitionID
	for p := range vectors {
		if x.opt.HasHints(p) {
			return false
		}
		ps = append(ps, p)
	}
	var asked sync.WaitGroup
	free := make([]bool, len(x.opt.Members))
	for i, id := range x.opt.Members {
		if id == x.opt.Self {
			free[i] = true
			continue
		}
		asked.Go(func() { free[i] = x.hasNoHints(ctx, id, ps) })
	}
	asked.Wait()
	return !slices.Contains(free, false)
}

func (x *Exchanger) hasNoHints(ctx context.Context, id ring.NodeID, ps []ring.PartitionID) bool {
	link := x.opt.Peer(id)
	if link == nil {
		return false
	}
	var w wire.Writer
	begin(&w, kindHints)
	listOf(&w, ps, func(w *wire.Writer, p *ring.PartitionID) { writePartition(w, *p) })
	ctx, cancel := context.WithTimeout(ctx, x.opt.Timeout+time.Second)
	defer cancel()
	r, err := x.newExchange(id, link).call(ctx, w.Bytes(), kindHints)
	if err != nil {
		return false
	}
	hints := readList(r, partitionsMax, readBool)
	return done(r) == nil && len(hints) == len(ps) && !slices.Contains(hints, true)
}
