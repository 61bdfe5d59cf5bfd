package storage

import (
	"errors"
	"slices"

	"github.com/ringcask/ringcask/storage/vfs"
)

// mapSegments maps what was opened, the youngest first.
func (e *Engine) mapSegments() error {
	for _, seg := range slices.Backward(e.log.all()) {
		n := min(seg.written.Load(), seg.filled.Load())
		if !seg.sealed.Load() {
			n = e.opts.SegmentBytesMax + mapSlackBytes
		}
		if err := e.mapSegment(seg, n); err != nil {
			return err
		}
	}
	return nil
}

// mapSegment maps n bytes of a segment if the mappings have room for it.
func (e *Engine) mapSegment(seg *segment, n int64) error {
	m, err := e.mapFile(seg.file, n, !seg.sealed.Load())
	if err != nil {
		return &IOError{"map", seg.path, err}
	}
	seg.mapping = m
	return nil
}

// mapFile maps the first n bytes of a file, or of what it will be. There is no mapping, and no error, where the mappings of
// Options.MapBytesMax are used up or the file system has none.
func (e *Engine) mapFile(f vfs.File, n int64, writable bool) (vfs.Mapping, error) {
	if n <= 0 || e.mapped.Add(n) > e.opts.MapBytesMax {
		e.mapped.Add(-n)
		return vfs.Mapping{}, nil
	}
	m, err := f.Map(0, n, writable)
	if err != nil {
		e.mapped.Add(-n)
		if errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
		return vfs.Mapping{}, err
	}
	unmap := m.Unmap
	m.Unmap = func() error {
		e.mapped.Add(-n)
		return unmap()
	}
	return m, nil
}
