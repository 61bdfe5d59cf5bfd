package antientropy

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// A retired actor announces nothing, so others have to find out that its events are stable. First each replica refuses, durably,
// whatever brings one of them and is no exchange. Once each has then completed an exchange with each other, all hold the same of them,
// and nothing that is still on its way can add to it. They are stable when nobody has hints that might, and all say so at that time: one that
// has lost its disk since has lost its refusal.

// retirement are the replicas that an exchange was completed with since both refuse an actor's events in a partition.
type retirement map[ring.NodeID]bool

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
func (x *Exchanger) retirementLocked(p ring.PartitionID, a causal.Actor) retirement {
	all := x.retire[p]
	if all == nil {
		all = make(map[causal.Actor]retirement)
		x.retire[p] = all
	}
	if all[a] == nil {
		all[a] = make(retirement)
	}
	return all[a]
}

// retiringOf is what this side says of retirements in a partition.
func (x *Exchanger) retiringOf(p ring.PartitionID) (list []retiring) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range x.retiringLocked(p) {
		list = append(list, retiring{Actor: a, At: x.replica.Refused(p).Get(a), Ready: x.readyLocked(p, a)})
	}
	return list
}

// readyLocked says whether an exchange was completed with each other replica since both refuse an actor's events.
func (x *Exchanger) readyLocked(p ring.PartitionID, a causal.Actor) bool {
	return len(x.retire[p][a]) == x.opt.Table.N()-1
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
			r[id] = true
		}
	}
}

// runStability finds actors to retire, ends retirements, and does for the only replica what exchanges do for several, now and then.
func (x *Exchanger) runStability(ctx context.Context) {
	var before map[ring.PartitionID][]causal.Actor
	for sleep(ctx, max(x.opt.Period/8, x.opt.Hurry)) == nil {
		if x.paused.Load() {
			continue
		}
		x.stableAlone()
		gone := x.gone()
		x.beginRetiring(ctx, both(before, gone))
		before = gone
		x.endRetiring(ctx)
	}
}

// gone are the actors that events are known of, by partition, and that are nobody's. It looks for whose they are after it has seen them. Nobody's
// is not known for sure: of a member's new actor its events may be heard before itself.
func (x *Exchanger) gone() map[ring.PartitionID][]causal.Actor {
	seen := make(map[ring.PartitionID][]causal.Actor)
	for p := range ring.PartitionID(x.opt.Table.PartitionCount()) {
		if x.holds(x.opt.Self, p) && x.replica.Filled(p) {
			seen[p] = x.notRetired(p)
		}
	}
	actors, all := x.opt.Actors()
	for p := range seen {
		seen[p] = slices.DeleteFunc(seen[p], func(a causal.Actor) bool { return actors[a] })
		if !all || len(seen[p]) == 0 { // who cannot be asked may be one of them
			delete(seen, p)
		}
	}
	return seen
}

// notRetired are the actors that events of a partition are known of, but for those that have retired or are about to.
func (x *Exchanger) notRetired(p ring.PartitionID) (actors []causal.Actor) {
	stable, refused := x.replica.Stable(p), x.replica.Refused(p)
	for _, a := range x.opt.Seen(p) {
		if refused.Get(a) == 0 && stable.Get(a) == 0 {
			actors = append(actors, a)
		}
	}
	for _, e := range stable { // its last events may not be stable
		if refused.Get(e.Actor) == 0 && !e.Time.IsFinal() {
			actors = append(actors, e.Actor)
		}
	}
	return actors
}

// both is what is in a and in b.
func both(a, b map[ring.PartitionID][]causal.Actor) map[ring.PartitionID][]causal.Actor {
	common := make(map[ring.PartitionID][]causal.Actor)
	for p := range a {
		for _, actor := range a[p] {
			if slices.Contains(b[p], actor) {
				common[p] = append(common[p], actor)
			}
		}
	}
	return common
}

// beginRetiring refuses the events of actors that are nobody's. A hint may be the only copy of one of them that is left, and could not be
// delivered any more: where somebody has hints it waits.
func (x *Exchanger) beginRetiring(ctx context.Context, gone map[ring.PartitionID][]causal.Actor) {
	free := x.withoutHints(ctx, slices.Sorted(maps.Keys(gone)))
	for _, p := range free {
		if err := x.replica.Refuse(p, gone[p]...); err != nil {
			x.opt.Logger.Error("cannot refuse the events of retired actors", slog.Any("error", err))
			return
		}
		for _, id := range x.opt.Table.Replicas(p) {
			x.Hurry(id, p)
		}
	}
}

// endRetiring has all events of actors be stable that everyone is ready to retire, where nobody has hints that might bring one.
func (x *Exchanger) endRetiring(ctx context.Context) {
	ended := x.agreed(ctx, x.withoutHints(ctx, x.ready()))
	if len(ended) > 0 {
		x.count.Retired.Add(int64(len(ended)))
		x.learn(ended)
	}
}

// ready are the partitions in which this side is ready to retire an actor.
func (x *Exchanger) ready() (ps []ring.PartitionID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for p, all := range x.retire {
		for a := range all {
			if x.readyLocked(p, a) && !slices.Contains(ps, p) {
				ps = append(ps, p)
			}
		}
	}
	slices.Sort(ps)
	return ps
}

// agreed are the ends of the actors that all replicas of a partition vouch for it and are ready to retire, by what each says now.
func (x *Exchanger) agreed(ctx context.Context, ps []ring.PartitionID) map[ring.PartitionID]causal.Vector {
	said := make(map[ring.PartitionID][]state)
	for _, s := range x.states(ps) {
		said[s.Partition] = append(said[s.Partition], s)
	}
	for id := range x.peers {
		shared := slices.DeleteFunc(slices.Clone(ps), func(p ring.PartitionID) bool { return !x.holds(id, p) })
		for _, s := range x.statesOf(ctx, id, shared) {
			said[s.Partition] = append(said[s.Partition], *s)
		}
	}
	ended := make(map[ring.PartitionID]causal.Vector)
	for p, states := range said {
		if v := endsIn(states); len(states) == x.opt.Table.N() && len(v) > 0 {
			ended[p] = v
		}
	}
	return ended
}

// statesOf are what a peer says of some partitions now; none where it cannot be asked.
func (x *Exchanger) statesOf(ctx context.Context, id ring.NodeID, ps []ring.PartitionID) map[ring.PartitionID]*state {
	link := x.opt.Peer(id)
	if link == nil {
		return nil
	}
	e := x.newExchange(id, link)
	for part := range slices.Chunk(ps, statesPerMessage) {
		if e.joinStates(ctx, part) != nil {
			return nil
		}
	}
	return e.theirs
}

// endsIn are the actors that all replicas with these states are ready to retire, each with an end that no event of it is later than.
func endsIn(states []state) (ends causal.Vector) {
	for _, t := range states[0].Retiring {
		at := t.At
		all := !slices.ContainsFunc(states, func(s state) bool {
			i := slices.IndexFunc(s.Retiring, func(r retiring) bool { return r.Actor == t.Actor })
			if i < 0 || !s.Retiring[i].Ready || !s.Filled || s.Poisoned {
				return true
			}
			at = max(at, s.Retiring[i].At)
			return false
		})
		if all {
			ends = ends.With(causal.Dot{Actor: t.Actor, Time: at.Final()})
		}
	}
	return ends
}

// withoutHints are those of some partitions that no member has hints for; none where one cannot be asked.
func (x *Exchanger) withoutHints(ctx context.Context, ps []ring.PartitionID) (free []ring.PartitionID) {
	if len(ps) == 0 {
		return nil
	}
	var asked sync.WaitGroup
	answers := make([][]bool, len(x.opt.Members))
	for i, id := range x.opt.Members {
		asked.Go(func() { answers[i] = x.hintsOf(ctx, id, ps) })
	}
	asked.Wait()
	for at, p := range ps {
		has := func(hints []bool) bool { return len(hints) == 0 || hints[at] }
		if !slices.ContainsFunc(answers, has) {
			free = append(free, p)
		}
	}
	return free
}

// hintsOf says for each of some partitions whether a member has hints for it; nil where it cannot be asked.
func (x *Exchanger) hintsOf(ctx context.Context, id ring.NodeID, ps []ring.PartitionID) (hints []bool) {
	if id == x.opt.Self {
		for _, p := range ps {
			hints = append(hints, x.opt.HasHints(p))
		}
		return hints
	}
	link := x.opt.Peer(id)
	if link == nil {
		return nil
	}
	var w wire.Writer
	begin(&w, kindHints)
	listOf(&w, ps, func(w *wire.Writer, p *ring.PartitionID) { writePartition(w, *p) })
	ctx, cancel := context.WithTimeout(ctx, x.opt.Timeout+time.Second)
	defer cancel()
	r, err := x.newExchange(id, link).call(ctx, w.Bytes(), kindHints)
	if err != nil {
		return nil
	}
	hints = readList(r, partitionsMax, readBool)
	if done(r) != nil || len(hints) != len(ps) {
		return nil
	}
	return hints
}
