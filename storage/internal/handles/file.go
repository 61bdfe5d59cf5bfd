package handles

import (
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/vfs"
)

// open is what a handle adds to a File's state. Calls are never so many.
const open = 1 << 32

// File is a file of a Pool.
type File struct {
	pool *Pool
	path string
	// state counts the calls that use the handle, above open if there is one; below it, calls that are about to find out that
	// there is none.
	state  atomic.Int64
	handle vfs.File
	// used says that there was a call since the clock's hand came by.
	used atomic.Bool
	// mu is held by who gives or takes the handle.
	mu           sync.Mutex
	held, closed bool
	// at is the place in the pool's ring; the pool's lock is for it.
	at int
}

var _ vfs.File = (*File)(nil)

// tryAcquire is acquire of what is open.
func (f *File) tryAcquire() bool {
	if f.state.Add(1) <= open {
		f.release()
		return false
	}
	if !f.used.Load() { // most often it is set: not to write spares the other processors
		f.used.Store(true)
	}
	return true
}

// acquire returns the handle, which stays until release.
func (f *File) acquire() (vfs.File, error) {
	if f.tryAcquire() {
		return f.handle, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.openPooledLocked(); err != nil {
		return nil, err
	}
	f.state.Add(1)
	return f.handle, nil
}

func (f *File) release() { f.state.Add(-1) }

func (f *File) isOpen() bool { return f.state.Load() >= open }

// openPooledLocked opens the file if it is not.
func (f *File) openPooledLocked() error {
	if f.isOpen() {
		return nil // somebody was faster
	}
	if err := f.refusalLocked(); err != nil {
		return err
	}
	f.pool.takePlace()
	if err := f.openLocked(); err != nil {
		f.pool.leavePlace()
		return err
	}
	f.used.Store(true)
	f.pool.enter(f)
	return nil
}

// refusalLocked is why the file must not be opened, or nil.
func (f *File) refusalLocked() error {
	if f.closed || f.pool.isShut() {
		return &fs.PathError{Op: "open", Path: f.path, Err: fs.ErrClosed}
	}
	return nil
}

func (f *File) openLocked() (err error) {
	if f.handle, err = f.pool.fs.Open(f.path); err != nil {
		return err
	}
	f.state.Add(open)
	return nil
}

// tryTake takes the handle if nobody uses it. The pool's lock is held, so it waits for nobody.
func (f *File) tryTake() (handle vfs.File) {
	if !f.mu.TryLock() {
		return nil
	}
	defer f.mu.Unlock()
	if !f.state.CompareAndSwap(open, 0) {
		return nil
	}
	handle, f.handle = f.handle, nil
	return handle
}

// Hold has the file stay open, whatever becomes of its path, until Release or Close; it opens it if need be. To hold what is held
// does nothing. Errors: those of opening; the File is as it was.
func (f *File) Hold() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held {
		return nil
	}
	if f.isOpen() {
		f.pool.hold(f)
	} else {
		if err := f.refusalLocked(); err != nil {
			return err
		}
		if err := f.openLocked(); err != nil {
			return err
		}
		f.pool.countHeld(1)
	}
	f.held = true
	return nil
}

// Release ends Hold and Adopt: the File is pooled. From now on it is only read.
func (f *File) Release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held {
		f.held = false
		f.pool.letGo(f)
	}
}

// Close implements vfs.File. A File that was closed cannot be opened again.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.path, Err: fs.ErrClosed}
	}
	f.closed = true
	if !f.isOpen() {
		return nil
	}
	f.state.Add(-open)
	if f.held {
		defer f.pool.countHeld(-1)
	} else {
		f.pool.leave(f)
		defer f.pool.leavePlace()
	}
	return f.handle.Close()
}

// ReadAt implements vfs.File.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	h, err := f.acquire()
	if err != nil {
		return 0, err
	}
	defer f.release()
	return h.ReadAt(p, off)
}

// ReadAtCached implements vfs.File. What has to be opened first may have to wait for the disk: it is not.
func (f *File) ReadAtCached(p []byte, off int64) (n int, coming bool) {
	if !f.tryAcquire() {
		return 0, false
	}
	defer f.release()
	return f.handle.ReadAtCached(p, off)
}

// WriteAt implements vfs.File, for a File that was adopted and not released.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	h, err := f.acquire()
	if err != nil {
		return 0, err
	}
	defer f.release()
	return h.WriteAt(p, off)
}

// Sync implements vfs.File, for a File that was adopted and not released.
func (f *File) Sync() error { return f.with(vfs.File.Sync) }

// Truncate implements vfs.File, for a File that was adopted and not released.
func (f *File) Truncate(size int64) error {
	return f.with(func(h vfs.File) error { return h.Truncate(size) })
}

// Size implements vfs.File.
func (f *File) Size() (size int64, err error) {
	err = f.with(func(h vfs.File) (err error) {
		size, err = h.Size()
		return err
	})
	return size, err
}

// Map implements vfs.File. The mapping needs no handle.
func (f *File) Map(off, n int64, writable bool) (m vfs.Mapping, err error) {
	err = f.with(func(h vfs.File) (err error) {
		m, err = h.Map(off, n, writable)
		return err
	})
	return m, err
}

// Advise implements vfs.File. What is advised of the file is forgotten with the handle.
func (f *File) Advise(a vfs.Advice) error {
	return f.with(func(h vfs.File) error { return h.Advise(a) })
}

func (f *File) with(fn func(vfs.File) error) error {
	h, err := f.acquire()
	if err != nil {
		return err
	}
	defer f.release()
	return fn(h)
}
