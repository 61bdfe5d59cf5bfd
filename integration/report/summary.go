package report

import (
	"time"

	"github.com/ringcask/ringcask/integration/workload"
)

// Format and FormatVersion are what the JSON form says that it is; see docs/format/chaos-report.md.
const (
	Format        = "ringcask-chaos-report"
	FormatVersion = 1
)

// Summary is a run in bounded size. It is written as JSON as it stands; durations are whole nanoseconds.
type Summary struct {
	Format        string  `json:"format"`
	FormatVersion int     `json:"format_version"`
	Verdict       Verdict `json:"verdict"`

	Seed     uint64            `json:"seed"`
	Replay   string            `json:"replay"`
	Version  string            `json:"version"`
	Began    time.Time         `json:"began,omitzero"`
	Nodes    []string          `json:"nodes"`
	Duration time.Duration     `json:"duration"`
	Planned  time.Duration     `json:"planned,omitempty"`
	Settings map[string]string `json:"settings,omitempty"`

	Counts Counts `json:"counts"`
	// Lost, Revived and Stale add up the violations whose names begin with these words. StaleReads are all stale reads that were
	// measured, also where nothing was promised.
	Lost       int `json:"lost"`
	Revived    int `json:"revived"`
	Stale      int `json:"stale"`
	StaleReads int `json:"stale_reads"`
	// Gap is the longest time in which no client got an acknowledgement while the workload ran.
	Gap         Gap          `json:"gap"`
	Convergence *Convergence `json:"convergence,omitempty"`

	Workloads  []workload.Result `json:"workloads"`
	Operations []KindSummary     `json:"operations"`
	// Errors are the codes, the most frequent first, and ErrorsOther how many operations had one that is not listed.
	Errors      []ErrorCount `json:"errors"`
	ErrorsOther int          `json:"errors_other,omitempty"`
	FaultKinds  []FaultCount `json:"fault_kinds"`
	// Faults are the first ones of the plan, and FaultsOther how many are not listed.
	Faults      []Strike `json:"faults"`
	FaultsOther int      `json:"faults_other,omitempty"`
	Notes       []string `json:"notes,omitempty"`

	// SliceLength is how long each of Slices is. Together they cover the time axis.
	SliceLength time.Duration `json:"slice_length"`
	Slices      []Slice       `json:"slices"`
}

// Struck is how many faults were carried out.
func (s Summary) Struck() (n int) {
	for _, k := range s.FaultKinds {
		n += k.Count
	}
	return n
}

// Verdict is what came of a run, in a word and in a sentence.
type Verdict struct {
	Passed bool   `json:"passed"`
	Text   string `json:"text"`
}

// Counts are operations by outcome.
type Counts struct {
	Ok      int `json:"ok"`
	Failed  int `json:"failed"`
	Unknown int `json:"unknown"`
}

// All is how many operations there were.
func (c Counts) All() int { return c.Ok + c.Failed + c.Unknown }

// Latency is how long acknowledged operations took: quantiles by nearest rank, exact.
type Latency struct {
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	Max time.Duration `json:"max"`
}

// Slice is what ended in a stretch of time.
type Slice struct {
	From time.Duration `json:"from"`
	Counts
	// Latency is that of all acknowledged operations; nil if there were none. Kinds have that of each kind with any.
	Latency *Latency           `json:"latency,omitempty"`
	Kinds   map[string]Latency `json:"kinds,omitempty"`
}

// Gap is a stretch of time.
type Gap struct {
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
}

// Length is how long it is.
func (g Gap) Length() time.Duration { return g.To - g.From }

// KindSummary is all operations of a kind.
type KindSummary struct {
	Kind string `json:"kind"`
	Counts
	// Latency is nil if none was acknowledged.
	Latency *Latency `json:"latency,omitempty"`
}

// ErrorCount is how many operations had an error code, by outcome.
type ErrorCount struct {
	Code string `json:"code"`
	Counts
	// First and Last are when the first and the last one ended.
	First time.Duration `json:"first"`
	Last  time.Duration `json:"last"`
}

// FaultCount is how many faults of a kind were carried out, how many were not, and how long they lasted in all.
type FaultCount struct {
	Kind    string        `json:"kind"`
	Count   int           `json:"count"`
	Skipped int           `json:"skipped,omitempty"`
	Lasted  time.Duration `json:"lasted"`
}
