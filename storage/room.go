package storage

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

// On a full disk there may be no room for a merge of neighbours, which leaves the live records of all of them, though much of what is in each
// is dead because younger runs have it. Then one run is written anew without that, which takes as much room as is live in that one: the oldest first, and so on
// until there is room.
const (
	// roomGainLeast is the part of a run that must be dead for it.
	roomGainLeast = 1. / 8
	// roomSlack is allowed for what the estimate does not know.
	roomSlack = 1. / 32
	// filterMisses is the part of keys that a filter takes for known though they are not.
	filterMisses = 1. / 100
)

// stepRoom carries out one such merge, if there is one to do.
func (g *merger) stepRoom() bool {
	if g.runs.one.take(g.stop) != nil {
		return false
	}
	defer g.runs.one.give()
	// All are claimed while they are looked at, so that nobody retires them; who retires others is not held up.
	all := g.claimSound()
	defer g.release(&all)
	for i := len(all.runs) - 1; i > 0 && g.e.space.full.Load() && g.stop.Err() == nil && g.e.failure.Load() == nil; i-- {
		r := all.runs[i]
		p, err := g.planRoom(all.runs[:i], r)
		switch {
		case err == nil && p.empty(), errors.Is(err, errHasRoom):
			continue
		case err == nil:
			if err = g.e.mergeAndCount(p, newPacer(g, &g.runs).wait); err != nil && !isSpaceError(err) {
				r.room.after = time.Now().Add(10 * mergeRetryAfter) // others first
			}
		}
		g.ended(&g.room, err)
		g.e.look()
		return err == nil
	}
	g.room.failed.Store(nil)
	return false
}

// errHasRoom ends what is done because the disk is full.
var errHasRoom = errors.New("storage: the disk is full no longer")

// claimSound claims the runs that can be merged, as far as nobody else has.
func (g *merger) claimSound() (p plan) {
	g.planning.Lock()
	defer g.planning.Unlock()
	p.runs = unclaimed(g.e.soundRuns())
	for _, r := range p.runs {
		r.claimed = true
	}
	return p
}

// planRoom is the merge of one run under younger ones; it is empty if there is no room for it, or it is not worth it. Errors are those of reading the run.
func (g *merger) planRoom(younger []*runFile, r *runFile) (plan, error) {
	e := g.e
	if time.Now().Before(r.room.after) {
		return plan{}, nil
	}
	p := plan{runs: []*runFile{r}, under: younger, rewrite: true, last: e.oldest([]*runFile{r})}
	if now := e.records.Load(); r.room.top != younger[0].fileID || r.room.records != now {
		pacer := newPacer(g, &g.runs)
		size, err := e.liveUnder(younger, r, func(n int64) error {
			if !e.space.full.Load() {
				return errHasRoom
			}
			return pacer.wait(n)
		})
		if err != nil {
			return plan{}, err
		}
		r.room = roomNeed{top: younger[0].fileID, records: now, bytes: size}
	}
	p.bytes = r.room.bytes
	free, err := e.freeForMerge(&p)
	if err != nil || p.bytes > free || float64(p.bytes) > (1-roomGainLeast)*float64(r.reader.Size()) {
		return plan{}, nil
	}
	return p, nil
}

// roomNeed is what a merge of a run under those from top on, the fileID of one, would leave when so many records had been written. It belongs to who has
// the turn to merge runs.
type roomNeed struct {
	top            uint64
	records, bytes int64
	// after is when it may be tried again.
	after time.Time
}

// liveUnder is about how much a run would leave without what younger ones or the memory tier have, as far as their filters can tell.
func (e *Engine) liveUnder(younger []*runFile, r *runFile, pace func(bytes int64) error) (bytes int64, err error) {
	live, all, paced := int64(0), int64(1), int64(0)
	fault := vfs.Guard(func() {
		it := r.reader.Iter(run.IterOptions{ReadAhead: true})
		for it.Next() && it.Damage() == nil {
			rec := it.Record()
			n := int64(len(rec.Key) + len(rec.Meta) + len(rec.Value))
			if all += n; all-paced >= mergeStepBytes {
				if err = pace(all - paced); err != nil {
					return
				}
				paced = all
			}
			hash := run.Hash(rec.Key)
			if slices.ContainsFunc(younger, func(y *runFile) bool { return y.reader.MayContain(hash) }) {
				continue
			}
			if _, _, known := e.index.find(rec.Key, nil, false); !known {
				live += n
			}
		}
		err = it.Err()
		if d := it.Damage(); d != nil {
			err = d
		}
	})
	switch err = errors.Join(err, fault); {
	case errors.Is(err, errHasRoom) || e.merger.stop.Err() != nil:
		return 0, errors.Join(err, e.merger.stop.Err())
	case err != nil:
		r.failures.Add(1)
		return 0, e.runFailed(r, err)
	}
	// Where blocks are compressed, what is live has the same share of them.
	share := float64(live)/float64(all)/math.Pow(1-filterMisses, float64(len(younger))) + roomSlack
	return int64(share * float64(r.reader.Size())), nil
}

// supersededAbove says whether a younger run that is not of the plan has the key.
func (m *merge) supersededAbove(key []byte) (bool, error) {
	if len(m.plan.under) == 0 {
		return false, nil
	}
	hash := run.Hash(key)
	for i, y := range slices.Backward(m.plan.under) {
		if !y.reader.MayContain(hash) {
			continue
		}
		_, found, err := y.reader.Get(key, hash, &m.lookup)
		if err != nil {
			return false, m.runFailed(y, err)
		}
		if found {
			if !m.shadows(hash) {
				m.unshadowed[i]++ // the oldest one that has it shadows nothing of it any more
			}
			return true, nil
		}
	}
	return false, nil
}
