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
