// Package storage is an embedded key-value store on one log, after Bitcask: every write goes to the end of the log, an index
// knows where the newest record of each key stands, and a read is one lookup and one read. Unlike Bitcask its index is
// sorted, so that ranges can be scanned; it need not hold all keys in memory; each key has a short meta beside its value; batches
// are atomic; and decisions on what is stored (Update, Submit) are taken in log order. Merges give back the space of what is
// superseded, and leave what they keep in key order, compressed if wanted.
//
// It is used alone, as a library. It knows nothing of clusters and versions, and has no transactions beyond one atomic
// read-decide-write.
//
// # Vocabulary
//
//	record    a key with its meta and value, or a tombstone that says the key was deleted
//	frame     what is written and checked as one: a record, an atomic batch of records, or a mark
//	mark      a frame that holds nothing but says how much of the segment is durable
//	group     the frames that are written and synced together
//	segment   a file of the log: one takes appends (active), the others never change again (sealed)
//	hint file the keys, metas and locations of a sealed segment, sorted: Bitcask's hint file. Open reads it in place of
//	          the segment
//	run       a file of records in key order that a merge has made of segments and older runs, and that stands for them. It
//	          is searched in place, behind a filter, and never changes
//	bucket    a number of a key, computed by the caller, which many keys have: see Engine.ScanBuckets
//	sequence number  each record has the number after the one before it; on any doubt the greatest wins
//	published  durable under the sync policy, and visible to readers
//	fresh      published, but not entered into the index yet
//	Unknown    the state of a key whose newest record may be in a place that cannot be read
//
// Byte layouts: docs/format/segment.md, hint.md, run.md and data-directory.md.
//
// # The way of a write
//
//	Put, Apply ─┐                         ┌ SyncAlways: group ─► committer ─► write, sync ─► index ─► Observer ─► Done
//	Update ─────┼─► decide, encode, one ──┤
//	Submit ─────┘   at a time, log order  └ else: write to the mapped segment ─► index
//	                  │ ▲
//	                  ▼ │ values
//	              value readers
//
// Who submits a mutation takes its turn at the writer, has the mutation decide on the index overlaid with what is decided but
// not yet published, and encodes it into the open group. Under SyncAlways the committer takes the group when it is free: while one
// group is being synced the next gathers, and each sync serves all who came during the one before it. A group of many single changes,
// where nobody observes, is only shown then: lookups find its changes in short lists, and the absorber enters them into the index while the
// next group is being synced. Before it takes a group, the committer yields the processor a few times to those whom the last group has just released, which doubles the
// size of groups under blocking callers; it never sleeps. Without a sync, who wrote commits, too: the bytes are copied into the
// mapped file, where the operating system has them if the process dies, and go into the index while the next one has its turn. A batch enters
// with all shards of the index locked. One of many changes, where nobody observes, lets go of each shard when it is done, and who enters
// a batch next helps it along.
//
// A decision that asks for values goes to the value readers, which have it taken again; if the key has changed meanwhile, again;
// after three rounds the values are read under the writer's lock.
//
// A failed write or sync is never retried: what it left cannot be known. The engine turns read-only and says why. What was decided
// gets the *IOError, what was not gets ErrReadOnly, and reads go on; the way back is to open the directory again. A disk that is
// about to be full is another matter: while less than Options.ReserveBytes are left, writes are refused with ErrDiskFull and
// without effect, a merge may use the reserve to make room, and once there is room writes are taken again.
//
// # Two tiers
//
//	memory tier  B+trees outside of the heap, in shards by hash: every key of the segments that were not merged
//	file tier    the runs, the youngest first: of each the sparse index and the filter are in memory, 2 bytes a record
//
// An entry of the memory tier is younger than all that the runs have of its key, and a run is younger than those before it: the
// first hit is the answer. A scan walks them side by side. A merge writes a run beside what it is made of, syncs it, gives it its
// name, and only then takes what it stands for out of the index and removes those files; its name says which they are, so that an
// Open finishes what a crash interrupted. There are two kinds, and one of each may be under way:
//
//	of segments  the sealed ones, and the youngest runs that are not much larger. Due when much of them is dead, when they are
//	             many, when the memory tier has half of Options.IndexBytesMax, or when the store is idle
//	of runs      neighbours in age. Due when there are more than eight, and, of all of them, when more is dead than
//	             Options.SpaceAmpMax allows, or could be dropped, as Options.Droppable has it; on a full disk without
//	             room for that one alone, without what younger ones have
//
// So the memory tier stays in its bounds while a merge of runs takes minutes, and all runs are older than all segments at any time.
// Tombstones go when nothing older is left. Merges are paced by Options.MergeBytesPerSecond, but for those that are behind while writes come: these
// wait for a merge of segments when the memory tier has twice its bound, or, if it had more when the store was opened, that and its bound
// once, and for one of runs when there are 64.
//
// # What a crash and a failing disk leave
//
// Every frame says how much of its segment was durable when it was encoded, and every group says it for the group
// before. Below what any later frame vouches for, an unreadable place is damage; above it, it is the torn tail of a
// write that was under way, and is cut off. Damage is never cut, skipped in silence, or taken for an older version of a
// key: if the segment has its hint file, exactly the keys whose records stood there are Unknown; if not, all keys
// whose newest readable record is older than the damage are, and all absent keys. In a run, the keys in the range of the damaged
// block are. A newer write ends it for its key. Merges carry it on: what was Unknown stays so; and a record of a segment that the disk
// reads neither at the beginning nor at the end of a merge becomes so. A damaged run is not merged; it
// stays where it is, and every Open or Verify reports it again; Bitcask would skip it. One thing cannot be told from a torn tail:
// damage to the last group before a crash. After a clean Close a mark vouches for it. And nothing in a log tells that
// its last segments are gone altogether; who remembers Stats.LastSeq has Open refuse such a log (Options.KnownSeq).
//
// # Concurrency
//
// All methods of an Engine may be called from many goroutines. The engine's own are the committer and the absorber (SyncAlways) or the syncer (the
// other policies), the value readers, the hint file writer, the merger and the scrubber. Close waits for all of them. Readers share
// a shard of the index under a lock that is held for a change or two at a time, or for those of one batch, and never across I/O; a scan reads an immutable
// copy-on-write view (a merge takes one for some hundred entries at a time, so that writers have little to copy), and pins the files that it was taken of. A file that is not read is closed when there are more than
// Options.OpenFilesMax, and opened again by its name; before a merge takes that away, or gives it to another, it has those files open
// that are pinned; if they are too many they keep their names until they are not. That a file cannot be opened is an *IOError of the read. No reader waits for a sync, a write or a merge. Who
// touches a mapped file does so under vfs.Guard: a disk that cannot be read is an *IOError, not the end of the process.
//
// # Costs
//
// A put allocates nothing and costs its share of one write and one sync. A get allocates nothing once its buffer has grown. A key
// that was not merged yet takes 47 bytes of memory (16-byte keys with 15-byte metas; 35 where keys share their beginning),
// outside of what the garbage collector looks at. See docs/performance.md for what was measured.
//
// Sources: Sheehy & Smith, "Bitcask: A Log-Structured Hash Table for Fast Key/Value Data"; group commit after Gray &
// Reuter, "Transaction Processing", §9.4; the treatment of failed syncs after Rebello et al., "Can Applications Recover
// from fsync Failures?"; tiers after O'Neil et al., "The Log-Structured Merge-Tree", chosen by size as in Cassandra's first
// compaction.
package storage
