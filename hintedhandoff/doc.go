// Package hintedhandoff keeps what replicas have missed until they have it. A hint says that a node, its target, has not
// acknowledged an object for a key. Hints are durable, in a storage engine of their own; they are sent as soon as the target is back, and
// removed once it has acknowledged them. The package knows neither sockets nor liveness: what sends, and who is up, it is told.
//
// # Vocabulary
//
//	target    the node that a hint is for
//	hint      the join of all objects that a target has missed of one key. There is one for each target and key
//	counted   of a hint: the write under it counted this copy toward W, because the target could not be had (a sloppy quorum). It
//	          is a copy like any other: neither bytes nor age ever have it dropped, and a store without room takes none
//	dropped   of an uncounted hint: given up, because of a bound, its age, a failure or a refusal for good. W replicas have the write without it
//	need      a partition of a target that hints were dropped or lost of: only an exchange makes it whole. It is durable, too
//	token     which state of a need an exchange began after
//	pass      one walk over all hints of a target, in the order of their keys
//	poison    a hint that the target has refused alone: passes leave it out for a while, and it stays
//
// # The life of a hint
//
//	         Add                                      Send ok, unchanged
//	absent ───────► kept ─────────► under way ─────────────────────────► removed
//	   │            ▲ │ ▲  a pass       │
//	   │            └─┘ └───────────────┘
//	   │ bound     joined     failed, or joined with more meanwhile
//	   ▼              │
//	 (need) ◄─────────┘ too old, uncounted
//
// A hint that is joined keeps the older time of the two and is counted if either is. What is removed is what was sent: every write of
// a hint gives it another revision, and the decision to remove compares it. So a hint is sent at least once, to its target only, and
// again where a crash of either side comes between; joins make that harmless.
//
// # Replay
//
// Run looks at all targets every Options.PollInterval, and at once after TargetUp. Each that has hints and is up is replayed, all of
// them side by side: none waits for another that is slow. They share Options.BytesPerSecond batch by batch, in turns. A batch that
// fails is halved after a pause, until what can pass has passed; a hint that fails alone twice is poison for a while, which doubles
// with each time. Success doubles the batches again. What can be under way is Options.BatchesInFlightMax batches of
// Options.BatchBytesMax for each target.
//
// # Bounds
//
// Options.BytesMax bounds the hints of all targets together, first come first served: a target that misses much can take all of the
// room, and then the others' uncounted hints are dropped as well and counted ones refused. The store on the disk can be larger by what is dead in it (see
// package storage). An uncounted hint older than Options.AgeMax is dropped when a sweep finds it, at most a 64th of AgeMax later. The
// ages are known to the second without reading the store, which takes a small entry of memory for each second and target in which hints were
// noted. A hint takes the memory of an entry in the engine's index.
//
// # Damage
//
// A hint that cannot be read is lost: its partition becomes a need. Where damage does not say what it hit, all of Options.Shared do, at each
// Open that finds it.
//
// # Concurrency
//
// A Store is safe for concurrent use. Decisions are taken on the engine's writer; what is counted in memory (the book) changes
// with them, so that HasHints may err on the side of true and never of false. Add never blocks, but for the engine's own merges.
// Only Run has goroutines, which it waits for; no lock is held while Send or a done is called.
//
// Source: DeCandia et al., "Dynamo" (2007), §4.6. The byte layout is in docs/format/hints.md.
package hintedhandoff
