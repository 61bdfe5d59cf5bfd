package storage

import "time"

const (
	// logGrowth is how many times as many segments as a merge is due for there may be before it is not held back.
	logGrowth = 2
	// quietOps is how few reads and writes in paceWindow leave a merge the machine, as far as quietFactor times its rate goes.
	quietOps    = 100
	paceWindow  = 50 * time.Millisecond
	quietFactor = 4
	// Where writes come at less than 1/writersShare of a merge's rate, it can wait, and takes 1/readersShare of its rate: it reads in key order, which
	// is any order, and each such read is one less for somebody who waits for the disk.
	writersShare = 64
	readersShare = 4
)

// pacer holds a merge in the background to Options.MergeBytesPerSecond on average: to more if there is little else to do, to less if there are readers and
// next to no writers, and to nothing if it is behind and writes come, or wait for it. Segments are behind when the index has outgrown its bound or
// the log grows faster than it is merged, runs when they are many. One goroutine uses it.
type pacer struct {
	g *merger
	k *work
	// next is when all that it was asked for is within the rate.
	next time.Time
	// looked is when it looked last, at what others had done by then.
	looked       time.Time
	ops, written int64
	// rate is in bytes a second; zero or less is no bound.
	rate float64
}

func newPacer(g *merger, k *work) *pacer {
	now := time.Now()
	return &pacer{g: g, k: k, next: now, looked: now, ops: g.e.ops(), written: g.e.bytesWritten.Load(), rate: float64(g.e.opts.MergeBytesPerSecond)}
}

// wait returns when n more bytes are within the rate, or with an error when merges are to stop.
func (p *pacer) wait(n int64) error {
	now := time.Now()
	if now.Sub(p.looked) >= paceWindow {
		p.look(now)
	}
	if p.rate > 0 {
		if p.next.Before(now) {
			p.next = now
		}
		p.next = p.next.Add(time.Duration(float64(n) / p.rate * float64(time.Second)))
		if wait := p.next.Sub(now); wait > time.Millisecond {
			timer := time.NewTimer(wait)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-p.g.stop.Done():
			}
		}
	}
	return p.g.stop.Err()
}

// look sets the rate by what others did since the last look.
func (p *pacer) look(now time.Time) {
	e, most := p.g.e, float64(p.g.e.opts.MergeBytesPerSecond)
	window, ops, written := now.Sub(p.looked), e.ops()-p.ops, e.bytesWritten.Load()-p.written
	p.looked, p.ops, p.written = now, p.ops+ops, p.written+written
	urgent := e.space.full.Load() || e.writer.held.any() || float64(written)*writersShare >= most*window.Seconds()
	switch {
	case urgent && p.g.behind(p.k):
		p.rate = 0
	case ops < quietOps:
		p.rate = most * quietFactor
	case !urgent:
		p.rate = most / readersShare
	default:
		p.rate = most
	}
}

func (g *merger) behind(k *work) bool {
	if k == &g.runs {
		return len(g.e.index.runs()) > runsGrowth*mergeRuns
	}
	return g.indexBehind() || g.e.unsettled() > logGrowth*mergeSegments*g.e.opts.SegmentBytesMax
}

// ops counts what others did with the engine.
func (e *Engine) ops() int64 { return e.records.Load() + e.reads.Load() - e.mergeReads.Load() }
