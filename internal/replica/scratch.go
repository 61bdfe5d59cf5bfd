package replica

import (
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
)

// scratch is memory that a mutation uses for one key after the other, and again in its next life.
type scratch struct {
	local causal.Object
	// own and full are the memory of local's vector: what is stored of it, and all of it.
	own, full   causal.Vector
	meta, value []byte
}

// scratchBytesKept bounds what an idle mutation holds on to.
const scratchBytesKept = 64 << 10

// encode is the stored form of o, without what is implied. It is valid until the next call; the value may be that of a sibling.
func (s *scratch) encode(o causal.Object, implied causal.Vector) (meta, value []byte) {
	o, less := o.Compact(implied)
	s.meta = causal.AppendMeta(s.meta[:0], o)
	if less {
		causal.MarkCompact(s.meta)
	}
	value = causal.StoredValue(o, s.value[:0])
	if len(o.Siblings) != 1 {
		s.value = value
	}
	return s.meta, value
}

func (s *scratch) release() {
	if cap(s.value) > scratchBytesKept {
		s.value = nil
	}
	s.local.Siblings = s.local.Siblings[:cap(s.local.Siblings)]
	clear(s.local.Siblings) // their values are the engine's
}

// decode sets local to what the replica holds for a key of a partition, with values if the engine has them at hand. It is false
// where the object can only be told from the value. The error is coordinator.ErrUnknownKey.
func (s *scratch) decode(r *Replica, p *partition, cur *storage.Current) (complete bool, err error) {
	o := &s.local
	o.Vector = s.own
	switch filled := p.filled.Load(); {
	case !filled && cur.State != storage.Present:
		// It may have been here before: what it had seen is not known, not even that it had seen what is stable.
		o.Vector, o.Siblings = o.Vector[:0], o.Siblings[:0]
		return true, nil
	case cur.State == storage.Absent:
		o.Vector, o.Siblings = o.Vector[:0], o.Siblings[:0]
		complete = true
	case cur.State == storage.Unknown:
		err = coordinator.ErrUnknownKey
	case cur.HasValue:
		complete, err = true, causal.DecodeStored(o, cur.Meta, cur.Value)
	default:
		complete, err = causal.DecodeMeta(o, cur.Meta)
	}
	if err != nil {
		// A record that passed its checksum and is no object is as unreadable as one that did not.
		r.unreadable.Add(1)
		return false, coordinator.ErrUnknownKey
	}
	s.own = o.Vector
	if implied := p.impliedBy(cur.Meta); complete && !o.Vector.CoversAll(implied) {
		*o = o.Expand(implied, s.full)
		s.full = o.Vector
	}
	return complete, nil
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && time.Until(deadline) <= 0 }
