package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Scan implements coordinator.Replica. It scans on the caller's goroutine and calls done before it returns. The page
// belongs to the caller. More may be true though nothing follows. Errors: context.DeadlineExceeded, storage.ErrClosed, and
// one that wraps coordinator.ErrUnknownKey where the engine has lost keys without knowing which, in the range of the page if that much is known: no page could vouch for
// what is absent from it.
func (r *Replica) Scan(deadline time.Time, req coordinator.ScanRequest, done func(*coordinator.ScanPage, error)) {
	if expired(deadline) {
		done(nil, context.DeadlineExceeded)
		return
	}
	if r.unfilledAmong(req.Partitions) && !planted.On(planted.ServeUnfilled) {
		done(nil, errUnfilled)
		return
	}
	s := scan{r: r, req: req, deadline: deadline, page: &coordinator.ScanPage{}}
	if req.Partitions != nil {
		s.wanted = partitionSet(req.Partitions, r.opts.Table.PartitionCount())
	}
	if err := s.run(); err != nil {
		done(nil, err)
		return
	}
	if r.unknownAll.Load() {
		done(nil, coordinator.ErrUnknownKey)
		return
	}
	if n := len(s.page.Items); n > 1 && planted.On(planted.ShortPage) {
		s.page.Items = s.page.Items[:n-1]
	}
	done(s.page, nil)
}

// scan is one page in the making.
type scan struct {
	r        *Replica
	req      coordinator.ScanRequest
	deadline time.Time
	wanted   []uint64 // a bit for each partition; nil is all
	scanned  int      // records looked at
	late     bool     // the deadline has passed
	bytes    int
	arena    arena
	slots    []slot // not used yet
	page     *coordinator.ScanPage
}

func (s *scan) run() error {
	rng := storage.Range{Reverse: s.req.Reverse, KeysOnly: s.req.HeadsOnly, Select: s.visit}
	if len(s.req.Start) > 0 {
		rng.Start = s.req.Start
	}
	if len(s.req.End) > 0 {
		rng.End = s.req.End
	}
	for rec, err := range s.r.engine.Scan(rng) {
		var corrupt *storage.CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			return err
		}
		if s.late {
			return context.DeadlineExceeded
		}
		if corrupt != nil && corrupt.Ranged && rec.Key == nil {
			return fmt.Errorf("%w: %w", coordinator.ErrUnknownKey, err)
		}
		if s.wants(rec.Key) {
			s.add(&rec, err)
		}
		if s.full() {
			s.page.More, s.page.Resume = true, s.after(rec.Key)
			return nil
		}
	}
	return nil
}

// visit is asked by the engine for each record before it is read. The last that the scan may look at is let through
// whatever it is, so that the loop gets to end there.
func (s *scan) visit(key, _ []byte) bool {
	s.scanned++
	s.late = s.late || s.scanned%deadlineEvery == 0 && expired(s.deadline)
	return s.late || s.scanned >= s.req.ScannedMax || s.wants(key)
}

func (s *scan) wants(key []byte) bool {
	if s.wanted == nil {
		return true
	}
	p := s.r.opts.Table.Partition(key)
	return s.wanted[p/64]>>(p%64)&1 == 1
}

func (s *scan) full() bool {
	return len(s.page.Items)+len(s.page.Unknown) >= s.req.ItemsMax || s.bytes >= s.req.BytesMax || s.scanned >= s.req.ScannedMax
}

// after is where the next page starts: past key in the direction of the scan.
func (s *scan) after(key []byte) []byte {
	if s.req.Reverse {
		return bytes.Clone(key)
	}
	return append(slices.Clip(bytes.Clone(key)), 0)
}

// add takes a record into the page, or its key into Unknown where it cannot be read.
func (s *scan) add(rec *storage.Record, err error) {
	key := s.arena.copy(rec.Key)
	s.bytes += len(rec.Key) + len(rec.Meta) + len(rec.Value)
	if len(s.slots) == 0 {
		s.slots = make([]slot, slotsAtOnce)
	}
	o := s.slots[0].object()
	s.slots = s.slots[1:]
	if err == nil {
		err = s.decode(&o, rec)
	}
	if err != nil {
		s.r.unreadable.Add(1)
		s.page.Unknown = append(s.page.Unknown, key)
		return
	}
	expand(&o, s.r.partition(key))
	s.page.Items = append(s.page.Items, coordinator.Item{Key: key, Object: o})
}

func (s *scan) decode(o *causal.Object, rec *storage.Record) error {
	if !s.req.HeadsOnly {
		return causal.DecodeStored(o, rec.Meta, s.arena.copy(rec.Value))
	}
	complete, err := causal.DecodeMeta(o, rec.Meta)
	if err != nil || complete {
		return err
	}
	return s.r.readHeadsFromValue(o, rec.Key)
}

// unfilledAmong says whether one of some partitions is not filled, or of all where none are named.
func (r *Replica) unfilledAmong(ids []ring.PartitionID) bool {
	if ids == nil {
		return len(r.Unfilled()) > 0
	}
	return slices.ContainsFunc(ids, func(p ring.PartitionID) bool { return int(p) < len(r.share.parts) && !r.Filled(p) })
}

func partitionSet(ids []ring.PartitionID, count int) []uint64 {
	set := make([]uint64, (count+63)/64)
	for _, p := range ids {
		if int(p) < count {
			set[p/64] |= 1 << (p % 64)
		}
	}
	return set
}

// slotsAtOnce is how many objects of a page share an allocation.
const slotsAtOnce = 32

// arena copies short slices into few allocations.
type arena struct{ free []byte }

const arenaBytes = 32 << 10

func (a *arena) copy(b []byte) []byte {
	if len(b) > arenaBytes/4 {
		return bytes.Clone(b)
	}
	if len(b) > len(a.free) {
		a.free = make([]byte, arenaBytes)
	}
	c := a.free[:len(b):len(b)]
	a.free = a.free[len(b):]
	copy(c, b)
	return c
}
