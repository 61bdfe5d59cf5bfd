package storage

import (
	"errors"
	"slices"

	"github.com/ringcask/ringcask/storage/vfs"
)

// mapSegments maps what was opened, the youngest first.
func (e *Engine) mapSegments() error {
	for _, seg := range slices.Backward(e.log.all()) {
		if err := e.mapSegment(seg, min(seg.written.Load(), seg.filled.Load())); err != nil {
			return err
		}
	}
	return nil
}

// mapSegment maps n bytes of a sealed segment if the mappings have room for it. The active one is mapped ahead of its end, for writes
// go through it: as far as a quarter of that room goes, and even if it goes over it once.
func (e *Engine) mapSegment(seg *segment, n int64) (err error) {
	if seg.sealed.Load() {
		seg.mapping, err = e.mapFile(seg.file, n)
	} else if e.mapped.Load() <= e.opts.MapBytesMax {
		err = e.mapActive(seg, min(e.opts.SegmentBytesMax+mapSlackBytes, e.opts.MapBytesMax/4))
	}
	if err != nil {
		return &IOError{"map", seg.path, err}
	}
	return nil
}

func (e *Engine) mapActive(seg *segment, n int64) error {
	if n <= 0 {
		return nil
	}
	m, err := mapAny(seg.file, n, true)
	if m.Unmap == nil {
		return err
	}
	e.countMapped(seg, n)
	unmap := m.Unmap
	m.Unmap = func() error {
		e.countMapped(seg, 0)
		return unmap()
	}
	seg.mapping = m
	return nil
}

// countMapped says how much of a segment is mapped: of one that is sealed no more than it has.
func (e *Engine) countMapped(seg *segment, n int64) { e.mapped.Add(n - seg.mapped.Swap(n)) }

// mapFile maps the first n bytes of a file that does not change. There is no mapping, and no error, where the mappings of
// Options.MapBytesMax are used up or the file system has none.
func (e *Engine) mapFile(f vfs.File, n int64) (vfs.Mapping, error) {
	if n <= 0 || e.mapped.Add(n) > e.opts.MapBytesMax {
		e.mapped.Add(-n)
		return vfs.Mapping{}, nil
	}
	m, err := mapAny(f, n, false)
	if m.Unmap == nil {
		e.mapped.Add(-n)
		return m, err
	}
	unmap := m.Unmap
	m.Unmap = func() error {
		e.mapped.Add(-n)
		return unmap()
	}
	return m, nil
}

func mapAny(f vfs.File, n int64, writable bool) (vfs.Mapping, error) {
	m, err := f.Map(0, n, writable)
	if errors.Is(err, errors.ErrUnsupported) {
		err = nil
	}
	return m, err
}
