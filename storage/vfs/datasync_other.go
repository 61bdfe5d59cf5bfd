//go:build !linux

package vfs

import "os"

// datasync is a full sync: os.File.Sync knows what each system needs (F_FULLFSYNC on Darwin).
func datasync(f *os.File) error { return f.Sync() }
