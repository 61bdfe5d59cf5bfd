package causal

import (
	"errors"
	"slices"
)

// Get is the time up to which every event of a has been seen; zero if none has.
func (v Vector) Get(a Actor) Timestamp {
	for i := range v {
		if v[i].Actor >= a {
			if v[i].Actor == a {
				return v[i].Time
			}
			break
		}
	}
	return 0
}

// Covers says whether the event d has been seen.
func (v Vector) Covers(d Dot) bool { return v.Get(d.Actor) >= d.Time }

// CoversAll says whether everything that w has seen has been seen.
func (v Vector) CoversAll(w Vector) bool {
	if len(w) > len(v) {
		return false
	}
	i := 0
	for _, e := range w {
		for i < len(v) && v[i].Actor < e.Actor {
			i++
		}
		if i == len(v) || v[i].Actor != e.Actor || v[i].Time < e.Time {
			return false
		}
	}
	return true
}

// Join is what v and w have seen together. Where one covers the other, that one itself is returned.
func (v Vector) Join(w Vector) Vector {
	if v.CoversAll(w) {
		return v
	}
	if w.CoversAll(v) {
		return w
	}
	return appendJoin(make(Vector, 0, len(v)+len(w)), v, w)
}

// With is a new vector: v, and all events of d's actor up to d.
func (v Vector) With(d Dot) Vector {
	i := 0
	for i < len(v) && v[i].Actor < d.Actor {
		i++
	}
	if i < len(v) && v[i].Actor == d.Actor {
		out := slices.Clone(v)
		out[i].Time = max(out[i].Time, d.Time)
		return out
	}
	out := make(Vector, len(v)+1)
	copy(out, v[:i])
	out[i] = d
	copy(out[i+1:], v[i:])
	return out
}

// Max is the greatest time in the vector; zero if it is empty.
func (v Vector) Max() Timestamp {
	var t Timestamp
	for i := range v {
		t = max(t, v[i].Time)
	}
	return t
}

// Equal says whether v and w have seen the same.
func (v Vector) Equal(w Vector) bool { return slices.Equal(v, w) }

var errVectorOrder = errors.New("vector entries are not sorted by actor, or an actor stands in it twice")

// Validate checks what every function here takes for granted: entries sorted by actor, each once, none of them zero.
func (v Vector) Validate() error {
	for i := range v {
		if err := v[i].validate(); err != nil {
			return err
		}
		if i > 0 && v[i-1].Actor >= v[i].Actor {
			return errVectorOrder
		}
	}
	return nil
}
