package storage

import (
	"bytes"
	"slices"
	"sync"

	"github.com/ringcask/ringcask/storage/internal/memindex"
	"github.com/ringcask/ringcask/storage/internal/run"
)

// Get appends the value of key to dst and returns the longer slice. It takes one index lookup and one read, and allocates
// only where dst has no room for the record. It sees what is durable under the sync policy and never waits for a sync.
// Errors: ErrNotFound, ErrClosed, *CorruptError (the key is Unknown), *IOError.
func (e *Engine) Get(key, dst []byte) ([]byte, error) {
	defer e.readers.leave(e.readers.enter())
	en, runs, ok, err := e.find(key)
	if err != nil {
		return dst, err
	}
	if !ok {
		return e.getSettled(runs, key, dst)
	}
	// The record is read behind dst's bytes, and its value then moved to their end: what is returned has room for as
	// large a record the next time.
	grown := slices.Grow(dst, int(en.Length))
	f, err := e.readFrame(&en, grown[len(grown):cap(grown)])
	if err != nil {
		return dst, err
	}
	return append(grown, f.value...), nil
}

func (e *Engine) getSettled(runs []*runFile, key, dst []byte) ([]byte, error) {
	grown, reason := dst, ErrNotFound
	found, err := e.settled(runs, key, func(rec run.Record) {
		if reason = e.absenceOf(&rec); reason == nil {
			grown = append(grown, rec.Value...)
		}
	})
	if err == nil {
		err = e.unfound(found, reason)
	}
	return grown, err
}

// Read returns one consistent record. Its Meta and Value stand in dst's storage beyond its length, if there is room,
// else in a new slice; Key is the caller's. Errors are those of Get.
func (e *Engine) Read(key, dst []byte) (Record, error) {
	defer e.readers.leave(e.readers.enter())
	en, runs, ok, err := e.find(key)
	if err != nil {
		return Record{}, err
	}
	if !ok {
		return e.readSettled(runs, key, dst)
	}
	f, err := e.readFrame(&en, dst[len(dst):cap(dst)])
	if err != nil {
		return Record{}, err
	}
	return newRecord(key, f.meta, f.value, f.seq), nil
}

func (e *Engine) readSettled(runs []*runFile, key, dst []byte) (Record, error) {
	r, reason := Record{Key: key}, ErrNotFound
	found, err := e.settled(runs, key, func(rec run.Record) {
		if reason = e.absenceOf(&rec); reason == nil {
			both := append(append(dst[len(dst):], rec.Meta...), rec.Value...)
			r = newRecord(key, both[:len(rec.Meta):len(rec.Meta)], both[len(rec.Meta):], rec.Seq)
		}
	})
	if err == nil {
		err = e.unfound(found, reason)
	}
	if err != nil {
		return Record{}, err
	}
	return r, nil
}

// Meta appends the meta of key to dst. It reads no value, and no file unless the key was merged.
// Errors: ErrNotFound, ErrClosed, *CorruptError (the key is Unknown), *IOError.
func (e *Engine) Meta(key, dst []byte) ([]byte, error) {
	defer e.readers.leave(e.readers.enter())
	if e.closed.Load() {
		return dst, ErrClosed
	}
	en, ok, err := e.stored(key, dst)
	if err == nil {
		err = e.absence(&en, ok)
	}
	if err == nil && e.expired(en.meta[len(dst):]) {
		err = ErrNotFound
	}
	if err != nil {
		return dst, err
	}
	return en.meta, nil
}

// stored is what the index or a run knows of a key, with its meta behind dst. What a run has is in no segment. The caller is one of
// readers, or is a goroutine that Close waits for.
func (e *Engine) stored(key, dst []byte) (en entry, ok bool, err error) {
	en, runs, ok := e.index.find(key, dst, true)
	if !ok {
		ok, err = e.storedInRuns(runs, key, &en)
	}
	return en, ok, err
}

// storedAt is stored for a change that follows: it says where the index has the key.
func (e *Engine) storedAt(key, dst []byte) (en entry, at memindex.Place, ok bool, err error) {
	en, at, runs, ok := e.index.findPlace(key, dst, true)
	if !ok {
		ok, err = e.storedInRuns(runs, key, &en)
	}
	return en, at, ok, err
}

func (e *Engine) storedInRuns(runs []*runFile, key []byte, en *entry) (ok bool, err error) {
	return e.settled(runs, key, func(rec run.Record) {
		en.meta = append(en.meta, rec.Meta...)
		en.Location = memindex.Location{Seq: rec.Seq, Flags: rec.Flags}
	})
}

// find looks a key up in the index for reading; without an entry, runs are where to look next. The caller is one of readers.
func (e *Engine) find(key []byte) (en entry, runs []*runFile, ok bool, err error) {
	if e.closed.Load() {
		return entry{}, nil, false, ErrClosed
	}
	if e.opts.ExpiresAt != nil {
		buf := metaBuffers.Get().(*metaBuffer)
		defer metaBuffers.Put(buf)
		en, runs, ok = e.index.find(key, buf[:0], true)
	} else {
		en, runs, ok = e.index.find(key, nil, false)
	}
	if !ok {
		return en, runs, false, nil
	}
	if err = e.absence(&en, true); err == nil && e.expired(en.meta) {
		err = ErrNotFound
	}
	en.meta = nil
	return en, nil, true, err
}

type metaBuffer [MetaBytesMax]byte

// metaBuffers are for the metas that say when a record expires.
var metaBuffers = sync.Pool{New: func() any { return new(metaBuffer) }}

// stateOf judges what is known of a key. What is older than damage that nobody can attribute to keys may have been
// overwritten or deleted in there.
func (e *Engine) stateOf(en *entry, ok bool) State {
	switch lost := e.lostSeq.Load(); {
	case !ok && lost > 0, ok && en.Seq <= lost, ok && en.Flags&flagUnreadable != 0:
		return Unknown
	case !ok || !en.live():
		return Absent
	}
	return Present
}

// absence is why there is no record to return, or nil.
func (e *Engine) absence(en *entry, ok bool) error {
	switch e.stateOf(en, ok) {
	case Present:
		return nil
	case Absent:
		return ErrNotFound
	}
	if ok && en.Flags&flagUnreadable != 0 {
		return en.corrupt("the key's newest record cannot be read")
	}
	return e.lostError
}

// absenceOf is absence for a record of a run, with its expiry.
func (e *Engine) absenceOf(rec *run.Record) error {
	err := e.damageOf(rec)
	if err == nil && e.expired(rec.Meta) {
		err = ErrNotFound
	}
	return err
}

// damageOf is absence for a record of a run, expired or not.
func (e *Engine) damageOf(rec *run.Record) error {
	en := entry{Location: memindex.Location{Seq: rec.Seq, Flags: rec.Flags}}
	return e.absence(&en, true)
}

// unfound is reason for a key that a run has said something of, and else the absence of one that nobody knows.
func (e *Engine) unfound(found bool, reason error) error {
	if found {
		return reason
	}
	return e.absence(&entry{}, false)
}

// expired says whether the meta is that of a record that has expired.
func (e *Engine) expired(meta []byte) bool {
	if e.opts.ExpiresAt == nil {
		return false
	}
	at := e.opts.ExpiresAt(meta)
	return at != 0 && at <= e.opts.Now().UnixNano()
}

// readFrame reads and checks the record that an entry points at, into buf if its capacity suffices. A record that
// fails the check is counted, and its key is Unknown from then on. The caller is one of readers, or is a goroutine that
// Close waits for.
func (e *Engine) readFrame(en *entry, buf []byte) (frame, error) {
	return e.readFrameIn(e.log.table.Load(), en, buf)
}

// readFrameIn is readFrame for an entry of a view, which may be in a segment that was merged since.
func (e *Engine) readFrameIn(segments *segmentTable, en *entry, buf []byte) (frame, error) {
	buf = slices.Grow(buf[:0], int(en.Length))[:en.Length]
	seg := segments.segment(en.Segment)
	if seg == nil {
		return frame{}, e.quarantine(en, "its segment is missing")
	}
	n, err := seg.readAt(buf, int64(en.Offset))
	if err != nil {
		return frame{}, err
	}
	e.reads.Add(1)
	if n < len(buf) || !seg.sum.check(buf, int64(en.Offset)) {
		return frame{}, e.quarantine(en, "checksum mismatch")
	}
	f, reason := parseFrame(buf, int64(en.Offset))
	if reason == "" && (f.kind != kindPut || !bytes.Equal(f.key, en.key) || f.seq != en.Seq) {
		reason = "another record stands there"
	}
	if reason != "" {
		return frame{}, e.quarantine(en, reason)
	}
	f.whole = buf
	return f, nil
}
