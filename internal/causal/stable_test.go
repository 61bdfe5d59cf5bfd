package causal

import (
	"testing"

	"pgregory.net/rapid"
)

func TestCompactLosesNothingThatStableDoesNotImply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, stable := genObject(t), genVector(t)
		compact, less := o.Compact(stable)
		mustBeValid(t, compact)
		if less == compact.Vector.Equal(o.Vector) || len(compact.Siblings) != len(o.Siblings) {
			t.Fatalf("%v under %v is %v, less: %v", o, stable, compact, less)
		}
		full := compact.Expand(stable, make(Vector, 1))
		mustBeValid(t, full)
		if want := o.Vector.Join(stable); !full.Vector.Equal(want) {
			t.Fatalf("%v under %v came back as %v", o, stable, full.Vector)
		}
	})
}

// TestCompactSurvivesItsEncoding stores what is left and reads it back.
func TestCompactSurvivesItsEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, stable := genObject(t), genVector(t)
		compact, less := o.Compact(stable)
		meta := AppendMeta(nil, compact)
		if less {
			MarkCompact(meta)
		}
		var read Object
		if err := DecodeStored(&read, meta, StoredValue(compact, nil)); err != nil {
			t.Fatal(err)
		}
		if !read.Expand(stable, nil).Vector.Equal(o.Vector.Join(stable)) {
			t.Fatalf("%v under %v was read back as %v", o, stable, read)
		}
	})
}

// TestSettledIsForgottenWithoutATrace: whoever joins a settled object into nothing, under the stable vector, is left with nothing.
func TestSettledIsForgottenWithoutATrace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, stable := genObject(t), genVector(t)
		if !o.Settled(stable, 1) {
			return
		}
		for _, s := range o.Siblings {
			if !s.Tombstone && s.ExpiresAt != 1 {
				t.Fatalf("%v is settled under %v", o, stable)
			}
		}
		if j := Join(Object{}.Expand(stable, nil), o); len(j.Siblings) > 0 || !j.Vector.Equal(stable) {
			t.Fatalf("%v comes back as %v", o, j)
		}
	})
}
