package vfs

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// datasync spares the journal write for the modification time that fsync would add.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		// An interrupted call has not failed: nothing was reported of the data.
		if !errors.Is(err, syscall.EINTR) {
			return &fs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}
