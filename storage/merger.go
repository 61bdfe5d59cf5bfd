package storage

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// merger merges in the background and on demand: at any time one merge of segments, which takes small runs along, and one merge of
// runs. The first makes room in the index, and is short; the second may take as long as it takes to write all there is.
type merger struct {
	e              *Engine
	stop           context.Context
	quit           context.CancelFunc
	segments, runs work
	// room has how the last merge of stepRoom ended.
	room    work
	running sync.WaitGroup
	// planning is held while runs are chosen, which says who merges them. finishing is held while a run takes its place.
	planning, finishing sync.Mutex
	// ceiling is how large the index may get before writes wait for the merge of segments that is under way. It only falls.
	ceiling atomic.Int64
}

// work is one of the two kinds of merges.
type work struct {
	// due has the background look whether there is anything to merge.
	due chan struct{}
	// one is held while a merge of the kind is under way, which may be long.
	one turn
	// planned is the most that it will write, zero if there is none, and written what it has written.
	planned, written atomic.Int64
	// failed is why the last one in the background failed; another is tried when there is more.
	failed atomic.Pointer[error]
	// failedAt is when one failed last, in nanoseconds since the Unix epoch.
	failedAt atomic.Int64
}

// turn is a lock that is held for long: who waits for it can give up.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

// take waits until the turn is free. Its error is ctx's.
func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) give() { <-t }

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
		k.due, k.one = make(chan struct{}, 1), newTurn()
	}
	g.stop, g.quit = context.WithCancel(context.Background())
	g.ceiling.Store(math.MaxInt64)
	g.lowerCeiling()
	return g
}

// lowerCeiling lowers the ceiling, after each merge of segments, down to indexGrowth times what the index may take. Where it has more, as when it was
// opened with less memory than it was written with, the ceiling is what it has now and as much more as it may take, and less than it was: writes
// that come while such an index shrinks need not wait, and those that fill it up again do in the end.
func (g *merger) lowerCeiling() {
	most := g.e.opts.IndexBytesMax
	c := min(g.ceiling.Load()-most/8, g.e.index.entriesBytes()+most)
	g.ceiling.Store(max(c, indexGrowth*most))
}

// indexBehind says whether the index has outgrown its memory, or grows though it has more.
func (g *merger) indexBehind() bool {
	n, most, c := g.e.index.entriesBytes(), g.e.opts.IndexBytesMax, g.ceiling.Load()
	if c > indexGrowth*most {
		return n >= c-most/2
	}
	return n >= most
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
	release, _ := g.hold(context.Background()) // a Merge has to see that it is over
	release()
}

// wake has it look whether there is anything to merge.
func (g *merger) wake() { g.segments.wake() }

// hold waits until no merge is under way and lets none begin until release is called. As everywhere, runs come first. Its error is ctx's.
func (g *merger) hold(ctx context.Context) (release func(), err error) {
	if err := g.runs.one.take(ctx); err != nil {
		return nil, err
	}
	if err := g.segments.one.take(ctx); err != nil {
		g.runs.one.give()
		return nil, err
	}
	return func() {
		g.segments.one.give()
		g.runs.one.give()
	}, nil
}

// mergeRetryAfter is the time after which what has failed is tried again although nothing new was written.
const mergeRetryAfter = time.Minute

// loop merges segments when they are due, and when nobody writes. Whatever is due shows when a segment is full, and at the latest after
// Options.IdleMergeAfter.
func (g *merger) loop() {
	idle := time.NewTicker(g.e.opts.IdleMergeAfter)
	defer idle.Stop()
	seen := g.e.records.Load()
	for {
		settle, tick := false, false
		select {
		case <-g.stop.Done():
			return
		case <-g.segments.due:
		case <-idle.C:
			now := g.e.records.Load()
			settle = now == seen && (g.e.unsettled() >= idleMergeBytes || g.e.overDead() || g.e.overDroppable(false))
			seen, tick = now, true
			if g.e.failure.Load() != nil {
				continue
			}
		}
		if !tick || !g.later(&g.segments) {
			g.mergeSegments(settle)
		}
		if !tick || !g.later(&g.runs) {
			g.runs.wake()
		}
	}
}

// mergeSegments carries out all merges of segments that are due.
func (g *merger) mergeSegments(settle bool) {
	if settle || g.e.space.full.Load() {
		// What is dead in the active segment counts, too, now.
		if err := g.sealActive(); err != nil && !errors.Is(err, ErrDiskFull) {
			g.e.opts.Logger.Warn("storage: active segment not sealed", "error", err)
		}
	}
	for g.stepSegments(settle) {
		g.runs.wake()
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

func (g *merger) stepRuns() bool {
	return g.step(&g.runs, g.e.planRuns) || g.e.space.full.Load() && !g.later(&g.room) && g.stepRoom()
}

// step carries out one merge of a kind if one is due.
func (g *merger) step(k *work, due func() plan) bool {
	if k.one.take(g.stop) != nil {
		return false
	}
	defer k.one.give()
	if g.stop.Err() != nil || g.e.failure.Load() != nil {
		return false
	}
	p := g.claim(due)
	defer g.release(&p)
	if p.empty() {
		k.failed.Store(nil)
		return false
	}
	err := g.e.mergeAndCount(p, newPacer(g, k).wait)
	g.ended(k, err)
	return err == nil
}

// ended notes how a merge ended. That there is still no room is not said again.
func (g *merger) ended(k *work, err error) {
	if err != nil {
		k.failedAt.Store(time.Now().UnixNano())
	}
	last := k.failed.Swap(&err)
	if err == nil || errors.Is(err, context.Canceled) {
		return
	}
	if !isSpaceError(err) || last == nil || !isSpaceError(*last) {
		g.e.opts.Logger.Warn("storage: merge failed", "error", err)
	}
}

func isSpaceError(err error) bool {
	var s *SpaceError
	return errors.As(err, &s)
}

// later says that a merge of a kind has failed, and is not tried again yet. That there was no room is soon otherwise.
func (g *merger) later(k *work) bool {
	err := k.failed.Load()
	return err != nil && *err != nil && !isSpaceError(*err) && time.Since(time.Unix(0, k.failedAt.Load())) < mergeRetryAfter
}

// claim chooses what to merge, as far as the disk has room for it, and has nobody else merge its runs until release.
func (g *merger) claim(choose func() plan) plan {
	g.planning.Lock()
	defer g.planning.Unlock()
	p := choose()
	if p.empty() {
		return plan{}
	}
	if free, err := g.e.freeForMerge(&p); err == nil {
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
	for _, k := range [...]*work{&g.segments, &g.runs, &g.room} {
		if err := k.failed.Load(); err != nil && *err != nil {
			return *err
		}
	}
	return nil
}

// sealBytesLeast is what must be free for a segment to be sealed: many times what its last frame takes.
const sealBytesLeast = 64 << 10

// sealActive seals the active segment, unless the disk has no room left at all: a write that fails would make the engine read-only.
func (g *merger) sealActive() error {
	if free, err := g.e.fs.Free(g.e.dir); err == nil && free < sealBytesLeast {
		return ErrDiskFull
	}
	return g.e.writer.sealActive()
}

// full merges all there is: first the segments and what goes along with them, then what is more than one run by then. Where the disk has
// room for a part of the runs only, it merges those, and its error is a *SpaceError.
func (g *merger) full(ctx context.Context) error {
	if err := g.sealActive(); err != nil {
		return err
	}
	if err := g.runs.one.take(ctx); err != nil {
		return err
	}
	defer g.runs.one.give()
	pace := func(int64) error { return errors.Join(ctx.Err(), g.stop.Err()) }
	rest, short, err := g.fullSegments(ctx, pace)
	defer g.release(&rest)
	if err == nil && len(rest.runs) > 0 {
		err = g.e.mergeAndCount(rest, pace)
	}
	switch {
	case g.stop.Err() != nil:
		return ErrClosed
	case err == nil && short != nil:
		return short
	}
	return err
}

// claimAll claims all runs, or, where the disk has no room for that, as many as there is room for: then short says so.
func (g *merger) claimAll() (p plan, short *SpaceError) {
	p = g.claim(g.e.planAllRuns)
	all := g.e.planAllRuns()
	if len(p.runs) == len(all.runs) {
		return p, nil
	}
	free, _ := g.e.freeForMerge(&all) // the claim has known it
	return p, &SpaceError{all.bytes + g.e.deadInRuns(), free}
}

// fullSegments merges all segments that are sealed now. The rest is claimed for a merge of runs; short is that of claimAll.
func (g *merger) fullSegments(ctx context.Context, pace func(int64) error) (rest plan, short *SpaceError, err error) {
	if err := g.segments.one.take(ctx); err != nil {
		return plan{}, nil, err
	}
	defer g.segments.one.give()
	if err := pace(0); err != nil {
		return plan{}, nil, err
	}
	settle := func() plan { return g.e.planSegments(true) }
	whole, until := false, g.e.lastSealed()
	for !whole && g.e.firstSealed() <= until {
		p := g.claim(settle)
		err := g.e.mergeAndCount(p, pace)
		g.release(&p)
		if err != nil {
			return plan{}, nil, err
		}
		whole = p.last && g.e.firstSealed() > until
	}
	if !whole {
		rest, short = g.claimAll()
	}
	return rest, short, nil
}

func (e *Engine) mergeAndCount(p plan, pace func(int64) error) error {
	began, dropped, before := time.Now(), e.dropped.Load(), e.index.usage()
	k := e.merger.kindOf(&p)
	k.written.Store(0)
	k.planned.Store(max(p.bytes, 1))
	err := e.mergeNow(p, func(n int64) error {
		e.mergeBytes.Add(n)
		k.written.Add(n)
		return pace(n)
	})
	k.planned.Store(0)
	if k == &e.merger.segments {
		e.merger.lowerCeiling()
	}
	e.writer.letGo()
	if err == nil {
		e.merges.Add(1)
		switch {
		case e.dropped.Load() > dropped:
			e.kept.Store(0)
		case p.drops:
			e.kept.Store(e.opts.Droppable())
		}
		if p.dead {
			u, left := e.index.usage(), int64(0)
			// It had to leave tombstones, or there are runs that it cannot merge, or there was less than filters say.
			if !p.last || e.lostSeq.Load() > 0 || u.runBytes > before.runBytes-overDeadBytes {
				left = u.deadRunBytes()
			}
			e.deadLeft.Store(left)
		}
		e.opts.Logger.Info("storage: merged", "dir", e.dir, "segments", len(p.segments), "runs", len(p.runs),
			"duration", time.Since(began))
	}
	return err
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
