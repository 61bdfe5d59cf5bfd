package replica

import (
	"context"
	"errors"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/storage"
)

// deadlineEvery is how many keys or records are read between two looks at the clock.
const deadlineEvery = 64

// Read implements coordinator.Replica. It reads on the caller's goroutine and calls done before it returns. What done is
// handed belongs to the caller. A key whose record cannot be read is coordinator.ReadUnknown; once the values fill ReadBytesMax
// the keys that are left are coordinator.ReadOmitted.
// Errors: context.DeadlineExceeded, storage.ErrClosed.
func (r *Replica) Read(
	deadline time.Time, keys [][]byte, want coordinator.ReadWant, done func([]coordinator.ReadItem, error),
) {
	items := make([]coordinator.ReadItem, len(keys))
	slots := make([]slot, len(keys))
	bytes := 0
	for i, key := range keys {
		if bytes >= r.opts.ReadBytesMax {
			items[i].State = coordinator.ReadOmitted
			continue
		}
		if i%deadlineEvery == 0 && expired(deadline) {
			done(nil, context.DeadlineExceeded)
			return
		}
		o := slots[i].object()
		err := r.readFilled(&o, key, want)
		switch {
		case err == nil:
			items[i].Object = o
			bytes += o.ValueBytes()
		case errors.Is(err, storage.ErrClosed):
			done(nil, err)
			return
		default:
			r.unreadable.Add(1)
			items[i].State = coordinator.ReadUnknown
		}
	}
	done(items, nil)
}

// readFilled reads what the replica vouches for.
func (r *Replica) readFilled(o *causal.Object, key []byte, want coordinator.ReadWant) error {
	part := r.partition(key)
	if !part.filled.Load() && !planted.On(planted.ServeUnfilled) {
		return errUnfilled
	}
	err := r.read(o, key, want)
	if err == nil || errors.Is(err, storage.ErrNotFound) {
		expand(o, part)
		return nil
	}
	return err
}

// expand puts back what the partition's stable vector implies.
func expand(o *causal.Object, part *partition) {
	stable := part.stableVector()
	if o.Vector.CoversAll(stable) {
		return
	}
	if own, room := len(o.Vector), cap(o.Vector); own+len(stable) <= room {
		all := o.Vector[:room] // the vector's own memory has room behind it
		*o = o.Expand(stable, all[own:own:room])
		return
	}
	*o = o.Expand(stable, nil)
}

// read reads what is stored, as it is stored.
func (r *Replica) read(o *causal.Object, key []byte, want coordinator.ReadWant) error {
	if want == coordinator.WantHeads {
		return r.readHeads(o, key)
	}
	rec, err := r.engine.Read(key, nil)
	if err != nil {
		return err
	}
	return causal.DecodeStored(o, rec.Meta, rec.Value)
}

// readHeads reads no value unless the heads stand in it.
func (r *Replica) readHeads(o *causal.Object, key []byte) error {
	buf, _ := r.metas.Get().(*metaBuffer)
	if buf == nil {
		buf = new(metaBuffer)
	}
	defer r.metas.Put(buf)
	meta, err := r.engine.Meta(key, buf[:0])
	if err != nil {
		return err
	}
	complete, err := causal.DecodeMeta(o, meta)
	if err != nil || complete {
		return err
	}
	return r.readHeadsFromValue(o, key)
}

type metaBuffer [causal.MetaBytesMax]byte

func (r *Replica) readHeadsFromValue(o *causal.Object, key []byte) error {
	err := r.read(o, key, coordinator.WantValues)
	if err == nil {
		*o = o.Heads()
	}
	return err
}

// slot is the memory of an object of one sibling and one entry, which nearly all are, with the stable vector of three replicas: many
// are had in one allocation.
type slot struct {
	entry   [5]causal.Entry
	sibling [1]causal.Sibling
}

// object is an empty object that is decoded into the slot as far as it goes.
func (s *slot) object() causal.Object {
	return causal.Object{Vector: s.entry[:0], Siblings: s.sibling[:0]}
}
