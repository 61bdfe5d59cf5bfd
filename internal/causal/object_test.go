package causal

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestJoinCommutes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genObject(t), genObject(t)
		ab, ba := Join(a, b), Join(b, a)
		mustBeValid(t, ab)
		if !ab.Equal(ba) {
			t.Fatalf("a %v\nb %v\nab %v\nba %v", a, b, ab, ba)
		}
	})
}

func TestJoinAssociates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := genObject(t), genObject(t), genObject(t)
		if l, r := Join(Join(a, b), c), Join(a, Join(b, c)); !l.Equal(r) {
			t.Fatalf("a %v\nb %v\nc %v\n(ab)c %v\na(bc) %v", a, b, c, l, r)
		}
	})
}

func TestJoinIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := genObject(t), genObject(t)
		if aa := Join(a, a); !aa.Equal(a) {
			t.Fatalf("a %v\naa %v", a, aa)
		}
		ab := Join(a, b)
		if again := Join(ab, b); !again.Equal(ab) {
			t.Fatalf("a %v\nb %v\nab %v\nabb %v", a, b, ab, again)
		}
	})
}

// TestJoinKeepsWhatItsRuleKeeps judges Join by the rule in its plainest words.
func TestJoinKeepsWhatItsRuleKeeps(t *testing.T) {
	held := func(o Object) map[Dot]bool {
		m := map[Dot]bool{}
		for _, s := range o.Siblings {
			m[s.Dot] = true
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := genObject(t), genObject(t)
		ina, inb, got := held(a), held(b), held(Join(a, b))
		for actor := Actor(1); actor <= 4; actor++ {
			for at := Timestamp(1); at <= 6; at++ {
				d := Dot{actor, at}
				want := ina[d] && (inb[d] || !b.Vector.Covers(d)) || inb[d] && !a.Vector.Covers(d)
				if got[d] != want {
					t.Fatalf("dot %v: kept %v, want %v\na %v\nb %v", d, got[d], want, a, b)
				}
			}
		}
	})
}

func TestJoinLeavesItsArgumentsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, s := genObject(t), genObject(t), Sibling{Dot: Dot{9, 9}}
		ca, cb := a.Clone(), b.Clone()
		Put(Join(a, b), nil, true, s)
		Put(Join(a, b), b.Vector, true, s)
		if !a.Equal(ca) || !b.Equal(cb) {
			t.Fatal("an argument was changed")
		}
	})
}

func TestPutWithoutContextLeavesOneSibling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local, s := genObject(t), genSibling(t, Dot{2, 9})
		got := Put(local, nil, false, s)
		mustBeValid(t, got)
		if len(got.Siblings) != 1 || got.Siblings[0].Dot != s.Dot || !got.Vector.Equal(local.Vector.With(s.Dot)) {
			t.Fatalf("local %v\ngot %v", local, got)
		}
		if j := Join(local, got); !j.Equal(got) {
			t.Fatalf("the old object comes back: %v", j)
		}
	})
}

func TestPutWithContextSupersedesWhatTheContextCoversAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		local, seen, s := genObject(t), genVector(t), genSibling(t, Dot{2, 9})
		got := Put(local, seen, true, s)
		mustBeValid(t, got)
		want := 1
		for _, old := range local.Siblings {
			if has := holds(got, old.Dot); has == seen.Covers(old.Dot) {
				t.Fatalf("sibling %v, context %v: held afterwards: %v", old.Dot, seen, has)
			}
			if !seen.Covers(old.Dot) {
				want++
			}
		}
		if len(got.Siblings) != want || Survivors(local, seen, true) != want-1 || !got.Vector.CoversAll(seen) {
			t.Fatalf("local %v\nseen %v\ngot %v", local, seen, got)
		}
	})
}

func holds(o Object, d Dot) bool {
	for _, s := range o.Siblings {
		if s.Dot == d {
			return true
		}
	}
	return false
}

func TestWinnerIsTheGreatestTimeThenTheGreatestActor(t *testing.T) {
	if _, ok := (Object{}).Winner(); ok {
		t.Fatal("nothing has a winner")
	}
	sib := func(a Actor, at Timestamp) Sibling { return Sibling{Dot: Dot{a, at}} }
	for _, c := range []struct {
		siblings []Sibling
		want     Dot
	}{
		{[]Sibling{sib(1, 5)}, Dot{1, 5}},
		{[]Sibling{sib(1, 7), sib(2, 5), sib(3, 6)}, Dot{1, 7}},
		{[]Sibling{sib(1, 5), sib(1, 8), sib(2, 8), sib(3, 2)}, Dot{2, 8}},
	} {
		if w, ok := (Object{Siblings: c.siblings}).Winner(); !ok || w.Dot != c.want {
			t.Errorf("%v: got %v, want %v", c.siblings, w.Dot, c.want)
		}
	}
}

func TestVisibleUntilItExpires(t *testing.T) {
	now := time.UnixMilli(1000)
	for _, c := range []struct {
		s    Sibling
		want bool
	}{
		{Sibling{}, true}, {Sibling{Tombstone: true}, false}, {Sibling{ExpiresAt: 1001}, true}, {Sibling{ExpiresAt: 1000}, false},
	} {
		if got := c.s.Visible(now); got != c.want {
			t.Errorf("%+v: got %v", c.s, got)
		}
	}
}

func TestObjectValidateRefuses(t *testing.T) {
	v := Vector{{1, 5}, {2, 5}}
	for name, siblings := range map[string][]Sibling{
		"unsorted":             {{Dot: Dot{2, 1}}, {Dot: Dot{1, 1}}},
		"duplicate":            {{Dot: Dot{1, 1}}, {Dot: Dot{1, 1}}},
		"not covered":          {{Dot: Dot{1, 6}}},
		"no dot":               {{}},
		"tombstone with value": {{Dot: Dot{1, 1}, Tombstone: true, Value: []byte{1}}},
		"tombstone expires":    {{Dot: Dot{1, 1}, Tombstone: true, ExpiresAt: 1}},
		"negative expiry":      {{Dot: Dot{1, 1}, ExpiresAt: -1}},
	} {
		if (Object{Vector: v, Siblings: siblings}).Validate() == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestHotPathsAllocateLittle(t *testing.T) {
	older := Object{Vector{{1, 4}, {2, 5}}, []Sibling{{Dot: Dot{2, 5}, Value: []byte("old")}}}
	newer := Put(older, nil, false, Sibling{Dot: Dot{1, 6}, Value: []byte("new")})
	same := newer.Clone()
	var sink Object
	for _, c := range []struct {
		name string
		want float64
		f    func()
	}{
		{"join of equals", 0, func() { sink = Join(newer, same) }},
		{"join where one side dominates", 0, func() { sink = Join(older, newer) }},
		{"put without context", 2, func() { sink = Put(older, nil, false, Sibling{Dot: Dot{1, 7}}) }},
		{"put with the full context", 2, func() { sink = Put(older, older.Vector, true, Sibling{Dot: Dot{1, 7}}) }},
		{"meta and value of a lone sibling", 0, func() {
			var buf [MetaBytesMax]byte
			_, _ = AppendMeta(buf[:0], newer), StoredValue(newer, nil)
		}},
		{"a stored object into memory that fits", 0, func() {
			if err := DecodeStored(&sink, metaOfNewer, newer.Siblings[0].Value); err != nil {
				t.Fatal(err)
			}
		}},
		{"an object that travelled", 2, func() { sink, _ = DecodeObject(newerTravels) }},
		{"a hundred objects that travelled", 6, func() {
			arena := NewArena(100)
			for range 100 {
				sink, _ = arena.DecodeObject(newerTravels)
			}
		}},
		{"a causal context", 1, func() { _ = AppendVector(nil, older.Vector) }},
	} {
		if got := testing.AllocsPerRun(100, c.f); got > c.want {
			t.Errorf("%s: %v allocations, want %v", c.name, got, c.want)
		}
	}
}

var (
	metaOfNewer  = AppendMeta(nil, Object{Vector{{1, 6}, {2, 5}}, []Sibling{{Dot: Dot{1, 6}}}})
	newerTravels = AppendObject(nil, Object{Vector{{1, 6}, {2, 5}}, []Sibling{{Dot: Dot{1, 6}, Value: []byte("v")}}})
)
