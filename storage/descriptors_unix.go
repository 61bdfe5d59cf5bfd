//go:build unix

package storage

import (
	"math"
	"syscall"
)

// descriptorsMax is how many files the process may have open. (The Go runtime has raised its limit as far as it goes.)
func descriptorsMax() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return math.MaxInt32
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
