// Package replica is the local copy of a node's share: the storage engine under the versions of package causal. It issues
// the dots of the writes that this node coordinates, joins what other replicas send, and answers reads. It knows
// no peers and no quorums (package coordinator) and holds no opinion on which keys a node should have, but for
// scans, which are asked for by partition.
//
// # Data directory
//
//	DIR/lock       held while the replica is open; everything below is touched under it only
//	DIR/identity   who this is: node, incarnation, earlier runs, actor, cluster settings, mark of a clean shutdown
//	DIR/partitions of each partition: whether it is filled or fresh, its stable vector, retired actors
//	DIR/clock      the clock's ceiling: no timestamp above it was ever issued
//	DIR/engine/    the log (package storage)
//
// identity and clock are small, checksummed, and replaced atomically; docs/format/identity.md has their bytes. What is stored
// for a key is drawn in docs/format/object.md.
//
// # When a memory is unbroken
//
// An actor may go on issuing dots after a restart only if nothing that it issued was forgotten. So it is kept only where the
// last run wrote the mark of a clean shutdown, as its last act, after the engine was closed without an error, and
// where the engine then found neither a torn tail nor damage, and the record that was its last. Else a new actor is drawn. The mark's removal is durable
// before the first dot of a run:
//
//	                    open: incarnation+1, mark removed
//	    ┌────────────────────────────────────────────────────────────┐
//	    │                                                            ▼
//	┌───┴────┐   engine closed, nothing failed: mark written   ┌───────────┐   a write failed after   ┌─────────────────┐
//	│ clean  │ ◄───────────────────────────────────────────────┤ open      ├─────────────────────────►│ issues no dots  │
//	└────────┘                                                 └─────┬─────┘   it was handed out      └────────┬────────┘
//	                                                                 │ crash                                   │ close, crash
//	                                                                 ▼                                         ▼
//	                                                    ┌──────────────────────────────────────────────────────────────┐
//	                                                    │ unclean: the next open draws a new actor                     │
//	                                                    └──────────────────────────────────────────────────────────────┘
//
// A run that a peer refuses as a copy of a directory in use (Disown) gives its incarnation back and ends unclean.
//
// # When a disk is not the one that it was
//
// A directory knows its last runs by their random numbers. One that was restored from an older state, or that was made in
// place of a lost one, does not know the run that peers have met last: it begins anew (BeginAnew), with a new actor and all partitions
// to be filled. A new directory is *fresh*: nobody can say yet whether there was another before it. It is filled once all other members
// know of none (FillFresh).
//
// A key of which the engine cannot read the record is unknown, never absent: it takes no write, no join, and its
// reads say so.
//
// # Concurrency
//
// All methods may be called from any goroutine. Write and Store are decided one after the other on the engine's writer
// goroutine, in the order of the log, and end on the engine's; Read and Scan run on the caller's. The package starts
// no goroutine but the one that Close waits for. The state that is shared is the clock (lock-free) and the engine's.
package replica
