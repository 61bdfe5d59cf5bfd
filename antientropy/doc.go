// Package antientropy is the place of Merkle-tree exchange: replicas of a partition compare trees that every commit keeps current, and
// move only the keys that differ.
//
// It has no code in this version. Package storage already tells an observer of every committed change, which is what the
// trees will live off; until then replicas converge when their keys are read at a quorum (read repair in package coordinator).
package antientropy
