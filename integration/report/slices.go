package report

import (
	"math"
	"slices"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// sliceLengths are those that people count in; longer ones are whole days.
var sliceLengths = []time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
	15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour,
}

// roundLength is the shortest length for people of which at most limit pieces cover a stretch of time.
func roundLength(end time.Duration, limit int) time.Duration {
	for _, length := range sliceLengths {
		if pieces(end, length) <= int64(limit) {
			return length
		}
	}
	const day = 24 * time.Hour
	return day * time.Duration(pieces(end, day*time.Duration(limit)))
}

func pieces(end, length time.Duration) int64 { return int64((end + length - 1) / length) }

// sliceUp counts operations by slices of equal length that cover the time from zero to end; there is one slice at least.
func sliceUp(ops []history.Operation, end time.Duration, limit int) (time.Duration, []Slice) {
	length := roundLength(end, limit)
	all := make([]Slice, max(1, pieces(end, length)))
	took := make([]map[history.Kind][]time.Duration, len(all))
	for i := range all {
		all[i].From = time.Duration(i) * length
		took[i] = map[history.Kind][]time.Duration{}
	}
	for _, op := range ops {
		i := min(max(0, int(op.End/length)), len(all)-1)
		all[i].add(op.Outcome)
		if op.Outcome == history.Ok {
			took[i][op.Kind] = append(took[i][op.Kind], op.End-op.Start)
		}
	}
	for i := range all {
		all[i].Latency, all[i].Kinds = latencies(took[i])
	}
	return length, all
}

// latencies are those of all kinds together and of each.
func latencies(took map[history.Kind][]time.Duration) (*Latency, map[string]Latency) {
	if len(took) == 0 {
		return nil, nil
	}
	var all []time.Duration
	kinds := make(map[string]Latency, len(took))
	for kind, of := range took {
		all = append(all, of...)
		kinds[kind.String()] = *latencyOf(of)
	}
	return latencyOf(all), kinds
}

// latencyOf sorts what it is given, and is nil for nothing.
func latencyOf(took []time.Duration) *Latency {
	if len(took) == 0 {
		return nil
	}
	slices.Sort(took)
	rank := func(q float64) time.Duration { return took[max(0, int(math.Ceil(q*float64(len(took))))-1)] }
	return &Latency{P50: rank(0.50), P99: rank(0.99), Max: took[len(took)-1]}
}

// kindSummaries are of the kinds that occur, in the order of their numbers.
func kindSummaries(ops []history.Operation) []KindSummary {
	summaries := []KindSummary{}
	for kind := history.Put; kind <= history.Scan; kind++ {
		k := KindSummary{Kind: kind.String()}
		var took []time.Duration
		for _, op := range ops {
			if op.Kind != kind {
				continue
			}
			k.add(op.Outcome)
			if op.Outcome == history.Ok {
				took = append(took, op.End-op.Start)
			}
		}
		if k.All() > 0 {
			k.Latency = latencyOf(took)
			summaries = append(summaries, k)
		}
	}
	return summaries
}
