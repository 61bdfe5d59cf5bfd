package replica

import (
	"bytes"
	"context"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/storage"
)

// Write implements coordinator.Local. A key whose record cannot be read fails with coordinator.ErrUnknownKey, one that
// would be left with too many siblings, or too many bytes of them, with coordinator.ErrTooManySiblings; the others are written all the same.
// The objects that decided gets belong to the caller; they share the values of ds.
//
// Errors of the whole before decided was called (effect none): context.DeadlineExceeded, coordinator.ErrOverloaded, what Serving
// says (ErrClosing, the write that failed before), those of the clock's ceiling, storage.ErrTooLarge, storage.ErrReadOnly,
// storage.ErrClosed. After it any error is of unknown effect, and the last that this replica wrote: it issues no more dots.
func (r *Replica) Write(deadline time.Time, ds []coordinator.Decision, decided func([]coordinator.Decided), durable func(error)) {
	err := r.Serving()
	size := sizeOf(ds)
	if err == nil {
		err = r.writing.take(size)
	}
	if err != nil {
		durable(err)
		return
	}
	m, _ := r.writes.Get().(*write)
	if m == nil {
		m = &write{r: r}
	}
	m.deadline, m.ds, m.decided, m.durable, m.size = deadline, ds, decided, durable, size
	m.out = make([]coordinator.Decided, len(ds))
	for i := range ds {
		m.keys = append(m.keys, ds[i].Key)
	}
	if err := r.engine.Submit(m); err != nil {
		m.Done(err)
	}
}

func sizeOf(ds []coordinator.Decision) int {
	size := 0
	for i := range ds {
		size += len(ds[i].Key) + len(ds[i].Value)
	}
	return size
}

// write is the mutation behind Write.
type write struct {
	r        *Replica
	size     int // what the budget was charged
	deadline time.Time
	ds       []coordinator.Decision
	decided  func([]coordinator.Decided)
	durable  func(error)
	keys     [][]byte
	out      []coordinator.Decided
	handed   bool
	actor    causal.Actor
	scratch
}

func (m *write) Keys() [][]byte { return m.keys }

func (m *write) Decide(cur []storage.Current, w *storage.Writes) error {
	if expired(m.deadline) {
		return context.DeadlineExceeded
	}
	if err := m.r.Serving(); err != nil {
		return err
	}
	m.actor = m.r.Actor()
	for i := range cur {
		if err := m.decide(i, &cur[i], w); err != nil {
			return err
		}
	}
	return nil
}

// decide decides one key. Its error is the whole mutation's; the key's own goes into out. Where the engine has the decision
// taken again, the dots that were issued before are used by nobody, ever.
func (m *write) decide(i int, cur *storage.Current, w *storage.Writes) error {
	d, out := &m.ds[i], &m.out[i]
	*out = coordinator.Decided{}
	part := m.r.partition(d.Key)
	if !part.filled.Load() {
		out.Err = errUnfilled
		return nil
	}
	complete, err := m.decode(m.r, part, cur)
	if err != nil {
		out.Err = err
		return nil
	}
	if !complete {
		return storage.ErrNeedValues
	}
	left := causal.Survivors(m.local, d.Context, d.HasContext)
	if left >= m.r.opts.SiblingsMax {
		out.Err = coordinator.ErrTooManySiblings
		return nil
	}
	if left > 0 && !cur.HasValue {
		return storage.ErrNeedValues
	}
	at, err := m.r.clock.Next(max(m.local.Vector.Max(), d.Context.Max()))
	if err != nil {
		return err
	}
	dot := causal.Dot{Actor: m.actor, Time: at}
	if last := m.local.Vector.Get(m.actor); last > 0 && planted.On(planted.ReuseDot) {
		dot.Time = last
	}
	next := causal.Put(m.local, d.Context, d.HasContext, siblingOf(d, dot))
	meta, value := m.encode(next, part.implied())
	if left > 0 {
		if len(value) > siblingsValuesMax*m.r.opts.ValueBytesMax {
			out.Err = coordinator.ErrTooManySiblings
			return nil
		}
		keepValues(next, dot)
	}
	w.Put(d.Key, meta, value)
	out.Dot, out.Object = dot, next
	return nil
}

func siblingOf(d *coordinator.Decision, dot causal.Dot) causal.Sibling {
	if d.Tombstone {
		return causal.Sibling{Dot: dot, Tombstone: true}
	}
	expires := d.ExpiresAt
	if expires < 0 {
		expires = 1 // before the epoch: it has expired just the same
	}
	return causal.Sibling{Dot: dot, ExpiresAt: expires, Value: d.Value}
}

// keepValues gives the siblings that were there before the write values of their own: the engine's are its only
// during the decision, and the object is handed out.
func keepValues(o causal.Object, written causal.Dot) {
	for i := range o.Siblings {
		if s := &o.Siblings[i]; s.Dot != written {
			s.Value = bytes.Clone(s.Value)
		}
	}
}

func (m *write) Decided() {
	m.handed = true
	m.decided(m.out)
}

func (m *write) Done(err error) {
	r, durable := m.r, m.durable
	if err != nil && m.handed {
		r.breakOff(err)
	}
	for i := range m.out {
		if err == nil && m.out[i].Err == nil && m.handed {
			r.partition(m.keys[i]).publish(m.out[i].Dot.Time)
		}
	}
	r.writing.give(m.size)
	clear(m.keys)
	m.scratch.release()
	*m = write{r: r, keys: m.keys[:0], scratch: m.scratch}
	r.writes.Put(m)
	durable(err)
}
