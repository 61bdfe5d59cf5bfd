package coordinator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// forwardOp has a peer coordinate some keys of a write.
type forwardOp struct {
	route  *writeRoute
	target int
	keys   []int
	ended  func()

	mu       sync.Mutex
	over     bool
	outcomes []Outcome
}

func (op *forwardOp) begin(done func()) {
	op.ended = done
	route := op.route
	t := &route.targets[op.target]
	if !time.Now().Before(route.deadline) {
		op.end(nil, &WriteError{Effect: wire.EffectNone, Err: context.DeadlineExceeded})
		return
	}
	if t.peer == nil {
		op.end(nil, &UnreachableError{Node: t.id, Err: errNotMember})
		return
	}
	req := *route.req
	req.W, req.R = Level(route.w), Level(route.r)
	req.Ordered = wire.ChoiceOf(req.Ordered.Or(route.c.opt.Ordered))
	req.Sloppy = wire.ChoiceOf(req.Sloppy.Or(route.c.opt.Sloppy))
	req.Deadline = route.deadline
	if len(op.keys) < len(req.Ops) {
		req.Ops = make([]Op, len(op.keys))
		for n, i := range op.keys {
			req.Ops[n] = route.req.Ops[i]
		}
	}
	route.c.metrics.Forwards.Add(1)
	if len(route.causes[op.keys[0]]) > 0 {
		route.c.metrics.ForwardRetries.Add(1)
	}
	t.peer.Coordinate(route.deadline, &req, func(outcomes []Outcome, err error) {
		if err == nil && len(outcomes) != len(op.keys) {
			err = errAnswerLength
		}
		op.end(outcomes, err)
	})
}

// end keeps the first answer. An error that does not say what it did may have done anything.
func (op *forwardOp) end(outcomes []Outcome, err error) {
	op.mu.Lock()
	if op.over {
		op.mu.Unlock()
		return
	}
	op.over = true
	if err != nil {
		outcomes = make([]Outcome, len(op.keys))
		if EffectOf(err) == wire.EffectUnknown {
			err = &WriteError{Effect: wire.EffectUnknown, Err: fmt.Errorf("forwarded to %s: %w", op.node(), err)}
		}
		for n := range outcomes {
			outcomes[n].Err = err
		}
	}
	op.outcomes = outcomes
	op.mu.Unlock()
	op.ended()
}

func (op *forwardOp) node() ring.NodeID { return op.route.targets[op.target].id }

func (op *forwardOp) result() ([]int, []Outcome) {
	op.mu.Lock()
	defer op.mu.Unlock()
	return op.keys, op.outcomes
}

func (op *forwardOp) tick(now time.Time) time.Time {
	op.mu.Lock()
	over := op.over
	op.mu.Unlock()
	switch {
	case over:
		return time.Time{}
	case now.Before(op.route.deadline):
		return op.route.deadline
	}
	op.abandon(context.DeadlineExceeded)
	return time.Time{}
}

func (op *forwardOp) abandon(err error) {
	op.end(nil, &WriteError{Effect: wire.EffectUnknown, Err: err})
}
