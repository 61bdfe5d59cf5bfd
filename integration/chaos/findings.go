package chaos

import (
	"fmt"
	"sync"
	"time"

	"github.com/ringcask/ringcask/integration/workload"
)

// What nodes may do wrong.
const (
	// violationEnded: a process ended that nobody had told to, on a disk without faults.
	violationEnded = "ended by itself"
	// violationNotAgain: a node did not serve again in time after it was started, or did not stop in time.
	violationNotAgain = "not well after a fault"
)

// examplesMax bounds the examples of a result.
const examplesMax = 20

// nodeFindings are what was found of the nodes themselves.
type nodeFindings struct {
	mu       sync.Mutex
	found    map[string]int
	examples []string
	// mayEnd counts the faults under way that excuse the end of a process; ended are the ends that they excused.
	mayEnd map[string]int
	ended  int
	// destroyedUntil is when the last fault ended that destroys data; zero if there was none.
	destroyedUntil time.Time
}

func (n *nodeFindings) add(kind, example string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.found == nil {
		n.found = map[string]int{}
	}
	n.found[kind]++
	if len(n.examples) < examplesMax {
		n.examples = append(n.examples, kind+": "+example)
	}
}

// died takes note of a process that ended by itself.
func (r *run) died(p *process, how string) {
	r.nodes.mu.Lock()
	excused := r.nodes.mayEnd[p.id] > 0
	if excused {
		r.nodes.ended++
	}
	r.nodes.mu.Unlock()
	if !excused {
		r.nodes.add(violationEnded, fmt.Sprintf("%s: %s; see %s", p.id, how, p.log))
	}
	r.say("%s ended by itself: %s", p.id, how)
}

// mayEnd says that a process may end by itself, or must no longer.
func (r *run) mayEnd(p *process, may bool) {
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	if r.nodes.mayEnd == nil {
		r.nodes.mayEnd = map[string]int{}
	}
	if may {
		r.nodes.mayEnd[p.id]++
	} else {
		r.nodes.mayEnd[p.id]--
	}
}

// checkedAfter is after what moment everything stored has to have been read and checked for whoever wants that at another one: at the
// earliest when the last fault had ended that destroys data. It is zero if there was none. A node that says when it did may have had a
// clock that was ahead.
func (r *run) checkedAfter(wanted time.Time) time.Time {
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	until := r.nodes.destroyedUntil
	switch {
	case until.IsZero():
		return until
	case until.Before(wanted):
		until = wanted
	}
	return until.Add(r.Plan.GreatestSkew())
}

// destroyed takes note of the end of a fault that destroys data.
func (r *run) destroyed() {
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	r.nodes.destroyedUntil = time.Now()
}

// result is the judgement of the nodes themselves.
func (n *nodeFindings) result() workload.Result {
	n.mu.Lock()
	defer n.mu.Unlock()
	result := workload.Result{Workload: "nodes", Violations: n.found, Examples: n.examples}
	if n.ended > 0 {
		result.Measures = map[string]float64{"ended because of their disks": float64(n.ended)}
	}
	return result
}

// seconds are for measures.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}
