package storage

import (
	"time"

	"github.com/ringcask/ringcask/internal/yield"
)

const (
	// logGrowth is how many times as many segments as a merge is due for there may be before it is not held back.
	logGrowth = 2
	// paceWindow is the time between two looks at what others do.
	paceWindow = 50 * time.Millisecond
	// quietOps is how few reads and writes in paceWindow leave a merge the machine, as far as quietFactor times its rate goes, and quietColdOps
	// how few of a store that has to be read from the disk: many disks do no more than some hundred reads a second.
	quietOps     = 100
	quietColdOps = 2
	quietFactor  = 4
	// fewWrites and 1/writersShare of a merge's rate are how little is written where it can wait for readers, and takes 1/readersShare of
	// its rate. With 4 GiB under 512 MiB of memory others read 34 k/s beside the whole rate and 50 k/s beside a quarter of it, 64 k/s without a
	// merge, p99.9 17, 4 and 4 ms.
	fewWrites    = 50
	writersShare = 64
	readersShare = 4
)

// pacer holds a merge in the background to Options.MergeBytesPerSecond on average. It lets it write more if there is little else to do, and as
// much as it can if it is behind and writes come, or if they are about to wait for it. It is behind when the index has outgrown its bound or the
// log grows faster than it is merged, or with too many runs. And it has a merge of segments write less while there are readers and next to no
// writers, if the store is larger than what is mapped of it: such a merge reads in any order, and each of its reads is one less for
// somebody who waits for the disk. Each time that it is asked, others may run first, unless writes wait for the merge, the
// disk is full, or merges are to stop. One goroutine uses it.
type pacer struct {
	g *merger
	k *work
	// rate is in bytes a second; zero or less is no bound. What was written ahead of it by the time at is owed.
	rate, owed float64
	at         time.Time
	// looked is when it looked last, at what others had done by then.
	looked                 time.Time
	reads, writes, written int64
	yielder                yield.Yielder
}

func newPacer(g *merger, k *work) *pacer {
	p := &pacer{g: g, k: k, rate: float64(g.e.opts.MergeBytesPerSecond), at: time.Now(), yielder: yield.Yielder{Yield: g.e.opts.yield}}
	p.looked = p.at
	p.count()
	return p
}

// count returns what others have done since the last time.
func (p *pacer) count() (reads, writes, written int64) {
	e := p.g.e
	reads, writes, written = p.reads, p.writes, p.written
	p.reads, p.writes, p.written = e.reads.Load()-e.mergeReads.Load(), e.records.Load(), e.bytesWritten.Load()
	return p.reads - reads, p.writes - writes, p.written - written
}

// wait returns when n more bytes are within the rate, or with an error when merges are to stop. With none it lets others run and no more.
func (p *pacer) wait(n int64) error {
	p.pass(time.Now())
	p.owed += float64(n)
	for n > 0 && p.rate > 0 && p.owed/p.rate > time.Millisecond.Seconds() {
		// Not longer than to the next look: it may be needed by then.
		timer := time.NewTimer(time.Duration(min(p.owed/p.rate, paceWindow.Seconds()) * float64(time.Second)))
		select {
		case <-timer.C:
		case <-p.g.stop.Done():
			timer.Stop()
			return p.g.stop.Err()
		}
		p.pass(time.Now())
	}
	err := p.g.stop.Err()
	if err == nil && !p.g.e.space.full.Load() && !p.g.e.writer.held.any() {
		p.yielder.Rest()
	}
	return err
}

// pass lets time pass.
func (p *pacer) pass(now time.Time) {
	p.owed = max(p.owed-p.rate*now.Sub(p.at).Seconds(), 0)
	p.at = now
	if now.Sub(p.looked) >= paceWindow {
		p.look(now)
	}
	if p.rate <= 0 {
		p.owed = 0
	}
}

// look sets the rate by what others did since the last look.
func (p *pacer) look(now time.Time) {
	e, most, windows := p.g.e, float64(p.g.e.opts.MergeBytesPerSecond), float64(now.Sub(p.looked))/float64(paceWindow)
	p.looked = now
	reads, writes, written := p.count()
	cold := e.diskBytes() > e.opts.MapBytesMax
	quiet := quietOps * windows
	if cold {
		quiet = quietColdOps * windows
	}
	few := float64(writes) < fewWrites*windows && float64(written)*writersShare < most*paceWindow.Seconds()*windows
	switch {
	case p.g.awaited(p.k), !few && p.g.behind(p.k):
		p.rate = 0
	case float64(reads+writes) < quiet && !e.writer.held.any():
		p.rate = most * quietFactor
	case e.space.full.Load():
		p.rate = most
	case few && cold && p.k == &p.g.segments:
		p.rate = most / readersShare
	default:
		p.rate = most
	}
}

// behind says whether a merge is to have its way with those who write.
func (g *merger) behind(k *work) bool {
	if k == &g.runs {
		return len(g.e.index.runs()) > runsGrowth*mergeRuns
	}
	return g.indexBehind() || g.e.unsettled() > logGrowth*mergeSegments*g.e.opts.SegmentBytesMax
}

// awaited says whether writes wait for a merge, or are not far from it: see writer.overgrown.
func (g *merger) awaited(k *work) bool {
	if k == &g.runs {
		return len(g.e.index.runs()) > runsMax/2
	}
	return g.e.index.entriesBytes() >= g.ceiling.Load()-g.e.opts.IndexBytesMax/2
}
