package vfstest

import (
	"io/fs"
	"math"
)

// SetCapacity limits the sum of the files' lengths to a number of bytes; 0 is no limit. What would pass it fails with
// ENOSPC and without effect: a write or a truncation that makes a file longer, and the creation of one on a disk
// that holds more than it may. A file counts once, whatever its names, and for as long as it has a name or is open.
// Crash and Restart keep the capacity.
func (m *FS) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// Free implements vfs.FS: what is left of the capacity.
func (m *FS) Free(path string) (int64, error) {
	if err := m.begin(Event{Op: OpFree, Path: abs(path)}); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[abs(path)] == nil {
		d, name, err := m.lookupLocked("statfs", path)
		if err != nil {
			return 0, err
		}
		if d.now[name] == nil {
			return 0, pathError("statfs", path, fs.ErrNotExist)
		}
	}
	if m.capacity == 0 {
		return math.MaxInt64, nil
	}
	return max(0, m.capacity-m.usedLocked()), nil
}

// usedLocked adds the lengths up each time: a test has few files, and a sum that is not kept cannot be wrong.
func (m *FS) usedLocked() (bytes int64) {
	counted := map[*inode]bool{}
	count := func(n *inode) {
		if !counted[n] {
			counted[n] = true
			bytes += int64(len(n.data))
		}
	}
	for _, d := range m.dirs {
		for _, n := range d.now {
			count(n)
		}
	}
	for n := range m.opened {
		count(n)
	}
	return bytes
}

// fitsLocked says whether files may become that many bytes longer.
func (m *FS) fitsLocked(growth int64) bool {
	return m.capacity == 0 || m.usedLocked()+growth <= m.capacity
}

// fitsLocked says whether the file may reach up to end. What it has already needs no space.
func (f *file) fitsLocked(end int64) bool {
	growth := end - int64(len(f.node.data))
	return growth <= 0 || f.fs.fitsLocked(growth)
}
