package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringcask/ringcask/integration/history"
)

// fresh makes each workload anew.
var fresh = map[string]func() Workload{
	"batch":     func() Workload { return &batch{} },
	"range":     func() Workload { return &ranges{} },
	"register":  func() Workload { return newRegister() },
	"set":       func() Workload { return &set{} },
	"deletes":   func() Workload { return newDeletes() },
	"siblings":  func() Workload { return newSiblings() },
	"monotonic": func() Workload { return &monotonic{} },
	"ttl":       func() Workload { return &ttl{} },
}

// Names are those of all workloads, sorted.
func Names() []string { return slices.Sorted(maps.Keys(fresh)) }

// New is a workload that has done nothing yet. Error: there is none of that name.
func New(name string) (Workload, error) {
	if make, ok := fresh[name]; ok {
		return make(), nil
	}
	return nil, fmt.Errorf("workload: none is called %q; there are %s", name, strings.Join(Names(), ", "))
}

// Judge lets each workload judge its operations.
func Judge(workloads []Workload, h *history.History) []Result {
	own := make(map[string][]history.Operation)
	for _, op := range h.Operations() {
		own[op.Workload] = append(own[op.Workload], op)
	}
	var all []Result
	for _, w := range workloads {
		all = append(all, w.Check(own[w.Name()]))
	}
	return all
}

// Passed says that no result has a violation.
func Passed(results []Result) bool {
	return !slices.ContainsFunc(results, func(r Result) bool { return !r.Passed() })
}

// Merge is what the results of several runs come to, one for each workload, in the order of their first. Counts are added, and so are measures, except for those
// that are greatest ones: their names end in " ms" or " at most".
func Merge(results ...Result) []Result {
	var all []Result
	for _, r := range results {
		at := slices.IndexFunc(all, func(m Result) bool { return m.Workload == r.Workload })
		if at < 0 {
			at = len(all)
			all = append(all, Result{Workload: r.Workload})
		}
		all[at].add(r)
	}
	return all
}

func (r *Result) add(more Result) {
	r.Ok += more.Ok
	r.Failed += more.Failed
	r.Unknown += more.Unknown
	r.Acknowledged += more.Acknowledged
	for kind, n := range more.Violations {
		if r.Violations == nil {
			r.Violations = make(map[string]int)
		}
		r.Violations[kind] += n
	}
	r.Examples = append(r.Examples, more.Examples[:min(len(more.Examples), examplesMax-len(r.Examples))]...)
	for name, x := range more.Measures {
		if r.Measures == nil {
			r.Measures = make(map[string]float64)
		}
		if strings.HasSuffix(name, " ms") || strings.HasSuffix(name, " at most") {
			r.Measures[name] = max(r.Measures[name], x)
		} else {
			r.Measures[name] += x
		}
	}
}
