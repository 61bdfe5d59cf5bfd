package vfstest

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/ringcask/ringcask/storage/vfs"
)

// inode is a file: its bytes, those that are durable, and the changes between the two.
type inode struct {
	data, durable []byte
	unsynced      []change
	// mapped says that data must stay where it is; known is data as the changes have made it, if there may be others, by a mapping.
	mapped bool
	known  []byte
}

// change is a write of bytes at off, or a truncation to off.
type change struct {
	truncate bool
	off      int64
	bytes    []byte
}

// on applies the change to data.
func (c change) on(data []byte) []byte {
	end := int(c.off) + len(c.bytes)
	if c.truncate && end < len(data) {
		clear(data[end:]) // a later extension must read zeros
		return data[:end]
	}
	if end > len(data) {
		if end > cap(data) {
			data = append(make([]byte, 0, max(end, 2*cap(data))), data...)
		}
		data = data[:end]
	}
	copy(data[c.off:], c.bytes)
	return data
}

func (n *inode) apply(c change) {
	n.absorb()
	if n.mapped && int(c.off)+len(c.bytes) > cap(n.data) {
		panic("vfstest: a mapped file has outgrown its memory")
	}
	n.data = c.on(n.data)
	if n.known != nil {
		n.known = c.on(n.known)
	}
	n.unsynced = append(n.unsynced, c)
}

// sync makes the changes durable one by one, which costs what was written and not what the file holds.
func (n *inode) sync() {
	n.absorb()
	for _, c := range n.unsynced {
		n.durable = c.on(n.durable)
	}
	n.unsynced = nil
}

type file struct {
	fs       *FS
	node     *inode
	path     string
	writable bool
	closed   bool
}

func (f *file) checkLocked(op string, write bool) error {
	switch {
	case f.closed:
		return pathError(op, f.path, fs.ErrClosed)
	case write && !f.writable:
		return pathError(op, f.path, syscall.EBADF)
	}
	return nil
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.begin(Event{Op: OpRead, Path: f.path, Offset: off, Bytes: len(p)}); err != nil {
		return 0, err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.path, syscall.EINVAL)
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	event := Event{Op: OpWrite, Path: f.path, Offset: off, Bytes: len(p)}
	err := f.fs.begin(event)
	var short *shortWrite
	switch {
	case err == nil:
		if err := f.write(p, off); err != nil {
			return 0, err
		}
		return len(p), nil
	case err == ErrCrashed || asShort(err, &short):
		// The bytes were on their way: Crash decides what became of them, a short write has left the first half.
		n := len(p)
		if short != nil {
			n, err = n/2, short.err
		}
		f.fs.mu.Lock()
		defer f.fs.mu.Unlock()
		arrived := f.checkLocked("write", true) == nil && f.fs.firstCrashLocked(event) || short != nil
		if arrived && f.fitsLocked(off+int64(n)) {
			f.node.apply(change{off: off, bytes: append([]byte(nil), p[:n]...)})
		}
		return 0, err
	}
	return 0, err
}

func (f *file) write(p []byte, off int64) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("write", true); err != nil {
		return err
	}
	if off < 0 {
		return pathError("write", f.path, syscall.EINVAL)
	}
	if !f.fitsLocked(off + int64(len(p))) {
		return pathError("write", f.path, syscall.ENOSPC)
	}
	f.node.apply(change{off: off, bytes: append([]byte(nil), p...)})
	return nil
}

func (f *file) Sync() error {
	if err := f.fs.begin(Event{Op: OpSync, Path: f.path}); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("sync", false); err != nil {
		return err
	}
	f.node.sync()
	return nil
}

func (f *file) Truncate(size int64) error {
	if err := f.fs.begin(Event{Op: OpTruncate, Path: f.path, Offset: size}); err != nil {
		return err
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("truncate", true); err != nil {
		return err
	}
	if size < 0 {
		return pathError("truncate", f.path, syscall.EINVAL)
	}
	if !f.fitsLocked(size) {
		return pathError("truncate", f.path, syscall.ENOSPC)
	}
	f.node.apply(change{truncate: true, off: size})
	return nil
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.checkLocked("stat", false); err != nil {
		return 0, err
	}
	return int64(len(f.node.data)), nil
}

// Close never fails for a crash: the test's process lives on and lets go of what it holds.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.path, fs.ErrClosed)
	}
	f.closed = true
	if f.fs.opened[f.node]--; f.fs.opened[f.node] == 0 {
		delete(f.fs.opened, f.node)
	}
	return nil
}

// ReadAtCached has nothing in its cache, so that faults of ReadAt strike every reader.
func (f *file) ReadAtCached([]byte, int64) (int, bool) { return 0, false }

// Advise changes nothing.
func (f *file) Advise(vfs.Advice) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.checkLocked("fadvise", false)
}

// Content returns a copy of a file as it is now, synced or not.
func (m *FS) Content(path string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.nodeLocked(path)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), node.data...), nil
}

// SetContent gives a file, which is made if missing, new durable content: no fault or crash point counts it.
func (m *FS) SetContent(path string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.lookupLocked("set", path)
	if err != nil {
		return err
	}
	node := d.now[name]
	if node == nil {
		node = &inode{}
	}
	*node = inode{data: append([]byte(nil), data...), durable: append([]byte(nil), data...)}
	d.now[name], d.durable[name] = node, node
	return nil
}

// Damage flips every bit of n bytes of a file, durably and behind its reader's back, as a failing disk does.
func (m *FS) Damage(path string, off int64, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.nodeLocked(path)
	if err != nil {
		return err
	}
	if off < 0 || off+int64(n) > int64(len(node.data)) {
		return fmt.Errorf("damage %s: %d bytes at %d are not in its %d", path, n, off, len(node.data))
	}
	node.sync()
	for i := range n {
		node.data[off+int64(i)] ^= 0xff
		node.durable[off+int64(i)] ^= 0xff
		if node.known != nil {
			node.known[off+int64(i)] ^= 0xff
		}
	}
	return nil
}

func (m *FS) nodeLocked(path string) (*inode, error) {
	d, name, err := m.lookupLocked("open", path)
	if err != nil {
		return nil, err
	}
	if d.now[name] == nil {
		return nil, pathError("open", path, fs.ErrNotExist)
	}
	return d.now[name], nil
}
