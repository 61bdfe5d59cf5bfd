package chaos

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/report"
	"github.com/ringcask/ringcask/internal/wire"
)

// answering is a process in place of which the test says how it is.
func answering(t *testing.T, s *wire.Status) *process {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(s); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	return &process{
		id: "n1", dir: dir, log: dir + "/log", control: dir + "/disk", binary: dir + "/none", died: func(*process, string) {},
		place: place{http: server.Listener.Addr().String(), dial: new(net.Dialer).DialContext},
	}
}

func TestANodeIsWholeOnceWhatItFoundDamagedIsMadeUpFor(t *testing.T) {
	for _, tc := range []struct {
		change func(s *wire.Status)
		why    string
	}{
		{func(*wire.Status) {}, ""},
		// The places that were found stay counted until a restart, though all of their keys are healed.
		{func(s *wire.Status) { s.Storage.Damage = 1 }, ""},
		{func(s *wire.Status) { s.Storage.Damage, s.Replication.Mending = 1, true }, "cannot read everything: 1 place"},
		{func(s *wire.Status) { s.Replication.Healing = 3 }, "3 keys are to be healed"},
		{func(s *wire.Status) { s.Replication.Poisoned = 1 }, "cannot read everything"},
		{func(s *wire.Status) { s.Replication.Unfilled = 2 }, "has 2 partitions that are not filled"},
		{func(s *wire.Status) { s.State = "draining" }, "is draining"},
		{func(s *wire.Status) { s.Hints.Count = 5 }, "has 5 hints"},
	} {
		s := wire.Status{State: "serving"}
		tc.change(&s)
		err := answering(t, &s).unwhole(t.Context(), time.Time{})
		if (err == nil) != (tc.why == "") || err != nil && !strings.Contains(err.Error(), tc.why) {
			t.Errorf("%v, want %q", err, tc.why)
		}
	}
}

func TestWhatIsDestroyedAtTheEndOfAFaultIsLookedForBeforeTheNextOne(t *testing.T) {
	status := wire.Status{State: "serving"}
	node := answering(t, &status)
	r := &run{
		Options: Options{Events: func(Event) {}, DestroyWait: time.Minute}, Harness: &Harness{history: history.New()}, cluster: &cluster{nodes: []*process{node}},
		after: t.Context(), strikes: make([]report.Strike, 1),
	}
	wipe := fault.Fault{Kind: fault.Wipe, Nodes: []int{0}}
	due := time.Now().Add(-2 * time.Second) // it waits for the one before it
	if err := r.mayDestroy(t.Context(), wipe, due); err != nil {
		t.Fatalf("nothing was destroyed before: %v", err)
	}
	// The disk fails, and the node, which is not a real one, does not start again: that is a finding, but no matter here.
	r.carryOutFault(t.Context(), 0, fault.Fault{Kind: fault.DiskError, Share: 1, Nodes: []int{0}}, &turns{destroying: make(turn, 1), nodes: []turn{make(turn, 1)}})
	if r.strikes[0].Skipped {
		t.Fatal(r.strikes[0].Note)
	}
	status.Storage.ScrubbedAt = due.Add(time.Second).UnixMilli()
	if err := r.mayDestroy(t.Context(), wipe, due); err == nil || !strings.Contains(err.Error(), "has not checked what it stores") {
		t.Errorf("a look while the disk was failing is enough: %v", err)
	}
	status.Storage.ScrubbedAt = time.Now().Add(time.Second).UnixMilli()
	if err := r.mayDestroy(t.Context(), wipe, due); err != nil {
		t.Errorf("after a look that came later: %v", err)
	}
	r.Plan.Faults = []fault.Fault{{Kind: fault.Skew, Nodes: []int{0}, Delay: 2 * time.Second}, {Kind: fault.Skew, Nodes: []int{0}, Delay: -time.Hour}}
	if err := r.mayDestroy(t.Context(), wipe, due); err == nil {
		t.Error("a look is believed that a clock which was ahead may have dated")
	}
	status.Storage.ScrubbedAt = time.Now().Add(3 * time.Second).UnixMilli()
	if err := r.mayDestroy(t.Context(), wipe, due); err != nil {
		t.Errorf("after a look that came later by any clock: %v", err)
	}
}
