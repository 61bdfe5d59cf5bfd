package sim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

func TestARunInWhichAWorkloadWasAcknowledgedNoWriteProvesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		results []workload.Result
		want    int
	}{
		"all refused":     {[]workload.Result{{Workload: "set", Failed: 90, Unknown: 9}}, 1},
		"only reads":      {[]workload.Result{{Workload: "set", Ok: 9, Failed: 90}}, 1},
		"one of two":      {[]workload.Result{{Workload: "set", Ok: 9, Acknowledged: 1}, {Workload: "ttl", Ok: 9}}, 1},
		"something":       {[]workload.Result{{Workload: "set", Ok: 9, Acknowledged: 1, Failed: 90}}, 0},
		"nothing was run": {nil, 1},
	} {
		o := Outcome{Violations: make(map[string]int)}
		o.take(c.results)
		if got := o.Violations["nothing proven"]; got != c.want || o.Passed() != (c.want == 0) {
			t.Errorf("%s: %v", name, o.Violations)
		}
	}
}

func TestTheTrailIsBounded(t *testing.T) {
	o := Outcome{Violations: map[string]int{"lost": 1}, Examples: []string{"lost: key k: gone"}}
	ops := make([]history.Operation, trailMax+1)
	for i := range ops {
		ops[i] = history.Operation{Client: i, Kind: history.Put, Outcome: history.Ok, Items: []history.Item{{Key: "k"}, {Key: "l"}}}
	}
	o.follow(ops)
	if last := fmt.Sprintf("client %d ", trailMax-1); len(o.Trail) != trailMax || !strings.Contains(o.Trail[trailMax-1], last) {
		t.Errorf("%d lines, and the last is %q", len(o.Trail), o.Trail[len(o.Trail)-1])
	}
}
