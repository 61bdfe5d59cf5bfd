// Package causal is the arithmetic of versions: hybrid logical clocks, dots, version vectors, the replicated object
// and its encodings. It decides which values of a key supersede which; nothing else in ringcask does. It knows no
// disk, no network and no cluster: what it must keep is handed to it as a function (see ClockOptions.Persist).
//
// # Vocabulary
//
//	actor      one unbroken memory that issues dots; a node draws a new one whenever it may have forgotten something
//	timestamp  a hybrid logical clock reading, 48 bits of milliseconds and 16 of logic
//	dot        (actor, timestamp): the name of one write of one key
//	vector     actor → greatest timestamp: every event of that actor on this key up to then has been seen
//	sibling    a value that nothing seen has superseded, with its dot; a tombstone is one, too
//	object     a vector and its siblings: what a replica holds for a key
//
// # Rules
//
// An object's vector covers the dots of all its siblings. Join keeps a sibling if both sides hold it, or if the other
// side's vector does not cover its dot: "I have seen this event and no longer hold it" is how a replica says that the
// event was superseded. Timestamps decide no join; they only pick the winner among siblings that are there.
//
// This is sound only because an entry (A, t) truly covers every event of A on the key up to t. So only a replica of
// the key issues dots for it, in the order of its log, with ever greater timestamps; and an actor whose memory broke is
// never used again. The tests plant the failure of each of these and show that a write is lost.
//
// # Concurrency
//
// Vectors, siblings and objects are values: functions read what they are handed and never change it, and results may
// share its memory. Only the decoders that say so write into slices of their argument. Clock is safe for
// concurrent use.
//
// # Sources
//
// Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Dotted Version Vectors" (2010); Gonçalves, Almeida, Baquero, Fonte,
// "DottedDB" (2017); Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks" (2014).
// The byte layouts are in docs/format/object.md.
package causal
