package storage

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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

// merger merges in the background and on demand: at any time one merge of segments, which takes small runs along, and one merge of
// runs. The first makes room in the index, and is short; the second may take as long as it takes to write all there is.
type merger struct {
	e              *Engine
	stop           context.Context
	quit           context.CancelFunc
	segments, runs work
	running        sync.WaitGroup
	// planning is held while runs are chosen, which says who merges them. finishing is held while a run takes its place.
	planning, finishing sync.Mutex
}

// work is one of the two kinds of merges.
type work struct {
	// due has the background look whether there is anything to merge.
	due chan struct{}
	// one is held while a merge of the kind is under way.
	one sync.Mutex
	// planned is the most that it will write, zero if there is none, and written what it has written.
	planned, written atomic.Int64
	// failed is why the last one in the background failed; another is tried when there is more.
	failed atomic.Pointer[error]
}

// wake has it look whether there is anything to merge.
func (k *work) wake() {
	select {
	case k.due <- struct{}{}:
	default: // it will
	}
}

func (k *work) underWay() bool { return k.planned.Load() > 0 }

// rest is the most that the merge under way has yet to write.
func (k *work) rest() int64 { return max(k.planned.Load()-k.written.Load(), 0) }

func newMerger(e *Engine) *merger {
	g := &merger{e: e}
	for _, k := range g.kinds() {
		k.due = make(chan struct{}, 1)
	}
	g.stop, g.quit = context.WithCancel(context.Background())
	return g
}

func (g *merger) kinds() [2]*work { return [...]*work{&g.segments, &g.runs} }

func (g *merger) start() {
	if !g.e.opts.MergeDisabled {
		g.running.Go(g.loop)
		g.running.Go(g.runsLoop)
		g.segments.wake()
		g.runs.wake()
	}
}

// close breaks off what is under way.
func (g *merger) close() {
	g.quit()
	g.running.Wait()
	g.hold()() // a Merge has to see that it is over
}

// wake has it look whether there is anything to merge.
func (g *merger) wake() { g.segments.wake() }

// hold waits until no merge is under way and lets none begin until release is called. As everywhere, runs come first.
func (g *merger) hold() (release func()) {
	g.runs.one.Lock()
	g.segments.one.Lock()
	return func() {
		g.segments.one.Unlock()
		g.runs.one.Unlock()
	}
}

// loop merges segments when they are due, and when nobody writes.
func (g *merger) loop() {
	idle := time.NewTicker(g.e.opts.IdleMergeAfter)
	defer idle.Stop()
	seen, failed := g.e.records.Load(), int64(-1)
	for {
		settle := false
		select {
		case <-g.stop.Done():
			return
		case <-g.segments.due:
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
		for g.stepSegments(settle) {
			g.runs.wake()
		}
		g.runs.wake()
		if settle && g.lastError() != nil {
			failed = seen // it is not tried again until there is more
		}
	}
}

// runsLoop merges runs when they are due.
func (g *merger) runsLoop() {
	for {
		select {
		case <-g.stop.Done():
			return
		case <-g.runs.due:
		}
		for g.stepRuns() {
			g.segments.wake() // there may be room on the disk now
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

func (g *merger) stepSegments(settle bool) bool {
	return g.step(&g.segments, func() plan { return g.e.planSegments(settle) })
}

func (g *merger) stepRuns() bool { return g.step(&g.runs, g.e.planRuns) }

// step carries out one merge of a kind if one is due.
func (g *merger) step(k *work, due func() plan) bool {
	k.one.Lock()
	defer k.one.Unlock()
	if g.stop.Err() != nil || g.e.failure.Load() != nil {
		return false
	}
	p := g.claim(due)
	defer g.release(&p)
	if p.empty() {
		k.failed.Store(nil)
		return false
	}
	err := g.e.mergeAndCount(p, g.pace(k, g.e.opts.MergeBytesPerSecond))
	k.failed.Store(&err)
	if err != nil && !errors.Is(err, context.Canceled) {
		g.e.opts.Logger.Warn("storage: merge failed", "error", err)
	}
	return err == nil
}

// claim chooses what to merge, as far as the disk has room for it, and has nobody else merge its runs until release.
func (g *merger) claim(choose func() plan) plan {
	g.planning.Lock()
	defer g.planning.Unlock()
	p := choose()
	if free, err := g.e.freeForMerge(&p); err == nil && !p.empty() {
		p = g.e.fit(p, free)
	}
	for _, r := range p.runs {
		r.claimed = true
	}
	return p
}

func (g *merger) release(p *plan) {
	g.planning.Lock()
	defer g.planning.Unlock()
	for _, r := range p.runs {
		r.claimed = false
	}
}

// kindOf is what kind of merge a plan is.
func (g *merger) kindOf(p *plan) *work {
	if len(p.segments) > 0 {
		return &g.segments
	}
	return &g.runs
}

// freeForMerge is what the disk has for a merge: not what the other one may yet write.
func (e *Engine) freeForMerge(p *plan) (int64, error) {
	free, err := e.fs.Free(e.dir)
	for _, k := range e.merger.kinds() {
		if k != e.merger.kindOf(p) {
			free -= min(k.rest(), free)
		}
	}
	return free, err
}

// lastError is why the last merge in the background failed, or nil.
func (g *merger) lastError() error {
	for _, k := range g.kinds() {
		if err := k.failed.Load(); err != nil && *err != nil {
			return *err
		}
	}
	return nil
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
// whether it is to stop. What is behind is not held back: segments when the index has outgrown its bound or the log grows faster
// than it is merged, runs when they are many.
func (g *merger) pace(k *work, bytesPerSecond int64) func(int64) error {
	next := time.Now()
	looked, ops, quiet, behind := next, g.e.ops(), false, false
	return func(n int64) error {
		now := time.Now()
		if now.Sub(looked) >= quietWindow {
			was := ops
			looked, ops = now, g.e.ops()
			quiet = ops-was < quietOps
			behind = g.behind(k)
		}
		if bytesPerSecond > 0 && !behind {
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

func (g *merger) behind(k *work) bool {
	if k == &g.runs {
		return len(g.e.index.runs()) > runsGrowth*mergeRuns
	}
	return g.e.index.entriesBytes() >= g.e.opts.IndexBytesMax || g.e.unsettled() > logGrowth*mergeSegments*g.e.opts.SegmentBytesMax
}

// ops counts what others did with the engine.
func (e *Engine) ops() int64 { return e.records.Load() + e.reads.Load() - e.mergeReads.Load() }

// full merges all there is: first the segments and what goes along with them, then what is more than one run by then.
func (g *merger) full(ctx context.Context) error {
	if err := g.e.writer.sealActive(); err != nil {
		return err
	}
	g.runs.one.Lock()
	defer g.runs.one.Unlock()
	pace := func(int64) error { return errors.Join(ctx.Err(), g.stop.Err()) }
	rest, err := g.fullSegments(pace)
	defer g.release(&rest)
	if err == nil && len(rest.runs) > 0 {
		err = g.e.mergeAndCount(rest, pace)
	}
	if g.stop.Err() != nil {
		return ErrClosed
	}
	return err
}

// fullSegments merges all segments that are sealed now. The rest is claimed for a merge of runs.
func (g *merger) fullSegments(pace func(int64) error) (rest plan, err error) {
	g.segments.one.Lock()
	defer g.segments.one.Unlock()
	if err := pace(0); err != nil {
		return plan{}, err
	}
	settle := func() plan { return g.e.planSegments(true) }
	whole, until := false, g.e.lastSealed()
	for !whole && g.e.firstSealed() <= until {
		p := g.claim(settle)
		err := g.e.mergeAndCount(p, pace)
		g.release(&p)
		if err != nil {
			return plan{}, err
		}
		whole = p.last && g.e.firstSealed() > until
	}
	if whole {
		return plan{}, nil
	}
	return g.claim(g.e.planAllRuns), nil
}

func (e *Engine) mergeAndCount(p plan, pace func(int64) error) error {
	began := time.Now()
	k := e.merger.kindOf(&p)
	k.written.Store(0)
	k.planned.Store(max(p.bytes, 1))
	err := e.mergeNow(p, func(n int64) error {
		e.mergeBytes.Add(n)
		k.written.Add(n)
		return pace(n)
	})
	k.planned.Store(0)
	e.writer.letGo()
	if err == nil {
		e.merges.Add(1)
		e.opts.Logger.Info("storage: merged", "dir", e.dir, "segments", len(p.segments), "runs", len(p.runs),
			"duration", time.Since(began))
	}
	return err
}

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
	claimed := slices.ContainsFunc(runs, isClaimed)
	runs = unclaimed(runs)
	switch {
	case !claimed && (e.overDead() || e.overSpace(runs)):
		p.runs, p.rewrite = runs, e.overDead()
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
// SpaceAmpMax times what is live in them.
func (e *Engine) overDead() bool {
	u := e.index.usage()
	dead := u.deadRunBytes()
	return dead >= overDeadBytes && float64(u.runBytes) > e.opts.SpaceAmpMax*float64(u.runBytes-dead)
}

// fullBytes is the most that a merge of all there is would write at once.
func (e *Engine) fullBytes() int64 {
	_, live, _ := e.sealedSegments()
	return live + e.planAllRuns().bytes
}

// debt is the most that the merges which are due, or under way, have yet to write.
func (g *merger) debt() (bytes int64) {
	g.planning.Lock()
	defer g.planning.Unlock()
	due := [...]func() plan{func() plan { return g.e.planSegments(false) }, g.e.planRuns}
	for i, k := range g.kinds() {
		if k.underWay() {
			bytes += k.rest()
		} else {
			p := due[i]()
			bytes += p.bytes
		}
	}
	return bytes
}
