// Package hintedhandoff is the place of durable hints: writes kept for a replica that could not be reached, replayed when it
// is back.
//
// It has no code in this version. A replica that misses a write is brought up to date when a quorum read meets it (read repair in
// package coordinator), and a put needs W replicas that really hold it: there are no sloppy quorums.
package hintedhandoff
