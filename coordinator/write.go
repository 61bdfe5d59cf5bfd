package coordinator

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// Write carries out a write and answers with an outcome for each op, in their order. Each key is coordinated by one of
// its replicas: by this node where it is one, else by a replica that is asked to, at most one of which may have an
// effect. The keys that one replica coordinates are decided as one atomic frame there and on each other replica. A put
// is durable on W replicas, under their sync policies, when its outcome has no error.
//
// req, its keys and values belong to the coordinator from now on and must never be changed: replicas may still be
// sent to when Write has returned.
//
// Errors of the request (nothing was written): *RequestError. Of an op, each with its effect (EffectOf): *QuorumError,
// *WriteError, ErrTooManySiblings, ErrUnknownKey, ErrNotServing, *wire.Fault as another coordinator sent it.
func (c *Coordinator) Write(ctx context.Context, req *WriteRequest) ([]Outcome, error) {
	if err := c.checkWrite(req); err != nil {
		return nil, err
	}
	table := c.opt.Table()
	w, r, err := c.levels(req, table.N())
	if err != nil {
		return nil, err
	}
	deadline := c.deadline(time.Now(), earliest(ctx, req.Deadline))
	all := allOf(len(req.Ops))
	if c.opt.Local.Serving() != nil || !c.isReplicaOfAll(table, req.Ops) {
		route := newWriteRoute(c, table, req, w, r, deadline)
		route.run(ctx, all)
		return route.outcomes, nil
	}
	op := c.newWriteOp(table, req, all, w, r, deadline)
	c.await(ctx, op, op.begin)
	if !slices.ContainsFunc(op.outcomes, func(o Outcome) bool { return elsewhere(o.Err) }) {
		return op.outcomes, nil
	}
	route := newWriteRoute(c, table, req, w, r, deadline)
	route.drop(all, route.self)
	route.run(ctx, route.collect([]leg{op}))
	return route.outcomes, nil
}

// allOf are the numbers below n.
func allOf(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

func (c *Coordinator) isReplicaOfAll(table Topology, ops []Op) bool {
	for i := range ops {
		if !c.isReplica(table, ops[i].Key) {
			return false
		}
	}
	return true
}

func (c *Coordinator) levels(req *WriteRequest, n int) (w, r int, err error) {
	if w, err = req.W.resolve("w", c.opt.W, n); err != nil {
		return 0, 0, err
	}
	r, err = req.R.resolve("r", c.opt.R, n)
	return w, r, err
}

func (c *Coordinator) isReplica(table Topology, key []byte) bool {
	return slices.Contains(table.Replicas(table.Partition(key)), c.opt.Self)
}

// await starts a process and parks until it has ended.
func (c *Coordinator) await(ctx context.Context, p process, start func(done func())) {
	w := c.waiters.Get().(*waiter)
	start(w.done)
	w.await(ctx, p)
	c.waiters.Put(w)
}

// CoordinateForPeer coordinates a write that a peer forwarded. It returns at once and calls done exactly once, perhaps
// before it returns; done must not block. The write is never forwarded again: keys that this node is no replica of
// come back with ErrNotReplica. The rest is as for Write.
func (c *Coordinator) CoordinateForPeer(deadline time.Time, req *WriteRequest, done func([]Outcome, error)) {
	if err := c.checkWrite(req); err != nil {
		done(nil, err)
		return
	}
	if why := c.opt.Local.Serving(); why != nil {
		done(nil, notServing(why))
		return
	}
	table := c.opt.Table()
	w, r, err := c.levels(req, table.N())
	if err != nil {
		done(nil, err)
		return
	}
	mine := make([]int, 0, len(req.Ops))
	for i := range req.Ops {
		if c.isReplica(table, req.Ops[i].Key) {
			mine = append(mine, i)
		}
	}
	finish := func(outcomes []Outcome) {
		if len(mine) < len(req.Ops) {
			outcomes = spreadOut(len(req.Ops), mine, outcomes)
		}
		done(outcomes, nil)
	}
	if len(mine) == 0 {
		finish(nil)
		return
	}
	op := c.newWriteOp(table, req, mine, w, r, c.deadline(time.Now(), deadline))
	clock := new(alarm)
	op.ended = func() {
		clock.stop()
		finish(op.outcomes)
	}
	op.start()
	clock.start(op)
}

// spreadOut puts the outcomes of some ops among all n; the others are of keys that this node is no replica of.
func spreadOut(n int, mine []int, outcomes []Outcome) []Outcome {
	all := make([]Outcome, n)
	for i := range all {
		all[i].Err = ErrNotReplica
	}
	for j, i := range mine {
		all[i] = outcomes[j]
	}
	return all
}

func notServing(why error) error { return fmt.Errorf("%w: %w", ErrNotServing, why) }

// leg is the part of a write that one replica coordinates, this node or another.
type leg interface {
	process
	begin(done func())
	// result is called once done was: the ops, and their outcomes.
	result() (keys []int, outcomes []Outcome)
}

func (op *writeOp) begin(done func()) { op.ended = done; op.start() }

func (op *writeOp) result() ([]int, []Outcome) { return op.keys, op.outcomes }

// writeRoute takes each key of a write to a replica that coordinates it. Where that replica surely did nothing, and
// another may do better, the key goes there next: in rounds, each with one leg for each replica that is asked. It
// belongs to the request's goroutine.
type writeRoute struct {
	c        *Coordinator
	table    Topology
	req      *WriteRequest
	w, r     int
	deadline time.Time
	targets  targetSet
	self     int // this node among targets
	outcomes []Outcome
	// candidates are the replicas that each key was not yet taken to, the preferred one first.
	candidates [][]int
	// causes are why those that it was taken to refused it; taken says that one did not.
	causes [][]Cause
	taken  []bool
}

func newWriteRoute(c *Coordinator, table Topology, req *WriteRequest, w, r int, deadline time.Time) *writeRoute {
	n := len(req.Ops)
	route := &writeRoute{
		c: c, table: table, req: req, w: w, r: r, deadline: deadline,
		outcomes: make([]Outcome, n), candidates: make([][]int, n), causes: make([][]Cause, n), taken: make([]bool, n),
	}
	route.self = route.targets.index(c, c.opt.Self)
	why := c.opt.Local.Serving()
	for i := range req.Ops {
		replicas := table.Replicas(table.Partition(req.Ops[i].Key))
		list := make([]int, 0, len(replicas))
		for _, id := range replicas {
			t := route.targets.index(c, id)
			if t == route.self && why != nil {
				route.causes[i] = append(route.causes[i], Cause{Node: id, Err: notServing(why)})
				continue
			}
			list = append(list, t)
		}
		slices.SortStableFunc(list, func(a, b int) int { return route.distance(a) - route.distance(b) })
		route.candidates[i] = list
	}
	return route
}

func (route *writeRoute) distance(t int) int {
	switch {
	case t == route.self:
		return 0
	case route.targets[t].reachable:
		return 1
	}
	return 2
}

// run takes the ops, in rising order, to replicas until each was taken or has no candidate left, or time is up.
func (route *writeRoute) run(ctx context.Context, todo []int) {
	for len(todo) > 0 && ctx.Err() == nil && time.Now().Before(route.deadline) {
		legs := route.plan(todo)
		route.round(ctx, legs)
		todo = route.collect(legs)
	}
	for i := range route.outcomes {
		if !route.taken[i] {
			route.outcomes[i] = Outcome{Err: route.refusal(i)}
		}
	}
}

// plan makes the legs for keys that are still to be taken somewhere. Keys without a candidate are left out.
func (route *writeRoute) plan(todo []int) (legs []leg) {
	var own, others []int
	for _, i := range todo {
		if len(route.candidates[i]) > 0 && route.candidates[i][0] == route.self {
			own = append(own, i)
		} else {
			others = append(others, i)
		}
	}
	if len(own) > 0 {
		legs = append(legs, route.c.newWriteOp(route.table, route.req, own, route.w, route.r, route.deadline))
		route.drop(own, route.self)
	}
	candidates := make([][]int, len(others))
	for n, i := range others {
		candidates[n] = route.nearest(i)
	}
	for _, s := range planForward(others, candidates) {
		legs = append(legs, &forwardOp{route: route, target: s.target, keys: s.keys})
		route.drop(s.keys, s.target)
	}
	return legs
}

// nearest are the candidates of a key that are reachable; the first of all if none is.
func (route *writeRoute) nearest(i int) []int {
	list := route.candidates[i]
	for n, t := range list {
		if !route.targets[t].reachable && n > 0 {
			return list[:n]
		}
	}
	return list
}

func (route *writeRoute) drop(keys []int, target int) {
	for _, i := range keys {
		route.candidates[i] = slices.DeleteFunc(route.candidates[i], func(t int) bool { return t == target })
	}
}

// round begins the legs and returns when all have ended.
func (route *writeRoute) round(ctx context.Context, legs legs) {
	if len(legs) == 0 {
		return
	}
	route.c.await(ctx, legs, func(done func()) {
		var open atomic.Int64
		open.Store(int64(len(legs)))
		for _, l := range legs {
			l.begin(func() {
				if open.Add(-1) == 0 {
					done()
				}
			})
		}
	})
}

// collect takes the legs' outcomes and says which keys are to be taken elsewhere.
func (route *writeRoute) collect(legs []leg) (again []int) {
	for _, l := range legs {
		keys, outcomes := l.result()
		for n, i := range keys {
			route.outcomes[i] = outcomes[n]
			if !elsewhere(outcomes[n].Err) {
				route.taken[i] = true
				continue
			}
			node := route.c.opt.Self
			if f, ok := l.(*forwardOp); ok {
				node = route.targets[f.target].id
			}
			route.causes[i] = append(route.causes[i], Cause{Node: node, Err: outcomes[n].Err})
			if len(route.candidates[i]) > 0 {
				again = append(again, i)
			}
		}
	}
	slices.Sort(again)
	return again
}

// refusal is the error of a key that no replica has taken: that of its only one, or one that lists them all.
func (route *writeRoute) refusal(i int) error {
	causes := route.causes[i]
	if len(causes) == 1 && route.table.N() == 1 {
		return causes[0].Err
	}
	route.c.metrics.QuorumFailures.Add(1)
	return &QuorumError{Op: route.req.Ops[i].name(), Need: route.w, Causes: causes, Effect: wire.EffectNone}
}

// legs are several processes as one.
type legs []leg

func (l legs) tick(now time.Time) (next time.Time) {
	for _, p := range l {
		if t := p.tick(now); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

func (l legs) abandon(err error) {
	for _, p := range l {
		p.abandon(err)
	}
}

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
	req.Ordered = req.Ordered || route.c.opt.Ordered
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
