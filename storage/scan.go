package storage

import (
	"bytes"
	"iter"

	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

// Scan visits the records in a range in key order. It shows the store as it is when the iteration begins, however
// long it lasts, and neither blocks writers nor waits for them; what it reads stays on the disk until it has ended. The slices
// of a Record are valid until the next step, and must not be changed.
//
// Beside a record that cannot be read stands a *CorruptError; its Key, and only that, is set, and the scan goes on. Where the
// error is Ranged, it stands for all keys of that range that the scan does not show otherwise, and there is no Key. Any
// other error (ErrClosed, *IOError) ends the scan. Where Stats.UnknownAll is set there may be keys that no scan knows of.
func (e *Engine) Scan(r Range) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		(&scanner{e: e, r: r, yield: yield}).scan(e.index.readView)
	}
}

// ScanObserved is Scan for who keeps something up to date by Options.Observer. Its moment lies between two calls of the Observer,
// and began is called at that moment: all that the Observer was told before is in what the scan shows, nothing of what it is told
// afterwards is. So a record that has expired is shown until a merge drops it, which the Observer is told of, and not before.
//
// began runs while writes wait: it must not block, write or scan. It is not called if the engine is closed. Without an Observer it
// is called once the moment is taken, and there are no promises about it.
func (e *Engine) ScanObserved(r Range, began func()) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s := &scanner{e: e, r: r, yield: yield, showExpired: true}
		s.scan(func() view {
			e.telling.Lock()
			defer e.telling.Unlock()
			v := e.index.view()
			began()
			return v
		})
	}
}

// scanner walks the tiers side by side.
type scanner struct {
	e        *Engine
	r        Range
	yield    func(Record, error) bool
	segments *segmentTable
	// tiers are the sources, the youngest first.
	tiers []tier
	// lost are the damaged ranges of runs that the scan has come to.
	lost []lostRange
	buf  []byte
	// buckets, which rise, are those to be shown, and want tells their keys; nil shows all.
	buckets []uint32
	want    func(key []byte) bool
	// showExpired has records shown that have expired.
	showExpired bool
	// outside says that it is the caller's code that runs.
	outside bool
}

// scan walks the view that moment takes.
func (s *scanner) scan(moment func() view) {
	e := s.e
	ticket := e.pins.pin()
	defer e.pins.unpin(ticket)
	if e.closed.Load() {
		s.yield(Record{}, ErrClosed)
		return
	}
	v := moment()
	defer v.release()
	s.segments = v.segments
	s.open(v)
	if fault := vfs.Guard(s.run); fault != nil {
		if s.outside {
			panic(fault) // it is not ours
		}
		s.yield(Record{}, &IOError{"read", e.dir, fault})
	}
}

// tier is one source of a scan, standing at key, or at its end if ok is false.
type tier struct {
	mem *memWalk
	run *runFile
	it  *run.Iterator
	key []byte
	// unbounded stands for a key that is behind all keys: the end of a damaged block.
	unbounded bool
	ok        bool
}

// lostRange is what a damaged block of a tier may have held.
type lostRange struct {
	tier       int
	first, end []byte
}

func (s *scanner) open(v view) {
	var mem tier
	mem.mem, mem.ok = v.walk(&s.r, s.want)
	mem.settle(&s.r)
	s.tiers = append(make([]tier, 0, 1+len(v.runs)), mem)
	for _, r := range v.runs {
		o := run.IterOptions{Start: s.r.Start, End: s.r.End, ReadAhead: true}
		if s.buckets != nil {
			o.Blocks = s.blocksOf(r)
		}
		s.tiers = append(s.tiers, tier{run: r, it: r.reader.Iter(o)})
	}
}

// settle takes the key that the tier has come to.
func (t *tier) settle(r *Range) {
	switch {
	case !t.ok:
	case t.it == nil:
		t.key = t.mem.key()
		t.ok = !r.past(t.key)
	case t.it.Damage() == nil:
		t.key, t.unbounded = t.it.Record().Key, false
	case r.Reverse:
		t.key = t.it.Damage().EndKey
		t.unbounded = t.key == nil
	default:
		t.key = t.it.Damage().FirstKey
	}
}

func (t *tier) step(r *Range) {
	switch {
	case t.it == nil:
		t.ok = t.mem.next()
	case r.Reverse:
		t.ok = t.it.Prev()
	default:
		t.ok = t.it.Next()
	}
	t.settle(r)
}

// step moves a tier on to a key that is wanted.
func (s *scanner) step(t *tier) {
	for t.step(&s.r); s.want != nil && t.ok && t.it != nil && !t.damaged() && !s.want(t.key); {
		t.step(&s.r)
	}
}

// ahead says whether the scan comes to t before it comes to u.
func (t *tier) ahead(u *tier, reverse bool) bool {
	if t.unbounded || u.unbounded {
		return t.unbounded && !u.unbounded
	}
	c := bytes.Compare(t.key, u.key)
	return c < 0 && !reverse || c > 0 && reverse
}

// run visits the records. It stops when the caller has had enough.
func (s *scanner) run() {
	for i := range s.tiers {
		t := &s.tiers[i]
		if t.it != nil {
			s.step(t)
		}
		if !s.sound(t) {
			return
		}
	}
	for {
		at := s.next()
		if at < 0 || !s.visit(at) {
			return
		}
		if !s.advance(at) {
			return
		}
	}
}

// next is the tier whose record comes next; of several with the same key the youngest.
func (s *scanner) next() int {
	at := -1
	for i := range s.tiers {
		if t := &s.tiers[i]; t.ok && (at < 0 || t.ahead(&s.tiers[at], s.r.Reverse)) {
			at = i
		}
	}
	return at
}

// advance goes past the key of a tier, in the older ones, too.
func (s *scanner) advance(at int) bool {
	t := &s.tiers[at]
	if !t.damaged() {
		for i := at + 1; i < len(s.tiers); i++ {
			if u := &s.tiers[i]; u.ok && !u.damaged() && bytes.Equal(t.key, u.key) {
				if s.step(u); !s.sound(u) {
					return false
				}
			}
		}
	}
	s.step(t)
	return s.sound(t)
}

func (t *tier) damaged() bool { return t.it != nil && t.it.Damage() != nil }

// sound says whether a tier can go on, or reports why it cannot.
func (s *scanner) sound(t *tier) bool {
	if t.ok || t.it == nil || t.it.Err() == nil {
		return true
	}
	return s.end(s.e.runFailed(t.run, t.it.Err()))
}

// end shows why the scan cannot go on. A file that Close has closed is no failure of its own.
func (s *scanner) end(err error) bool {
	if s.e.closed.Load() {
		err = ErrClosed
	}
	s.show(Record{}, err)
	return false
}

func (s *scanner) show(rec Record, err error) bool {
	s.outside = true
	more := s.yield(rec, err)
	s.outside = false
	return more
}

// visit shows what stands at the key of a tier, if it is anything to be shown.
func (s *scanner) visit(at int) bool {
	if s.e.closed.Load() {
		return s.end(ErrClosed)
	}
	t := &s.tiers[at]
	if t.it == nil {
		en := t.mem.at()
		return s.visitEntry(&en)
	}
	if d := t.it.Damage(); d != nil {
		s.lost = append(s.lost, lostRange{at, d.FirstKey, d.EndKey})
		return s.show(Record{}, s.e.runFailed(t.run, d))
	}
	return s.visitRecord(at, t.it.Record())
}

func (s *scanner) visitEntry(en *entry) bool {
	if !en.live() || !s.selects(en.key, en.meta) {
		return true
	}
	if err := s.e.absence(en, true); err != nil {
		return s.show(Record{Key: en.key}, err)
	}
	if s.r.KeysOnly {
		return s.show(Record{Key: en.key, Meta: en.meta, Seq: en.Seq, Bytes: en.recordBytes()}, nil)
	}
	f, err := s.e.readFrameIn(s.segments, en, s.buf)
	switch {
	case isCorrupt(err):
		return s.show(Record{Key: en.key}, err)
	case err != nil:
		return s.end(err)
	}
	s.buf = f.whole
	return s.show(newRecord(en.key, f.meta, f.value, f.seq), nil)
}

func (s *scanner) visitRecord(at int, rec *run.Record) bool {
	if rec.Flags&run.FlagTombstone != 0 || !s.selects(rec.Key, rec.Meta) {
		return true
	}
	err := s.e.damageOf(rec)
	for i := range s.lost {
		if l := &s.lost[i]; l.tier < at && l.mayHave(s.tiers[l.tier].run, rec.Key) {
			r := s.tiers[l.tier].run
			err = r.corrupt(&run.DamageError{FirstKey: l.first, EndKey: l.end, Reason: "a newer record may have been lost"})
		}
	}
	if err != nil {
		return s.show(Record{Key: rec.Key}, err)
	}
	shown := newRecord(rec.Key, rec.Meta, rec.Value, rec.Seq)
	if s.r.KeysOnly {
		shown.Value = nil
	}
	return s.show(shown, nil)
}

// mayHave says whether a key was among the lost ones. The run's filter is asked, as it is where a key is looked up: the two must agree.
func (l *lostRange) mayHave(r *runFile, key []byte) bool {
	return bytes.Compare(key, l.first) >= 0 && (l.end == nil || bytes.Compare(key, l.end) < 0) && r.reader.MayContain(run.Hash(key))
}

// selects says whether a record is one to be shown.
func (s *scanner) selects(key, meta []byte) bool {
	return (s.showExpired || !s.e.expired(meta)) && (s.r.Select == nil || s.r.Select(key, meta))
}
