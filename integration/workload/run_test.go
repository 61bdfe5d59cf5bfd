package workload

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// runFake lets a workload work on a fake store for some simulated seconds, and judges what came of it. A weak run is on a store without bugs in the end.
func runFake(t *testing.T, name string, bug fakeBug, weak bool) (r Result, ops []history.Operation) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore(7, bug)
		e := Env{History: history.New(), Clients: f.clients(t, 4), Seed: 1, Rate: 1000, Weak: weak}
		w, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Run(ctx, e); err != nil {
			t.Error(err)
		}
		f.mu.Lock()
		if f.refused, f.unsure = 0, 0; weak {
			f.bug = sound
		}
		f.mu.Unlock()
		if err := w.Settle(t.Context(), e); err != nil {
			t.Error(err)
		}
		for _, c := range e.Clients {
			c.Close()
		}
		f.links.Wait()
		r, ops = Judge([]Workload{w}, e.History)[0], e.History.Operations()
	})
	return r, ops
}

func TestASoundStorePassesWhateverItRefuses(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			r, ops := runFake(t, name, sound, false)
			if !r.Passed() {
				t.Errorf("%v\n%v", r.Violations, r.Examples)
			}
			if r.Ok < 100 || r.Failed+r.Unknown == 0 {
				t.Errorf("%d operations were answered, %d failed, %d were not answered", r.Ok, r.Failed, r.Unknown)
			}
			for _, op := range ops {
				if op.Workload != name || op.End < op.Start || op.Outcome == 0 || (op.Outcome == history.Ok) != (op.Error == "") {
					t.Fatalf("%+v", op)
				}
			}
		})
	}
}

func TestEachWorkloadFindsTheBugsThatConcernIt(t *testing.T) {
	for _, c := range []struct {
		workload string
		bug      fakeBug
		want     string
	}{
		{"set", losesWrites, "lost"},
		{"set", staleReads, "stale"},
		{"set", lies, "appeared"},
		{"set", invents, "invented"},
		{"deletes", losesWrites, "revived"},
		{"deletes", losesWrites, "lost"},
		{"deletes", staleReads, "revived"},
		{"deletes", lies, "appeared"},
		{"siblings", losesWrites, "lost element"},
		{"siblings", losesSiblings, "lost element"},
		{"siblings", staleReads, "stale element"},
		{"siblings", lies, "appeared"},
		{"monotonic", losesWrites, "stale"},
		{"monotonic", staleReads, "stale"},
		{"range", skips, "missing"},
		{"range", shuffles, "unordered"},
		{"range", losesWrites, "phantom"},
		{"range", staleReads, "wrong value"},
		{"batch", losesWrites, "lost"},
		{"batch", staleReads, "stale"},
		{"batch", lies, "appeared"},
		{"ttl", losesWrites, "lost"},
		{"ttl", staleReads, "revived"},
		{"ttl", keepsExpired, "revived"},
		{"ttl", invents, "invented"},
		{"register", staleReads, "not linearizable"},
		{"register", losesWrites, "not linearizable"},
	} {
		t.Run(fmt.Sprint(c.workload, " ", c.want, " ", c.bug), func(t *testing.T) {
			r, _ := runFake(t, c.workload, c.bug, false)
			if r.Violations[c.want] == 0 {
				t.Errorf("found %v, want %s", r.Violations, c.want)
			}
			if len(r.Examples) == 0 || slices.Contains(r.Examples, "") {
				t.Errorf("examples: %q", r.Examples)
			}
		})
	}
}

func TestWhatWeakReadsMissIsMeasuredAndHeldAgainstNobody(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			r, _ := runFake(t, name, staleReads, true)
			if !r.Passed() {
				t.Errorf("%v\n%v", r.Violations, r.Examples)
			}
			missed := r.Measures["stale reads"] + r.Measures["keys with one writer not linearizable"]
			if missed == 0 && name != "ttl" {
				t.Errorf("nothing was missed: %v", r.Measures)
			}
		})
	}
}

func TestSettleSaysWhatCouldNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore(7, sound)
		clients := f.clients(t, 1)
		clients[0].Close()
		e := Env{History: history.New(), Clients: clients}
		w := &set{}
		w.written.add("s/1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Settle(ctx, e); err == nil {
			t.Error("no error though no key could be read")
		}
	})
}

func TestTheRateOfAllWorkersIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore(7, sound)
		e := Env{History: history.New(), Clients: f.clients(t, 4), Rate: 50}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := newDeletes().Run(ctx, e); err != nil {
			t.Fatal(err)
		}
		for _, c := range e.Clients {
			c.Close()
		}
		f.links.Wait()
		if n := len(e.History.Operations()); n < 450 || n > 501 {
			t.Errorf("%d operations in 10 s at 50 a second", n)
		}
	})
}
