package storage

import "unsafe"

// stringOf lends bytes as a string that must not outlive them.
func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
