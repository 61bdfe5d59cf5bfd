package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

// Summarize makes a summary of a run. It takes time and memory in proportion to the number of operations; the summary refers to nothing of the run.
func Summarize(run Run) Summary {
	limits := run.Limits.withDefaults()
	s := Summary{
		Format: Format, FormatVersion: FormatVersion,
		Seed: run.Seed, Replay: limits.text(run.Replay), Version: limits.text(run.Version), Began: run.Began,
		Nodes: limits.texts(run.Nodes, limits.Entries), Duration: run.Duration, Planned: run.Planned, Settings: limits.settings(run.Settings),
		Gap:    longestGap(run.Operations, run.Duration),
		Errors: []ErrorCount{}, FaultKinds: faultKinds(run.Faults), Faults: limits.strikes(run.Faults),
		Notes: limits.texts(run.Notes, limits.Notes), Workloads: []workload.Result{},
	}
	s.FaultsOther = len(run.Faults) - len(s.Faults)
	if run.Convergence != nil {
		c := *run.Convergence
		s.Convergence = &c
	}
	s.Errors, s.ErrorsOther = errorCounts(run.Operations, limits)
	s.SliceLength, s.Slices = sliceUp(run.Operations, endOf(run), limits.Slices)
	s.Operations = kindSummaries(run.Operations)
	for _, k := range s.Operations {
		s.Counts.Ok += k.Ok
		s.Counts.Failed += k.Failed
		s.Counts.Unknown += k.Unknown
	}
	for _, r := range run.Results {
		s.Lost += countOf(r.Violations, "lost")
		s.Revived += countOf(r.Violations, "revived")
		s.Stale += countOf(r.Violations, "stale")
		s.StaleReads += countOf(r.Measures, "stale reads")
	}
	for _, r := range run.Results[:min(len(run.Results), limits.Entries)] {
		s.Workloads = append(s.Workloads, limits.result(r))
	}
	s.Verdict = judge(run)
	return s
}

// countOf adds up what has a name, or one that goes on after it, such as "lost element" for "lost".
func countOf[V int | float64](counts map[string]V, name string) (n int) {
	for of, count := range counts {
		if of == name || strings.HasPrefix(of, name+" ") {
			n += int(count)
		}
	}
	return n
}

// endOf is the end of the time axis.
func endOf(run Run) time.Duration {
	end := run.Duration
	for _, op := range run.Operations {
		end = max(end, op.End)
	}
	for _, f := range run.Faults {
		end = max(end, f.Ended)
	}
	if c := run.Convergence; c != nil {
		end = max(end, c.Healed+c.Took)
	}
	return end
}

// longestGap is the longest time within the workload's duration in which no operation of the workload was acknowledged.
func longestGap(ops []history.Operation, duration time.Duration) Gap {
	var acks []time.Duration
	for _, op := range ops {
		if op.Outcome == history.Ok && !op.Final && op.End <= duration {
			acks = append(acks, op.End)
		}
	}
	slices.Sort(acks)
	var longest Gap
	var last time.Duration
	for _, at := range append(acks, duration) {
		if at-last > longest.Length() {
			longest = Gap{From: last, To: at}
		}
		last = at
	}
	return longest
}

func errorCounts(ops []history.Operation, limits Limits) (counts []ErrorCount, other int) {
	byCode := map[string]*ErrorCount{}
	for _, op := range ops {
		if op.Error == "" {
			continue
		}
		c := byCode[op.Error]
		if c == nil {
			c = &ErrorCount{Code: op.Error, First: op.End}
			byCode[op.Error] = c
		}
		c.add(op.Outcome)
		c.First, c.Last = min(c.First, op.End), max(c.Last, op.End)
	}
	counts = []ErrorCount{}
	for _, c := range byCode {
		counts = append(counts, *c)
	}
	slices.SortFunc(counts, func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(b.All(), a.All()), strings.Compare(a.Code, b.Code))
	})
	kept := min(len(counts), limits.Errors)
	for _, c := range counts[kept:] {
		other += c.All()
	}
	counts = counts[:kept]
	for i := range counts {
		counts[i].Code = limits.text(counts[i].Code)
	}
	return counts, other
}

func (c *Counts) add(o history.Outcome) {
	switch o {
	case history.Ok:
		c.Ok++
	case history.Failed:
		c.Failed++
	default:
		c.Unknown++
	}
}

// faultKinds counts in the order in which kinds are shown.
func faultKinds(strikes []Strike) []FaultCount {
	byKind := map[fault.Kind]FaultCount{}
	for _, s := range strikes {
		c := byKind[s.Fault.Kind]
		if s.Skipped {
			c.Skipped++
		} else {
			c.Count++
			c.Lasted += s.Ended - s.Began
		}
		byKind[s.Fault.Kind] = c
	}
	counts := []FaultCount{}
	for _, k := range fault.Kinds() {
		if c, ok := byKind[k]; ok {
			c.Kind = string(k)
			counts = append(counts, c)
		}
	}
	return counts
}

// text makes a text valid UTF-8 and cuts it to its limit, at the border of a rune.
func (l Limits) text(s string) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= l.TextBytes {
		return s
	}
	cut := l.TextBytes
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func (l Limits) texts(all []string, limit int) []string {
	kept := make([]string, 0, min(len(all), limit))
	for _, s := range all[:min(len(all), limit)] {
		kept = append(kept, l.text(s))
	}
	return kept
}

func (l Limits) settings(all map[string]string) map[string]string {
	kept := map[string]string{}
	for _, name := range firstKeys(all, l.Entries) {
		kept[l.text(name)] = l.text(all[name])
	}
	return kept
}

func (l Limits) strikes(all []Strike) []Strike {
	kept := make([]Strike, 0, min(len(all), l.Faults))
	for _, s := range all[:min(len(all), l.Faults)] {
		s.Fault.Nodes = slices.Clone(s.Fault.Nodes)
		s.Fault.Kind = fault.Kind(l.text(string(s.Fault.Kind)))
		s.Note = l.text(s.Note)
		kept = append(kept, s)
	}
	return kept
}

// result leaves out measures that are no numbers, for JSON has no words for them.
func (l Limits) result(r workload.Result) workload.Result {
	kept := r
	kept.Workload = l.text(r.Workload)
	kept.Examples = l.texts(r.Examples, l.Examples)
	kept.Violations, kept.Measures = map[string]int{}, map[string]float64{}
	for _, name := range firstKeys(r.Violations, l.Entries) {
		kept.Violations[l.text(name)] = r.Violations[name]
	}
	for _, name := range firstKeys(r.Measures, l.Entries) {
		if v := r.Measures[name]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			kept.Measures[l.text(name)] = v
		}
	}
	return kept
}

func firstKeys[V any](m map[string]V, limit int) []string {
	keys := slices.Sorted(maps.Keys(m))
	return keys[:min(len(keys), limit)]
}
