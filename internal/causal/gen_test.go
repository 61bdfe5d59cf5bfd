package causal

import (
	"testing"

	"pgregory.net/rapid"
)

// Generators draw from few actors and few times, so that what they draw overlaps.

func genDot(t *rapid.T) Dot {
	return Dot{Actor(rapid.IntRange(1, 4).Draw(t, "actor")), Timestamp(rapid.IntRange(1, 6).Draw(t, "time"))}
}

func genVector(t *rapid.T) Vector {
	var v Vector
	for range rapid.IntRange(0, 4).Draw(t, "entries") {
		v = v.With(genDot(t))
	}
	return v
}

func genSibling(t *rapid.T, d Dot) Sibling {
	s := Sibling{Dot: d, Tombstone: rapid.Bool().Draw(t, "tombstone")}
	if s.Tombstone {
		return s
	}
	s.ExpiresAt = int64(rapid.IntRange(0, 2).Draw(t, "expires"))
	s.Value = rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "value")
	return s
}

// genObject draws any valid object, even one that no history leads to. Each dot may have a different value in each.
func genObject(t *rapid.T) Object {
	o := Object{Vector: genVector(t)}
	for _, e := range o.Vector {
		for at := Timestamp(1); at <= e.Time; at++ {
			if rapid.IntRange(0, 2).Draw(t, "held") == 0 {
				o.Siblings = append(o.Siblings, genSibling(t, Dot{e.Actor, at}))
			}
		}
	}
	return o
}

func mustBeValid(t interface {
	Helper()
	Fatalf(string, ...any)
}, o Object) {
	t.Helper()
	if err := o.Validate(); err != nil {
		t.Fatalf("%v is not valid: %v", o, err)
	}
}

func TestGeneratedObjectsAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { mustBeValid(t, genObject(t)) })
}
