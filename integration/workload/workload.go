// Package workload has what clients do to a cluster under test, and the checkers that judge what came of it. A workload works through
// the ordinary client, so that it is the same for the simulated cluster (integration/sim) and for real processes (integration/chaos); its
// checker is a function of the recorded history alone. That replicas converge is not checked here but by who can look into them.
//
//	set        every acknowledged element is there
//	deletes    deleted stays deleted, and nothing else goes
//	siblings   concurrent read-modify-writes with contexts lose no element
//	monotonic  reads never go back
//	range      scans equal the model
//	batch      each item of a batch is what its outcome says
//	register   puts in sequence are linearizable; how far concurrent ones are from it
//	ttl        what has expired stays so
//
// # What is held against a store
//
// Only what is promised (DESIGN §1), of a cluster that is not sloppy:
//
//   - An acknowledged write is there in the end, unless another one that may come after it has taken its place.
//   - A write that failed without effect never shows. One whose outcome is not known may take effect at any later time, even beside later ones, and
//     so may the earlier attempt of a write that the client has sent again.
//   - Two puts one after the other have an order only if the second is ordered, carries the first one's context, is the same client's, or begins
//     ClocksApart after the first one's end (which only register relies on). A deletion
//     without a context comes after everything acknowledged before.
//   - A strict read shows what was acknowledged, or shown by another strict read, before it began, or what may have come after that. A weak one may be
//     stale, which is measured.
//
// The rules for the versions of a key are in order.go.
//
// # What a history costs
//
// An operation takes 160 bytes and each of its items 128, keys and values apart, which are some 10 bytes each; a value of siblings has up to 48 elements of 5
// bytes, and a scan up to 32 items. So a million operations take 350 MB to 600 MB, and judging them as much again, for 0.5 to 6 seconds of the processor's
// time (BenchmarkCheck).
package workload

import (
	"context"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

// Env is what a workload works with.
type Env struct {
	// History takes every operation.
	History *history.History
	// Clients are one for each worker; none is used by anyone else meanwhile.
	Clients []*client.Client
	// Seed is what keys, values and choices are drawn from.
	Seed uint64
	// Rate bounds the operations of all workers in a second; zero is no bound.
	Rate float64
	// R and W are the levels of every operation; zero is the cluster's setting.
	R, W client.Level
	// Weak says that these levels, or the cluster's if they are zero, are not strict: R+W>N and 2R>N do not both hold. What a read may miss before
	// all faults are healed is then measured and judged by nobody.
	Weak bool
	// Timeout is the time limit of an operation; zero is its client's.
	Timeout time.Duration
}

// Workload is something that clients do, and what must hold of it.
type Workload interface {
	// Name is that on the command line, in histories and in reports.
	Name() string
	// Run works until ctx ends, and returns when its workers have. Failed operations are recorded; an error is for what makes the run worthless.
	Run(ctx context.Context, e Env) error
	// Settle reads everything that was written, after all faults were healed, and records it as Final.
	Settle(ctx context.Context, e Env) error
	// Check judges the workload's operations, in the order of their Start.
	Check(ops []history.Operation) Result
}

// Result is a checker's judgement.
type Result struct {
	Workload string `json:"workload"`
	// Operations by outcome.
	Ok      int `json:"ok"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
	// Acknowledged are the writes among those that are Ok. Without any there was nothing to judge: a store that refuses all writes shows
	// nothing in every read, final ones too, which are Ok.
	Acknowledged int `json:"acknowledged"`
	// Violations are counted by kind ("lost", "revived", "torn", …); Examples are the first few of them, one line each.
	Violations map[string]int `json:"violations"`
	Examples   []string       `json:"examples,omitempty"`
	// Measures are what was measured without being a violation, such as "stale reads" or "longest staleness ms".
	Measures map[string]float64 `json:"measures,omitempty"`
}

// Passed says that nothing was violated.
func (r Result) Passed() bool { return len(r.Violations) == 0 }
