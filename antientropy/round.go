package antientropy

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// peerState is what is to be exchanged with a peer. What is not fixed is under mu.
type peerState struct {
	// shared are the partitions that both hold.
	shared []ring.PartitionID
	// wake has a token when there is something new to do.
	wake chan struct{}

	mu sync.Mutex
	// urgent are partitions that wait to be exchanged soon, and since when.
	urgent map[ring.PartitionID]time.Time
	// needs are all that are known to need repair, and since when: those that are being exchanged are among them.
	needs map[ring.PartitionID]time.Time
	// news are partitions of which this side knows something stable that the peer may not know.
	news map[ring.PartitionID]bool
}

func newPeerState() *peerState {
	return &peerState{
		wake:   make(chan struct{}, 1),
		urgent: make(map[ring.PartitionID]time.Time), needs: make(map[ring.PartitionID]time.Time),
		news: make(map[ring.PartitionID]bool),
	}
}

// needLocked has a partition exchanged soon. It needs repair until an exchange that begins from now on is complete.
func (s *peerState) needLocked(p ring.PartitionID, now time.Time) {
	if _, waits := s.urgent[p]; !waits {
		s.urgent[p] = now
	}
	if _, known := s.needs[p]; !known {
		s.needs[p] = now
	}
}

// repaired ends the needs that an exchange saw to. What was found to need repair while it ran does so still.
func (s *peerState) repaired(ps []ring.PartitionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range ps {
		if since, again := s.urgent[p]; again {
			s.needs[p] = since
		} else {
			delete(s.needs, p)
		}
	}
}

// Hurry has partitions exchanged with a peer soon; all that both hold where none are named.
func (x *Exchanger) Hurry(peer ring.NodeID, ps ...ring.PartitionID) {
	s := x.peers[peer]
	if s == nil {
		return
	}
	if len(ps) == 0 {
		ps = s.shared
	}
	now := x.opt.Now()
	s.mu.Lock()
	for _, p := range ps {
		if x.holds(peer, p) && x.holds(x.opt.Self, p) {
			s.needLocked(p, now)
		}
	}
	s.mu.Unlock()
	s.poke()
}

func (s *peerState) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Urgent is how many partitions are known to need repair with a peer.
func (x *Exchanger) Urgent(peer ring.NodeID) int {
	s := x.peers[peer]
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.needs)
}

func (s *peerState) takeUrgent() (ps []ring.PartitionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.shared {
		if _, waits := s.urgent[p]; waits {
			ps = append(ps, p)
		}
	}
	clear(s.urgent)
	return ps
}

// takeNews are the partitions to tell the peer of.
func (s *peerState) takeNews() (ps []ring.PartitionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.shared {
		if s.news[p] {
			ps = append(ps, p)
		}
	}
	clear(s.news)
	return ps
}

// tell has the peer told soon what is stable in partitions.
func (s *peerState) tell(ps []ring.PartitionID) {
	s.mu.Lock()
	for _, p := range ps {
		s.news[p] = true
	}
	s.mu.Unlock()
	s.poke()
}

// idle says whether there is nothing to do but what is due by the time.
func (s *peerState) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.urgent)+len(s.news) == 0
}

// tell has the other replicas of partitions know soon what is stable: their trees cannot be compared with ours until they do.
func (x *Exchanger) tell(ps map[ring.PartitionID]causal.Vector) {
	for id, s := range x.peers {
		var shared []ring.PartitionID
		for p := range ps {
			if x.holds(id, p) {
				shared = append(shared, p)
			}
		}
		s.tell(shared)
	}
}

// Pause stops exchanges from being begun, until it is called with false.
func (x *Exchanger) Pause(paused bool) {
	x.paused.Store(paused)
	for _, s := range x.peers {
		s.poke()
	}
}

// Paused says whether Pause was called.
func (x *Exchanger) Paused() bool { return x.paused.Load() }

// Run exchanges all partitions with all other replicas, once in each period, and those that are known to need repair at once. It returns
// nil when ctx is done and all that it started has ended.
func (x *Exchanger) Run(ctx context.Context) error {
	var peers sync.WaitGroup
	for id, s := range x.peers {
		peers.Go(func() { x.runPeer(ctx, id, s) })
	}
	peers.Go(func() { x.runStability(ctx) })
	peers.Wait()
	return nil
}

// runPeer exchanges with one peer.
func (x *Exchanger) runPeer(ctx context.Context, id ring.NodeID, s *peerState) {
	next := time.NewTimer(0) // at first everything is due
	defer next.Stop()
	whole := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
			whole = true
		case <-s.wake:
		}
		link := x.opt.Peer(id)
		if x.paused.Load() || link == nil || !link.Reachable() {
			if whole {
				next.Reset(x.opt.Hurry)
			}
			if sleep(ctx, x.opt.Hurry) != nil {
				return
			}
			if !s.idle() {
				s.poke()
			}
			continue
		}
		ps, news := s.takeUrgent(), s.takeNews()
		if whole {
			ps = s.shared
		} else if left := x.tellPeer(ctx, id, link, news); len(left) > 0 {
			s.tell(left)
		}
		if left := x.exchangeWith(ctx, id, link, ps); len(left) > 0 {
			x.requeue(s, left)
		}
		if whole {
			whole = false
			next.Reset(x.opt.Period)
		}
		if sleep(ctx, x.opt.Hurry) != nil {
			return
		}
	}
}

// tellPeer tells a peer what is stable, and learns what it knows. It returns the partitions that it did not get to: without the news the
// peer's trees are under other rules, and cannot be compared.
func (x *Exchanger) tellPeer(ctx context.Context, id ring.NodeID, link Peer, ps []ring.PartitionID) (left []ring.PartitionID) {
	e := x.newExchange(id, link)
	for told := 0; told < len(ps); told += statesPerMessage {
		if err := e.joinStates(ctx, ps[told:min(told+statesPerMessage, len(ps))]); err != nil {
			x.opt.Logger.Debug("peer not told what is stable", slog.String("peer", string(id)), slog.Any("error", err))
			return ps[told:]
		}
	}
	return nil
}

// requeue has partitions exchanged again soon that could not be now.
func (x *Exchanger) requeue(s *peerState, ps []ring.PartitionID) {
	now := x.opt.Now()
	s.mu.Lock()
	for _, p := range ps {
		s.needLocked(p, now)
	}
	s.mu.Unlock()
	s.poke()
}

// exchangeWith exchanges partitions with a peer and returns those that are not complete.
func (x *Exchanger) exchangeWith(ctx context.Context, id ring.NodeID, link Peer, ps []ring.PartitionID) (left []ring.PartitionID) {
	if len(ps) == 0 {
		return nil
	}
	completed := x.opt.Begin(id, ps)
	x.raiseOwnExpired(ps)
	marks := x.marksOf(ps)
	e := x.newExchange(id, link)
	err := e.run(ctx, append([]ring.PartitionID(nil), ps...))
	x.count.Exchanges.Add(1)
	if err != nil {
		x.count.ExchangesFailed.Add(1)
		x.opt.Logger.Debug("exchange failed", slog.String("peer", string(id)), slog.Any("error", err))
	}
	var complete, seenTo []ring.PartitionID
	for _, p := range ps {
		switch {
		case e.failed[p]: // until its keys can be read again: that is the need of the side that cannot
			seenTo = append(seenTo, p)
		case e.complete[p]:
			complete, seenTo = append(complete, p), append(seenTo, p)
		default:
			left = append(left, p)
		}
	}
	x.peers[id].repaired(seenTo)
	x.completed(id, e, complete, marks)
	completed(complete)
	return left
}

// completed takes note of what is equal on both sides.
func (x *Exchanger) completed(id ring.NodeID, e *exchange, ps []ring.PartitionID, marks map[ring.PartitionID]mark) {
	x.count.Complete.Add(int64(len(ps)))
	var filled []ring.PartitionID
	stable := make(map[ring.PartitionID]causal.Vector)
	x.mu.Lock()
	for _, p := range ps {
		x.last[pairing{p, id}] = x.opt.Now()
		s := e.theirs[p]
		if s == nil || !s.Filled || s.Poisoned || marks[p].losses != x.losses[p] {
			continue // it vouches for nothing, or what it has brought may be lost again
		}
		if !x.replica.Filled(p) {
			if x.fillsLocked(p, id) {
				filled = append(filled, p)
			}
			continue
		}
		x.creditRetiringLocked(p, id, marks[p], s)
		if v := x.creditLocked(p, id, marks[p]); v != nil {
			stable[p] = v
		}
	}
	x.mu.Unlock()
	x.fill(filled)
	if len(stable) > 0 {
		x.count.Stable.Add(int64(len(stable)))
		x.learn(stable)
	}
}

func (x *Exchanger) fill(ps []ring.PartitionID) {
	if len(ps) == 0 {
		return
	}
	if err := x.replica.Fill(ps...); err != nil {
		x.opt.Logger.Error("cannot mark partitions as filled", slog.Any("error", err))
		return
	}
	x.count.Filled.Add(int64(len(ps)))
	x.opt.Logger.Info("partitions are filled", slog.Int("partitions", len(ps)))
}

// learn makes stable what is known to be, here and, by the next exchanges, everywhere.
func (x *Exchanger) learn(vectors map[ring.PartitionID]causal.Vector) {
	if err := x.replica.Learn(vectors); err != nil {
		x.opt.Logger.Error("cannot keep stable vectors", slog.Any("error", err))
		return
	}
	for p := range vectors {
		x.trees.Want(p, x.wanted(p))
	}
	x.tell(vectors)
}

// fillsLocked says whether a partition that has now been exchanged with id was exchanged with enough replicas to be filled.
func (x *Exchanger) fillsLocked(p ring.PartitionID, id ring.NodeID) bool {
	from := x.filledFrom[p]
	if from == nil {
		from = make(map[ring.NodeID]bool)
		x.filledFrom[p] = from
	}
	from[id] = true
	if len(from) < x.Needed() {
		return false
	}
	delete(x.filledFrom, p)
	return true
}

// Needed is how many other replicas together hold everything that was ever acknowledged: N-W+1, if there are as many.
func (x *Exchanger) Needed() int {
	n := x.opt.Table.N()
	return min(n-x.opt.WritesMin+1, n-1)
}

// LastComplete is when a partition was last found equal with a peer, or made so; zero if it never was in this run.
func (x *Exchanger) LastComplete(p ring.PartitionID, peer ring.NodeID) time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.last[pairing{p, peer}]
}
