package vfstest

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"syscall"

	"github.com/ringcask/ringcask/storage/vfs"
)

// mapSlackBytes is how far a file can grow behind what is mapped of it.
const mapSlackBytes = 2 << 20

// AllowMappings has files support Map from now on. What is written to a mapping is no operation: no fault and no crash point counts it, and Crash
// keeps any subset of its sectors, like those of a write that comes at the latest before the next change or sync of the file, or TakeMappings. A mapping is the file's memory itself,
// so, other than on a system, the race detector sees one who writes to it while another syncs or reads the same bytes.
func (m *FS) AllowMappings() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mappings = true
}

// Map implements vfs.File, if the FS allows it.
func (f *file) Map(off, n int64, writable bool) (vfs.Mapping, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.fs.mappings {
		return vfs.Mapping{}, pathError("mmap", f.path, errors.ErrUnsupported)
	}
	if err := f.checkLocked("mmap", writable); err != nil {
		return vfs.Mapping{}, err
	}
	if off < 0 || n <= 0 || off%int64(os.Getpagesize()) != 0 {
		return vfs.Mapping{}, pathError("mmap", f.path, syscall.EINVAL)
	}
	node := f.node
	if int(off+n) > cap(node.data) {
		if node.mapped {
			return vfs.Mapping{}, pathError("mmap", f.path, syscall.ENOMEM) // it would move from under the other mapping
		}
		node.data = append(make([]byte, 0, off+n+mapSlackBytes), node.data...)
	}
	node.mapped = true
	if writable && node.known == nil {
		node.known = slices.Clone(node.data)
		f.fs.written = append(f.fs.written, node)
	}
	return vfs.Mapping{Bytes: node.data[off : off+n : off+n], Unmap: func() error { return nil }}, nil
}

// TakeMappings takes what was written to mappings for writes of now: of what is written to the same sectors later, a crash may keep this alone.
func (m *FS) TakeMappings() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.written {
		n.absorb()
	}
}

// absorb takes what was written to mappings for changes.
func (n *inode) absorb() {
	if n.known == nil {
		return
	}
	for at := 0; at < len(n.data); {
		from := at
		for at < len(n.data) && !bytes.Equal(n.sector(n.data, at), n.sector(n.known, at)) {
			at += sectorBytes
		}
		if at > from {
			c := change{off: int64(from), bytes: bytes.Clone(n.data[from:min(at, len(n.data))])}
			n.known = c.on(n.known)
			n.unsynced = append(n.unsynced, c)
		}
		at += sectorBytes
	}
}

func (n *inode) sector(data []byte, at int) []byte { return data[at:min(at+sectorBytes, len(data))] }

// cutMappingsLocked ends all mappings, for the power fails: what is written to them from now on is lost.
func (m *FS) cutMappingsLocked() {
	for _, n := range m.written {
		n.absorb()
		n.data, n.known, n.mapped = n.known, nil, false
	}
	m.written = nil
}
