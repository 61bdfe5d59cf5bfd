package storage

import (
	"context"
	"errors"
)

// Progress is how far a Verify has come.
type Progress struct {
	Segment           SegmentID
	Bytes, BytesTotal int64
}

// Verify reads the whole log and checks it, without holding up writers or readers, and returns the damage that it
// finds, whether or not it was known. Keys whose newest record turns out unreadable become Unknown. progress, unless
// nil, is called now and then on the caller's goroutine. An error says why not everything was read: ctx's, ErrClosed
// or *IOError.
func (e *Engine) Verify(ctx context.Context, progress func(Progress)) ([]Damage, error) {
	defer e.pins.unpin(e.pins.pin())
	segments := e.log.all()
	ends := make([]int64, len(segments))
	p := Progress{}
	for i, s := range segments {
		ends[i] = s.written.Load()
		p.BytesTotal += ends[i]
	}
	var found []Damage
	for i, s := range segments {
		p.Segment = s.id
		report := func(done int64) error {
			if progress != nil {
				now := p
				now.Bytes += done
				progress(now)
			}
			return ctx.Err()
		}
		damage, err := e.verifySegment(s, ends[i], report)
		found = append(found, damage...)
		if err != nil {
			return found, err
		}
		p.Bytes += ends[i]
	}
	return found, nil
}

// verifyStepBytes is how much is read between two looks at the context, and how long Close may have to wait.
const verifyStepBytes = 4 << 20

// verifySegment checks one segment up to end. It lets go of the engine's files between steps, so that Close can have
// them.
func (e *Engine) verifySegment(s *segment, end int64, report func(int64) error) ([]Damage, error) {
	scan := newLogScan(s.file, s.path, s.sum, end)
	r := &replay{}
	err := e.alive(func() error { return r.begin(scan, e.engine, s.id) })
	for off, told := int64(segmentHeaderBytes), int64(0); err == nil && off >= 0 && off < end; {
		if off-told >= verifyStepBytes || told == 0 {
			if err = report(off); err != nil {
				break
			}
			told = off
		}
		err = e.alive(func() (err error) {
			for stop := off + verifyStepBytes; err == nil && off >= 0 && off < min(stop, end); {
				off, err = r.step(scan, off)
				r.keys.truncate(0)
			}
			return err
		})
	}
	return e.charge(s, r), err
}

// alive runs fn while the files are open.
func (e *Engine) alive(fn func() error) error {
	e.life.RLock()
	defer e.life.RUnlock()
	if e.closed.Load() {
		return ErrClosed
	}
	return fn()
}

// charge attributes damage to the keys whose newest records stood there, which the index knows for sure, and
// quarantines them.
func (e *Engine) charge(s *segment, r *replay) []Damage {
	if len(r.regions) == 0 {
		return nil
	}
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
	v.visit(Range{}, func(en *entry) bool {
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
		return !errors.Is(e.alive(func() error { return nil }), ErrClosed)
	})
	return found
}
