// Package vfstest helps to test code that stores things through the package vfs. FS is a file system in memory that
// can lose power and break; TestFS is the suite that every implementation of vfs.FS has to pass. It is for tests
// only.
//
// # Losing power
//
// FS remembers for each file which bytes were synced, and the operations since; for each directory which names
// were. Crash makes the file system that a reboot would find, where each unsynced operation was kept, dropped or torn:
//
//	disk := vfstest.New()
//	disk.CrashAfter(n)                   // the n+1st change and everything after it fails with ErrCrashed
//	…use disk until it fails…
//	disk = disk.Crash(vfstest.Random(seed)) // and look what is left
//
// Running the same steps for n = 0, 1, 2, … until nothing fails visits every point at which power can be lost. A
// write keeps any subset of its 512-byte sectors; directory changes keep a prefix, as journaling file systems do;
// MkdirAll is durable at once.
//
// # Breaking
//
// Inject adds a Fault: an error for the n-th matching operation or some of them by chance, a short write, or an operation that takes
// long or blocks until a channel is closed. SetCapacity makes the disk small, so that it gets full.
//
// # The record
//
// Events lists what was done (create, write, sync, rename, …), so that a test can compare the order of syncs with a
// golden list.
//
// An FS may be used from several goroutines at once. It is a model: it has no permissions, symbolic links or
// open-file limits, and no page cache: ReadAtCached never has anything and Map is errors.ErrUnsupported until AllowMappings, so that every
// read is one that a Fault can strike.
package vfstest
