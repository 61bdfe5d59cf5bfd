package vfs

import (
	"errors"
	"io/fs"
	"math"
	"math/bits"
	"syscall"

	"golang.org/x/sys/unix"
)

func freeBytes(path string) (int64, error) {
	var st unix.Statfs_t
	err := unix.Statfs(path, &st)
	for errors.Is(err, syscall.EINTR) {
		err = unix.Statfs(path, &st)
	}
	if err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	high, free := bits.Mul64(st.Bavail, uint64(st.Bsize))
	if high != 0 || free > math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return int64(free), nil
}
