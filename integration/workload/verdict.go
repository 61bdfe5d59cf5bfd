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

// faultNames are what faults are called where a workload has no name of its own for them.
var faultNames = map[fault]string{
	invented: "invented", appeared: "appeared", missing: "lost", stale: "stale", wentBack: "went back", revived: "revived",
}

// judgeKeys judges the reads of every key. In the end whatever is behind what was acknowledged is lost. Before that it is a violation where reads are
// strict, under the workload's name for it, and is measured in any case.
func (v *verdict) judgeKeys(all []*timeline, own map[fault]string) {
	for _, k := range all {
		v.count("reads", len(k.reads))
		k.judge(func(f finding) { v.judgeFinding(f, own) })
		if k.unreadInTheEnd() {
			v.violate("unread", "key %s could not be read in the end", k.key)
		}
	}
}

func (v *verdict) judgeFinding(f finding, own map[fault]string) {
	behind := f.fault == missing || f.fault == stale || f.fault == wentBack
	if behind && !f.read.final {
		v.count("stale reads", 1)
		v.longest("longest staleness ms", f.read.start-f.since)
		if !f.read.strict {
			return
		}
	}
	if f.fault == revived && !f.read.strict && !f.read.final {
		v.count("deleted values read", 1)
		return
	}
	name := own[f.fault]
	switch {
	case behind && f.read.final:
		name = "lost"
	case name == "":
		name = faultNames[f.fault]
	}
	v.violate(name, "%v", f)
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
