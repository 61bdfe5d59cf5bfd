package storage

import (
	"errors"
	"runtime"
	"sync"
)

// gatherYields bounds how often the decider lets others run before it hands a group over: those that the last group has
// just released come back within it. It never sleeps. Against none, puts a second of 64 callers: 1.33 times as many; of three
// processes with 16 each on two cores: 1.49; of 64 clients of a cluster of three nodes on two cores: 1.1. Alone: the same.
const gatherYields = 8

// requestBytes is what a mutation is counted as besides its bytes.
const requestBytes = 64

// request is a mutation on its way to a decision.
type request struct {
	m     Mutation
	bytes int64
	// values are those that an earlier decision asked for.
	values *values
}

// writer is the way from Submit to the log: a bounded queue, the decider, the committer and the value readers. doc.go
// has the picture. mu is held for moments only; what is marked so belongs to one goroutine and needs no lock.
type writer struct {
	e  *Engine
	mu sync.Mutex
	// work wakes the decider, space the submitters, handed the committer, unread the value readers.
	work, space, handed, unread sync.Cond

	waiting []request // submitted
	ready   []request // whose values were read
	reading []request // whose values are to be read
	// undecided counts the mutations, and undecidedBytes their bytes, from Submit to their decision: what the queue's
	// bounds are for.
	undecided      int
	undecidedBytes int64
	// readyBytes are the values read for requests that are not decided yet.
	readyBytes int64
	closing    bool // no more is submitted
	decided    bool // and nothing more is decided: the committer and the readers can go

	next       *group // handed over, not yet taken
	committing bool
	retired    *group // committed, not yet taken back
	// expected is how many mutations the next group may gather: as many as the last one released and were there already.
	expected int

	// The decider's own.
	open     *group // being filled
	inFlight *group // handed over, not yet taken back
	spare    *group
	overlay  *overlay
	yields   int
	batch    []request // being decided
	writes   Writes
	current  []Current
	seq      uint64 // of the next record

	running sync.WaitGroup
}

func newWriter(e *Engine, active *segment, seq uint64) *writer {
	w := &writer{e: e, open: &group{}, spare: &group{}, overlay: newOverlay(), seq: seq}
	for _, c := range []*sync.Cond{&w.work, &w.space, &w.handed, &w.unread} {
		c.L = &w.mu
	}
	w.writes.limits = limits{e.opts.KeyBytesMax, e.opts.ValueBytesMax, e.opts.BatchBytesMax}
	if active != nil {
		w.open.begin(active, active.written.Load(), false)
	}
	return w
}

func (w *writer) start() {
	w.running.Go(w.decideLoop)
	w.running.Go(w.commitLoop)
	for range valueReaders {
		w.running.Go(w.readLoop)
	}
}

// close ends the intake, waits until everything taken in is decided, committed and acknowledged, and until the
// goroutines are gone.
func (w *writer) close() {
	w.mu.Lock()
	w.closing = true
	w.space.Broadcast()
	w.work.Signal()
	w.mu.Unlock()
	w.running.Wait()
}

// submit queues a mutation.
func (w *writer) submit(m Mutation, bytes int) error {
	r := request{m: m, bytes: int64(bytes) + requestBytes}
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if err := w.refusalLocked(); err != nil {
			return err
		}
		// One mutation is always let in, however large.
		if w.undecided == 0 || w.undecided < w.e.opts.QueueLenMax && w.undecidedBytes+r.bytes <= w.e.opts.QueueBytesMax {
			break
		}
		w.space.Wait()
	}
	w.undecided++
	w.undecidedBytes += r.bytes
	w.waiting = append(w.waiting, r)
	if len(w.waiting) == 1 {
		w.work.Signal()
	}
	return nil
}

func (w *writer) refusalLocked() error {
	if w.closing {
		return ErrClosed
	}
	return w.e.refusal()
}

// decideLoop is the deciding stage.
func (w *writer) decideLoop() {
	for w.await() {
		for i := range w.batch {
			w.decide(&w.batch[i])
		}
		w.mu.Lock()
		for i := range w.batch {
			w.settleLocked(&w.batch[i])
		}
		w.space.Broadcast()
		w.mu.Unlock()
		clear(w.batch)
	}
}

// settleLocked takes a request out of the count, unless it went off to have values read.
func (w *writer) settleLocked(r *request) {
	if r.m == nil {
		return
	}
	w.undecided--
	w.undecidedBytes -= r.bytes
	if r.values != nil {
		w.usedLocked(r.values)
	}
}

// await fills batch with what is to be decided, handing the open group over when the committer is free and there is
// nothing to be gathered. It returns false when all is done.
func (w *writer) await() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		w.recycleLocked()
		if w.e.failure.Load() != nil {
			w.abortLocked()
		}
		sendable := !w.open.empty() && w.committerFreeLocked()
		switch {
		case sendable && (len(w.open.members) >= w.expected || w.yields == gatherYields):
			w.handOverLocked()
		case len(w.ready)+len(w.waiting) > 0:
			w.takeLocked()
			return true
		case sendable:
			w.yields++
			w.mu.Unlock()
			runtime.Gosched()
			w.mu.Lock()
		case w.closing && w.undecided == 0 && w.open.empty() && w.committerFreeLocked():
			w.decided = true
			w.handed.Signal()
			w.unread.Broadcast()
			return false
		default:
			w.work.Wait()
		}
	}
}

func (w *writer) committerFreeLocked() bool { return w.next == nil && !w.committing }

// takeLocked moves what waits into batch. Those that had values read go first: they have waited longer.
func (w *writer) takeLocked() {
	w.batch = append(w.batch[:0], w.ready...)
	clear(w.ready)
	w.ready = w.ready[:0]
	if len(w.batch) == 0 {
		w.batch, w.waiting = w.waiting, w.batch
		return
	}
	w.batch = append(w.batch, w.waiting...)
	clear(w.waiting)
	w.waiting = w.waiting[:0]
}

// handOverLocked gives the open group to the committer, which must be free, and opens the other one behind it.
func (w *writer) handOverLocked() {
	g := w.open
	g.vouch(w.seq)
	w.recycleLocked()
	w.next, w.inFlight, w.open, w.spare = g, g, w.spare, nil
	w.open.begin(g.seg, g.end(), false)
	w.yields = 0
	w.handed.Signal()
}

// recycleLocked takes the committed group back.
func (w *writer) recycleLocked() {
	g := w.retired
	if g == nil {
		return
	}
	w.retired, w.inFlight = nil, nil
	w.overlay.uncover(g)
	g.reset()
	w.spare = g
}

// flush hands the open group over, waiting for the committer.
func (w *writer) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.committerFreeLocked() {
		w.work.Wait()
	}
	if err := w.e.refusal(); err != nil {
		return err // await fails the group
	}
	w.handOverLocked()
	return nil
}

// abortLocked fails what is decided but will never be written, once the engine is read-only.
func (w *writer) abortLocked() {
	if len(w.open.members) == 0 || !w.committerFreeLocked() {
		return
	}
	g, cause := w.open, w.e.failure.Load().err
	w.overlay.uncover(g)
	w.mu.Unlock()
	for _, m := range g.members {
		m.Done(cause)
	}
	w.mu.Lock()
	seg, start, opens := g.seg, g.start, g.opens
	g.reset()
	g.begin(seg, start, opens)
}

// makeRoom sees to it that the open group and its segment can take one more mutation.
func (w *writer) makeRoom() error {
	over := w.open.seg == nil || w.open.end() >= w.e.opts.SegmentBytesMax
	if w.open.full() || over && len(w.open.members) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if !over {
		return nil
	}
	id := SegmentID(1)
	if w.open.seg != nil {
		id = w.open.seg.id + 1
	} else if last := w.e.log.last(); last != nil {
		id = last.id + 1
	}
	w.open.begin(newSegment(w.e.dir, w.e.engine, id, w.seq), segmentHeaderBytes, true)
	return nil
}

// decide takes the decision of one request. It clears r.m if the request goes off to have values read.
func (w *writer) decide(r *request) {
	pending, err := w.tryDecide(r)
	switch {
	case r.m == nil:
	case err != nil:
		r.m.Done(err)
	case w.writes.Len() == 0 && !pending:
		r.m.Decided()
		r.m.Done(nil) // all that it was based on is published, and so durable
	default:
		r.m.Decided()
		if n := w.writes.Len(); n > 0 {
			w.open.encode(&w.writes, w.seq)
			w.seq += uint64(n)
		}
		w.open.members = append(w.open.members, r.m)
	}
}

// tryDecide leaves the decision in writes. pending says that it is based on what is not published yet.
func (w *writer) tryDecide(r *request) (pending bool, err error) {
	if err := w.e.refusal(); err != nil {
		return false, err
	}
	if r.values != nil && r.values.err != nil {
		return false, r.values.err
	}
	if err := w.makeRoom(); err != nil {
		return false, err
	}
	keys := r.m.Keys()
	pending = w.see(keys, r.values)
	w.writes.reset()
	err = r.m.Decide(w.current, &w.writes)
	if errors.Is(err, ErrNeedValues) {
		if err = w.supply(r, keys); err != nil || r.m == nil {
			return pending, err
		}
		w.writes.reset()
		err = r.m.Decide(w.current, &w.writes)
	}
	if err == nil {
		err = w.writes.err
	}
	return pending, err
}

// see fills current with the states of keys, and with their values where v has them. It says whether any of them is
// not published.
func (w *writer) see(keys [][]byte, v *values) (pending bool) {
	clear(w.current)
	w.current = w.current[:0]
	if len(keys) == 0 {
		return false
	}
	if w.inFlight != nil {
		w.overlay.cover(w.inFlight)
	}
	w.overlay.cover(w.open)
	for i, key := range keys {
		if c, g, ok := w.overlay.get(key); ok {
			pending = true
			w.current = append(w.current, v.ofChange(c, g))
		} else {
			w.current = append(w.current, v.ofEntry(i, w.e, key))
		}
	}
	return pending
}

// wakeAll makes everyone look at the engine's failure.
func (w *writer) wakeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.work.Signal()
	w.space.Broadcast()
}

// queued is how much waits for its decision.
func (w *writer) queued() (n int, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.undecided, w.undecidedBytes
}
