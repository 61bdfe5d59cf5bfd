//go:build !unix

package storage

func offHeap(int64) []byte { return nil }

func freeOffHeap([]byte) {}
