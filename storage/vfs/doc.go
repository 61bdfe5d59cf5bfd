// Package vfs is the file system as the storage engine sees it: the few operations that a log-structured store needs,
// each with a stated effect on durability, and the operating system's implementation of them.
//
// It is not a general file system. There are no modes, no symbolic links and no relative seeks: files are read and
// written at offsets, and who writes a file knows its length.
//
// # What survives a power failure
//
// Two things become durable separately, and both are needed for a new file:
//
//	File.Sync     the file's bytes and its length, as of the call
//	FS.SyncDir    the names in a directory: creations, links, renames and removals up to the call
//
// Whatever was not synced may be there afterwards, in part, in any order, or not at all. Rename is atomic: a crash
// leaves the old name or the new one. WriteFileAtomic puts these together for small files.
//
// # Reading without waiting
//
// ReadAt may wait for the disk. Two ways do not, or not in a system call, and both may be missing, so that their user
// needs ReadAt as well:
//
//	File.ReadAtCached   reads what is in the page cache, and says whether more is coming
//	File.Map            gives the file as memory; whoever touches it runs under Guard, which makes a fault an error
//
// Both see what was written by WriteAt at once. Linux has them; other systems, and the package vfstest, do not.
//
// Read puts ReadAtCached and ReadAt together, for reads of any place in a file: others run while they wait for the disk.
//
// A File may be used from several goroutines at once; Close must not overlap other calls. The package vfstest has an
// implementation in memory that forgets what was not synced, and fails when told to.
//
// The seam follows cockroachdb/pebble's vfs, cut down to what is used here.
package vfs
