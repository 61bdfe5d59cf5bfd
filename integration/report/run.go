// Package report makes of a finished chaos run what people and programs read: a summary of bounded size, its JSON form, and one HTML page.
//
//	Run ──Summarize──▶ Summary ──Write──▶ a page that needs nothing but itself
//	                      └──encoding/json──▶ docs/format/chaos-report.md
//
// # Vocabulary
//
// The time axis begins with the workload, at zero, and ends when the last operation or fault did. It is cut into slices of equal length, and
// what happened is counted by slice. An operation belongs to the slice in which it ended: only then was it known what came of it. Latencies
// are those of acknowledged operations.
//
// The package judges nothing itself: what was violated is what the checkers of integration/workload say. It never reads a clock, so equal
// runs give equal pages, byte for byte.
package report

import (
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

// Run is what a chaos run was, and what came of it. All times are after the beginning of the workload unless they say otherwise.
type Run struct {
	Seed uint64
	// Replay is the command that does the same again, and Version that of the program under test.
	Replay, Version string
	// Began is when it was, on the wall; zero is not said.
	Began time.Time
	// Nodes are the names of the nodes; a fault names them by their place in this list.
	Nodes []string
	// Duration is how long the workload ran, and Planned how long it was to run if somebody ended it before; zero is as long as it did.
	Duration, Planned time.Duration
	// Settings are those that matter to a reader, such as n, r, w and the sync policy.
	Settings map[string]string
	// Faults are the plan, in its order, and what became of each fault.
	Faults []Strike
	// Operations are in the order of their Start, as history.History gives them.
	Operations []history.Operation
	Results    []workload.Result
	// Convergence is nil if nobody waited for it.
	Convergence *Convergence
	// Notes are sentences for the reader.
	Notes []string
	// Limits bound the summary.
	Limits Limits
}

// Strike is a fault of the plan as it was carried out.
type Strike struct {
	Fault fault.Fault `json:"fault"`
	// Began and Ended are when it really did.
	Began time.Duration `json:"began"`
	Ended time.Duration `json:"ended"`
	// Skipped says that it was not carried out; Note is why, or what else there is to say of it.
	Skipped bool   `json:"skipped,omitempty"`
	Note    string `json:"note,omitempty"`
}

// Convergence is how replicas became equal.
type Convergence struct {
	// Healed is when all faults were undone, and Took how long after that all replicas were equal, or how long they were waited for.
	Healed time.Duration `json:"healed"`
	Took   time.Duration `json:"took"`
	// Reached says that they were equal.
	Reached bool `json:"reached"`
}

// Limits bound a summary, whatever the length of the run. The zero value of a field is its default. What is left out is counted.
type Limits struct {
	// Slices is the most slices of time (default 400).
	Slices int
	// Faults is the most faults that are listed (default 400).
	Faults int
	// Errors is the most codes of errors that are told apart (default 40).
	Errors int
	// Examples is the most examples of violations for each workload (default 10), and Notes the most notes (default 50).
	Examples, Notes int
	// Entries is the most results, settings, and kinds of violations and measures for each result (default 50).
	Entries int
	// TextBytes is the most bytes of one text, such as an example (default 500); more is cut off with an ellipsis.
	TextBytes int
}

func (l Limits) withDefaults() Limits {
	for field, limit := range map[*int]int{
		&l.Slices: 400, &l.Faults: 400, &l.Errors: 40, &l.Examples: 10, &l.Notes: 50, &l.Entries: 50, &l.TextBytes: 500,
	} {
		if *field <= 0 {
			*field = limit
		}
	}
	return l
}
