package storage

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
)

// Progress is how far a Verify has come.
type Progress struct {
	Segment SegmentID
	// File is the name of the run that is being read, which ends with Segment; empty if it is the segment.
	File              string
	Bytes, BytesTotal int64
}

// Verify reads all segments and runs and checks them, without holding up writers or readers, and returns the damage that it
// finds, whether or not it was known. Keys whose newest record turns out unreadable become Unknown. progress, unless
// nil, is called now and then on the caller's goroutine. A file that a merge takes the place of meanwhile is passed over:
// the merge has checked what it took from there. An error says why not everything was read: ctx's, ErrClosed or *IOError.
func (e *Engine) Verify(ctx context.Context, progress func(Progress)) ([]Damage, error) {
	return e.verify(ctx, func(p Progress, _ int64) error {
		if progress != nil {
			progress(p)
		}
		return ctx.Err()
	})
}

// errMerged breaks off the reading of a file that is no longer part of the store.
var errMerged = errors.New("merged")

// verify is Verify; step is told of the bytes read since it was called last, and may take its time.
func (e *Engine) verify(ctx context.Context, step func(p Progress, read int64) error) (found []Damage, err error) {
	m := e.index.moment()
	p := Progress{}
	ends := make([]int64, len(m.segments))
	for i, s := range m.segments {
		ends[i] = s.written.Load()
		p.BytesTotal += ends[i]
	}
	for _, r := range m.runs {
		p.BytesTotal += r.reader.Size()
	}
	each := func(size int64, check func(report func(done int64) error) ([]Damage, error)) error {
		begin, told := p.Bytes, int64(0)
		report := func(done int64) error {
			read := done - told
			p.Bytes, told = begin+done, done
			return step(p, read)
		}
		damage, err := check(report)
		found = append(found, damage...)
		switch {
		case errors.Is(err, errMerged):
			p.Bytes = begin + size
			return step(p, 0)
		case err != nil:
			return err
		}
		return report(size)
	}
	for _, r := range slices.Backward(m.runs) {
		p.Segment, p.File = r.last, filepath.Base(r.path)
		err := each(r.reader.Size(), func(report func(int64) error) ([]Damage, error) { return e.verifyRun(ctx, r, report) })
		if err != nil {
			return found, err
		}
	}
	for i, s := range m.segments {
		p.Segment, p.File = s.id, ""
		err := each(ends[i], func(report func(int64) error) ([]Damage, error) { return e.verifySegment(ctx, s, ends[i], report) })
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// verifyRun checks one run. It keeps the file open, but not for long once it was merged or the engine is closed.
func (e *Engine) verifyRun(ctx context.Context, r *runFile, report func(int64) error) (found []Damage, err error) {
	defer e.pins.unpin(e.pins.pin())
	done, ended := int64(0), error(nil)
	step := func(n int64) error {
		done += n
		switch {
		case e.closed.Load():
			ended = ErrClosed
		case !slices.Contains(e.index.runs(), r):
			ended = errMerged
		default:
			ended = report(done)
		}
		return ended
	}
	if err := step(0); err != nil {
		return nil, err
	}
	damage, err := r.reader.Verify(ctx, step)
	for _, d := range damage {
		found = append(found, e.runDamaged(r, d))
	}
	switch {
	case err == nil || ended != nil || ctx.Err() != nil:
	case e.closed.Load():
		err = ErrClosed
	default:
		err = &IOError{"read", r.path, err}
	}
	return found, err
}

// verifyStepBytes is how much is read between two looks at the context, and how long Close may have to wait.
const verifyStepBytes = 128 << 10

// verifySegment checks one segment up to end. It lets go of the engine's files between steps, so that Close can have
// them.
func (e *Engine) verifySegment(ctx context.Context, s *segment, end int64, report func(int64) error) ([]Damage, error) {
	current := func(fn func() error) error {
		return e.alive(func() error {
			if e.log.segment(uint32(s.id)) != s {
				return errMerged
			}
			return fn()
		})
	}
	scan := newLogScan(s.file, s.path, s.sum, end)
	r := &replay{}
	err := current(func() error { return r.begin(scan, e.engine, s.id) })
	for off, told := int64(segmentHeaderBytes), int64(0); err == nil && off >= 0 && off < end; {
		if off-told >= verifyStepBytes || told == 0 {
			if err = report(off); err != nil {
				break
			}
			told = off
		}
		err = current(func() (err error) {
			for stop := off + verifyStepBytes; err == nil && off >= 0 && off < min(stop, end); {
				off, err = r.step(scan, off)
				r.keys.truncate(0)
			}
			return err
		})
	}
	if errors.Is(err, errMerged) {
		return nil, err
	}
	return e.charge(ctx, s, r), err
}

// alive runs fn while the files are open.
func (e *Engine) alive(fn func() error) error {
	defer e.readers.leave(e.readers.enter())
	if e.closed.Load() {
		return ErrClosed
	}
	return fn()
}

// charge attributes damage to the keys whose newest records stood there, which the index knows for sure, and
// quarantines them. If ctx ends before, those that were not come to are found by who reads them.
func (e *Engine) charge(ctx context.Context, s *segment, r *replay) []Damage {
	if len(r.regions) == 0 {
		return nil
	}
	defer e.pins.unpin(e.pins.pin())
	found := make([]Damage, len(r.regions))
	for i, bad := range r.regions {
		found[i] = bad.damage(s.id)
		found[i].KeysKnown, found[i].FirstSeq, found[i].LastSeq = true, 0, 0
		for _, d := range e.recovery.Damage {
			// Open has found this before there was an index to say what was there.
			if d.Segment == s.id && d.Offset == bad.from && !d.KeysKnown {
				found[i] = d
			}
		}
	}
	e.suspect(s, found[0].Reason)
	v := e.index.view()
	defer v.release()
	seen := 0
	v.visit(Range{}, func(en *entry) bool {
		if seen++; seen%1024 == 0 && (ctx.Err() != nil || e.closed.Load()) {
			return false
		}
		if en.Segment != uint32(s.id) || !en.live() {
			return true
		}
		for i := range found {
			d := &found[i]
			if d.KeysKnown && int64(en.Offset) < d.Offset+d.Length && int64(en.Offset)+int64(en.Length) > d.Offset {
				err := e.alive(func() error { _, err := e.readFrameIn(v.segments, en, nil); return err })
				if isCorrupt(err) {
					d.add(en.key)
				}
			}
		}
		return true
	})
	return found
}
