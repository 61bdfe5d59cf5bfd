package storage

import "errors"

// nameDamage reads a segment that has a hint file and is damaged. Exactly the keys whose records cannot be read any
// more become Unknown; tombstones have nothing to read, and are as good as the hint file.
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
	hints, err := openHintFile(e.files, s.seg)
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
		l, ok, err := hints.entry()
		switch {
		case errors.Is(err, errHintFile):
			return &badHintFileError{s.seg.id, err}
		case err != nil || !ok:
			return err
		}
		if l.Flags&flagTombstone != 0 {
			continue
		}
		from, to := int64(l.Offset), int64(l.Offset)+int64(l.Length)
		for i := range s.damage {
			d := &s.damage[i]
			if from >= d.Offset+d.Length || to <= d.Offset {
				continue
			}
			readable, err := s.seg.readable(&l)
			if err != nil {
				return err
			}
			if !readable && !lost.offsets[l.Offset] {
				lost.offsets[l.Offset] = true
				d.add(l.key)
			}
		}
	}
}

// readable says whether a record can be read by itself.
func (s *segment) readable(l *entry) (bool, error) {
	buf := make([]byte, l.Length)
	n, err := s.readAt(buf, int64(l.Offset))
	if err != nil {
		return false, err
	}
	return n == len(buf) && s.sum.check(buf, int64(l.Offset)), nil
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

func (u *unreadable) next(at *hashedEntry) (ok bool, err error) {
	ok, err = u.src.next(at)
	if ok && u.offsets[at.Offset] {
		at.Flags |= flagUnreadable
	}
	return ok, err
}

func (u *unreadable) from(start []byte) source {
	return &unreadable{src: u.src.from(start), offsets: u.offsets}
}

func (u *unreadable) sample(keys [][]byte) [][]byte { return u.src.sample(keys) }
