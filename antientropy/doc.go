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
// # Concurrency
//
// Observe is called by one goroutine at a time and everything else by any. Each partition has a lock, which is held for no
// longer than it takes to enter one change or to copy the leaves. Nothing here starts a goroutine.
//
// The file that keeps trees over a restart is drawn in docs/format/trees.md. Source: DeCandia et al., "Dynamo", §4.7; the
// sum in place of a hash of hashes is Bellare and Micciancio's AdHash.
package antientropy
