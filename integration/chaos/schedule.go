package chaos

import (
	"context"
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
	var running sync.WaitGroup
	destroying := make(chan struct{}, 1) // held by the one fault that destroys data
	for i, f := range r.Plan.Faults {
		r.strikes[i].Fault = f
		running.Go(func() { r.carryOutFault(ctx, i, f, destroying) })
	}
	running.Wait()
}

// carryOutFault waits for a fault's time, has it happen, and ends it.
func (r *run) carryOutFault(ctx context.Context, i int, f fault.Fault, destroying chan struct{}) {
	s := &r.strikes[i]
	if !sleep(ctx, f.At-r.history.Now()) {
		s.Skipped, s.Note = true, "the run ended before"
		return
	}
	if f.Kind.Destroys() {
		release, err := r.awaitWhole(ctx, destroying)
		if err != nil {
			s.Skipped, s.Note = true, fmt.Sprintf("not everything was whole in time: %v", err)
			r.say("%s skipped: %s", describe(f), s.Note)
			return
		}
		defer release()
	}
	s.Began = r.history.Now()
	r.begins(f)
	end, err := r.strike(ctx, fmt.Sprintf("f%d", i), f)
	r.say("%s begins%s", describe(f), because(err))
	sleep(ctx, f.For)
	r.ends(f)
	s.Note = because(err)
	if err := end(); err != nil {
		s.Note += because(err)
		r.nodes.add(violationNotAgain, fmt.Sprintf("after %s: %v", describe(f), err))
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

// wholeInterval is the time between two looks at whether everything is whole.
const wholeInterval = 100 * time.Millisecond

// awaitWhole waits until no other fault that destroys data is under way, and all that was destroyed is there again: that of which a
// quorum had only the least number of copies could be lost otherwise. release lets the next one begin.
func (r *run) awaitWhole(ctx context.Context, destroying chan struct{}) (release func(), err error) {
	since := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.DestroyWait)
	defer cancel()
	select {
	case destroying <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("another fault that destroys data is under way")
	}
	if !r.destroyed() {
		since = time.Time{} // nothing can have been lost that a check would find
	}
	for {
		if err = r.cluster.unwhole(ctx, since); err == nil {
			r.setDestroyed()
			return func() { <-destroying }, nil
		}
		if ctx.Err() != nil || !sleep(ctx, wholeInterval) {
			<-destroying
			return nil, err
		}
	}
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
