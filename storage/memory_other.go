//go:build !linux

package storage

// machineBytes is a guess at the memory that the process may use.
func machineBytes() int64 { return 4 << 30 }
