package causal

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// asMap is the plainest possible vector, to judge the sorted one by.
func asMap(v Vector) map[Actor]Timestamp {
	m := map[Actor]Timestamp{}
	for _, e := range v {
		m[e.Actor] = e.Time
	}
	return m
}

func TestVectorJoinIsTheGreaterOfEachEntry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := genVector(t), genVector(t)
		before := slices.Clone(v)
		want := asMap(v)
		for a, at := range asMap(w) {
			want[a] = max(want[a], at)
		}
		got := v.Join(w)
		if err := got.Validate(); err != nil || !maps.Equal(asMap(got), want) || !got.Equal(w.Join(v)) {
			t.Fatalf("%v join %v = %v (%v)", v, w, got, err)
		}
		if covers := got.Equal(v); covers != v.CoversAll(w) {
			t.Fatalf("%v covers all of %v: %v, but the join is %v", v, w, v.CoversAll(w), got)
		}
		if !v.Equal(before) {
			t.Fatal("the argument was changed")
		}
	})
}

func TestVectorWithCoversTheDotAndWhatItCoveredBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, d := genVector(t), genDot(t)
		before := slices.Clone(v)
		got := v.With(d)
		if err := got.Validate(); err != nil || !got.Covers(d) || !got.Equal(v.Join(Vector{d})) {
			t.Fatalf("%v with %v = %v (%v)", v, d, got, err)
		}
		got[0].Time = 99
		if !v.Equal(before) {
			t.Fatal("the new vector shares memory with the old")
		}
	})
}

func TestVectorGetFindsEveryEntryAndNothingElse(t *testing.T) {
	v := Vector{{2, 20}, {4, 40}, {6, 60}}
	for a, want := range []Timestamp{0, 0, 20, 0, 40, 0, 60, 0} {
		if got := v.Get(Actor(a)); got != want {
			t.Errorf("actor %d: got %d, want %d", a, got, want)
		}
	}
	if !v.Covers(Dot{4, 40}) || v.Covers(Dot{4, 41}) || v.Covers(Dot{5, 1}) || v.Max() != 60 {
		t.Error("covers or max is wrong")
	}
}

func TestVectorValidateRefuses(t *testing.T) {
	for name, v := range map[string]Vector{
		"unsorted":  {{2, 1}, {1, 1}},
		"duplicate": {{1, 1}, {1, 2}},
		"no actor":  {{0, 1}},
		"no time":   {{1, 0}},
		"49 bits":   {{1 << 48, 1}},
	} {
		if v.Validate() == nil {
			t.Errorf("%s passes", name)
		}
	}
}
