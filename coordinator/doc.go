// Package coordinator carries out requests on the replicas of their keys: quorum reads that repair, writes that one
// replica decides and the others receive, ordered ranges over all partitions. It decides who is asked, whose word
// counts, and when a request has succeeded or failed, and with what effect. It stores nothing, knows no sockets, and
// never retries what may have had an effect.
//
// # Vocabulary
//
//	level          how many replicas must answer (R) or hold a write durably (W)
//	coordinating   deciding a write: only a replica of the key does, and it counts toward W
//	forward        have a replica coordinate, at most once on the way of a request
//	known answer   an object, perhaps the zero one; a replica that has lost the key gives none
//	stale          holding other siblings than the join of R replicas
//	repair         storing that join on a stale replica
//	hint           what a replica has missed, kept durably by another node until it has it
//	stand in       keep a copy, as a hint, that counts toward W in the place of a replica that is away
//	void           of an ack whose giver has another actor by now: it may have forgotten
//	covering plan  which nodes answer for which partitions of a range
//	short          of a stream of a range: all that it sent is used up, and it has more
//
// # Rules
//
//   - A write is done when it is durable here, and W-1 others have acknowledged it with the actor that they still have.
//     What was decided is sent before the local log is synced. Replicas go on receiving after the answer.
//   - A replica that has missed a write gets a hint at the node that coordinated it; nobody waits for that.
//   - Who stands in is no replica: R replicas may miss a sloppy write until its hints are delivered.
//   - A delete without a context, and an ordered put, join the vectors of R replicas before their dot is issued.
//     There is no second round after the fact.
//   - Where 2R > N, R replicas hold what a read returns before it returns. One that cannot be repaired is replaced,
//     or the read fails.
//   - A page of a range ends where the first stream that was cut short ends.
//   - Every error of a write says what it did: see EffectOf.
//
// # Structure
//
// What decides is pure, without clock, lock, goroutine or call, in files of its own: Level, tally (acks of a write),
// readQuorum (one key's read), planForward, planCover with rangePlan, and rangeJoin. Around them writeOp, readOp and
// rangeOp turn decisions into calls and answers into events; writeRoute takes keys to replicas.
//
// # Concurrency
//
// A Coordinator is safe for concurrent use. A request parks its goroutine once and is carried on by the callbacks of
// replicas; a write forwarded by a peer has no goroutine at all. Callbacks never block. No lock is held while a
// replica is called, and each call may answer before it returns. Only Run has goroutines, which it waits for.
// Deadlines are checked before anything is sent, and by the local replica before a dot is issued; a replica that
// breaks its own deadline holds nobody up.
//
// # Sources
//
// DeCandia et al., "Dynamo" (2007); Preguiça et al., "Dotted Version Vectors" (2010); Dean and Barroso, "The Tail at
// Scale" (2013), for hedging; Malkhi and Reiter, "Byzantine Quorum Systems" (1998), for the write-back of reads, after
// Attiya, Bar-Noy and Dolev (1995). docs/coordinator.md follows a put, a get and a page through all of it.
package coordinator
