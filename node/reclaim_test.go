package node

import (
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/antientropy"
	"github.com/ringcask/ringcask/internal/causal"
)

func TestEachReasonThatKeepsARecordIsSaid(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	dot := func(a causal.Actor, at causal.Timestamp) causal.Dot { return causal.Dot{Actor: a, Time: at} }
	object := func(siblings ...causal.Sibling) (o causal.Object) {
		for _, s := range siblings {
			o.Vector, o.Siblings = o.Vector.With(s.Dot), append(o.Siblings, s)
		}
		return o
	}
	tombstone := func(a causal.Actor, at causal.Timestamp) causal.Sibling {
		return causal.Sibling{Dot: dot(a, at), Tombstone: true}
	}
	value := causal.Sibling{Dot: dot(9, 1), Value: []byte("v")}
	expired := causal.Sibling{Dot: dot(1, 5), ExpiresAt: now.UnixMilli() - 1}
	stable := causal.Vector{{Actor: 1, Time: 5}}
	usual := verdictOf{rule: antientropy.Rule{Stable: stable}, stands: true, filled: true, stable: stable, now: now}
	with := func(change func(v *verdictOf)) verdictOf {
		v := usual
		change(&v)
		return v
	}
	for _, tc := range []struct {
		name    string
		v       verdictOf
		o       causal.Object
		state   string
		reasons []string
	}{
		{"a value", usual, object(value), reclaimKept, []string{"is a value"}},
		{"a tombstone beside a value", usual, object(tombstone(1, 5), value), reclaimKept, []string{"tombstone beside it has to stay"}},
		{"a settled tombstone", usual, object(tombstone(1, 5)), reclaimSettled, []string{"next merge"}},
		{"a later tombstone", usual, object(tombstone(1, 6)), reclaimWaiting, []string{"is not known to be held by all replicas: the stable vector has 1970"}},
		{
			"a tombstone that has seen two others", usual, causal.Object{
				Vector: causal.Vector{dot(1, 5), dot(2, 3), dot(3, 4)}, Siblings: []causal.Sibling{tombstone(1, 5)},
			}, reclaimWaiting, []string{dot(2, 3).String(), dot(3, 4).String() + " is not known"},
		},
		{
			"a tombstone that is stable since the tree was built", with(func(v *verdictOf) { v.stable = causal.Vector{dot(1, 6)} }),
			object(tombstone(1, 6)), reclaimWaiting, []string{"a new one is on its way"},
		},
		{"no tree", with(func(v *verdictOf) { v.stands, v.rule = false, antientropy.Rule{} }), object(tombstone(1, 5)), reclaimWaiting, []string{"tree is being built"}},
		{
			"not filled", with(func(v *verdictOf) { v.filled = false }), object(tombstone(2, 1)), reclaimWaiting,
			[]string{"nothing of that actor", "is not filled here"},
		},
		{"expired a moment ago", usual, object(expired), reclaimWaiting, []string{"has expired"}},
		{"expired long ago", with(func(v *verdictOf) { v.rule.Expired = now.UnixMilli() }), object(expired), reclaimSettled, nil},
		{"to expire", usual, object(causal.Sibling{Dot: dot(1, 5), ExpiresAt: now.UnixMilli() + 1}), reclaimKept, []string{"is a value"}},
	} {
		// What the verdict takes from the filter is what the trees go by, if the heads are in the index.
		settled := tc.v.stands && tc.o.Settled(tc.v.rule.Stable, tc.v.rule.Expired)
		state, reasons := tc.v.held(tc.o, settled)
		if state != tc.state || len(reasons) < len(tc.reasons) {
			t.Errorf("%s: %s, %q; want %s", tc.name, state, reasons, tc.state)
			continue
		}
		for i, want := range tc.reasons {
			if !strings.Contains(reasons[i], want) {
				t.Errorf("%s: %q does not say %q", tc.name, reasons[i], want)
			}
		}
		if settled != (state == reclaimSettled) {
			t.Errorf("%s: settled is %v, and the state %s", tc.name, settled, state)
		}
	}
	if state, reasons := usual.held(object(tombstone(1, 5)), false); state != reclaimWaiting || !strings.Contains(reasons[0], "do not fit") {
		t.Errorf("heads elsewhere: %s, %q", state, reasons)
	}
}

func TestTheOldestOfWhatLagsIsNamed(t *testing.T) {
	var l lag
	l.add(time.Time{}, "none")
	if !l.since.IsZero() {
		t.Errorf("%+v", l)
	}
	l.add(time.Unix(20, 0), "second")
	l.add(time.Unix(10, 0), "first of %d", 3)
	l.add(time.Unix(30, 0), "third")
	if l.why != "first of 3" || l.since != time.Unix(10, 0) || epochMillis(l.since) != 10_000 || epochMillis(time.Time{}) != 0 {
		t.Errorf("%+v", l)
	}
}
