package coordinator

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/ring"
)

// Coordinator carries out requests on the replicas of their keys. It is safe for concurrent use.
type Coordinator struct {
	opt     Options
	metrics *Metrics
	waiters sync.Pool // of *waiter: see there why it is not process-wide
	repairs repairQueue
	ranges  atomic.Pointer[rangeTable] // of the last table that a range used
}

// New makes a coordinator from its options; it starts nothing. Run is needed for background repair only.
// Errors: what is wrong with the options.
func New(opt Options) (*Coordinator, error) {
	opt = opt.withDefaults()
	if err := opt.validate(); err != nil {
		return nil, err
	}
	c := &Coordinator{opt: opt, metrics: opt.Metrics}
	c.waiters.New = func() any { return newWaiter() }
	c.repairs.init(opt.RepairQueueMax)
	return c, nil
}

// deadline is the moment by which a request must have been answered.
func (c *Coordinator) deadline(now, asked time.Time) time.Time {
	if asked.IsZero() {
		return now.Add(c.opt.Timeout)
	}
	if most := now.Add(c.opt.TimeoutMax); asked.After(most) {
		return most
	}
	return asked
}

// spreadDeadline is the moment by which the other replicas must have received what was decided. Who asked may wait for
// less long, to go elsewhere if need be; the replicas are to have the write all the same.
func (c *Coordinator) spreadDeadline(answer time.Time) time.Time {
	// time.Until takes half as long as time.Now: it looks at one of the two clocks.
	if left := time.Until(answer); left < c.opt.Timeout {
		return answer.Add(c.opt.Timeout - left) // Timeout from now
	}
	return answer
}

// target is a node that a request may talk to.
type target struct {
	id ring.NodeID
	// peer is nil for this node itself, and for a node that is not known.
	peer Peer
	// replica is nil for a node that is not known.
	replica Replica
	// reachable and health are as they were when the request began.
	reachable bool
	health    Health
}

func (c *Coordinator) target(id ring.NodeID) target {
	if id == c.opt.Self {
		return target{id: id, replica: c.opt.Local, reachable: true}
	}
	p := c.opt.Peers(id)
	if p == nil {
		return target{id: id}
	}
	return target{id: id, peer: p, replica: p, reachable: p.Reachable(), health: p.Health()}
}

// far says how late a node is turned to that has a task for which reluctance counts or does not: the nearest is 0.
func (t *target) far(reluctant bool) int {
	switch {
	case t.peer == nil && t.replica != nil:
		return 0
	case !t.reachable:
		return 4
	case t.health.Reluctant && reluctant:
		return 3
	case t.health.Slow:
		return 2
	}
	return 1
}

// targetSet is the nodes of one request, each once. Requests have few: a linear search beats a map.
type targetSet []target

func (s *targetSet) index(c *Coordinator, id ring.NodeID) int {
	for i := range *s {
		if (*s)[i].id == id {
			return i
		}
	}
	*s = append(*s, c.target(id))
	return len(*s) - 1
}
