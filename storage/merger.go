package storage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// mergeSegments is how many sealed segments are merged whatever they hold: an Open reads none of what was merged.
	mergeSegments = 4
	// mergeGrowth is how many times as large as what is merged already a run may be to be taken along: the larger, the fewer
	// runs there are, and the more often each record is written.
	mergeGrowth = 2
	// mergeRuns is how many runs there may be before the youngest are merged: a read of an absent key asks each one's filter.
	mergeRuns = 8
	// idleMergeBytes is how much there must be in the log before a store that nobody writes to is settled.
	idleMergeBytes = 16 << 20
)

// merger merges in the background, one merge at a time, and on demand.
type merger struct {
	e    *Engine
	stop context.Context
	quit context.CancelFunc
	due  chan struct{}
	// one is held while a merge is under way.
	one     sync.Mutex
	running sync.WaitGroup
	// failed is why the last merge in the background failed; another is tried when more was sealed.
	mu     sync.Mutex
	failed error
}

func newMerger(e *Engine) *merger {
	g := &merger{e: e, due: make(chan struct{}, 1)}
	g.stop, g.quit = context.WithCancel(context.Background())
	return g
}

func (g *merger) start() {
	if !g.e.opts.MergeDisabled {
		g.running.Go(g.loop)
		g.wake()
	}
}

// wake has it look whether there is anything to merge.
func (g *merger) wake() {
	select {
	case g.due <- struct{}{}:
	default: // it will
	}
}

// close breaks off what is under way.
func (g *merger) close() {
	g.quit()
	g.running.Wait()
	g.one.Lock() // a Merge has to see that it is over
	defer g.one.Unlock()
}

func (g *merger) loop() {
	idle := time.NewTicker(g.e.opts.IdleMergeAfter)
	defer idle.Stop()
	seen, failed := g.e.records.Load(), int64(-1)
	for {
		settle := false
		select {
		case <-g.stop.Done():
			return
		case <-g.due:
			if g.e.space.full.Load() {
				// What is dead in the active segment counts, too, now.
				if err := g.e.writer.sealActive(); err != nil {
					g.e.opts.Logger.Warn("storage: active segment not sealed", "error", err)
				}
			}
		case <-idle.C:
			now := g.e.records.Load()
			settle = now == seen && now != failed && (g.e.unsettled() >= idleMergeBytes || g.e.overDead())
			seen = now
			if !settle {
				continue
			}
			if err := g.e.writer.sealActive(); err != nil {
				g.e.opts.Logger.Warn("storage: idle store not settled", "error", err)
				continue
			}
		}
		for g.step(settle) {
		}
		if settle && g.lastError() != nil {
			failed = seen // it is not tried again until there is more
		}
	}
}

// unsettled is how much is in the log.
func (e *Engine) unsettled() (bytes int64) {
	for _, s := range e.log.all() {
		bytes += s.written.Load()
	}
	return bytes
}

// step carries out one merge if one is due, or if all that is sealed is to be settled.
func (g *merger) step(settle bool) bool {
	g.one.Lock()
	defer g.one.Unlock()
	if g.stop.Err() != nil || g.e.failure.Load() != nil {
		return false
	}
	p := g.e.planMerge(settle)
	if p.empty() {
		return false
	}
	if free, err := g.e.fs.Free(g.e.dir); err == nil {
		p = g.e.fit(p, free)
	}
	err := g.e.mergeAndCount(p, g.pace(g.e.opts.MergeBytesPerSecond))
	g.mu.Lock()
	g.failed = err
	g.mu.Unlock()
	if err != nil && !errors.Is(err, context.Canceled) {
		g.e.opts.Logger.Warn("storage: merge failed", "error", err)
	}
	return err == nil
}

// lastError is why the last merge in the background failed, or nil.
func (g *merger) lastError() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed
}

const (
	// logGrowth is how many times as many segments as a merge is due for there may be before it is not held back.
	logGrowth = 2
	// quietOps is how few reads and writes in quietWindow leave a merge the machine, as far as quietFactor times its rate goes.
	quietOps    = 100
	quietWindow = 50 * time.Millisecond
	quietFactor = 4
)

// pace returns what holds a merge to a number of bytes a second on average, more if there is little else to do, or just looks
// whether it is to stop. When the index has outgrown its bound, or the log grows faster than it is merged, nothing is held back.
func (g *merger) pace(bytesPerSecond int64) func(int64) error {
	next := time.Now()
	looked, ops, quiet, behind := next, g.e.ops(), false, false
	return func(n int64) error {
		now := time.Now()
		if now.Sub(looked) >= quietWindow {
			was := ops
			looked, ops = now, g.e.ops()
			quiet = ops-was < quietOps
			behind = g.e.unsettled() > logGrowth*mergeSegments*g.e.opts.SegmentBytesMax
		}
		if bytesPerSecond > 0 && !behind && g.e.index.entriesBytes() < g.e.opts.IndexBytesMax {
			if next.Before(now) {
				next = now
			}
			rate := float64(bytesPerSecond)
			if quiet {
				rate *= quietFactor
			}
			next = next.Add(time.Duration(float64(n) / rate * float64(time.Second)))
			if wait := next.Sub(now); wait > time.Millisecond {
				timer := time.NewTimer(wait)
				defer timer.Stop()
				select {
				case <-timer.C:
				case <-g.stop.Done():
				}
			}
		}
		return g.stop.Err()
	}
}

// ops counts what others did with the engine.
func (e *Engine) ops() int64 { return e.records.Load() + e.reads.Load() - e.mergeReads.Load() }

// full merges all there is.
func (g *merger) full(ctx context.Context) error {
	if err := g.e.writer.sealActive(); err != nil {
		return err
	}
	g.one.Lock()
	defer g.one.Unlock()
	if g.stop.Err() != nil {
		return ErrClosed
	}
	pace := func(int64) error { return errors.Join(ctx.Err(), g.stop.Err()) }
	for {
		p := g.e.planAll()
		if len(p.segments)+len(p.runs) == 0 {
			return nil
		}
		some, live := g.e.readable(p.segments)
		whole := len(some) == len(p.segments)
		if !whole {
			p = plan{segments: some, bytes: live, last: g.e.oldest(nil)}
		}
		err := g.e.mergeAndCount(p, pace)
		switch {
		case err != nil && g.stop.Err() != nil:
			return ErrClosed
		case err != nil || whole:
			return err
		}
	}
}

func (e *Engine) mergeAndCount(p plan, pace func(int64) error) error {
	began := time.Now()
	e.mergeWritten.Store(0)
	e.merging.Store(true)
	err := e.mergeNow(p, func(n int64) error {
		e.mergeBytes.Add(n)
		e.mergeWritten.Add(n)
		return pace(n)
	})
	e.merging.Store(false)
	e.writer.letGo()
	if err == nil {
		e.merges.Add(1)
		e.opts.Logger.Info("storage: merged", "dir", e.dir, "segments", len(p.segments), "runs", len(p.runs),
			"duration", time.Since(began))
	}
	return err
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

// planMerge finds what is due: segments, when they are many, hold much that is dead, or when the index has outgrown its memory;
// along with them the youngest runs that are not much larger; everything, when the space amplification is over its bound; or
// only runs, when they are too many.
func (e *Engine) planMerge(settle bool) plan {
	sealed, live, all := e.sealedSegments()
	runs := e.soundRuns()
	var p plan
	switch {
	case len(sealed) == 0:
	case settle, len(sealed) >= mergeSegments, e.space.full.Load() && live < all/2,
		float64(all-live) >= e.opts.DeadRatioMax*float64(all),
		e.index.entriesBytes() >= e.opts.IndexBytesMax/2:
		p.segments, p.bytes = e.readable(sealed)
	}
	p.rewrite = len(runs) > 0 && e.overDead()
	if len(p.segments) == 0 && len(runs) <= mergeRuns && !e.overSpace(runs, 0) && !p.rewrite {
		return plan{}
	}
	take := e.takeRuns(runs, p.bytes)
	if len(p.segments) == 0 {
		take = max(take, 2)
	}
	if p.rewrite || e.overSpace(runs, all) {
		take = len(runs)
	}
	for _, r := range runs[:min(take, len(runs))] {
		p.runs = append(p.runs, r)
		p.bytes += r.reader.Size()
	}
	p.last = e.oldest(p.runs)
	if p.last {
		p.bytes -= e.deadInRuns()
	}
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

// fit makes a plan smaller that the disk has no room for: without its oldest runs, as far as need be, and then without the youngest
// segments, as long as it gives more back than it takes. Where nothing fits the plan is as it was, and is refused.
func (e *Engine) fit(p plan, free int64) plan {
	fewer := p
	if p.last {
		fewer.bytes += e.deadInRuns()
	}
	for n := len(p.runs); fewer.bytes > free && n > 0; n-- {
		fewer.bytes -= p.runs[n-1].reader.Size()
		fewer.runs, fewer.last, fewer.rewrite = p.runs[:n-1], false, false
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
	for _, u := range e.unopened {
		if i := slices.IndexFunc(runs, func(r *runFile) bool { return r.last < u.last }); i >= 0 {
			runs = runs[:i]
		}
	}
	return runs
}

// oldest says whether there is nothing older than these, the youngest runs.
func (e *Engine) oldest(runs []*runFile) bool {
	return len(runs) == len(e.index.runs()) && len(e.unopened) == 0
}

// soundRuns are the runs that are younger than any that is known to be damaged: a merge of that one would fail, again and again,
// and all others with it.
func (e *Engine) soundRuns() []*runFile {
	runs := e.openedRuns()
	if i := slices.IndexFunc(runs, (*runFile).hasDamage); i >= 0 {
		return runs[:i]
	}
	return runs
}

// takeRuns is how many of the youngest runs go with what has so many bytes.
func (e *Engine) takeRuns(runs []*runFile, bytes int64) (n int) {
	for _, r := range runs {
		if r.reader.Size() > mergeGrowth*bytes {
			break
		}
		bytes += r.reader.Size()
		n++
	}
	return n
}

// overSpace says whether what lies over the oldest run is so much that the store may take up more than SpaceAmpMax times the
// size of what is live, which is at least about that run's.
func (e *Engine) overSpace(runs []*runFile, segments int64) bool {
	if len(runs) < 2 && (len(runs) == 0 || segments == 0) {
		return false
	}
	young := segments
	for _, r := range runs[:len(runs)-1] {
		young += r.reader.Size()
	}
	return float64(young) > (e.opts.SpaceAmpMax-1)*float64(runs[len(runs)-1].reader.Size())
}

// overDeadBytes is how much of the runs must be dead before they are merged for it.
const overDeadBytes = 1 << 20

// overDead says whether so much of the runs is superseded or deleted, as far as their filters can tell, that they are larger than
// SpaceAmpMax times what is live in them.
func (e *Engine) overDead() bool {
	u := e.index.usage()
	dead := u.deadRunBytes()
	return dead >= overDeadBytes && float64(u.runBytes) > e.opts.SpaceAmpMax*float64(u.runBytes-dead)
}

// planAll is a merge of all there is.
func (e *Engine) planAll() plan {
	sealed, live, _ := e.sealedSegments()
	p := plan{segments: sealed, runs: e.openedRuns(), bytes: live}
	p.last = e.oldest(p.runs)
	for _, r := range p.runs {
		p.bytes += r.reader.Size()
	}
	if p.last {
		p.bytes -= e.deadInRuns()
	}
	return p
}
