package workload

import (
	"fmt"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// examplesMax is how many violations are told of one by one.
const examplesMax = 10

// verdict is a Result that grows.
type verdict struct{ r Result }

// newVerdict counts a workload's operations.
func newVerdict(workload string, ops []history.Operation) *verdict {
	v := &verdict{Result{Workload: workload, Measures: make(map[string]float64)}}
	for i := range ops {
		if ops[i].AcknowledgedWrite() {
			v.r.Acknowledged++
		}
		switch ops[i].Outcome {
		case history.Ok:
			v.r.Ok++
		case history.Failed:
			v.r.Failed++
		case history.Unknown:
			v.r.Unknown++
		}
	}
	return v
}

// violate counts a violation, and tells of it if it is one of the first.
func (v *verdict) violate(kind, format string, args ...any) {
	if v.r.Violations == nil {
		v.r.Violations = make(map[string]int)
	}
	v.r.Violations[kind]++
	if len(v.r.Examples) < examplesMax {
		v.r.Examples = append(v.r.Examples, kind+": "+fmt.Sprintf(format, args...))
	}
}

// naming is what a workload calls a finding; empty is its usual name.
type naming func(finding) string

// faultNames are the usual names of what is found before the end.
var faultNames = map[fault]string{
	invented: "invented", appeared: "appeared", missing: "lost", stale: "stale", wentBack: "went back", revived: "revived",
}

// judgeKeys judges the reads of every key. In the end whatever is behind what was acknowledged is lost. Before that it is a violation where reads are
// strict, and is measured in any case.
func (v *verdict) judgeKeys(all []*timeline, name naming) {
	for _, k := range all {
		v.count("reads", len(k.reads))
		k.judge(func(f finding) { v.judgeFinding(f, name) })
		if k.unreadInTheEnd() {
			v.violate("unread", "key %s could not be read in the end", k.key)
		}
	}
}

func (v *verdict) judgeFinding(f finding, name naming) {
	if !f.read.final && f.behind() {
		v.count("stale reads", 1)
		v.longest("longest staleness ms", f.read.start-f.since)
		if !f.read.strict {
			return
		}
	}
	kind := name(f)
	switch {
	case kind != "":
	case f.read.final && f.behind() && f.fault != revived:
		kind = "lost"
	default:
		kind = faultNames[f.fault]
	}
	v.violate(kind, "%v", f)
}

// usual is the naming of a workload that has no names of its own.
func usual(finding) string { return "" }

// missingIsStale is the naming of a workload that deletes nothing, where to show nothing is no worse than to show what was there before.
func missingIsStale(f finding) string {
	if f.fault == missing && !f.read.final {
		return faultNames[stale]
	}
	return ""
}

// count adds to a measure.
func (v *verdict) count(measure string, n int) { v.r.Measures[measure] += float64(n) }

// longest keeps the greatest of a measure in milliseconds, whose name has to end so.
func (v *verdict) longest(measure string, d time.Duration) {
	v.r.Measures[measure] = max(v.r.Measures[measure], milliseconds(d))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// when is a time for people to read.
func when(d time.Duration) string {
	if d == never {
		return "never"
	}
	return d.Round(time.Microsecond).String()
}
