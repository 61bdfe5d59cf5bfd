package storage

import (
	"container/heap"
	"errors"
	"io"
	"strings"
	"time"
)

// chain follows the sequence numbers from segment to segment. Numbers that are missing are records that are lost; what has no
// key to it in a hint file makes lostSeq.
func (e *Engine) chain(found []*opened) {
	next := uint64(1)
	var prev *opened
	for _, s := range found {
		if !s.started {
			continue
		}
		if prev != nil && prev.replay != nil {
			prev.replay.settle(s.firstSeq)
		}
		if s.firstSeq > next && !(prev != nil && prev.replay != nil && prev.replay.lostUpTo(s.firstSeq)) {
			gap := region{from: segmentHeaderBytes, to: segmentHeaderBytes, lostFirst: next, lostLast: s.firstSeq - 1,
				reason: "records before the segment are missing"}
			s.damage = append(s.damage, gap.damage(s.seg.id))
		}
		next, prev = max(next, s.nextSeq), s
	}
	e.nextSeq = next
	for _, s := range found {
		if s.replay != nil && !s.gone {
			for _, bad := range s.replay.regions {
				s.damage = append(s.damage, bad.damage(s.seg.id))
			}
		}
		for _, d := range s.damage {
			if !d.KeysKnown && d.LastSeq > e.lostSeq {
				e.lostSeq, e.lostError = d.LastSeq, d.err()
			}
		}
	}
}

// lostUpTo says whether the damage at the end of the segment accounts for all numbers before next.
func (r *replay) lostUpTo(next uint64) bool {
	n := len(r.regions)
	return n > 0 && r.regions[n-1].lostFirst == r.nextSeq && r.regions[n-1].lostLast == next-1
}

// loadIndex merges the keys of all segments into the index; of several records of a key the greatest number wins.
func (e *Engine) loadIndex(found []*opened) error {
	e.index = newIndex(e.lostSeq > 0)
	var h sourceHeap
	for _, s := range found {
		if s.src == nil || s.gone {
			continue
		}
		c := &cursor{src: s.src}
		if ok, err := c.advance(); err != nil {
			return &IOError{"read", s.seg.hintFilePath(), err}
		} else if ok {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	last, any := entry{}, false
	for len(h) > 0 {
		c := h[0]
		// The heap gives the newest record of a key first.
		if !any || last.key() != string(c.at.key) {
			last, any = c.at.entry(), true
			if last.live() || e.index.keepTombstones && last.seq > e.lostSeq {
				e.index.load(last)
			}
		}
		ok, err := c.advance()
		if err != nil {
			return err
		}
		if ok {
			heap.Fix(&h, 0)
		} else {
			heap.Pop(&h)
		}
	}
	return nil
}

// cursor is a source with its current key.
type cursor struct {
	src source
	at  located
}

func (c *cursor) advance() (ok bool, err error) {
	c.at, ok, err = c.src.next()
	return ok, err
}

// sourceHeap orders cursors by key, and by falling sequence number for the same key.
type sourceHeap []*cursor

func (h sourceHeap) Len() int      { return len(h) }
func (h sourceHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *sourceHeap) Push(x any)   { *h = append(*h, x.(*cursor)) }

func (h sourceHeap) Less(i, j int) bool {
	if c := strings.Compare(stringOf(h[i].at.key), stringOf(h[j].at.key)); c != 0 {
		return c < 0
	}
	return h[i].at.seq > h[j].at.seq
}

func (h *sourceHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}

// nameDamage reads a segment that has a hint file and is damaged. Exactly the keys whose records cannot be read any more become
// Unknown; tombstones have nothing to read, and are as good as the hint file.
func (e *Engine) nameDamage(s *opened, dataEnd, size int64) error {
	scan := newLogScan(s.seg.file, s.seg.path, s.seg.sum, min(size, dataEnd))
	r, err := replaySegment(scan, e.engine, s.seg.id)
	if err != nil {
		return err
	}
	if size < dataEnd {
		r.regions = append(r.regions, region{from: max(size, r.end), to: dataEnd, reason: "the segment was cut short"})
	}
	lost := &unreadable{src: s.src, offsets: map[uint32]bool{}}
	for _, bad := range r.regions {
		d := bad.damage(s.seg.id)
		d.KeysKnown, d.FirstSeq, d.LastSeq = true, 0, 0
		s.damage = append(s.damage, d)
	}
	hints, err := openHintFile(e.fs, s.seg)
	if err != nil {
		return &IOError{"read", s.seg.hintFilePath(), err}
	}
	err = e.attribute(s, hints, lost)
	if err = errors.Join(err, hints.close()); err != nil {
		return err
	}
	s.src = lost
	return nil
}

// attribute finds the keys that stood in the damaged places.
func (e *Engine) attribute(s *opened, hints *hintFileReader, lost *unreadable) error {
	for {
		l, ok, err := hints.next()
		if err != nil || !ok {
			return err
		}
		if l.flags&flagTombstone != 0 {
			continue
		}
		from, to := int64(l.offset), int64(l.offset)+int64(l.length)
		for i := range s.damage {
			d := &s.damage[i]
			if from >= d.Offset+d.Length || to <= d.Offset {
				continue
			}
			readable, err := s.seg.readable(&l)
			if err != nil {
				return err
			}
			if !readable && !lost.offsets[l.offset] {
				lost.offsets[l.offset] = true
				d.add(l.key)
			}
		}
	}
}

// readable says whether a record can be read by itself.
func (s *segment) readable(l *located) (bool, error) {
	buf := make([]byte, l.length)
	n, err := s.file.ReadAt(buf, int64(l.offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return false, &IOError{"read", s.path, err}
	}
	return n == len(buf) && s.sum.check(buf, int64(l.offset)), nil
}

func (d *Damage) add(key []byte) {
	d.KeyCount++
	if len(d.Keys) < DamageKeysMax {
		d.Keys = append(d.Keys, append([]byte(nil), key...))
	}
}

// unreadable is a source that flags the keys whose records cannot be read.
type unreadable struct {
	src     source
	offsets map[uint32]bool
}

func (u *unreadable) next() (located, bool, error) {
	l, ok, err := u.src.next()
	if ok && u.offsets[l.offset] {
		l.flags |= flagUnreadable
	}
	return l, ok, err
}

// summarize completes the report and logs it.
func (e *Engine) summarize(found []*opened, began time.Time) {
	rec := &e.recovery
	for _, s := range found {
		if s.hints != nil {
			rec.HintFilesUsed++
		}
		if s.rebuilt {
			rec.HintFilesRebuilt++
		}
		if s.replay != nil {
			rec.RecordsReplayed += s.replay.records
			if s.replay.tornBytes > 0 {
				rec.TornBytes, rec.TornSegment = s.replay.tornBytes, s.seg.id
			}
		}
		rec.Damage = append(rec.Damage, s.damage...)
	}
	e.damaged.Add(int64(len(rec.Damage)))
	rec.Duration = time.Since(began)
	if rec.TornBytes > 0 {
		e.opts.Logger.Warn("storage: torn tail cut", "dir", e.dir, "segment", rec.TornSegment, "bytes", rec.TornBytes)
	}
	for _, d := range rec.Damage {
		e.opts.Logger.Error("storage: damage found", "dir", e.dir, "damage", d.String())
	}
}
