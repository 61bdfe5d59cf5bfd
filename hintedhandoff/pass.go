package hintedhandoff

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/ring"
)

// answerGrace is how long after its deadline a batch may still be answered.
const answerGrace = time.Second

// aloneTries is how often a hint is sent alone before it is poison.
const aloneTries = 2

// pass sends the hints of one target once, in the order of their keys. One goroutine runs it.
//
// Batches go out until enough are under way. After a failure nothing more is sent until all are answered; then the walk goes
// back to the first hint of the first batch that failed, with half of its size. What was acknowledged in between is gone by then.
type pass struct {
	s      *Store
	target ring.NodeID
	t      *targetReplay
	// results has the flights that are answered and, later, those that are removed. There is room for all.
	results chan *flight
	// flights are not answered, the one with the first deadline first; removing counts those that are being removed.
	flights  []*flight
	removing int

	cursor []byte // nil: the walk is at its end
	limit  int    // items of the next batch
	// worst is the failed batch that the walk goes back to.
	worst *flight
	// failures are those in a row. alone is the hint that failed alone last, tries how often.
	failures int
	alone    []byte
	tries    int
	// stuck says that the store gives or takes nothing now.
	stuck bool
}

// flight is a batch that is under way.
type flight struct {
	*batch
	deadline time.Time
	// answered is set by who has the first word: the answer, or the pass that waits no longer.
	answered atomic.Bool
	// removing says that the target has acknowledged it.
	removing bool
	// err is why the target, or the removal, has failed.
	err error
}

func newPass(s *Store, target ring.NodeID, t *targetReplay) *pass {
	return &pass{
		s: s, target: target, t: t, limit: s.opts.BatchItemsMax, cursor: appendHintKey(nil, target, nil),
		results: make(chan *flight, 2*s.opts.BatchesInFlightMax),
	}
}

// run returns how long to let the target be.
func (p *pass) run(ctx context.Context) (pause time.Duration) {
	for ctx.Err() == nil {
		switch {
		case p.mayRead():
			if b := p.read(); len(b.items) > 0 && p.s.replay.pace.wait(ctx, b.bytes) {
				p.send(b)
			}
		case len(p.flights)+p.removing > 0:
			if f := p.await(ctx); f != nil {
				p.settle(f)
			}
		case p.stuck:
			return p.s.opts.BackoffMax
		case p.worst == nil || !p.s.opts.Up(p.target):
			return 0
		case !p.goBack(ctx):
			return p.s.opts.BackoffMax
		}
	}
	return 0
}

func (p *pass) mayRead() bool {
	room := p.s.opts.BatchesInFlightMax
	return p.cursor != nil && p.worst == nil && !p.stuck && len(p.flights) < room && p.removing < room && p.s.opts.Up(p.target)
}

// read reads the next batch and moves the cursor behind it.
func (p *pass) read() *batch {
	now := time.Now()
	b, err := p.s.readBatch(p.target, p.cursor, p.limit, func(key []byte) bool { return p.s.replay.skips(p.t, key, now) })
	if err != nil {
		p.fail(err)
		p.stuck = true
		return &batch{}
	}
	p.cursor = b.next
	return b
}

func (p *pass) send(b *batch) {
	f := &flight{batch: b, deadline: time.Now().Add(p.s.opts.SendTimeout)}
	p.flights = append(p.flights, f)
	p.s.opts.Send(f.deadline, p.target, b.items, func(err error) {
		if !f.answered.Swap(true) {
			f.err = err
			p.results <- f
		}
	})
}

// await is the next flight that is answered, removed, or waited for in vain; nil when ctx is done.
func (p *pass) await(ctx context.Context) *flight {
	late := time.NewTimer(p.patience())
	defer late.Stop()
	select {
	case f := <-p.results:
		return f
	case <-ctx.Done():
		return nil
	case <-late.C:
	}
	if len(p.flights) == 0 || p.flights[0].answered.Swap(true) {
		return nil // it was answered just now
	}
	f := p.flights[0]
	f.err = errUnanswered
	return f
}

// patience is how long to wait for the first flight.
func (p *pass) patience() time.Duration {
	if len(p.flights) == 0 {
		return p.s.opts.SendTimeout
	}
	return time.Until(p.flights[0].deadline.Add(answerGrace))
}

// settle takes account of a flight.
func (p *pass) settle(f *flight) {
	if f.removing {
		p.removing--
		if f.err != nil {
			p.fail(f.err)
			p.stuck = true // else the same would be sent over and over
		}
		return
	}
	p.flights = slices.DeleteFunc(p.flights, func(g *flight) bool { return g == f })
	if f.err == nil {
		p.failures, p.limit = 0, min(2*p.limit, p.s.opts.BatchItemsMax)
		p.s.replay.acknowledged(p.t, f.batch)
		p.remove(f)
		return
	}
	p.s.totals.batchesFailed.Add(1)
	p.fail(f.err)
	if p.worst == nil || bytes.Compare(f.keys[0], p.worst.keys[0]) < 0 {
		p.worst = f
	}
}

// remove removes what the target has acknowledged. The next batches do not wait for it, and the end of the pass does.
func (p *pass) remove(f *flight) {
	f.removing = true
	p.removing++
	r := &removal{s: p.s, target: p.target, reason: removeAcked, keys: f.keys, revisions: f.revisions}
	r.done = func(removed int, err error) {
		p.s.totals.changed.Add(int64(len(f.keys) - removed))
		f.err = err
		p.results <- f
	}
	r.submit()
}

func (p *pass) fail(err error) { p.s.replay.failed(p.t, err) }

// goBack takes the walk back to the batch that failed, after a pause. It is false if the target refuses more than can be left out.
func (p *pass) goBack(ctx context.Context) bool {
	f := p.worst
	p.worst, p.cursor, p.limit = nil, f.keys[0], max(1, len(f.keys)/2)
	if len(f.keys) == 1 && errors.Is(f.err, ErrUndeliverable) && p.giveUp(f) {
		return true
	}
	if len(f.keys) == 1 && p.isPoison(f.keys[0]) && !p.s.replay.poisonKey(p.t, f.keys[0]) {
		return false
	}
	pause := p.s.opts.BackoffMax
	if p.failures < 30 {
		pause = min(p.s.opts.BackoffMin<<p.failures, pause)
	}
	p.failures++
	sleep(ctx, pause, p.t.kick)
	return true
}

// giveUp drops a hint that can never be delivered. It is false if the hint is counted, or was joined with more meanwhile, or cannot
// be removed.
func (p *pass) giveUp(f *flight) bool {
	gone := make(chan bool, 1)
	r := &removal{s: p.s, target: p.target, reason: removeUndeliverable, keys: f.keys, revisions: f.revisions}
	r.done = func(removed int, err error) { gone <- removed == 1 && err == nil }
	r.submit()
	return <-gone
}

// isPoison says whether a hint that has failed alone is to be left out: it was already, or it has failed like that before.
func (p *pass) isPoison(key []byte) bool {
	if !bytes.Equal(p.alone, key) {
		p.alone, p.tries = key, 0
	}
	p.tries++
	return p.tries >= aloneTries || p.s.replay.knowsPoison(p.t, key)
}
