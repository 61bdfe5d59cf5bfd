package coordinator

import (
	"context"
	"fmt"
	"slices"
	"time"
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
	if w, err = resolveLevel("w", req.W, c.opt.W, n); err != nil {
		return 0, 0, err
	}
	r, err = resolveLevel("r", req.R, c.opt.R, n)
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
