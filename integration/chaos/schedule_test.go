package chaos

import (
	"testing"

	"github.com/ringcask/ringcask/integration/fault"
)

func TestFaultsThatComeLateStillTakeTurns(t *testing.T) {
	of := func(k fault.Kind, nodes ...int) fault.Fault { return fault.Fault{Kind: k, Nodes: nodes} }
	for _, tc := range []struct {
		first, then fault.Fault
		waits       bool
	}{
		{of(fault.Kill, 0), of(fault.Pause, 0), true},
		{of(fault.Kill, 0), of(fault.Pause, 1), false},
		{of(fault.Wipe, 0), of(fault.Flip, 1), true},
		{of(fault.Wipe, 0), of(fault.Kill, 1), false},
		{of(fault.Kill, 0), of(fault.Wipe, 0), true},
		{of(fault.Kill, 0), of(fault.Isolate, 0), false},
		{of(fault.Isolate, 0), of(fault.Kill, 0), false},
		{of(fault.CutLink, 0, 1), of(fault.Latency, 0), false},
	} {
		all := turns{destroying: make(turn, 1), nodes: []turn{make(turn, 1), make(turn, 1), make(turn, 1)}}
		release, err := all.take(tc.first)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := all.take(tc.then); (err != nil) != tc.waits {
			t.Errorf("%v during %v: %v", tc.then.Kind, tc.first.Kind, err)
		} else if err == nil {
			again()
		}
		release()
		if again, err := all.take(tc.then); err != nil {
			t.Errorf("%v after %v: %v", tc.then.Kind, tc.first.Kind, err)
		} else {
			again()
		}
	}
}
