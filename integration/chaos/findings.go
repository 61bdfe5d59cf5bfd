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
	// destroyed says that data was destroyed once.
	destroyed bool
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

func (r *run) destroyed() bool {
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	return r.nodes.destroyed
}

func (r *run) setDestroyed() {
	r.nodes.mu.Lock()
	defer r.nodes.mu.Unlock()
	r.nodes.destroyed = true
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
