package workload

import (
	"slices"
	"strings"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// quantiles of latencies that Measure tells, with their names.
var quantiles = []struct {
	name  string
	share float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}}

// Measure says how available the store was to the clients of a history, of one workload or of all together. Reads of the end are left out, and so is
// what the end of the run cut off. The measures are
//
//	longest gap ms        the longest time in which no operation of any client was answered
//	put p50 ms            latency of answered operations, for each kind; also p99, p99.9 and max
//	put ok                how many were answered, for each kind; also failed and unknown
//	errors timeout        how many ended with this code
func Measure(ops []history.Operation) map[string]float64 {
	m := make(map[string]float64)
	var answers []time.Duration
	took := make(map[history.Kind][]time.Duration)
	for i := range ops {
		op := &ops[i]
		if op.Final || op.Error == codeCancelled {
			continue
		}
		m[op.Kind.String()+" "+op.Outcome.String()]++
		if op.Error != "" {
			m["errors "+op.Error]++
		}
		if op.Outcome == history.Ok {
			answers = append(answers, op.End)
			took[op.Kind] = append(took[op.Kind], op.End-op.Start)
		}
	}
	m["longest gap ms"] = milliseconds(longestGap(ops, answers))
	for kind, all := range took {
		slices.Sort(all)
		for _, q := range quantiles {
			m[strings.Join([]string{kind.String(), q.name, "ms"}, " ")] = milliseconds(quantile(all, q.share))
		}
	}
	return m
}

// longestGap is the longest time between two answers, from the beginning of the first operation to the end of the last one.
func longestGap(ops []history.Operation, answers []time.Duration) (longest time.Duration) {
	first, last := never, time.Duration(0)
	for i := range ops {
		if op := &ops[i]; !op.Final && op.Error != codeCancelled {
			first, last = min(first, op.Start), max(last, op.End)
		}
	}
	answers = append(slices.Clone(answers), last)
	slices.Sort(answers)
	for _, at := range answers {
		longest, first = max(longest, at-first), max(at, first)
	}
	return longest
}

// quantile is the least of sorted durations that so large a share of them does not exceed.
func quantile(sorted []time.Duration, share float64) time.Duration {
	at := int(share * float64(len(sorted)))
	return sorted[min(at, len(sorted)-1)]
}
