package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ringcask/ringcask/integration/report"
	"github.com/ringcask/ringcask/integration/workload"
)

// What replicas may do wrong.
const (
	violationNotConverged = "not converged"
	violationNotEqual     = "replicas hold different things"
)

// convergeInterval is the time between two looks at all replicas.
const convergeInterval = 200 * time.Millisecond

// converging is how the replicas became equal.
type converging struct {
	report.Convergence
	found    map[string]int
	examples []string
	measures map[string]float64
}

func (c *converging) result() workload.Result {
	return workload.Result{Workload: "convergence", Violations: c.found, Examples: c.examples, Measures: c.measures}
}

func (c *converging) add(kind, example string) {
	c.found[kind]++
	if len(c.examples) < examplesMax {
		c.examples = append(c.examples, kind+": "+example)
	}
}

// heal waits until the replicas are equal, has the workloads read everything, stops the nodes, and compares what they store.
func (r *run) heal(clients clientSets) *converging {
	c := &converging{found: map[string]int{}, measures: map[string]float64{}}
	c.Healed = r.history.Now()
	r.enter("converging")
	r.runAll(c)
	err := r.awaitConverged()
	c.Took, c.Reached = r.history.Now()-c.Healed, err == nil
	if err != nil {
		r.say("not converged after %v: %v", c.Took.Round(10*time.Millisecond), err)
		c.add(violationNotConverged, err.Error())
	} else {
		r.say("all replicas are equal %v after everything was healed", c.Took.Round(10*time.Millisecond))
	}
	r.enter("reading everything")
	r.settle(clients, c)
	if err := r.awaitConverged(); c.Reached && err != nil {
		c.add(violationNotConverged, "after the final reads: "+err.Error())
	}
	r.enter("comparing what is stored")
	if err := r.cluster.stop(); err != nil {
		r.nodes.add(violationNotAgain, err.Error())
	}
	if err := r.compare(c); err != nil {
		c.add(violationNotEqual, err.Error())
	}
	return c
}

// runAll starts the nodes that do not run, and waits until all serve.
func (r *run) runAll(c *converging) {
	for _, p := range r.cluster.nodes {
		if !p.runs() {
			r.say("%s does not run and is started", p.id)
			if err := p.start(); err != nil {
				c.add(violationNotConverged, err.Error())
			}
		}
	}
	if err := r.cluster.awaitReady(r.after, r.ReadyWithin, r.cluster.nodes...); err != nil {
		c.add(violationNotConverged, err.Error())
	}
}

// awaitConverged waits until each node has checked what it stores, is whole, and all replicas are equal by their trees.
func (r *run) awaitConverged() error {
	ctx, cancel := context.WithTimeout(r.after, r.ConvergeWithin)
	defer cancel()
	since := r.checkedAfter(time.Now())
	why := context.DeadlineExceeded
	for {
		err := r.cluster.unwhole(ctx, since)
		if err == nil {
			err = r.cluster.unequal(ctx)
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return why // what was found last in time
		}
		why = err
		sleep(ctx, convergeInterval)
	}
}

// settle has all workloads read what they wrote.
func (r *run) settle(clients clientSets, c *converging) {
	ctx, cancel := context.WithTimeout(r.after, r.ConvergeWithin)
	defer cancel()
	errs := make([]error, len(r.Workloads))
	var reading sync.WaitGroup
	for i, w := range r.Workloads {
		reading.Go(func() { errs[i] = w.Settle(ctx, r.env(clients[i])) })
	}
	reading.Wait()
	if err := errors.Join(errs...); err != nil {
		c.add(violationNotConverged, fmt.Sprintf("final reads: %v", err))
	}
}
