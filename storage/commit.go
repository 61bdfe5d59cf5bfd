package storage

import (
	"path/filepath"
	"runtime"
	"time"

	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/storage/internal/run"
)

// zeroChunkBytes is how far ahead of the frames a segment is filled with zeros under SyncAlways. A sync then changes
// neither the file's length nor its blocks, only its data. Syncs per second of 175-byte records on ext4, three
// rounds: growing file 2,400–4,000; filled ahead by 64 KiB 5,600–6,300; by 256 KiB 6,200–6,700; by 1 MiB 4,500–6,500;
// by 4 MiB 2,200–5,900 (the sync that follows the filling gets slow).
const zeroChunkBytes = 256 << 10

// writeBehindBytes is how much the policies without a sync of their own leave unsynced: the sync that seals a segment, for
// which writers wait, has little left to do then.
const writeBehindBytes = 16 << 20

// largeGroupBytes is from where a group gains nothing from zeros ahead of it: the sync of its own bytes takes longer.
const largeGroupBytes = zeroChunkBytes / 4

var zeroChunk [zeroChunkBytes]byte

// commitLoop is the committing stage under SyncAlways: one group at a time is written, synced, published and acknowledged.
func (w *writer) commitLoop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer close(w.shown)
	for {
		if len(w.queue) == 0 && w.open.empty() {
			if w.closing && w.undecided == 0 {
				return
			}
			w.wakeAbsorber()
			w.handed.Wait()
			continue
		}
		w.gather()
		if len(w.queue) == 0 {
			w.enqueue()
		}
		g := w.queue[0]
		w.mu.Unlock()
		w.wakeAbsorber()
		err := w.e.commit(g)
		w.turn()
		w.expected = len(g.members) + len(w.open.members)
		w.forget(len(g.members), g.memberBytes()) // before anyone can know of it
		w.mu.Unlock()
		for i := range g.members {
			g.members[i].m.Done(err)
		}
		w.turn()
		w.recycle()
	}
}

// wakeAbsorber has the absorber go to work, if there is some for it.
func (w *writer) wakeAbsorber() {
	if !w.e.index.anyFresh() {
		return
	}
	select {
	case w.shown <- struct{}{}:
	default: // it is at it
	}
}

// absorbLoop is the absorber: the tables absorb what the last group has shown while the next one is being synced.
func (w *writer) absorbLoop() {
	for range w.shown {
		w.e.index.absorb()
	}
}

// gather waits for those who are about to come, unless a group is full already.
func (w *writer) gather() {
	began := time.Now()
	for range gatherYields {
		if len(w.queue) > 0 || len(w.open.members) >= w.expected || time.Since(began) >= gatherWait {
			return
		}
		w.mu.Unlock()
		runtime.Gosched()
		w.turn()
	}
}

// commitOpen commits the open group, where the one who decided does so himself, and lets go of the writer's lock: what it wrote is
// entered into the index while others write. Those who write a key after it enter it after it.
func (w *writer) commitOpen() error {
	e, g := w.e, w.open
	if err := e.persist(g); err != nil {
		defer w.mu.Unlock()
		seg := g.seg
		g.reset()
		g.begin(seg, seg.written.Load(), false) // so that nobody waits for it
		return e.fail(err)
	}
	if e.opts.Observer != nil {
		defer w.mu.Unlock()
		e.show(g)
		seg, end := g.seg, g.end()
		g.reset()
		g.begin(seg, end, false)
		return nil
	}
	w.open = w.groups.get()
	w.open.begin(g.seg, g.end(), false)
	if len(g.changes) == 0 {
		w.mu.Unlock()
	} else {
		e.count(g)
		e.index.enter(g, g.changes, nil)
		alone := w.waiting.Load() == 0
		w.mu.Unlock()
		e.index.set(g, g.changes, nil, alone)
	}
	g.release()
	return nil
}

// commit makes a group durable under the policy, then visible, in this order: what a reader has seen or a writer was told
// survives a crash. After a failure nothing of the group is visible; what of it is on the disk is unknown.
func (e *Engine) commit(g *group) error {
	if err := e.persist(g); err != nil {
		return e.fail(err)
	}
	e.show(g)
	return nil
}

// show makes a group visible and tells the observer.
func (e *Engine) show(g *group) {
	if len(g.changes) == 0 {
		return
	}
	e.count(g)
	if e.opts.Observer == nil {
		e.index.publish(g, nil)
		return
	}
	e.telling.Lock()
	defer e.telling.Unlock()
	e.index.publish(g, e.tell.add)
	e.opts.Observer(e.tell.over(e, g))
}

func (e *Engine) count(g *group) {
	e.groups.Add(1)
	e.records.Add(int64(len(g.changes)))
}

// persist writes a group and, under SyncAlways, syncs it.
func (e *Engine) persist(g *group) error {
	if f := e.failure.Load(); f != nil {
		return f.refusal
	}
	if g.opens {
		if err := e.roll(g.seg); err != nil {
			return err
		}
	}
	if len(g.buf) == 0 {
		return nil
	}
	e.lookForSpace(int64(len(g.buf)))
	mapped := e.writesMapped(g)
	if (mapped || e.opts.Sync == SyncAlways) && g.end() > g.seg.filled.Load() && len(g.buf) < largeGroupBytes {
		if err := e.fillAhead(g.seg, g.end()); err != nil {
			return err
		}
	}
	buf := g.buf
	if planted.On(planted.TearBatch) && len(g.changes) > 0 {
		buf = g.buf[g.changes[0].length:]
		if err := e.appendTo(g.seg, g.buf[:g.changes[0].length], false); err != nil {
			return err
		}
		if err := e.syncSegment(g.seg); err != nil {
			return err
		}
	}
	if err := e.appendTo(g.seg, buf, mapped && g.end() <= g.seg.filled.Load()); err != nil {
		return err
	}
	e.nextSeq.Add(uint64(len(g.changes)))
	if e.opts.Sync == SyncAlways {
		return e.syncSegment(g.seg)
	}
	if g.seg.written.Load()-g.seg.synced.Load() >= writeBehindBytes {
		select {
		case e.behind <- struct{}{}:
		default: // it is at it
		}
	}
	return nil
}

// writesMapped says whether a group is to be written through the mapping: without a sync that is the cheapest, and the
// operating system has it all the same if the process dies. With one, each sync makes the next write to a page fault.
func (e *Engine) writesMapped(g *group) bool {
	return e.opts.Sync != SyncAlways && g.end() <= int64(len(g.seg.mapping.Bytes))
}

// appendTo writes frames at the end of the active segment, where mapped says so over zeros.
func (e *Engine) appendTo(seg *segment, buf []byte, mapped bool) error {
	off := seg.written.Load()
	write := seg.writeAt
	if mapped {
		write = seg.writeMapped
	}
	if err := write(buf, off); err != nil {
		return err
	}
	end := off + int64(len(buf))
	e.bytesWritten.Add(int64(len(buf)))
	seg.written.Store(end)
	seg.filled.Store(max(seg.filled.Load(), end))
	return nil
}

// fillAhead writes zeros behind where the next group ends. They are synced with it. A crash may keep any part of them: a
// reader takes zeros at the end of a segment for nothing, however many there are.
func (e *Engine) fillAhead(seg *segment, end int64) error {
	to := min(end+zeroChunkBytes, max(e.opts.SegmentBytesMax, end))
	from := max(end, seg.filled.Load())
	if from >= to {
		return nil
	}
	if err := seg.writeAt(zeroChunk[:to-from], from); err != nil {
		return err
	}
	e.bytesZeroed.Add(to - from)
	seg.filled.Store(to)
	return nil
}

// syncSegment makes what was written so far durable.
func (e *Engine) syncSegment(seg *segment) error {
	// Of two syncs at once only one would be told of a failure, and one that comes after it would be told nothing.
	e.syncOne.Lock()
	defer e.syncOne.Unlock()
	if f := e.failure.Load(); f != nil {
		return f.err
	}
	end := seg.written.Load()
	if seg.synced.Load() >= end {
		return nil
	}
	if !planted.On(planted.SkipSync) {
		if err := seg.file.Sync(); err != nil {
			return e.fail(&IOError{"sync", seg.path, err})
		}
	}
	e.syncs.Add(1)
	seg.synced.Store(end)
	return nil
}

// roll seals the active segment and makes the next one. At each step a crash leaves a log that is whole: the old
// segment is durable before the new one has a name, and the new one has a durable name and header before its first frame.
func (e *Engine) roll(next *segment) error {
	if old := e.log.active(); old != nil {
		if err := e.seal(old); err != nil {
			return err
		}
	}
	if err := e.createSegment(next); err != nil {
		return err
	}
	e.log.add(next)
	e.hintFiles.wake()
	e.merger.wake()
	return nil
}

// seal ends the active segment with a mark.
func (e *Engine) seal(seg *segment) error {
	if err := e.mark(seg, true); err != nil {
		return err
	}
	seg.sealed.Store(true)
	seg.file.Release()
	if seg.mapped.Load() > 0 {
		e.countMapped(seg, min(seg.written.Load(), int64(len(seg.mapping.Bytes))))
	}
	return nil
}

// mark ends the segment, for now or for good, with a frame which says that all before it is durable: damage in there
// will be known for what it is. cut also takes the zeros off that were filled ahead.
func (e *Engine) mark(seg *segment, cut bool) error {
	// The mark must not reach the disk before what it vouches for.
	if err := e.syncSegment(seg); err != nil {
		return err
	}
	if end := seg.written.Load(); seg.marked != end {
		buf := seg.sum.appendMark(nil, end, end, e.nextSeq.Load())
		if err := e.appendTo(seg, buf, false); err != nil {
			return err
		}
		seg.marked = seg.written.Load()
	}
	if cut && seg.filled.Load() > seg.written.Load() {
		if err := seg.file.Truncate(seg.written.Load()); err != nil {
			return &IOError{"truncate", seg.path, err}
		}
		seg.filled.Store(seg.written.Load())
	}
	return e.syncSegment(seg)
}

// createSegment makes the file of a new segment.
func (e *Engine) createSegment(seg *segment) error {
	created, err := e.fs.Create(seg.path)
	if err != nil {
		return &IOError{"create", seg.path, err}
	}
	f := e.files.Adopt(seg.path, created)
	seg.file = f
	header := segmentHeader{id: seg.id, engine: e.engine, firstSeq: seg.firstSeq}.encode()
	if _, err = f.WriteAt(header, 0); err != nil {
		err = &IOError{"write", seg.path, err}
	} else if err = f.Sync(); err != nil {
		err = &IOError{"sync", seg.path, err}
	} else if err = e.fs.SyncDir(e.dir); err != nil {
		err = &IOError{"sync", filepath.Clean(e.dir), err}
	}
	if err != nil {
		f.Close()
		return err
	}
	if err := e.mapSegment(seg, 0); err != nil {
		f.Close()
		return err
	}
	e.syncs.Add(2)
	e.bytesWritten.Add(segmentHeaderBytes)
	seg.filled.Store(segmentHeaderBytes)
	return nil
}

// teller collects for the observer what stood before each change. It belongs to the committer.
type teller struct {
	changes []Change
	arena   []byte
	// unseen are the changes of keys that only a run can have had.
	unseen []int
}

func (t *teller) add(_ *change, old entry, existed bool) {
	c := Change{}
	switch {
	case !existed:
		t.unseen = append(t.unseen, len(t.changes))
	case old.live():
		c.OldMeta = t.keep(old.meta)
	}
	t.changes = append(t.changes, c)
}

func (t *teller) keep(meta []byte) []byte {
	if t.arena == nil {
		t.arena = []byte{} // nil would say that the key was absent
	}
	from := len(t.arena)
	t.arena = append(t.arena, meta...)
	return t.arena[from:len(t.arena):len(t.arena)]
}

// over returns the changes of the group, and begins anew.
func (t *teller) over(e *Engine, g *group) []Change {
	told := t.changes
	for i := range told {
		c := &g.changes[i]
		told[i].Key = g.key(c)
		if c.live() {
			told[i].NewMeta = g.meta(c)
		}
	}
	for _, i := range t.unseen {
		_, err := e.settled(e.index.runs(), told[i].Key, func(rec run.Record) {
			if rec.Flags&run.FlagTombstone == 0 {
				told[i].OldMeta = t.keep(rec.Meta)
			}
		})
		told[i].OldUnknown = err != nil
	}
	t.changes, t.arena, t.unseen = told[:0], t.arena[:0], t.unseen[:0]
	return told
}
