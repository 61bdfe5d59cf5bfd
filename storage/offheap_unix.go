//go:build unix

package storage

import "syscall"

// offHeap returns n bytes of zeros that the collector knows nothing of, and that take memory where they are touched only. Nil is
// that there are none.
func offHeap(n int64) []byte {
	b, err := syscall.Mmap(-1, 0, int(n), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil
	}
	return b
}

// freeOffHeap gives what offHeap returned back. Nobody may look at it any more.
func freeOffHeap(b []byte) {
	if b != nil {
		_ = syscall.Munmap(b) // it can only fail for what is no mapping
	}
}
