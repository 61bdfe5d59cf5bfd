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
	// Link gives a file a second name, in any directory of the same file system. Both names mean the same bytes, and
	// Remove takes one of them away. The new name is durable after SyncDir of its directory; the bytes are so only by
	// File.Sync. fs.ErrExist says that something has the new name.
	Link(from, to string) error
	// Remove removes a file's name or an empty directory. A file's bytes go with its last name and its last open File.
	Remove(path string) error
	// List returns the names in a directory, sorted, without the directory's own path.
	List(dir string) ([]string, error)
	// MkdirAll makes a directory and the missing ones above it, durably: the directories that name new ones are synced.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Stat describes a file or directory.
	Stat(path string) (Info, error)
	// Free is how many bytes an unprivileged process may still write on the file system of an existing path:
	// math.MaxInt64 where that is not known.
	Free(path string) (bytes int64, err error)
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
	// ReadAtCached reads the first n bytes of p from off, as ReadAt does, as far as that needs no disk. If n is less than len(p), nothing
	// is said of the file: the other bytes are not in the page cache, or not in the file, or the file system cannot tell. ReadAt
	// tells which. coming says that the system may have begun to read them.
	ReadAtCached(p []byte, off int64) (n int, coming bool)
	// Map maps n bytes at off into memory. off is a multiple of the page size (os.Getpagesize); n > 0 need not be. The
	// file may be shorter: see Mapping. writable asks for a file that is open for writing. A mapping outlives the File.
	// errors.ErrUnsupported says that there are no mappings here: ReadAt and WriteAt do the same.
	Map(off, n int64, writable bool) (Mapping, error)
	// Advise tells the page cache what to expect of the whole file. It changes no content, and does nothing where
	// there is no such call.
	Advise(a Advice) error
}

// Advice is what to expect of a file, or what to do with it in good time.
type Advice int

// The advice that Advise takes.
const (
	// AdviseRandom expects reads anywhere: reading ahead is a waste.
	AdviseRandom Advice = iota + 1
	// AdviseSequential expects reads from the front to the back.
	AdviseSequential
	// AdviseDontNeed expects no more reads: the page cache may drop what it has of the file now, except what is dirty
	// or mapped.
	AdviseDontNeed
	// AdviseWriteBack has what was written go to the disk soon, without waiting for it: the next Sync has less to do, and keeps others from the disk
	// for less long. It makes nothing durable.
	AdviseWriteBack
)

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
