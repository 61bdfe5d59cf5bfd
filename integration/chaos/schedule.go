package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
)

// schedule carries out the plan and returns when all of its faults have ended. When ctx ends, those under way are ended at once, and no more
// begin.
func (r *run) schedule(ctx context.Context) {
	t := turns{destroying: make(turn, 1), nodes: make([]turn, r.Plan.Nodes)}
	for i := range t.nodes {
		t.nodes[i] = make(turn, 1)
	}
	var running sync.WaitGroup
	for i, f := range r.Plan.Faults {
		r.strikes[i].Fault = f
		running.Go(func() { r.carryOutFault(ctx, i, f, &t) })
	}
	running.Wait()
}

// carryOutFault waits for a fault's time, has it happen, and ends it.
func (r *run) carryOutFault(ctx context.Context, i int, f fault.Fault, t *turns) {
	s := &r.strikes[i]
	release, err := r.awaitTurn(ctx, f, t)
	if err != nil {
		s.Skipped, s.Note = true, err.Error()
		r.say("%s skipped: %v", describe(f), err)
		return
	}
	defer release()
	s.Began = r.history.Now()
	r.begins(f)
	end, err := r.strike(ctx, fmt.Sprintf("f%d", i), f)
	r.say("%s begins%s", describe(f), because(err))
	if err != nil {
		r.nodes.add(violationNotAgain, fmt.Sprintf("%s did not begin as it should: %v", describe(f), err))
	}
	sleep(ctx, f.For)
	r.ends(f)
	s.Note = because(err)
	if err := end(); err != nil {
		s.Note += because(err)
		r.nodes.add(violationNotAgain, fmt.Sprintf("after %s: %v", describe(f), err))
	}
	if f.Kind.Destroys() {
		r.destroyed()
	}
	s.Ended = r.history.Now()
	r.say("%s over after %v%s", describe(f), (s.Ended - s.Began).Round(10*time.Millisecond), s.Note)
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" (%v)", err)
}

// sleep waits, and says whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	over := time.NewTimer(d)
	defer over.Stop()
	select {
	case <-over.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// turn is held by one fault at a time.
type turn chan struct{}

func (t turn) tryTake() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

func (t turn) release() { <-t }

// turns keep faults apart that a plan does not have at once, but that may come late.
type turns struct {
	// destroying is held by the fault that destroys data, nodes by those that strike one node.
	destroying turn
	nodes      []turn
}

// take takes the turns of a fault, or says why that cannot be done now.
func (t *turns) take(f fault.Fault) (release func(), err error) {
	var taken []turn
	release = func() {
		for _, one := range taken {
			one.release()
		}
	}
	if f.Kind.Destroys() {
		if !t.destroying.tryTake() {
			return nil, errors.New("another fault that destroys data is under way")
		}
		taken = append(taken, t.destroying)
	}
	if len(f.Nodes) == 1 && f.Cuts(len(t.nodes)) == nil {
		node := t.nodes[f.Nodes[0]]
		if !node.tryTake() {
			release()
			return nil, fmt.Errorf("%s has another fault", nodeName(f.Nodes[0]))
		}
		taken = append(taken, node)
	}
	return release, nil
}

const (
	// turnInterval is the time between two looks at whether a fault may begin.
	turnInterval = 100 * time.Millisecond
	// lateMin is how long every fault may wait for the one before it on its node: on a busy machine processes take longer to stop and start
	// than short plans have between faults.
	lateMin = 5 * time.Second
)

// awaitTurn waits for the time of a fault, and then, for a while, until it may begin. One that destroys data may once all that was
// destroyed before is there again: what a quorum had only the least number of copies of could be lost otherwise.
func (r *run) awaitTurn(ctx context.Context, f fault.Fault, t *turns) (release func(), err error) {
	if !sleep(ctx, f.At-r.history.Now()) {
		return nil, errRunEnded
	}
	wait := max(f.For, lateMin)
	if f.Kind.Destroys() {
		wait = r.DestroyWait
	}
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	since := time.Now()
	for {
		if release, err = t.take(f); err == nil {
			if err = r.mayDestroy(waiting, f, since); err == nil {
				return release, nil
			}
			release()
		}
		if !sleep(waiting, turnInterval) {
			if ctx.Err() != nil {
				err = fmt.Errorf("%w: %w", errRunEnded, err)
			}
			return nil, err
		}
	}
}

var errRunEnded = errors.New("the run ended before it could begin")

// mayDestroy is why a fault may not begin yet if it destroys data: there must be something to destroy, and all stored data must have been
// checked since a moment, and since the end of the last one, if anything was destroyed before. That one may have gone on beyond the moment: what it destroyed
// at its end no look of before has seen.
func (r *run) mayDestroy(ctx context.Context, f fault.Fault, since time.Time) error {
	if !f.Kind.Destroys() {
		return nil
	}
	if p := r.cluster.nodes[f.Nodes[0]]; f.Kind == fault.Flip {
		if files, err := finished(p.engine()); err != nil || len(files) == 0 {
			return errors.Join(err, fmt.Errorf("%s has no finished segment in time", p.id))
		}
	}
	if err := r.cluster.unwhole(ctx, r.checkedAfter(since)); err != nil {
		return fmt.Errorf("not everything was whole in time: %w", err)
	}
	return nil
}

// describe is a fault for people, by the names of its nodes.
func describe(f fault.Fault) string {
	text := string(f.Kind)
	for _, n := range f.Nodes {
		text += " " + nodeName(n)
	}
	f.Nodes, f.At, f.For, f.Delay = nil, 0, 0, f.Delay.Round(time.Millisecond)
	if _, measure, found := strings.Cut(f.String(), string(f.Kind)); found {
		text += measure
	}
	return text
}

func (r *run) begins(f fault.Fault) {
	r.Harness.mu.Lock()
	defer r.Harness.mu.Unlock()
	r.underWay = append(r.underWay, f.Kind)
}

func (r *run) ends(f fault.Fault) {
	r.Harness.mu.Lock()
	defer r.Harness.mu.Unlock()
	if i := slices.Index(r.underWay, f.Kind); i >= 0 {
		r.underWay = slices.Delete(r.underWay, i, i+1)
	}
}
