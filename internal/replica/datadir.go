package replica

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
)

// ErrIncomplete refuses a data directory that lacks a part of what it must hold, be it the end of its log (then it wraps
// *storage.MissingError, too). What is gone cannot be made up for here:
// a node that started without it would take for absent what it has lost.
var ErrIncomplete = errors.New("replica: data directory is incomplete")

// dataDir is a locked data directory.
type dataDir struct {
	path string
	fs   vfs.FS
	lock io.Closer
}

// lockDir makes the directory if it is missing and locks it. Nothing in it is read or written before.
// A directory that another holds is an error that wraps storage.ErrLocked.
func lockDir(fsys vfs.FS, path string) (*dataDir, error) {
	if err := fsys.MkdirAll(path); err != nil {
		return nil, fmt.Errorf("replica: make data directory: %w", err)
	}
	lock, err := fsys.Lock(filepath.Join(path, "lock"))
	if err != nil {
		var held *vfs.LockedError
		if errors.As(err, &held) {
			return nil, fmt.Errorf("replica: %w: %w", storage.ErrLocked, err)
		}
		return nil, fmt.Errorf("replica: lock data directory: %w", err)
	}
	return &dataDir{path: path, fs: fsys, lock: lock}, nil
}

func (d *dataDir) engine() string { return filepath.Join(d.path, "engine") }

// load reads identity and ceiling. The identity is nil in a directory that no replica was ever opened in.
func (d *dataDir) load() (*identity, causal.Timestamp, error) {
	idData, err := d.read("identity", identityBytesMax)
	if err != nil {
		return nil, 0, err
	}
	clockData, err := d.read("clock", identityBytesMax)
	if err != nil {
		return nil, 0, err
	}
	if idData == nil {
		// A first open may have been interrupted after the clock file was written and before the identity was:
		// it had issued nothing yet, and its ceiling is as good as none.
		return nil, 0, nil
	}
	if clockData == nil {
		return nil, 0, fmt.Errorf("%w: %s has no file \"clock\"", ErrIncomplete, d.path)
	}
	id, err := decodeIdentity(idData)
	if err != nil {
		return nil, 0, fmt.Errorf("replica: %s: %w", filepath.Join(d.path, "identity"), err)
	}
	ceiling, err := decodeCeiling(clockData)
	if err != nil {
		return nil, 0, fmt.Errorf("replica: %s: %w", filepath.Join(d.path, "clock"), err)
	}
	if _, err := d.fs.Stat(d.engine()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %s has no directory \"engine\"", ErrIncomplete, d.path)
		}
		return nil, 0, err
	}
	return id, ceiling, nil
}

// read is a file's content, nil if there is no such file.
func (d *dataDir) read(name string, limit int64) ([]byte, error) {
	data, err := vfs.ReadFile(d.fs, filepath.Join(d.path, name), limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replica: read %s: %w", name, err)
	}
	return data, nil
}

func (d *dataDir) saveIdentity(id *identity) error {
	if err := vfs.WriteFileAtomic(d.fs, filepath.Join(d.path, "identity"), appendIdentity(nil, id)); err != nil {
		return fmt.Errorf("replica: write identity: %w", err)
	}
	return nil
}

func (d *dataDir) saveCeiling(t causal.Timestamp) error {
	if err := vfs.WriteFileAtomic(d.fs, filepath.Join(d.path, "clock"), appendCeiling(nil, t)); err != nil {
		return fmt.Errorf("replica: write clock ceiling: %w", err)
	}
	return nil
}

func (d *dataDir) unlock() error { return d.lock.Close() }
