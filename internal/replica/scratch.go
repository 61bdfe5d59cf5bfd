package replica

import (
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
)

// scratch is memory that a mutation uses for one key after the other, and again in its next life.
type scratch struct {
	local       causal.Object
	meta, value []byte
}

// scratchBytesKept bounds what an idle mutation holds on to.
const scratchBytesKept = 64 << 10

// encode is the stored form of o. It is valid until the next call; the value may be that of a sibling.
func (s *scratch) encode(o causal.Object) (meta, value []byte) {
	s.meta = causal.AppendMeta(s.meta[:0], o)
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

// decode sets o to what the engine holds for a key, with values if it has them at hand. It is false where the object can
// only be told from the value. The error is coordinator.ErrUnknownKey.
func (r *Replica) decode(o *causal.Object, cur *storage.Current) (complete bool, err error) {
	switch {
	case cur.State == storage.Absent:
		o.Vector, o.Siblings = o.Vector[:0], o.Siblings[:0]
		return true, nil
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
	return complete, nil
}

func expired(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }
