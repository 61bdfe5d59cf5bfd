package storage

import (
	"slices"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

// On a full disk there may be no room for a merge of neighbours, which leaves the live records of all of them, though much of what is in each
// is dead because younger runs have it. Then one run is written anew without that, which takes as much room as is live in that one: first, and so on
// until there is room.
const (
	// roomGainLeast is the part of a run that must be dead for it.
	roomGainLeast = 1. / 8
	// roomSlack is allowed for: filters take one key in a hundred for known that is not.
	roomSlack = 1. / 32
)

// stepRoom carries out one such merge, if there is one to do.
func (g *merger) stepRoom() bool {
	pinned := g.e.pins.pin() // others may retire the runs meanwhile
	defer g.e.pins.unpin(pinned)
	runs := g.e.soundRuns()
	for i := len(runs) - 1; i > 0 && g.e.space.full.Load() && g.stop.Err() == nil; i-- {
		r := runs[i]
		if now := g.e.records.Load(); r.roomSought.Swap(now+1) == now+1 {
			continue // nothing was written since it was found to be no use
		}
		size, err := g.e.liveUnder(runs[:i], r, newPacer(g, &g.runs).wait)
		if err != nil || float64(size) > (1-roomGainLeast)*float64(r.reader.Size()) {
			continue
		}
		if g.step(&g.runs, func() plan { return g.e.planRoom(r, size) }) {
			g.e.look()
			return true
		}
	}
	return false
}

// planRoom is the merge of one run that leaves size bytes, if there is room for them.
func (e *Engine) planRoom(r *runFile, size int64) plan {
	free, err := e.fs.Free(e.dir)
	runs := e.soundRuns()
	i := slices.Index(runs, r)
	if err != nil || size > free || i <= 0 || r.claimed {
		return plan{}
	}
	p := plan{runs: runs[i : i+1], under: runs[:i], rewrite: true, bytes: size}
	p.last = e.oldest(p.runs)
	return p
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
		if err = it.Err(); it.Damage() != nil {
			err = it.Damage()
		}
	})
	if fault != nil {
		err = fault
	}
	// Where blocks are compressed, what is live has the same share of them.
	return int64((float64(live)/float64(all) + roomSlack) * float64(r.reader.Size())), err
}

// supersededAbove says whether a younger run that is not of the plan has the key. The oldest of those no longer has it in common with this one.
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
			return false, m.e.runFailed(y, err)
		}
		if found {
			m.unshadowed[i]++
			return true, nil
		}
	}
	return false, nil
}
