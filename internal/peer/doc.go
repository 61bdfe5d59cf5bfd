// Package peer is the links between the nodes of a cluster: it carries coordinator's Peer interface over TCP, and keeps
// out who must not be let in. It decides nothing about keys: it moves requests and answers, says who can be reached,
// and measures clocks.
//
// # Vocabulary
//
//   - A member is a node of the static member list; a remote is another member as this node sees it.
//   - A link is one TCP connection after its handshake. Each node dials every other member twice, once for each class:
//     requests that are short and waited for (store, hint, read, coordinate) travel in the foreground class, scans in the
//     bulk class, so that a page of a scan never stands before a write. So two nodes have four links. The dialler asks
//     on its links and the acceptor answers; only pings go both ways.
//   - A boot is one run of a node's process, named by a random number; an incarnation counts how often the data
//     directory was opened.
//   - The earlier runs of a node are those boots that its data directory knows of.
//   - An announcement is what a node says of itself in its hello: addresses, zone, incarnation, boot and actor.
//
// # A link's life
//
//	dialler                                     acceptor
//	   | -- preamble, hello(ours) ----------------> |   checks it: refusal() and admit()
//	   | <- preamble, hello(theirs), verdict ------ |   always says who it is, and why not if not
//	   |    checks it, too                          |
//	   | <- ping, unless refused ------------------ |   names the acceptor's actor
//	   | -- ping, or refuse(verdict) -------------> |   names the dialler's, and brings the offset of the clocks
//	   | == requests, answers, pings ============== |
//
// Both check the other, both learn the outcome, and each reports what differs from its own point of view as a
// *HandshakeError. A node that is told that it is a copy of a member reports it through Options.Refused: it must stop. One that is
// told that its data directory is outdated reports it through Options.Outdated: it must begin anew.
//
// # Who is let in
//
// The table's fingerprint, N, the partition count and the members must be equal. Of every other member, the last
// incarnation, boot and actor are kept in a durable file (docs/format/peer.md). A newcomer must be that boot, or know it
// as one of its earlier runs. Else its disk is not the one that was met last:
//
//	newcomer             another boot has links, and answers a ping    none does
//	is the boot met last let in (others are of replaced boots)         let in
//	knows it             refused: one of the two is a copy             let in, in its place
//	does not know it     refused: it is a copy                         refused as outdated, and told which run was met
//
// Who is outdated (a disk restored from an older state, a new one in place of one that was lost) is let in once it knows the run that it
// was told of; for that it must have begun anew: what it holds counts for nothing until it is filled again. A node whom all other members let
// in although its directory has never begun anew has lost nothing. An actor that another node id holds is refused: an actor is one unbroken memory.
// One that is drawn while the node runs goes ahead of all else that it sends, on each link (TellActor): who is asked for what was lost knows
// by then that the words given for it are void. A node counts its actors, for a name that comes late, on a
// slower link, not to be taken for a new one.
//
// # Time
//
// Every message carries the sender's hybrid logical clock, which the receiver observes. Pings measure the round trip
// and, the way NTP does, the offset between the physical clocks. Deadlines travel as absolute times of the sender's
// physical clock; the receiver subtracts the offset that the dialler's pings tell it. So work that waited in a socket
// buffer, or in a stopped process, is seen to be late and dropped. Inside a node deadlines are by time.Now, whatever
// its physical clock shows.
//
// # Health
//
// Two things are told apart. A peer is *unreachable* without a link, or when a ping or request found no answer for long:
// writes are refused where too few are reachable. It is *slow* when others are to be asked first: its answers take several
// times as long as those of the quickest peer, or answers are due, its foreground link was silent for ProbeAfter, and a
// ping sent then was not answered within HungAfter. So a process that is stopped is passed over after some 60 ms, while a
// request that rightly takes long casts no doubt, for pings pass it by. Avoid adds what others say of a peer.
//
// # Concurrency
//
// Peers.Run dials and Peers.Serve accepts; each returns only when all goroutines that it started have ended. A link has
// a reader and a writer (wire.Link's) and one goroutine for deadlines and pings. Stores, hints and reads of a few keys start on
// the reader's goroutine, so that what arrived together is logged together; scans, reads of many keys and coordination
// run on a bounded set of workers. Nothing here blocks a caller: a request that does not fit the bounds of its peer
// fails at once with *coordinator.UnreachableError. No callback is made with a lock held.
//
// Sources: Mills, "Network Time Protocol Version 4" (RFC 5905), §8 and §10 for the offset and its filter; the
// MessagePack-RPC specification for the envelope.
package peer
