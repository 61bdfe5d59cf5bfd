// Package cluster says which members of the cluster seem to be alive. It is a hint and nothing more: it never decides
// who owns a key, whose word counts, or whether a write has succeeded. A wrong hint costs time, not data.
//
// # Vocabulary
//
//   - A member is a node of the static member list. Nobody else counts: names that are not on the list, and nodes of
//     another partition table, are ignored.
//   - A member is *alive* while its probes are answered, *suspect* when none was for some rounds, *dead* once the
//     members have agreed so or it has said that it leaves, and *unseen* before it was ever met.
//   - A member's condition is what it says of itself: whether it coordinates requests, and if not, why.
//
// # How it works
//
// hashicorp/memberlist (SWIM with Lifeguard's suspicion) probes one member each ProbeInterval over UDP, asks others to
// probe in its place where that fails, and spreads who joined, died and changed by gossip on the same port. With the
// defaults a member that was killed or stopped is dead after about a second. Members that are not alive are joined again
// every RejoinInterval, so that two halves of a netsplit find each other, and so that a node that crashed and comes back
// at another address is taken in: the first join after DeadNodeReclaimTime has passed does that.
//
// Every packet and stream begins with a label made of the table's fingerprint, so that nodes of two clusters that were
// given each other's addresses do not mix. A member's metadata is its incarnation and condition, in the layout of
// docs/format/gossip.md.
//
// # Concurrency
//
// Run binds the port, and returns when it is closed and the goroutines that it started have ended; memberlist's own have
// nothing left to do by then. What memberlist reports, which it does while it holds a lock, is only written down; a goroutine of Run's tells it to Options.Changed.
//
// Sources: Das, Gupta and Motivala, "SWIM" (2002); Dadgar, Phillips and Currey, "Lifeguard" (2018).
package cluster
