package vfs

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// TempSuffix ends the names of files that WriteFileAtomic has not finished. A crash may leave one: it is never part of
// the data and may be removed.
const TempSuffix = ".tmp"

// ReadFile returns the content of a file of at most limit bytes; a longer one is an error that says so.
func ReadFile(fsys FS, path string, limit int64) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := readAll(f, path, limit)
	return data, errors.Join(err, f.Close())
}

func readAll(f File, path string, limit int64) ([]byte, error) {
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, at most %d expected", path, size, limit)
	}
	data := make([]byte, size)
	if n, err := f.ReadAt(data, 0); err != nil && !(errors.Is(err, io.EOF) && n == len(data)) {
		return nil, err
	}
	return data, nil
}

// WriteFileAtomic gives the file at path the content data, durably, and leaves the old content or the new one
// whenever it is interrupted. After an error the old content stands, unless only the last step failed: then either may.
func WriteFileAtomic(fsys FS, path string, data []byte) error {
	temp := path + TempSuffix
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		// Without this sync a crash could show the new name with an empty file behind it.
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	if err := fsys.Rename(temp, path); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	return fsys.SyncDir(filepath.Dir(path))
}
