//go:build !unix

package memindex

// mapMemory takes memory from the Go heap, in pieces without pointers, which the garbage collector does not scan.
func mapMemory(size int) ([]byte, error) { return make([]byte, size), nil }

func unmapMemory([]byte) error { return nil }
