//go:build !linux

package vfs

import (
	"errors"
	"io/fs"
	"math"
	"os"
)

func freeBytes(path string) (int64, error) {
	if _, err := os.Stat(path); err != nil {
		return 0, err
	}
	return math.MaxInt64, nil
}

// mapFile maps nothing: not every system keeps mappings, reads and fsync of one file in step as Linux does.
func mapFile(f *os.File, _, _ int64, _ bool) (Mapping, error) {
	return Mapping{}, &fs.PathError{Op: "mmap", Path: f.Name(), Err: errors.ErrUnsupported}
}

func readAtCached(*os.File, []byte, int64) (int, bool) { return 0, false }

func advise(*os.File, Advice) error { return nil }
