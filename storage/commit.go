package storage

import "path/filepath"

// zeroChunkBytes is how far ahead of the frames a segment is filled with zeros under SyncAlways. A sync then changes
// neither the file's length nor its blocks, only its data. Syncs per second of 175-byte records on ext4, three
// rounds: growing file 2,400–4,000; filled ahead by 64 KiB 5,600–6,300; by 256 KiB 6,200–6,700; by 1 MiB 4,500–6,500;
// by 4 MiB 2,200–5,900 (the sync that follows the filling gets slow).
const zeroChunkBytes = 256 << 10

// largeGroupBytes is from where a group gains nothing from zeros ahead of it: the sync of its own bytes takes longer.
const largeGroupBytes = zeroChunkBytes / 4

var zeroChunk [zeroChunkBytes]byte

// commitLoop is the committing stage: one group at a time is written, synced, published and acknowledged.
func (w *writer) commitLoop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if w.next == nil {
			if w.decided {
				return
			}
			w.handed.Wait()
			continue
		}
		g := w.next
		w.next, w.committing = nil, true
		w.mu.Unlock()
		w.e.commit(g)
		w.mu.Lock()
		w.committing, w.retired = false, g
		w.expected = len(g.members) + len(w.waiting)
		w.work.Signal()
	}
}

// commit makes a group durable under the policy, then visible, then acknowledged, in this order: what a reader has
// seen or a writer was told survives a crash. After a failure nothing of the group is visible; what of it is on the
// disk is unknown.
func (e *Engine) commit(g *group) {
	err := e.persist(g)
	if err != nil {
		err = e.fail(err)
	} else if len(g.changes) > 0 {
		e.index.publish(g.changes)
		e.groups.Add(1)
		e.records.Add(int64(len(g.changes)))
		e.observe(g.changes)
	}
	for _, m := range g.members {
		m.Done(err)
	}
}

// persist writes a group and, under SyncAlways, syncs it.
func (e *Engine) persist(g *group) error {
	if err := e.refusal(); err != nil {
		return err
	}
	if g.opens {
		if err := e.roll(g.seg); err != nil {
			return err
		}
	}
	if len(g.buf) == 0 {
		return nil
	}
	if e.opts.Sync == SyncAlways && g.end() > g.seg.filled.Load() && len(g.buf) < largeGroupBytes {
		if err := e.fillAhead(g.seg, g.end()); err != nil {
			return err
		}
	}
	if err := e.appendTo(g.seg, g.buf); err != nil {
		return err
	}
	e.nextSeq.Add(uint64(len(g.changes)))
	if e.opts.Sync == SyncAlways {
		return e.syncSegment(g.seg)
	}
	return nil
}

// appendTo writes frames at the end of the active segment.
func (e *Engine) appendTo(seg *segment, buf []byte) error {
	off := seg.written.Load()
	if _, err := seg.file.WriteAt(buf, off); err != nil {
		return &IOError{"write", seg.path, err}
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
	if _, err := seg.file.WriteAt(zeroChunk[:to-from], from); err != nil {
		return &IOError{"write", seg.path, err}
	}
	e.bytesZeroed.Add(to - from)
	seg.filled.Store(to)
	return nil
}

// syncSegment makes what was written so far durable.
func (e *Engine) syncSegment(seg *segment) error {
	end := seg.written.Load()
	if seg.synced.Load() == end {
		return nil
	}
	if err := seg.file.Sync(); err != nil {
		return &IOError{"sync", seg.path, err}
	}
	e.syncs.Add(1)
	// The interval syncer may have been faster with a later end.
	for old := seg.synced.Load(); old < end && !seg.synced.CompareAndSwap(old, end); old = seg.synced.Load() {
	}
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
	return nil
}

// seal ends the active segment with a mark.
func (e *Engine) seal(seg *segment) error {
	if err := e.mark(seg, true); err != nil {
		return err
	}
	seg.sealed.Store(true)
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
		if err := e.appendTo(seg, buf); err != nil {
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
	f, err := e.fs.Create(seg.path)
	if err != nil {
		return &IOError{"create", seg.path, err}
	}
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
	e.syncs.Add(2)
	e.bytesWritten.Add(segmentHeaderBytes)
	seg.filled.Store(segmentHeaderBytes)
	return nil
}

// observe tells the observer of committed changes.
func (e *Engine) observe(changes []change) {
	if e.opts.Observer == nil || len(changes) == 0 {
		return
	}
	told := e.told[:0]
	for i := range changes {
		now, before := &changes[i].now, &changes[i].before
		c := Change{Key: bytesOf(now.key())}
		if before.seq != 0 && before.live() {
			c.OldMeta = bytesOf(before.meta())
		}
		if now.live() {
			c.NewMeta = bytesOf(now.meta())
		}
		told = append(told, c)
	}
	e.opts.Observer(told)
	clear(told)
	e.told = told[:0]
}
