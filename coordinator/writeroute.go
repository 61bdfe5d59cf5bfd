package coordinator

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

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

func (route *writeRoute) distance(t int) int { return route.targets[t].far(true) }

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

// nearest are the candidates of a key that are as well as the first one. What a forward did is not known until it is
// answered, so that it cannot be sent to another replica: it must not go to one that may not answer.
func (route *writeRoute) nearest(i int) []int {
	list := route.candidates[i]
	for n, t := range list {
		if route.distance(t) > route.distance(list[0]) {
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
