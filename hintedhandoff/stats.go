package hintedhandoff

import (
	"cmp"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Stats is a snapshot of a store's counters. Those marked (total) count since Open.
type Stats struct {
	// Targets have hints or needs; sorted by name.
	Targets []TargetStats
	// Hints and Bytes are those of all targets. BytesMax is their bound.
	Hints           int
	Bytes, BytesMax int64
	// AddItems and AddBytes are being added now.
	AddItems int
	AddBytes int64
	// Oldest is when the oldest hint of all was noted, to the second; zero if there is none.
	Oldest time.Time
	Totals Totals
	Engine storage.Stats
}

// TargetStats is what is known of one target.
type TargetStats struct {
	Target ring.NodeID
	// Hints there are, Counted of them counted, and Bytes that they take.
	Hints, Counted int
	Bytes          int64
	// Oldest is when the oldest of them was noted, to the second; zero if there is none.
	Oldest time.Time
	State  ReplayState
	// BytesPerSecond is what the replay under way has sent on average; zero if there is none.
	BytesPerSecond float64
	// Poisoned hints were refused alone and are sent again only after a while.
	Poisoned int
	// LastError is why the last batch failed; empty if it did not.
	LastError string
	// Needs is the number of partitions that need repair.
	Needs int
}

// Totals count hints, where they do not say otherwise. All of them are (total).
type Totals struct {
	// Added are new, Joined were joined with one that was there.
	Added, Joined int64
	// Replayed were acknowledged by their targets and removed, with ReplayedBytes. Changed were acknowledged, and stay because they were
	// joined with more meanwhile, or were gone already.
	Replayed, ReplayedBytes, Changed int64
	// BatchesFailed is the number of batches that were refused or not answered.
	BatchesFailed int64
	// DroppedFull, DroppedOverloaded and DroppedFailed uncounted hints were not added: for want of room, because too many were
	// being added, and for any other error. Refused are the counted ones, for any of these.
	DroppedFull, DroppedOverloaded, DroppedFailed, Refused int64
	// DroppedUndeliverable were refused by their targets for good.
	DroppedUndeliverable int64
	// DroppedAged were too old, Forgotten those of targets that are no members any more, Lost could not be read.
	DroppedAged, Forgotten, Lost int64
}

type totals struct {
	added, joined                                 atomic.Int64
	replayed, replayedBytes, changed              atomic.Int64
	batchesFailed                                 atomic.Int64
	droppedFull, droppedOverloaded, droppedFailed atomic.Int64
	undeliverable, refused, aged, forgotten, lost atomic.Int64
}

// refuse counts n hints that were not added.
func (t *totals) refuse(err error, counted bool, n int) {
	c := &t.droppedFailed
	switch {
	case counted:
		c = &t.refused
	case errors.Is(err, ErrFull):
		c = &t.droppedFull
	case errors.Is(err, ErrOverloaded):
		c = &t.droppedOverloaded
	}
	c.Add(int64(n))
}

// remove counts hints that were removed. What is lost was counted when it was found.
func (t *totals) remove(why reason, n int, bytes int64) {
	switch why {
	case removeAcked:
		t.replayed.Add(int64(n))
		t.replayedBytes.Add(bytes)
	case removeAged:
		t.aged.Add(int64(n))
	case removeUndeliverable:
		t.undeliverable.Add(int64(n))
	case removeForgotten:
		t.forgotten.Add(int64(n))
	}
}

func (t *totals) snapshot() Totals {
	return Totals{
		Added: t.added.Load(), Joined: t.joined.Load(),
		Replayed: t.replayed.Load(), ReplayedBytes: t.replayedBytes.Load(), Changed: t.changed.Load(),
		BatchesFailed: t.batchesFailed.Load(),
		DroppedFull:   t.droppedFull.Load(), DroppedOverloaded: t.droppedOverloaded.Load(), DroppedFailed: t.droppedFailed.Load(),
		DroppedUndeliverable: t.undeliverable.Load(), Refused: t.refused.Load(), DroppedAged: t.aged.Load(), Forgotten: t.forgotten.Load(), Lost: t.lost.Load(),
	}
}

// Stats returns the store's counters. It reads nothing from the disk.
func (s *Store) Stats() Stats {
	st := Stats{BytesMax: s.opts.BytesMax, Totals: s.totals.snapshot(), Engine: s.engine.Stats()}
	s.book.fill(&st)
	for target, needs := range s.needs.count() {
		st.of(target).Needs = needs
	}
	for target, r := range s.replay.states() {
		t := st.of(target)
		t.BytesPerSecond, t.Poisoned, t.LastError = r.rate, r.poisoned, r.lastError
		if r.running {
			t.State = ReplayRunning
		}
	}
	for i := range st.Targets {
		if t := &st.Targets[i]; t.State == ReplayIdle && t.Hints > 0 {
			t.State = ReplayWaiting
		}
	}
	slices.SortFunc(st.Targets, func(a, b TargetStats) int { return cmp.Compare(a.Target, b.Target) })
	return st
}

// of is the part of a target, which is made if there is none. It is good until the next call.
func (st *Stats) of(target ring.NodeID) *TargetStats {
	i := slices.IndexFunc(st.Targets, func(t TargetStats) bool { return t.Target == target })
	if i < 0 {
		i = len(st.Targets)
		st.Targets = append(st.Targets, TargetStats{Target: target})
	}
	return &st.Targets[i]
}

// fill fills in what the book has.
func (b *book) fill(st *Stats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	st.Bytes, st.AddItems, st.AddBytes = b.bytes, b.addItems, b.addBytes
	for target, a := range b.accounts {
		t := TargetStats{Target: target, Hints: a.hints, Counted: a.counted, Bytes: a.bytes}
		for _, counted := range []bool{false, true} {
			if second, ok := a.oldest(counted); ok && (t.Oldest.IsZero() || second < t.Oldest.Unix()) {
				t.Oldest = time.Unix(second, 0)
			}
		}
		if !t.Oldest.IsZero() && (st.Oldest.IsZero() || t.Oldest.Before(st.Oldest)) {
			st.Oldest = t.Oldest
		}
		st.Hints += a.hints
		st.Targets = append(st.Targets, t)
	}
}
