package causal

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

// Join is what two replicas hold together: the vectors entry by entry, and each sibling that both hold or that the
// other side's vector does not cover. It is commutative, associative and idempotent. Where a side already is the
// result, its own slices are returned; no values are copied in any case.
//
// Two siblings with the same dot are the same write, and either is kept; if they differ all the same (a value's bytes
// may be dropped once it has expired), the one that more says the same on every replica: see richness.
func Join(a, b Object) Object {
	return Object{Vector: a.Vector.Join(b.Vector), Siblings: joinSiblings(a, b)}
}

func joinSiblings(a, b Object) []Sibling {
	kept, fromA, fromB := 0, 0, 0 // fromA counts the kept ones that may be taken from a
	eachJoined(a, b, func(_ *Sibling, side int) {
		kept++
		if side <= 0 {
			fromA++
		}
		if side >= 0 {
			fromB++
		}
	})
	if kept == 0 {
		return nil
	}
	if fromA == kept && len(a.Siblings) == kept {
		return a.Siblings
	}
	if fromB == kept && len(b.Siblings) == kept {
		return b.Siblings
	}
	out := make([]Sibling, 0, kept)
	eachJoined(a, b, func(s *Sibling, _ int) { out = append(out, *s) })
	return out
}

// eachJoined calls keep, in dot order, for each sibling that Join keeps. side is -1 where it is a's, +1 where it is b's, 0
// where both hold the same.
func eachJoined(a, b Object, keep func(s *Sibling, side int)) {
	as, bs := a.Siblings, b.Siblings
	for len(as) > 0 && len(bs) > 0 {
		x, y := &as[0], &bs[0]
		order := x.Dot.Compare(y.Dot)
		switch {
		case order < 0:
			if !b.Vector.Covers(x.Dot) {
				keep(x, -1)
			}
		case order > 0:
			if !a.Vector.Covers(y.Dot) {
				keep(y, +1)
			}
		default:
			if side := -richness(x, y); side > 0 {
				keep(y, side)
			} else {
				keep(x, side)
			}
		}
		if order <= 0 {
			as = as[1:]
		}
		if order >= 0 {
			bs = bs[1:]
		}
	}
	for i := range as {
		if !b.Vector.Covers(as[i].Dot) {
			keep(&as[i], -1)
		}
	}
	for i := range bs {
		if !a.Vector.Covers(bs[i].Dot) {
			keep(&bs[i], +1)
		}
	}
}

// richness is +1 if x is to be kept rather than y, which has the same dot, -1 if y is, 0 if they are the same: an order on
// everything else that a sibling has, so that replicas agree even where a broken promise gave one dot to two values.
func richness(x, y *Sibling) int {
	if c := cmp.Compare(len(x.Value), len(y.Value)); c != 0 {
		return c
	}
	if x.Tombstone != y.Tombstone {
		if x.Tombstone {
			return +1
		}
		return -1
	}
	if c := cmp.Compare(x.ExpiresAt, y.ExpiresAt); c != 0 {
		return c
	}
	return bytes.Compare(x.Value, y.Value)
}

// Put is what a replica holds after a write: local is what it held, s the written value under a new dot, which must
// exceed every time in local and in seen. With a causal context (hasContext) the write supersedes the siblings that seen covers
// and leaves the rest; without one it has seen all that local holds. The new object shares no slices with local but the
// values of siblings that are left.
func Put(local Object, seen Vector, hasContext bool, s Sibling) Object {
	left := Survivors(local, seen, hasContext)
	out := Object{Vector: local.Vector.Join(seen).With(s.Dot), Siblings: make([]Sibling, 0, left+1)}
	for i := 0; left > 0; i++ {
		if old := local.Siblings[i]; !seen.Covers(old.Dot) {
			out.Siblings = append(out.Siblings, old)
			left--
		}
	}
	at, _ := slices.BinarySearchFunc(out.Siblings, s.Dot, func(x Sibling, d Dot) int { return x.Dot.Compare(d) })
	out.Siblings = slices.Insert(out.Siblings, at, s)
	return out
}

// Survivors is how many siblings of local a write that has seen this leaves beside its own.
func Survivors(local Object, seen Vector, hasContext bool) int {
	n := 0
	for i := range local.Siblings {
		if hasContext && !seen.Covers(local.Siblings[i].Dot) {
			n++
		}
	}
	return n
}

// Winner is the sibling that a plain get returns: the one with the greatest time, ties by the greater actor. It may be
// a tombstone or expired. It is false if there is none.
func (o Object) Winner() (Sibling, bool) {
	if len(o.Siblings) == 0 {
		return Sibling{}, false
	}
	w := 0
	for i := range o.Siblings {
		if o.Siblings[i].Dot.Time >= o.Siblings[w].Dot.Time { // sorted by actor: the last of equal times is the greater actor
			w = i
		}
	}
	return o.Siblings[w], true
}

// ValueBytes is how many bytes the values of all siblings take.
func (o Object) ValueBytes() (n int) {
	for i := range o.Siblings {
		n += len(o.Siblings[i].Value)
	}
	return n
}

// IsZero says whether nothing was ever seen.
func (o Object) IsZero() bool { return len(o.Vector) == 0 && len(o.Siblings) == 0 }

// Heads is the object with siblings that have no values.
func (o Object) Heads() Object {
	heads := slices.Clone(o.Siblings)
	for i := range heads {
		heads[i].Value = nil
	}
	return Object{Vector: o.Vector, Siblings: heads}
}

// Clone is a copy that shares no memory with o.
func (o Object) Clone() Object {
	c := Object{Vector: slices.Clone(o.Vector), Siblings: slices.Clone(o.Siblings)}
	for i := range c.Siblings {
		c.Siblings[i].Value = slices.Clone(c.Siblings[i].Value)
	}
	return c
}

// SameHeads says whether a and b have seen the same and hold siblings with the same dots and flags: then a join of
// one into the other changes nothing. Values are not looked at.
func (o Object) SameHeads(p Object) bool {
	return o.Vector.Equal(p.Vector) && slices.EqualFunc(o.Siblings, p.Siblings, func(x, y Sibling) bool {
		return x.Dot == y.Dot && x.Tombstone == y.Tombstone && x.ExpiresAt == y.ExpiresAt
	})
}

// Equal says whether o and p are the same, values and all.
func (o Object) Equal(p Object) bool {
	return o.SameHeads(p) && slices.EqualFunc(o.Siblings, p.Siblings, func(x, y Sibling) bool {
		return bytes.Equal(x.Value, y.Value)
	})
}

var (
	errSiblingOrder = errors.New("siblings are not sorted by dot, or a dot stands among them twice")
	errUncovered    = errors.New("a sibling's dot is not covered by the object's vector")
	errTombstone    = errors.New("a tombstone has a value or an expiry")
	errExpiry       = errors.New("an expiry is negative")
)

// Validate checks what every function here takes for granted: a valid vector, and siblings sorted by dot, each once,
// all of them covered by the vector, tombstones without value and expiry.
func (o Object) Validate() error {
	if err := o.Vector.Validate(); err != nil {
		return err
	}
	for i := range o.Siblings {
		s := &o.Siblings[i]
		switch {
		case s.Dot.validate() != nil:
			return errDot
		case i > 0 && o.Siblings[i-1].Dot.Compare(s.Dot) >= 0:
			return errSiblingOrder
		case !o.Vector.Covers(s.Dot):
			return errUncovered
		case s.Tombstone && (len(s.Value) > 0 || s.ExpiresAt != 0):
			return errTombstone
		case s.ExpiresAt < 0:
			return errExpiry
		}
	}
	return nil
}
