// Package vfs is the file system as the storage engine sees it: the few operations that a log-structured store needs,
// each with a stated effect on durability, and the operating system's implementation of them.
//
// It is not a general file system. There are no modes, no links and no relative seeks: files are read and written at
// offsets, and who writes a file knows its length.
//
// # What survives a power failure
//
// Two things become durable separately, and both are needed for a new file:
//
//	File.Sync     the file's bytes and its length, as of the call
//	FS.SyncDir    the names in a directory: creations, renames and removals up to the call
//
// Whatever was not synced may be there afterwards, in part, in any order, or not at all. Rename is atomic: a crash
// leaves the old name or the new one. WriteFileAtomic puts these together for small files.
//
// A File may be used from several goroutines at once; Close must not overlap other calls. The package vfstest has an
// implementation in memory that forgets what was not synced, and fails when told to.
//
// The seam follows cockroachdb/pebble's vfs, cut down to what is used here.
package vfs
