// Package storage is an embedded key-value store on one log, after Bitcask: every write goes to the end of the log, an
// index in memory knows where the newest record of each key stands, and a read is one lookup and one disk read. Unlike
// Bitcask its index is sorted, so that ranges can be scanned; each key has a short meta that is kept in the index;
// batches are atomic; and decisions on what is stored (Update, Submit) are taken in log order.
//
// It is used alone, as a library. It knows nothing of clusters, versions or expiry, and has no transactions beyond one
// atomic read-decide-write. Every key and its meta are held in memory, and what is overwritten is not reclaimed yet.
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
//	sequence number  each record has the number after the one before it; on any doubt the greatest wins
//	published  durable under the sync policy, and visible to readers
//	Unknown    the state of a key whose newest record may be in a place that cannot be read
//
// Byte layouts: docs/format/segment.md, docs/format/hint.md, docs/format/data-directory.md.
//
// # The way of a write
//
//	Submit ─► queue ─► decider ──group──► committer ─► write, sync ─► index ─► Observer ─► Done
//	        (bounded)     │ ▲              (one at a time)
//	                      ▼ │ values
//	                 value readers
//
// The decider takes what waits, has each Mutation decide on the index overlaid with what is decided but not yet
// published, and encodes it into the open group. When the committer is free it gets the group, and the decider fills
// the other one: two buffers that swap. So while one group is being synced the next is decided and encoded, and each
// sync serves all who came during the one before it. Before it hands a group over, the decider yields the processor a
// few times to those whom the last group has just released, which doubles the size of groups under blocking callers;
// it never sleeps.
//
// A decision that asks for values goes to the value readers, comes back to the decider, and is taken again; if the key
// has changed meanwhile, again; after three rounds the decider reads the values itself.
//
// A failed write or sync is never retried: what it left cannot be known. The engine turns read-only and says why, as
// on a full disk. What was decided gets the *IOError, what was not gets ErrReadOnly, and reads go on.
//
// # What a crash and a failing disk leave
//
// Every frame says how much of its segment was durable when it was encoded, and every group says it for the group
// before. Below what any later frame vouches for, an unreadable place is damage; above it, it is the torn tail of a
// write that was under way, and is cut off. Damage is never cut, skipped in silence, or taken for an older version of a
// key: if the segment has its hint file, exactly the keys whose records stood there are Unknown; if not, all keys
// whose newest readable record is older than the damage are, and all absent keys. A newer write ends it for its key.
// Damage stays where it is and every Open reports it again; Bitcask would skip it. One thing cannot be told from a torn
// tail: damage to the last group before a crash. After a clean Close a mark vouches for it. And nothing in a log tells that
// its last segments are gone altogether; who remembers Stats.LastSeq has Open refuse such a log (Options.KnownSeq).
//
// # Concurrency
//
// All methods of an Engine may be called from many goroutines. Three kinds of goroutines are the engine's own: decider,
// committer and value readers (writer), the hint file writer, and under SyncInterval the syncer. Close waits for all
// of them. Only the committer and the syncer write to segments, and only the committer changes the index, but for the
// flag that quarantines an unreadable record. Readers share the index under a lock that is held for 64 changes or one
// batch at most and never across I/O; a scan reads an immutable copy-on-write view. No reader waits for a sync.
//
// # Costs
//
// A put allocates once (key and meta, for the index) and costs its share of one write and one sync. A get allocates
// nothing once its buffer has grown. The index (index.go, tidwall/btree for now) takes 90 bytes a key after random
// inserts and 111 after an open, for 16-byte keys with 15-byte metas. Each segment has one open file.
//
// Sources: Sheehy & Smith, "Bitcask: A Log-Structured Hash Table for Fast Key/Value Data"; group commit after Gray &
// Reuter, "Transaction Processing", §9.4; the treatment of failed syncs after Rebello et al., "Can Applications Recover
// from fsync Failures?".
package storage
