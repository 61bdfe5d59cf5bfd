package vfs

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, off, n int64, writable bool) (Mapping, error) {
	prot := unix.PROT_READ
	if writable {
		prot |= unix.PROT_WRITE
	}
	var bytes []byte
	var err error = syscall.EINVAL // a range that no slice can hold
	if int64(int(n)) == n {
		bytes, err = unix.Mmap(int(f.Fd()), off, int(n), prot, unix.MAP_SHARED)
	}
	if errors.Is(err, syscall.ENODEV) {
		err = errors.ErrUnsupported
	}
	if err != nil {
		return Mapping{}, &fs.PathError{Op: "mmap", Path: f.Name(), Err: err}
	}
	// Once: by the time of a second call another mapping may have the same address.
	return Mapping{Bytes: bytes, Unmap: sync.OnceValue(func() error { return unix.Munmap(bytes) })}, nil
}
