package vfs

import (
	"fmt"
	"io"
)

// FS is a file system. Paths are those of the operating system. Errors wrap those of io/fs (fs.ErrNotExist,
// fs.ErrExist) and of the system (syscall.ENOSPC), so that errors.Is finds them.
type FS interface {
	// Create makes an empty file for reading and writing, or empties the one that has the name.
	Create(path string) (File, error)
	// Open opens a file for reading.
	Open(path string) (File, error)
	// OpenReadWrite opens an existing file for reading and writing, without emptying it.
	OpenReadWrite(path string) (File, error)
	// Rename gives a file another name in the same directory, replacing atomically what had that name.
	Rename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(path string) error
	// List returns the names in a directory, sorted, without the directory's own path.
	List(dir string) ([]string, error)
	// MkdirAll makes a directory and the missing ones above it, durably: the directories that name new ones are synced.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Stat describes a file or directory.
	Stat(path string) (Info, error)
	// Lock takes an exclusive lock that ends with Close of what is returned, or with the process. The file is made if
	// missing, gets the process's id as its content, and stays. A *LockedError says that another holds it.
	Lock(path string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the file's bytes and length durable (fdatasync). After it failed, what is durable is unknown
	// and a second Sync that succeeds proves nothing.
	Sync() error
	// Truncate cuts the file, or extends it with zeros.
	Truncate(size int64) error
	// Size is the file's length in bytes.
	Size() (int64, error)
}

// Info describes a file.
type Info struct {
	Size int64
	Dir  bool
}

// LockedError says that another holder has a lock.
type LockedError struct {
	Path string
	// PID is the process that wrote the lock file last; zero if the file does not say.
	PID int
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}
