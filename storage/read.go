package storage

import (
	"errors"
	"io"
	"slices"
)

// Get appends the value of key to dst and returns the longer slice. It takes one index lookup and one read, and allocates
// only where dst has no room for the record. It sees what is durable under the sync policy and never waits for a sync.
// Errors: ErrNotFound, ErrClosed, *CorruptError (the key is Unknown), *IOError.
func (e *Engine) Get(key, dst []byte) ([]byte, error) {
	e.life.RLock()
	defer e.life.RUnlock()
	en, err := e.find(key)
	if err != nil {
		return dst, err
	}
	// The record is read behind dst's bytes, and its value then moved to their end: what is returned has room for as
	// large a record the next time.
	grown := slices.Grow(dst, int(en.length))
	f, err := e.readFrame(&en, grown[len(grown):cap(grown)])
	if err != nil {
		return dst, err
	}
	return append(grown, f.value...), nil
}

// Read returns one consistent record. Its Meta and Value stand in dst's storage beyond its length, if there is room,
// else in a new slice; Key is the caller's. Errors are those of Get.
func (e *Engine) Read(key, dst []byte) (Record, error) {
	e.life.RLock()
	defer e.life.RUnlock()
	en, err := e.find(key)
	if err != nil {
		return Record{}, err
	}
	f, err := e.readFrame(&en, dst[len(dst):cap(dst)])
	if err != nil {
		return Record{}, err
	}
	return Record{Key: key, Meta: f.meta, Value: f.value, Seq: f.seq}, nil
}

// Meta appends the meta of key to dst. It reads the index only.
// Errors: ErrNotFound, ErrClosed, *CorruptError (the key is Unknown).
func (e *Engine) Meta(key, dst []byte) ([]byte, error) {
	if e.closed.Load() {
		return dst, ErrClosed
	}
	en, ok := e.index.get(key)
	if err := e.absence(&en, ok); err != nil {
		return dst, err
	}
	return append(dst, en.meta()...), nil
}

// find looks a key up for reading. The caller holds life.
func (e *Engine) find(key []byte) (entry, error) {
	if e.closed.Load() {
		return entry{}, ErrClosed
	}
	en, ok := e.index.get(key)
	return en, e.absence(&en, ok)
}

// stateOf judges what the index has of a key. What is older than damage that nobody can attribute to keys may have been
// overwritten or deleted in there.
func (e *Engine) stateOf(en *entry, ok bool) State {
	switch {
	case !ok && e.lostSeq > 0, ok && en.seq <= e.lostSeq, ok && en.flags&flagUnreadable != 0:
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
	if ok && en.flags&flagUnreadable != 0 {
		return en.corrupt("the key's newest record cannot be read")
	}
	return e.lostError
}

// readFrame reads and checks the record that an entry points at, into buf if its capacity suffices. A record that
// fails the check is counted, and its key is Unknown from then on. The caller holds life, or is a goroutine that
// Close waits for.
func (e *Engine) readFrame(en *entry, buf []byte) (frame, error) {
	buf = slices.Grow(buf[:0], int(en.length))[:en.length]
	seg := e.log.segment(en.segment)
	if seg == nil {
		return frame{}, e.quarantine(*en, "its segment is missing")
	}
	n, err := seg.file.ReadAt(buf, int64(en.offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return frame{}, &IOError{"read", seg.path, err}
	}
	e.reads.Add(1)
	if n < len(buf) || !seg.sum.check(buf, int64(en.offset)) {
		return frame{}, e.quarantine(*en, "checksum mismatch")
	}
	f, reason := parseFrame(buf, int64(en.offset))
	if reason == "" && (f.kind != kindPut || string(f.key) != en.key() || f.seq != en.seq) {
		reason = "another record stands there"
	}
	if reason != "" {
		return frame{}, e.quarantine(*en, reason)
	}
	f.whole = buf
	return f, nil
}
