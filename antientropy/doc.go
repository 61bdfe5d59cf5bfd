// Package antientropy has the replicas of a partition converge: they compare Merkle trees that every commit keeps current, and
// move only the keys that differ.
//
// # Trees
//
// A Forest has a tree for each partition of a node. It lives off the storage engine's observer, which tells of every committed
// change in log order.
//
//	root            hash of the inner nodes                     ┐ computed when asked for
//	inner node, 32  hash of its 32 leaves                       ┘
//	leaf, 32 × 32   sum modulo 2⁶⁴ of the hashes of its keys    ◄ kept: a change subtracts the old hash and adds the new
//	key             hash of the key and of the digest of its siblings' heads: dots, flags, expiries
//
// The hash of a key says nothing of its vector. Those of two replicas that hold the same siblings may differ in what is stable, and so
// may the form in which they are stored; their trees do not.
//
// # What is not in a tree
//
// A tree is built under a Rule: a stable vector, and a time up to which what expires counts as deleted. An object that is
// settled under the rule (it shows nothing, and all that it has seen is stable) is in no tree: one replica's merge may have dropped
// it when another's has not. The storage engine's filter must drop by Settled, and so by the rule of the tree that stands. Two trees
// can be compared if they have the same rule.
//
// A new rule needs a new tree, because objects leave that were in the old one. Where nothing can leave, Advance gives the tree the new
// rule as it is. Else Rebuild makes it from a scan of the index, while commits go on. From the moment of the scan's view on each
// change is entered into two trees, each under its own rule:
//
//	standing       ───────────────────────────────────────────┐ ← changes under the old rule
//	in the making         zero ── scan's keys, and changes ───┴─► standing
//	                      ▲ the moment of the view
//
// Sums are a group: it does not matter whether a key's change comes before the scan comes to the key.
//
// # What cannot be read
//
// A leaf with a key that cannot be read must not be taken for equal to another replica's. It is poisoned: a random number of this
// Forest is mixed into it. A key that is poisoned by name stays so, through rebuilds, until Unpoison. A leaf of which the sum is no longer
// known (a key was written over something unreadable, so that nobody can say what to subtract) is spoiled until the next Rebuild.
//
// # Exchanges
//
// An Exchanger exchanges every partition with every other replica of it once in a period, and at once those that are known to need it. One
// that both sides hold alike costs its share of two messages; else only what differs is looked at, and both sides end with the join:
//
//	states   stable vectors, and who retires: each side joins the other's, and has its trees built under the result
//	roots    of all partitions at once; those with equal roots are complete here
//	leaves   under the inner nodes that differ
//	keys     of the leaves that differ, with their hashes
//	fetch    what the peer holds of the keys that differ: it is joined here
//	store    what is held here then, where the peer lacks it
//
// When a node returns both sides of a pair begin. One of them moves the keys of a partition then: the side that is being filled, else that of
// the lesser id. The other finds them equal afterwards, which is what it needs for what its own exchanges prove.
//
// That a side holds nothing is told, too: it has seen what is stable, and a value that it has seen superseded must go from where it came
// late. A key that cannot be read on one side is left out, and its partition is not complete.
//
// # What exchanges prove
//
//	filled   A replica whose disk was lost has everything that was ever acknowledged again once it has completed exchanges with N-W+1 of
//	         the others. Until then it takes and does not answer.
//	stable   A replica sets a mark: the greatest time of a dot of its own that is durable, with all before it. Once exchanges that began
//	         after the mark are complete with all other replicas, everyone holds, or has seen superseded, all of its events up to there.
//	         That is announced as an entry of the stable vector. It is no longer stored with objects, and tombstones that have
//	         seen nothing else are forgotten.
//	retired  An actor that is nobody's any more announces nothing. Once nobody has hints for the partition all replicas refuse, durably, what
//	         brings its events and is no exchange; when all pairs have then completed exchanges, nobody has hints for the partition, and all
//	         say so at that time, all of its events are stable. The entry's time says so: see causal.Timestamp.Final.
//	alone    With a replication factor of one what is durable is stable.
//
// What was proven before something was lost here is proven no more: see Exchanger.Lost.
//
// docs/decisions/0004-stability.md has the reasons, and the histories that broke weaker rules.
//
// # Concurrency
//
// Observe is called by one goroutine at a time and everything else by any. A Forest has one lock, which is held for no longer than it takes
// to enter one group of changes or to copy the leaves of a partition: a lock for each partition would be two atomic operations for
// every change, behind which the processor cannot look ahead to the leaf of the next. Run has a goroutine for each peer and one for stability, and waits for
// them; Serve runs on its caller's. No lock is held while a peer is asked or the replica writes.
//
// The file that keeps trees over a restart is drawn in docs/format/trees.md, the messages in docs/format/exchange.md.
//
// Sources: DeCandia et al., "Dynamo", §4.7; Gonçalves et al., "DottedDB", for causal stability; the sum in place of a hash of hashes is
// Bellare and Micciancio's AdHash.
package antientropy
