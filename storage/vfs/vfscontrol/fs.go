package vfscontrol

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/ringcask/ringcask/storage/vfs"
)

// FS is a file system under control.
type FS struct {
	fs   vfs.FS
	path string

	mu   sync.Mutex
	now  Control
	next time.Time // when the file is to be read again
}

var _ vfs.FS = (*FS)(nil)

// New puts a file system under the control of the file at path.
func New(fsys vfs.FS, path string) *FS { return &FS{fs: fsys, path: path} }

// control is what holds now. A file that cannot be read changes nothing.
func (f *FS) control() Control {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.After(f.next) {
		f.next = now.Add(Interval)
		if c, err := read(f.path); err == nil {
			f.now = c
		}
	}
	return f.now
}

// fail is the error of an operation now: that of a full disk if it takes room.
func (f *FS) fail(op, path string, takesRoom bool) error {
	c := f.control()
	switch {
	case c.Full && takesRoom:
		return &fs.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
	case c.FailShare > 0 && rand.Float64() < c.FailShare:
		return &fs.PathError{Op: op, Path: path, Err: syscall.EIO}
	}
	return nil
}

// Create implements vfs.FS.
func (f *FS) Create(path string) (vfs.File, error) { return f.open("create", path, true, f.fs.Create) }

// Open implements vfs.FS.
func (f *FS) Open(path string) (vfs.File, error) { return f.open("open", path, false, f.fs.Open) }

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(path string) (vfs.File, error) {
	return f.open("open", path, false, f.fs.OpenReadWrite)
}

func (f *FS) open(op, path string, takesRoom bool, open func(string) (vfs.File, error)) (vfs.File, error) {
	if err := f.fail(op, path, takesRoom); err != nil {
		return nil, err
	}
	under, err := open(path)
	if err != nil {
		return nil, err
	}
	return &file{under, f, path}, nil
}

// Rename implements vfs.FS.
func (f *FS) Rename(from, to string) error {
	if err := f.fail("rename", from, false); err != nil {
		return err
	}
	return f.fs.Rename(from, to)
}

// Link implements vfs.FS.
func (f *FS) Link(from, to string) error {
	if err := f.fail("link", to, true); err != nil {
		return err
	}
	return f.fs.Link(from, to)
}

// Remove implements vfs.FS.
func (f *FS) Remove(path string) error {
	if err := f.fail("remove", path, false); err != nil {
		return err
	}
	return f.fs.Remove(path)
}

// List implements vfs.FS.
func (f *FS) List(dir string) ([]string, error) {
	if err := f.fail("list", dir, false); err != nil {
		return nil, err
	}
	return f.fs.List(dir)
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(dir string) error {
	if err := f.fail("mkdir", dir, true); err != nil {
		return err
	}
	return f.fs.MkdirAll(dir)
}

// SyncDir implements vfs.FS.
func (f *FS) SyncDir(dir string) error {
	if err := f.slow("fsync", dir); err != nil {
		return err
	}
	return f.fs.SyncDir(dir)
}

// slow is fail for a sync, which takes its time.
func (f *FS) slow(op, path string) error {
	if d := f.control().SyncDelay; d > 0 {
		time.Sleep(d)
	}
	return f.fail(op, path, false)
}

// Stat implements vfs.FS.
func (f *FS) Stat(path string) (vfs.Info, error) {
	if err := f.fail("stat", path, false); err != nil {
		return vfs.Info{}, err
	}
	return f.fs.Stat(path)
}

// Free implements vfs.FS.
func (f *FS) Free(path string) (int64, error) {
	if c := f.control(); c.Full || c.Scarce {
		return 0, nil
	}
	return f.fs.Free(path)
}

// Lock implements vfs.FS. It never fails by control: no process begins with that.
func (f *FS) Lock(path string) (io.Closer, error) { return f.fs.Lock(path) }
