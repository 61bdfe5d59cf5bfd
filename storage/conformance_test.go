package storage

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
)

// script is a random sequence of operations on an engine and on the model.
type script struct {
	t    *testing.T
	rng  *rand.Rand
	at   place
	pool []string
	e    *Engine
	m    *model
	held []*heldScan
}

// heldScan is a scan that is kept open while other things go on, with what it is still to show.
type heldScan struct {
	next func() (Record, error, bool)
	stop func()
	want []string
}

// TestConformance does random operations on engines of random settings, on both file systems, and compares all that they say
// with a sorted map.
func TestConformance(t *testing.T) {
	t.Parallel()
	eachSeed(t, 60, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := &script{t: t, rng: rng, at: somePlace(t, rng), pool: keyPool(rng), m: newModel()}
		s.e = s.at.open(t, someOptions(rng))
		defer s.close()
		for range 250 {
			s.step()
		}
		mustHold(t, s.e, s.m, s.pool)
	})
}

func (s *script) close() {
	for _, h := range s.held {
		h.stop()
	}
	mustClose(s.t, s.e)
}

func (s *script) key() string { return oneOf(s.rng, s.pool...) }

func (s *script) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// step does one operation. Writes come first, reads after them.
func (s *script) step() {
	switch n := s.rng.IntN(100); {
	case n < 25:
		k, v := s.key(), someValue(s.rng)
		s.must("put", s.e.Put([]byte(k), []byte(v)))
		s.m.put(k, "", v)
	case n < 40:
		k, meta, v := s.key(), someMeta(s.rng), someValue(s.rng)
		s.must("put", s.e.PutMeta([]byte(k), []byte(meta), []byte(v)))
		s.m.put(k, meta, v)
	case n < 50:
		k := s.key()
		s.must("delete", s.e.Delete([]byte(k)))
		s.m.delete(k)
	case n < 58:
		s.apply()
	case n < 66:
		s.update()
	case n < 74:
		mustRead(s.t, s.e, s.m, s.key())
	case n < 82:
		s.scan()
	case n < 86:
		s.hold()
	case n < 93:
		s.advance()
	case n < 95:
		s.merge()
	case n < 97:
		s.reopen()
	case n < 98:
		s.verify()
	default:
		mustHold(s.t, s.e, s.m, s.pool)
	}
}

// apply writes a batch in which keys may come more than once.
func (s *script) apply() {
	var b Batch
	for range s.rng.IntN(12) {
		if k := s.key(); s.rng.IntN(4) == 0 {
			b.Delete([]byte(k))
			s.m.delete(k)
		} else {
			meta, v := someMeta(s.rng), someValue(s.rng)
			b.PutMeta([]byte(k), []byte(meta), []byte(v))
			s.m.put(k, meta, v)
		}
	}
	s.must("apply", s.e.Apply(&b))
}

// update decides on several keys, with their values or without, and writes some of them.
func (s *script) update() {
	var keys [][]byte
	for range 1 + s.rng.IntN(4) {
		if k := []byte(s.key()); !slices.ContainsFunc(keys, func(o []byte) bool { return string(o) == string(k) }) {
			keys = append(keys, k)
		}
	}
	withValues, nothing, meta, value := s.rng.IntN(2) == 0, s.rng.IntN(5) == 0, someMeta(s.rng), someValue(s.rng)
	refuse := errors.New("refused")
	refused := s.rng.IntN(6) == 0
	err := s.e.Update(keys, func(cur []Current, w *Writes) error {
		for i := range cur {
			want, present := s.m.records[string(keys[i])]
			switch {
			case present != (cur[i].State == Present) || cur[i].State == Unknown || string(cur[i].Meta) != want.meta:
				return fmt.Errorf("key %.40q: state %d, meta %q; want %v, %q", keys[i], cur[i].State, cur[i].Meta, present, want.meta)
			case withValues && present && !cur[i].HasValue:
				return ErrNeedValues
			case cur[i].HasValue && string(cur[i].Value) != want.value:
				return fmt.Errorf("key %.40q: value of %d bytes, want %d", keys[i], len(cur[i].Value), len(want.value))
			}
		}
		if nothing {
			return nil
		}
		for i := range keys {
			if i%3 == 2 {
				w.Delete(keys[i])
			} else {
				w.Put(keys[i], []byte(meta), []byte(value))
			}
		}
		if refused {
			return refuse
		}
		return nil
	})
	if !nothing && refused && errors.Is(err, refuse) {
		return
	}
	s.must("update", err)
	for i := range keys {
		switch {
		case nothing:
		case i%3 == 2:
			s.m.delete(string(keys[i]))
		default:
			s.m.put(string(keys[i]), meta, value)
		}
	}
}

func (s *script) someRange() Range {
	r := Range{Reverse: s.rng.IntN(2) == 0, KeysOnly: s.rng.IntN(4) == 0}
	if s.rng.IntN(2) == 0 {
		r.Start = []byte(s.key())
	}
	if s.rng.IntN(2) == 0 {
		r.End = []byte(s.key())
	}
	if s.rng.IntN(4) == 0 {
		r.Select = func(key, meta []byte) bool { return (len(key)+len(meta))%2 == 0 }
	}
	return r
}

// scan runs a scan to its end or stops it before.
func (s *script) scan() {
	r := s.someRange()
	want := s.m.scan(r)
	if s.rng.IntN(3) > 0 {
		mustScan(s.t, s.e, r, want)
		return
	}
	n := s.rng.IntN(5)
	for rec, err := range s.e.Scan(r) {
		s.must("scan", err)
		if len(want) == 0 || line(rec) != want[0] {
			s.t.Fatalf("scan %s: %.100s, want %.100v", showRange(r), line(rec), want)
		}
		if want = want[1:]; n == 0 {
			return
		}
		n--
	}
}

// hold begins a scan that stays open.
func (s *script) hold() {
	if len(s.held) == 4 {
		s.held[0].stop()
		s.held = s.held[1:]
	}
	r := s.someRange()
	next, stop := iter.Pull2(s.e.Scan(r))
	h := &heldScan{next, stop, s.m.scan(r)}
	s.held = append(s.held, h)
	s.pull(h)
}

// advance goes on with a scan that was begun before.
func (s *script) advance() {
	if len(s.held) == 0 {
		return
	}
	h := oneOf(s.rng, s.held...)
	for range 1 + s.rng.IntN(20) {
		s.pull(h)
	}
}

// pull takes the next record of a held scan, which has to be of the state at its beginning.
func (s *script) pull(h *heldScan) {
	rec, err, ok := h.next()
	switch {
	case !ok && len(h.want) > 0:
		s.t.Fatalf("held scan ends before %.100s", h.want[0])
	case !ok:
		return
	case err != nil:
		s.t.Fatalf("held scan: %v", err)
	case len(h.want) == 0 || line(rec) != h.want[0]:
		s.t.Fatalf("held scan: %.100s, want %.100v", line(rec), h.want)
	}
	h.want = h.want[1:]
}

// merge merges all there is: nothing but what is live is left.
func (s *script) merge() {
	s.must("merge", s.e.Merge(context.Background()))
	if n := s.e.Stats().Keys; n != int64(len(s.m.records)) {
		s.t.Fatalf("%d keys after a merge, want %d", n, len(s.m.records))
	}
	if n := len(s.e.index.runs()); n > 1 {
		s.t.Fatalf("%d runs after a merge of all", n)
	}
}

// reopen closes the engine, which ends the scans under way, and opens it with other settings.
func (s *script) reopen() {
	mustClose(s.t, s.e)
	for _, h := range s.held {
		if _, err, ok := h.next(); len(h.want) > 0 && (!ok || !errors.Is(err, ErrClosed)) {
			s.t.Fatalf("scan of a closed engine: %v %v", ok, err)
		}
		h.stop()
	}
	s.held = nil
	if n := s.e.Stats().LastSeq; n != s.m.seq {
		s.t.Fatalf("last record is %d, want %d", n, s.m.seq)
	}
	o := someOptions(s.rng)
	o.KnownSeq = s.m.seq
	s.e = s.at.open(s.t, o)
	if r := s.e.Recovery(); len(r.Damage) > 0 || r.TornBytes > 0 {
		s.t.Fatalf("recovery after a clean close: %+v", r)
	}
	mustHold(s.t, s.e, s.m, s.pool)
}

func (s *script) verify() {
	d, err := s.e.Verify(context.Background(), nil)
	if err != nil || len(d) > 0 {
		s.t.Fatalf("verify: %v %v", d, err)
	}
}
