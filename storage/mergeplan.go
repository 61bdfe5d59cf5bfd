package storage

import (
	"math"
	"slices"
)

const (
	// mergeSegments is how many sealed segments are merged whatever they hold: an Open reads none of what was merged.
	mergeSegments = 4
	// mergeGrowth is how many times as large as what is merged already a run may be to be taken along: the larger, the fewer
	// runs there are, and the more often each record is written.
	mergeGrowth = 2
	// alongFactor is how many times the bytes of its segments a merge may take of runs along: writers may come to wait for it.
	alongFactor = 4
	// mergeRuns is how many runs there may be before the youngest are merged: a read of an absent key asks each one's filter.
	mergeRuns = 8
	// runsGrowth is how many times as many runs there may be before a merge of them is not held back, and runsMax how many before
	// writes wait for it.
	runsGrowth = 2
	runsMax    = 8 * mergeRuns
	// idleMergeBytes is how much there must be in the log before a store that nobody writes to is settled.
	idleMergeBytes = 16 << 20
)

// firstSealed and lastSealed are the ends of what is sealed: none is greater than any, or zero.
func (e *Engine) firstSealed() SegmentID {
	if sealed, _, _ := e.sealedSegments(); len(sealed) > 0 {
		return sealed[0].id
	}
	return math.MaxUint32
}

func (e *Engine) lastSealed() SegmentID {
	if sealed, _, _ := e.sealedSegments(); len(sealed) > 0 {
		return sealed[len(sealed)-1].id
	}
	return 0
}

// sealedSegments are the segments that take no more frames, oldest first, and the bytes of their frames, live and in all.
func (e *Engine) sealedSegments() (sealed []*segment, live, all int64) {
	for _, s := range e.log.all() {
		if !s.sealed.Load() {
			break
		}
		sealed = append(sealed, s)
		live += e.index.liveIn(s.id)
		all += s.written.Load()
	}
	return sealed, live, all
}

// planSegments finds out whether segments are to be merged: when they are many, hold much that is dead, when the index has outgrown
// its memory, or to settle the store. The youngest runs that are not much larger go along.
func (e *Engine) planSegments(settle bool) (p plan) {
	sealed, live, all := e.sealedSegments()
	switch {
	case len(sealed) == 0:
	case settle, len(sealed) >= mergeSegments, e.space.full.Load() && live < all/2,
		float64(all-live) >= e.opts.DeadRatioMax*float64(all),
		e.index.entriesBytes() >= e.opts.IndexBytesMax/2:
		p.segments, p.bytes = e.readable(sealed)
		e.along(&p)
	}
	return p
}

// along adds the runs that go with a plan's segments.
func (e *Engine) along(p *plan) {
	most := (alongFactor + 1) * p.bytes
	for _, r := range e.soundRuns() {
		size := r.reader.Size()
		if r.claimed || size > mergeGrowth*p.bytes || p.bytes+size > most {
			break
		}
		p.runs = append(p.runs, r)
		p.bytes += size
	}
	e.complete(p)
}

// complete says of a plan whether there is anything older, and allows for what can be dropped.
func (e *Engine) complete(p *plan) {
	p.last = e.oldest(p.runs)
	if len(p.runs) == len(e.index.runs()) {
		p.bytes -= e.deadInRuns()
	}
}

// planRuns finds out whether runs are to be merged: the youngest that are about as large as each other, when they are too many; all
// of them, when too much of them is dead, or may be.
func (e *Engine) planRuns() (p plan) {
	if e.space.full.Load() && len(e.planSegments(false).segments) > 0 {
		return plan{} // that gives back more
	}
	runs := e.soundRuns()
	claimed, dead := slices.ContainsFunc(runs, isClaimed), e.overDead()
	runs = unclaimed(runs)
	switch {
	case !claimed && len(runs) > 0 && e.overDroppable(true):
		p.runs, p.rewrite, p.drops = runs, true, true
	case !claimed && len(runs) > 0 && (dead || e.overSpace(runs)):
		p.runs, p.rewrite, p.dead = runs, dead, dead
	case len(runs) > mergeRuns:
		p.runs = runs[:max(alike(runs), 2)]
	}
	p.bytes = sizeOf(p.runs)
	e.complete(&p)
	return p
}

func isClaimed(r *runFile) bool { return r.claimed }

// unclaimed are the youngest runs that nobody merges and that are next to each other.
func unclaimed(runs []*runFile) []*runFile {
	for len(runs) > 0 && runs[0].claimed {
		runs = runs[1:]
	}
	if i := slices.IndexFunc(runs, isClaimed); i >= 0 {
		runs = runs[:i]
	}
	return runs
}

func sizeOf(runs []*runFile) (bytes int64) {
	for _, r := range runs {
		bytes += r.reader.Size()
	}
	return bytes
}

// alike is how many of the youngest runs are not much larger than all that are younger.
func alike(runs []*runFile) int {
	bytes := runs[0].reader.Size()
	for i, r := range runs[1:] {
		if r.reader.Size() > mergeGrowth*bytes {
			return i + 1
		}
		bytes += r.reader.Size()
	}
	return len(runs)
}

// planAllRuns is a merge of all runs.
func (e *Engine) planAllRuns() (p plan) {
	p.runs, p.rewrite = e.openedRuns(), true
	p.bytes = sizeOf(p.runs)
	e.complete(&p)
	return p
}

// deadInRuns is what a merge of all runs will not write, as far as their filters can tell, and to be on the safe side a little less.
func (e *Engine) deadInRuns() int64 {
	u := e.index.usage()
	return u.deadRunBytes() / 10 * 9
}

// mergeReadShare is the part of the memory that the segments of one merge may take: they are read in key order, which is any order,
// and have to stay in the page cache meanwhile.
const mergeReadShare = 4

// readable are the oldest of some segments that one merge can read, at least one, and the bytes of their live records.
func (e *Engine) readable(segments []*segment) (some []*segment, live int64) {
	all := int64(0)
	for i, s := range segments {
		if all += s.written.Load(); i > 0 && all > memoryBytes()/mergeReadShare {
			return segments[:i], live
		}
		live += e.index.liveIn(s.id)
	}
	return segments, live
}

// fitSlackShare is the part that a run may take more than the frames of its records, and hint files that are being written beside it.
const fitSlackShare = 32

// fit makes a plan smaller that the disk has no room for: without its oldest runs, as far as need be, and then without the youngest
// segments, as long as it gives more back than it takes. Where nothing fits the plan is as it was, and is refused.
func (e *Engine) fit(p plan, free int64) plan {
	fewer := p
	if p.last {
		fewer.bytes += e.deadInRuns()
	}
	for n := len(p.runs); fewer.bytes > free && n > 0; n-- {
		fewer.bytes -= p.runs[n-1].reader.Size()
		fewer.runs, fewer.last, fewer.rewrite, fewer.dead, fewer.drops = p.runs[:n-1], false, false, false, false
	}
	fewer.last = e.oldest(fewer.runs)
	if fewer.bytes <= free && !fewer.empty() {
		return fewer
	}
	if len(p.segments) == 0 {
		return p
	}
	small := plan{last: e.oldest(nil)}
	gain := int64(0)
	for _, s := range p.segments {
		live := e.index.liveIn(s.id)
		live += live / fitSlackShare
		if small.bytes+live > free {
			break
		}
		small.segments = append(small.segments, s)
		small.bytes += live
		gain += s.written.Load() - live
	}
	if gain <= 0 {
		return p
	}
	return small
}

// openedRuns are the runs that are younger than any that could not be opened: it stays where it is, and is not merged across.
func (e *Engine) openedRuns() []*runFile {
	runs := e.index.runs()
	for _, u := range *e.unopened.Load() {
		if i := slices.IndexFunc(runs, func(r *runFile) bool { return r.last < u.last }); i >= 0 {
			runs = runs[:i]
		}
	}
	return runs
}

// oldest says whether nothing is older than these runs, or than the log if there are none.
func (e *Engine) oldest(runs []*runFile) bool {
	all := e.index.runs()
	if unopened := *e.unopened.Load(); len(unopened) > 0 || len(all) == 0 {
		return len(unopened) == 0
	}
	return len(runs) > 0 && runs[len(runs)-1] == all[len(all)-1]
}

// soundRuns are the runs that are younger than any that is known to be damaged, or that a merge could not read: a merge of that one
// would fail, again and again, and all others with it.
func (e *Engine) soundRuns() []*runFile {
	runs := e.openedRuns()
	if i := slices.IndexFunc(runs, func(r *runFile) bool { return r.failures.Load() >= runFailuresMax || r.hasDamage() }); i >= 0 {
		return runs[:i]
	}
	return runs
}

// overSpace says whether what lies over the oldest run is so much that the store may take up more than SpaceAmpMax times the
// size of what is live, which is at least about that run's. What is known of its dead is overDead's.
func (e *Engine) overSpace(runs []*runFile) bool {
	if len(runs) < 2 {
		return false
	}
	young := int64(0)
	for _, r := range runs[:len(runs)-1] {
		if !r.counted {
			young += r.reader.Size()
		}
	}
	return float64(young) > (e.opts.SpaceAmpMax-1)*float64(runs[len(runs)-1].reader.Size())
}

// overDeadBytes is how much of the runs must be dead before they are merged for it.
const overDeadBytes = 1 << 20

// overDead says whether so much of the runs is superseded or deleted, as far as their filters can tell, that they are larger than
// SpaceAmpMax times what is live in them. What is dead and a merge for it has left, because it must, is not merged for again until there is more.
func (e *Engine) overDead() bool {
	u := e.index.usage()
	dead := u.deadRunBytes()
	left := e.deadLeft.Load()
	if left > dead {
		e.deadLeft.CompareAndSwap(left, dead)
		left = dead
	}
	dead -= left
	return dead >= overDeadBytes && float64(u.runBytes) > e.opts.SpaceAmpMax*float64(u.runBytes-dead)
}

// droppableMin is how many records there must be to drop before anything is merged for them.
const droppableMin = 1000

// overDroppable says whether so many records could be dropped, of all or of those in runs, that there are more than SpaceAmpMax times as many as would be
// left. Those in the log may all be such ones, so that a merge of runs is due only for what is more. What a merge has found none of is not
// looked for again until there is more.
func (e *Engine) overDroppable(inRuns bool) bool {
	if e.opts.Droppable == nil || e.opts.Filter == nil {
		return false
	}
	droppable := e.opts.Droppable()
	if droppable <= e.kept.Load() {
		return false
	}
	u := e.index.usage()
	records := u.runKeys - u.superseded
	if inRuns {
		droppable -= u.keys
	} else {
		records += u.keys
	}
	return droppable >= droppableMin && float64(records) > e.opts.SpaceAmpMax*float64(records-droppable)
}

// fullBytes is the most that a merge of all there is would write at once.
func (e *Engine) fullBytes() int64 {
	_, live, _ := e.sealedSegments()
	return live + e.planAllRuns().bytes
}
