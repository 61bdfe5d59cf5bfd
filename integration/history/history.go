// Package history records what clients did to a store and what came of it, for checkers to judge afterwards.
//
// # Vocabulary
//
// A client does one operation after the other; clients overlap. An operation has a beginning and an end on one clock, that of the
// observer, and an outcome:
//
//	Ok       it was answered: a write is acknowledged, a read returned what it saw
//	Failed   it was refused or failed, and has no effect, now or later
//	Unknown  it may have taken effect, may do so later, or never
//
// A History is safe for concurrent use. Slices and strings handed to it belong to it.
package history

import (
	"cmp"
	"encoding/base64"
	"slices"
	"sync"
	"time"
)

// Kind is what an operation does.
type Kind uint8

// The kinds of operations. Put, Delete and Read have one item; a Batch has one for each of its puts and deletes, a MultiRead one for each key
// that was asked for, and a Scan one for each key that it returned, in its order.
const (
	Put Kind = iota + 1
	Delete
	Read
	Batch
	MultiRead
	Scan
)

// String is the kind's name.
func (k Kind) String() string {
	return [...]string{"?", "put", "delete", "read", "batch", "multi-read", "scan"}[k]
}

// MarshalText has JSON show the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Outcome is what came of an operation, or of one item of a batch.
type Outcome uint8

// The outcomes; see the package comment.
const (
	Ok Outcome = iota + 1
	Failed
	Unknown
)

// String is the outcome's name.
func (o Outcome) String() string { return [...]string{"?", "ok", "failed", "unknown"}[o] }

// MarshalText has JSON show the outcome's name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// Context is a causal context, the bytes as a client was given them. They are in a string so that contexts can be compared and be keys of maps.
type Context string

// MarshalText has JSON show the bytes in base64: they are no UTF-8.
func (c Context) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(c)), nil
}

// Item is one key of an operation.
type Item struct {
	Key string
	// Value is what was written or read; Absent says that the key was deleted, or not found.
	Value  string
	Absent bool
	// Siblings are all visible values at once, and Tombstones how many siblings have none, of a read that asked for siblings.
	Siblings   []string
	Tombstones int
	// TTL is how long a value that was written is visible; zero is for ever.
	TTL time.Duration
	// Before is the causal context that a write had, After the one that it or a read returned.
	Before, After Context
	// Time is the hybrid timestamp of an acknowledged write.
	Time uint64
	// Retried says that an earlier attempt of an acknowledged write may have taken effect, too, and may show later.
	Retried bool
	// Outcome is that of the item. It differs from the operation's only in a Batch or MultiRead, whose own is the gravest of its items'.
	Outcome Outcome
}

// Operation is one request of a client.
type Operation struct {
	Client int
	Kind   Kind
	// Workload is the name of the workload that it belongs to.
	Workload string
	// Start and End are after the beginning of the run. An operation that never ended has the end of the run.
	Start, End time.Duration
	Outcome    Outcome
	// Error is the code of what went wrong, such as "unavailable" or "timeout"; empty if nothing did.
	Error string
	// R and W are the levels that it asked for; 0 is the cluster's setting, which is a quorum, and Strict says that R+W>N holds for all of its workload.
	R, W   int
	Strict bool
	// Ordered says that a write without a causal context asked to come after everything that R replicas have seen, as every such delete does.
	Ordered bool
	Items   []Item
	// From and To are the bounds, both inclusive, of a Scan; an empty To is none. Reverse begins at the end. A scan that stopped before its bound says so with
	// Partial: only what lies between From and its last item was seen.
	From, To         string
	Reverse, Partial bool
	// Final says that it is a read of the end, made after all faults were healed and all replicas were equal.
	Final bool
}

// AcknowledgedWrite says that the operation is a write that was acknowledged as a whole: what a store is then held to.
func (op *Operation) AcknowledgedWrite() bool {
	switch op.Kind {
	case Put, Delete, Batch:
		return op.Outcome == Ok && !op.Final
	}
	return false
}

// History is every operation of a run.
type History struct {
	began time.Time
	mu    sync.Mutex
	ops   []Operation
	ok    int
}

// New is an empty history that begins now.
func New() *History { return &History{began: time.Now()} }

// Now is the time since the beginning.
func (h *History) Now() time.Duration { return time.Since(h.began) }

// Add records an operation that has ended.
func (h *History) Add(op Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
	if op.Outcome == Ok {
		h.ok++
	}
}

// Counts are how many operations were added so far, and how many of them are Ok.
func (h *History) Counts() (all, ok int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops), h.ok
}

// Operations are all that were added so far, in the order of their Start. The caller must not change what they refer to.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	ops := slices.Clone(h.ops)
	h.mu.Unlock()
	slices.SortStableFunc(ops, func(a, b Operation) int { return cmp.Compare(a.Start, b.Start) })
	return ops
}
