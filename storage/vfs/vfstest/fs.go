package vfstest

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/ringcask/ringcask/storage/vfs"
)

// FS is a file system in memory. New makes one.
type FS struct {
	mu     sync.Mutex
	dirs   map[string]*directory
	locked map[string]bool
	faults []*Fault
	events []Event
	// changes counts operations that change something; the power fails when it would pass crashAfter, unless negative.
	changes, crashAfter int
	crashed             bool
	// opened counts the open Files of each file. capacity is in bytes, 0 is unlimited.
	opened   map[*inode]int
	capacity int64
	// mappings says that files can be mapped; written are those that are, to be written to.
	mappings bool
	written  []*inode
}

var _ vfs.FS = (*FS)(nil)

// directory is the names in one directory: as they are, as they were when last synced, and the changes between.
type directory struct {
	now, durable map[string]*inode
	unsynced     []nameChange
}

// nameChange binds name to file (nil: removes it) and, for a rename, removes the old name in the same step.
type nameChange struct {
	name, old string
	file      *inode
}

func (c nameChange) apply(names map[string]*inode) {
	if c.old != "" {
		delete(names, c.old)
	}
	if c.file == nil {
		delete(names, c.name)
	} else {
		names[c.name] = c.file
	}
}

// New makes an empty file system: the root directory only.
func New() *FS {
	return &FS{dirs: map[string]*directory{"/": newDirectory()}, locked: map[string]bool{}, opened: map[*inode]int{}, crashAfter: -1}
}

func newDirectory() *directory {
	return &directory{now: map[string]*inode{}, durable: map[string]*inode{}}
}

// abs makes relative paths start at the root, so that both work and mean the same.
func abs(path string) string { return filepath.Clean("/" + path) }

func pathError(op, path string, err error) error { return &fs.PathError{Op: op, Path: path, Err: err} }

// lookup finds the directory that names path.
func (m *FS) lookupLocked(op, path string) (*directory, string, error) {
	dir, name := filepath.Split(abs(path))
	d := m.dirs[filepath.Clean(dir)]
	if d == nil {
		return nil, "", pathError(op, path, fs.ErrNotExist)
	}
	return d, name, nil
}

func (d *directory) change(c nameChange) {
	c.apply(d.now)
	d.unsynced = append(d.unsynced, c)
}

// Create implements vfs.FS.
func (m *FS) Create(path string) (vfs.File, error) {
	if err := m.begin(Event{Op: OpCreate, Path: abs(path)}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.lookupLocked("create", path)
	if err != nil {
		return nil, err
	}
	if m.dirs[abs(path)] != nil {
		return nil, pathError("create", path, syscall.EISDIR)
	}
	node := d.now[name]
	if node == nil {
		if !m.fitsLocked(0) {
			return nil, pathError("create", path, syscall.ENOSPC)
		}
		node = &inode{}
		d.change(nameChange{name: name, file: node})
	} else {
		node.apply(change{truncate: true})
	}
	return m.openedLocked(node, path, true), nil
}

// Open implements vfs.FS.
func (m *FS) Open(path string) (vfs.File, error) { return m.open(path, false) }

// OpenReadWrite implements vfs.FS.
func (m *FS) OpenReadWrite(path string) (vfs.File, error) { return m.open(path, true) }

func (m *FS) open(path string, writable bool) (vfs.File, error) {
	if err := m.begin(Event{Op: OpOpen, Path: abs(path)}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d, name, err := m.lookupLocked("open", path)
	if err != nil {
		return nil, err
	}
	node := d.now[name]
	if node == nil {
		return nil, pathError("open", path, fs.ErrNotExist)
	}
	return m.openedLocked(node, path, writable), nil
}

func (m *FS) openedLocked(node *inode, path string, writable bool) *file {
	m.opened[node]++
	return &file{fs: m, node: node, path: abs(path), writable: writable}
}

// Rename implements vfs.FS.
func (m *FS) Rename(from, to string) error {
	if err := m.begin(Event{Op: OpRename, Path: abs(from), To: abs(to)}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if filepath.Dir(abs(from)) != filepath.Dir(abs(to)) {
		return pathError("rename", from, syscall.EXDEV)
	}
	d, name, err := m.lookupLocked("rename", from)
	if err != nil {
		return err
	}
	node := d.now[name]
	if node == nil {
		return pathError("rename", from, fs.ErrNotExist)
	}
	d.change(nameChange{name: filepath.Base(abs(to)), old: name, file: node})
	return nil
}

// Link implements vfs.FS.
func (m *FS) Link(from, to string) error {
	if err := m.begin(Event{Op: OpLink, Path: abs(from), To: abs(to)}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[abs(from)] != nil {
		return pathError("link", from, syscall.EPERM)
	}
	source, name, err := m.lookupLocked("link", from)
	if err != nil {
		return err
	}
	node := source.now[name]
	if node == nil {
		return pathError("link", from, fs.ErrNotExist)
	}
	target, name, err := m.lookupLocked("link", to)
	if err != nil {
		return err
	}
	if m.dirs[abs(to)] != nil || target.now[name] != nil {
		return pathError("link", to, fs.ErrExist)
	}
	target.change(nameChange{name: name, file: node})
	return nil
}

// Remove implements vfs.FS.
func (m *FS) Remove(path string) error {
	if err := m.begin(Event{Op: OpRemove, Path: abs(path)}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if sub := m.dirs[abs(path)]; sub != nil {
		if len(sub.now) > 0 || len(m.childrenLocked(abs(path))) > 0 {
			return pathError("remove", path, syscall.ENOTEMPTY)
		}
		delete(m.dirs, abs(path))
		return nil
	}
	d, name, err := m.lookupLocked("remove", path)
	if err != nil {
		return err
	}
	if d.now[name] == nil {
		return pathError("remove", path, fs.ErrNotExist)
	}
	d.change(nameChange{name: name})
	return nil
}

// List implements vfs.FS.
func (m *FS) List(dir string) ([]string, error) {
	if err := m.begin(Event{Op: OpList, Path: abs(dir)}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirs[abs(dir)]
	if d == nil {
		return nil, pathError("list", dir, fs.ErrNotExist)
	}
	names := append(slices.Collect(maps.Keys(d.now)), m.childrenLocked(abs(dir))...)
	slices.Sort(names)
	return names, nil
}

// childrenLocked are the names of the directories right below dir.
func (m *FS) childrenLocked(dir string) (names []string) {
	for path := range m.dirs {
		if path != "/" && filepath.Dir(path) == dir {
			names = append(names, filepath.Base(path))
		}
	}
	return names
}

// MkdirAll implements vfs.FS.
func (m *FS) MkdirAll(dir string) error {
	if err := m.begin(Event{Op: OpMkdir, Path: abs(dir)}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	path := ""
	for name := range strings.SplitSeq(strings.TrimPrefix(abs(dir), "/"), "/") {
		if parent := m.dirs[abs(path)]; parent.now[name] != nil {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		path += "/" + name
		if m.dirs[abs(path)] == nil {
			m.dirs[abs(path)] = newDirectory()
		}
	}
	return nil
}

// SyncDir implements vfs.FS.
func (m *FS) SyncDir(dir string) error {
	if err := m.begin(Event{Op: OpSyncDir, Path: abs(dir)}); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirs[abs(dir)]
	if d == nil {
		return pathError("sync", dir, fs.ErrNotExist)
	}
	d.durable, d.unsynced = maps.Clone(d.now), nil
	return nil
}

// Stat implements vfs.FS.
func (m *FS) Stat(path string) (vfs.Info, error) {
	if err := m.begin(Event{Op: OpStat, Path: abs(path)}); err != nil {
		return vfs.Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[abs(path)] != nil {
		return vfs.Info{Dir: true}, nil
	}
	d, name, err := m.lookupLocked("stat", path)
	if err != nil {
		return vfs.Info{}, err
	}
	if d.now[name] == nil {
		return vfs.Info{}, pathError("stat", path, fs.ErrNotExist)
	}
	return vfs.Info{Size: int64(len(d.now[name].data))}, nil
}

// Lock implements vfs.FS.
func (m *FS) Lock(path string) (io.Closer, error) {
	if err := m.begin(Event{Op: OpLock, Path: abs(path)}); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[abs(path)] {
		return nil, &vfs.LockedError{Path: path, PID: os.Getpid()}
	}
	d, name, err := m.lookupLocked("lock", path)
	if err != nil {
		return nil, err
	}
	if d.now[name] == nil {
		d.change(nameChange{name: name, file: &inode{}})
	}
	m.locked[abs(path)] = true
	return &lock{fs: m, path: abs(path)}, nil
}

// lock is a held lock. Releasing it works even after the power failed: the test's process lives on.
type lock struct {
	fs   *FS
	path string
	once sync.Once
}

func (l *lock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locked, l.path)
	})
	return nil
}
