package vfscontrol

import (
	"errors"
	"math/rand/v2"

	"github.com/ringcask/ringcask/storage/vfs"
)

// file is an open file under control.
type file struct {
	vfs.File
	fs   *FS
	path string
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.fail("read", f.path, false); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// ReadAtCached leaves what must fail to ReadAt.
func (f *file) ReadAtCached(p []byte, off int64) (n int, coming bool) {
	if f.fs.control().FailShare > 0 {
		return 0, false
	}
	return f.File.ReadAtCached(p, off)
}

// WriteAt implements vfs.File. Of a write that fails any part may be written.
func (f *file) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.fail("write", f.path, true); err != nil {
		n, _ := f.File.WriteAt(p[:rand.IntN(len(p)+1)], off)
		return n, err
	}
	return f.File.WriteAt(p, off)
}

func (f *file) Sync() error {
	if err := f.fs.slow("fsync", f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *file) Truncate(size int64) error {
	if err := f.fs.fail("truncate", f.path, false); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Map implements vfs.File: there are no mappings.
func (f *file) Map(int64, int64, bool) (vfs.Mapping, error) {
	return vfs.Mapping{}, errors.ErrUnsupported
}
