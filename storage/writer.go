package storage

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/storage/internal/memindex"
)

// gatherYields bounds how often the committer lets others run before it takes the open group: those that the last group has
// just released come back within it. It never sleeps. Against none, puts a second of 64 callers: 1.33 times as many; of three
// processes with 16 each on two cores: 1.49; of 64 clients of a cluster of three nodes on two cores: 1.1. Alone: the same. Where the processors are busy with other things
// a yield may take a whole time slice, and no other is taken once gatherWait is over.
const (
	gatherYields = 8
	gatherWait   = 200 * time.Microsecond
)

// A writer tries turnSpins times to have its turn at once, then lets others run, and parks if it has no turn within turnWait: a
// turn takes less than being put to sleep and woken does, but with busy processors one yield may take a whole time slice.
const (
	turnSpins = 64
	turnWait  = 20 * time.Microsecond
)

// indexGrowth is how many times Options.IndexBytesMax the index may take before writes wait; see merger.ceiling.
const indexGrowth = 2

// requestBytes is what a mutation is counted as besides its bytes.
const requestBytes = 64

// request is a mutation on its way to a decision.
type request struct {
	m     Mutation
	bytes int64
	// values are those that an earlier decision asked for.
	values *values
}

// writer is the way from Submit to the log; doc.go has the picture. Decisions are taken one at a time, under mu, by those who
// submit them or by the value readers, and are encoded into the open group at once. Under SyncAlways the committer takes the
// groups from there; else the one who decides commits, too.
type writer struct {
	e  *Engine
	mu sync.Mutex
	// waiting counts who waits for mu.
	waiting atomic.Int32
	// space wakes the submitters, handed the committer, unread the value readers, settled who waits for
	// the committer to have nothing left.
	space, handed, unread, settled sync.Cond

	open *group // being filled
	// queue are the groups behind which the open one was begun, oldest first; the committer commits the first.
	queue  []*group
	groups *groupPool
	// shown wakes the absorber.
	shown chan struct{}
	// expected is how many mutations the open group may gather: as many as the last one released, and were there already.
	expected int

	reading []request // whose values are to be read
	// undecided counts those and the ones that have their values; pending all that are not done, and pendingBytes their bytes,
	// which the queue's bounds are for.
	undecided             int
	pending, pendingBytes atomic.Int64
	closing               bool // no more is submitted
	// held are the writes that wait for a merge.
	held held
	// sealing says that the active segment is being sealed, without the lock: nothing is decided meanwhile. settled tells when that is over.
	sealing bool

	writes  Writes
	current []Current
	metas   []byte // those of current
	// places are where the index has the keys of current.
	places []memindex.Place
	seq    uint64 // of the next record
	// lastID is the segment that was begun last, roll says that the next mutation begins another.
	lastID SegmentID
	roll   bool

	running sync.WaitGroup
}

func newWriter(e *Engine) *writer {
	groups := new(groupPool)
	w := &writer{
		e: e, open: groups.get(), groups: groups, seq: e.nextSeq.Load(), shown: make(chan struct{}, 1),
	}
	if last := e.log.last(); last != nil {
		w.lastID = last.id
	}
	if runs := e.index.runs(); len(runs) > 0 {
		w.lastID = max(w.lastID, runs[0].last)
	}
	for _, r := range *e.unopened.Load() {
		// A segment in its span would be taken for one that it holds.
		w.lastID = max(w.lastID, r.last)
	}
	for _, c := range []*sync.Cond{&w.space, &w.handed, &w.unread, &w.settled} {
		c.L = &w.mu
	}
	w.writes.limits = limits{e.opts.KeyBytesMax, e.opts.ValueBytesMax, e.opts.BatchBytesMax}
	if active := e.log.active(); active != nil {
		w.open.begin(active, active.written.Load(), false)
	}
	return w
}

func (w *writer) start() {
	if w.e.opts.Sync == SyncAlways {
		w.running.Go(w.commitLoop)
		w.running.Go(w.absorbLoop)
	}
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
	w.handed.Broadcast()
	w.unread.Broadcast()
	w.awaitSealed()
	w.mu.Unlock()
	w.running.Wait()
	// Who enters what he wrote into the index holds a shard, and nobody does who comes now. What the absorber left is absorbed.
	w.e.index.lock()
	w.e.index.unlock()
}

// turn waits for the writer's lock.
func (w *writer) turn() {
	if w.mu.TryLock() {
		return
	}
	w.waiting.Add(1)
	defer w.waiting.Add(-1)
	for range turnSpins {
		if w.mu.TryLock() {
			return
		}
	}
	for began := time.Now(); time.Since(began) < turnWait; runtime.Gosched() {
		if w.mu.TryLock() {
			return
		}
	}
	w.mu.Lock()
}

// submit has a mutation decided, or sends it off to have values read. done says that it is done with err, of which the mutation
// was not told; else an error means that it was not taken.
func (w *writer) submit(m Mutation, bytes int) (done bool, err error) {
	r := request{m: m, bytes: int64(bytes) + requestBytes}
	if keys := m.Keys(); len(keys) > 0 && w.e.index.cold() {
		w.e.warm(keys)
	}
	w.turn()
	for {
		if err := w.refusal(); err != nil {
			w.mu.Unlock()
			return false, err
		}
		if w.overgrown() {
			w.awaitMerge()
			continue
		}
		if w.sealing {
			w.settled.Wait()
			continue
		}
		// One mutation is always let in, however large.
		n := w.pending.Load()
		if n == 0 || n < int64(w.e.opts.QueueLenMax) && w.pendingBytes.Load()+r.bytes <= w.e.opts.QueueBytesMax {
			break
		}
		w.space.Wait()
	}
	w.pending.Add(1)
	w.pendingBytes.Add(r.bytes)
	w.undecided++
	return w.takeAndUnlock(&r)
}

// awaitMerge waits until writes need not wait for a merge, or there is another reason to look again.
func (w *writer) awaitMerge() {
	w.held.begin()
	defer w.held.end()
	for w.overgrown() && w.refusal() == nil {
		w.space.Wait()
	}
}

// overgrown says whether writes must wait for a merge that is under way: the index has so outgrown its memory, or the runs are so many.
func (w *writer) overgrown() bool {
	g, x := w.e.merger, w.e.index
	over := g.segments.underWay() && x.entriesBytes() >= g.ceiling.Load() ||
		g.runs.underWay() && len(x.runs()) >= runsMax
	return over && !w.closing
}

// letGo has writes look again that wait for a merge.
func (w *writer) letGo() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.space.Broadcast()
}

func (w *writer) refusal() error {
	if w.closing {
		return ErrClosed
	}
	return w.e.refusal()
}

// ended is refusal for what is done on a full disk, too.
func (w *writer) ended() error {
	f := w.e.failure.Load()
	switch {
	case w.closing:
		return ErrClosed
	case f != nil:
		return f.refusal
	}
	return nil
}

// takeAndUnlock takes the decision of a request under the lock, and lets go of it. done says that the mutation is done with err
// and has to be told. It clears r.m if the request goes off to have values read.
func (w *writer) takeAndUnlock(r *request) (done bool, err error) {
	done, err = w.decide(r)
	if r.m == nil {
		w.mu.Unlock()
		return false, nil
	}
	w.undecided--
	if w.closing && w.undecided == 0 {
		w.unread.Broadcast()
		w.handed.Signal()
	}
	if done || w.e.opts.Sync != SyncAlways {
		w.forget(1, r.bytes)
	} else if len(w.queue) == 0 && len(w.open.members) == 1 {
		w.handed.Signal()
	}
	if !done && w.e.opts.Sync != SyncAlways {
		return true, w.commitOpen()
	}
	w.mu.Unlock()
	return done, err
}

// forget takes mutations that are done out of the count.
func (w *writer) forget(n int, bytes int64) {
	w.pending.Add(int64(-n))
	w.pendingBytes.Add(-bytes)
	w.space.Broadcast()
}

// decide takes the decision of one request. now says that it is done with err.
func (w *writer) decide(r *request) (now bool, err error) {
	pending, err := w.tryDecide(r)
	switch {
	case r.m == nil:
		return false, nil
	case err != nil:
		return true, err
	}
	r.m.Decided()
	n := w.writes.Len()
	if n == 0 && !pending {
		return true, nil // all that it was based on is published, and so durable
	}
	if n > 0 {
		w.open.encode(&w.writes, w.seq)
		w.open.locate(n, r.m.Keys(), w.places)
		w.seq += uint64(n)
	}
	w.open.members = append(w.open.members, member{r.m, r.bytes})
	return false, nil
}

// tryDecide leaves the decision in writes. pending says that it is based on what is not published yet.
func (w *writer) tryDecide(r *request) (pending bool, err error) {
	if err := w.e.refusal(); err != nil {
		return false, err
	}
	if r.values != nil && r.values.err != nil {
		return false, r.values.err
	}
	w.makeRoom()
	keys := r.m.Keys()
	if pending, err = w.see(keys, r.values); err != nil {
		return false, err
	}
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
// not published. Where reading fails nothing is decided: unlike damage, it may pass.
func (w *writer) see(keys [][]byte, v *values) (pending bool, err error) {
	clear(w.current)
	w.current, w.metas, w.places = w.current[:0], w.metas[:0], w.places[:0]
	if len(keys) == 0 {
		return false, nil
	}
	w.places = slices.Grow(w.places, len(keys))[:len(keys)]
	clear(w.places)
	over := w.enterUnpublished()
	defer w.e.readers.leave(w.e.readers.enter()) // a merge must not close what is looked at
	for i, key := range keys {
		if over {
			if c, g := w.unpublished(key); c != nil {
				pending = true
				w.current = append(w.current, w.decided(v, c, g))
				continue
			}
		}
		cur, err := w.published(i, v, key)
		if err != nil {
			return false, err
		}
		w.current = append(w.current, cur)
	}
	return pending, nil
}

// enterUnpublished has unpublished know all that is decided. It says whether there is any.
func (w *writer) enterUnpublished() (over bool) {
	for _, g := range w.queue {
		g.unpublished.enter(g)
		over = over || g.unpublished.taken > 0
	}
	w.open.unpublished.enter(w.open)
	return over || w.open.unpublished.taken > 0
}

// unpublished is the newest change of a key that is not published, with its group; nil if there is none.
func (w *writer) unpublished(key []byte) (*change, *group) {
	hash := keyHash(key)
	if c := w.open.unpublished.find(w.open, hash, key); c != nil {
		return c, w.open
	}
	for _, g := range slices.Backward(w.queue) {
		if c := g.unpublished.find(g, hash, key); c != nil {
			return c, g
		}
	}
	return nil, nil
}

// makeRoom sees to it that the open group and its segment can take one more mutation.
func (w *writer) makeRoom() {
	over := w.roll || w.open.seg == nil || w.open.end() >= w.e.opts.SegmentBytesMax || w.endsEarly()
	if w.open.full() || over && !w.open.empty() {
		w.enqueue()
	}
	if over {
		w.roll = false
		w.lastID++
		w.open.begin(newSegment(w.e.dir, w.e.engine, w.lastID, w.seq), segmentHeaderBytes, true)
	}
}

// endsEarly says whether the active segment is to be sealed before it is full, because the index has half its memory: only what is
// sealed can be merged. It must be worth it, by what it has in the index, or as much as one merge can well read.
func (w *writer) endsEarly() bool {
	share := int64(w.seq-w.open.seg.firstSeq) * smallEntryBytes
	worth := share >= w.e.opts.IndexBytesMax/4 || w.open.end() >= memoryBytes()/mergeReadShare/2
	return worth && w.open.end() >= segmentBytesLeast && w.e.index.entriesBytes() >= w.e.opts.IndexBytesMax/2
}

// smallEntryBytes is what an entry of the index takes that has a key of 16 bytes and a meta of 15.
const smallEntryBytes = 48

// sealActive seals the active segment, if it has anything in it, and returns when that is done. What is written next goes
// into a new one.
func (w *writer) sealActive() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.awaitSealed()
	seg := w.e.log.active()
	for len(w.queue) > 0 || !w.open.empty() || w.sealing {
		if err := w.ended(); err != nil {
			return err
		}
		w.roll = w.roll || !w.sealing
		w.settled.Wait()
		if seg == nil || seg.sealed.Load() {
			return w.ended()
		}
	}
	if err := w.ended(); err != nil || seg == nil || seg.written.Load() == segmentHeaderBytes {
		return err
	}
	w.sealing = true
	w.mu.Unlock()
	err := w.e.seal(seg)
	w.mu.Lock()
	w.sealing = false
	w.settled.Broadcast()
	if err != nil {
		return w.e.fail(err)
	}
	w.open.begin(nil, 0, false)
	w.e.hintFiles.wake()
	return nil
}

// awaitSealed waits while a segment is being sealed. The caller holds the lock.
func (w *writer) awaitSealed() {
	for w.sealing {
		w.settled.Wait()
	}
}

// enqueue leaves the open group to the committer and begins another behind it.
func (w *writer) enqueue() *group {
	g := w.open
	g.vouch(w.seq)
	w.queue = append(w.queue, g)
	w.open = w.groups.get()
	w.open.begin(g.seg, g.end(), false)
	return g
}

// recycle takes the first group of the queue back, which is committed.
func (w *writer) recycle() {
	g := w.queue[0]
	w.queue = append(w.queue[:0], w.queue[1:]...)
	g.release()
	w.settled.Broadcast()
}

// wakeAll makes everyone look at the engine's failure.
func (w *writer) wakeAll() {
	w.handed.Broadcast()
	w.space.Broadcast()
	w.settled.Broadcast()
}

// queued is how much is not done. It takes no lock: the observer may ask.
func (w *writer) queued() (n int, bytes int64) { return int(w.pending.Load()), w.pendingBytes.Load() }
