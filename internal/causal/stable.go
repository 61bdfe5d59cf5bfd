package causal

import "slices"

// Compact is o as it is stored where the events of a stable vector are known to everyone: without the entries that it covers,
// but for those that a sibling's dot gives anyway. It says whether anything was left out; Expand puts it back. Without that o itself is
// returned. Source: Gonçalves et al., "DottedDB", §4 (causal stability).
func (o Object) Compact(stable Vector) (compact Object, less bool) {
	if len(stable) == 0 || !slices.ContainsFunc(o.Vector, func(e Entry) bool { return stable.Covers(e) && e.Time > o.lastOf(e.Actor) }) {
		return o, false
	}
	v := make(Vector, 0, len(o.Vector))
	for _, e := range o.Vector {
		if stable.Covers(e) {
			e.Time = o.lastOf(e.Actor)
		}
		if e.Time > 0 {
			v = append(v, e)
		}
	}
	return Object{Vector: v, Siblings: o.Siblings}, true
}

// lastOf is the greatest time among the siblings of an actor, zero if there is none.
func (o Object) lastOf(a Actor) (t Timestamp) {
	for i := range o.Siblings {
		if d := o.Siblings[i].Dot; d.Actor == a {
			t = max(t, d.Time)
		}
	}
	return t
}

// Expand is o as it is judged and sent: everything stable has been seen. Where the vector covers stable, o itself is returned; else
// the vector is made in the memory of buf as far as it goes.
func (o Object) Expand(stable Vector, buf Vector) Object {
	if o.Vector.CoversAll(stable) {
		return o
	}
	o.Vector = appendJoin(buf[:0], o.Vector, stable)
	return o
}

func appendJoin(dst, v, w Vector) Vector {
	for len(v) > 0 && len(w) > 0 {
		switch a, b := v[0], w[0]; {
		case a.Actor < b.Actor:
			dst, v = append(dst, a), v[1:]
		case b.Actor < a.Actor:
			dst, w = append(dst, b), w[1:]
		default:
			dst = append(dst, Entry{a.Actor, max(a.Time, b.Time)})
			v, w = v[1:], w[1:]
		}
	}
	return append(append(dst, v...), w...)
}

// Settled says whether nothing of o need be remembered any longer: it shows nothing, and everything that it has seen is stable. expired
// is the time, in milliseconds since the epoch, up to which what expires counts as deleted.
func (o Object) Settled(stable Vector, expired int64) bool {
	for i := range o.Siblings {
		s := &o.Siblings[i]
		if !s.Tombstone && (s.ExpiresAt == 0 || s.ExpiresAt > expired) {
			return false
		}
	}
	return stable.CoversAll(o.Vector)
}
