package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/storage/internal/blockcache"
	"github.com/ringcask/ringcask/storage/internal/handles"
	"github.com/ringcask/ringcask/storage/vfs"
)

// Recovery is what Open found in the data directory and did about it.
type Recovery struct {
	// Created says that the directory was empty and was given an identity.
	Created bool
	// Runs were found, which merges made; they are not read but where they are asked.
	Runs int
	// Segments were found; HintFilesUsed of them were loaded from their hint files, HintFilesRebuilt had theirs
	// written anew.
	Segments, HintFilesUsed, HintFilesRebuilt int
	// RecordsReplayed were read from segments without a usable hint file.
	RecordsReplayed int64
	// TornBytes were cut off the end of the log: a write that was under way when the engine last stopped and that was
	// not known to be durable.
	TornBytes   int64
	TornSegment SegmentID
	// Damage is what cannot be read though it was durable.
	Damage []Damage
	// Duration is how long Open took.
	Duration time.Duration
}

// opened is one segment as recovery found it.
type opened struct {
	seg *segment
	// run is the run, where it is one; then seg has no file and stands for the last segment in it.
	run   *runFile
	first SegmentID
	// replay is set where the segment was scanned. Its regions are settled later.
	replay *replay
	// src is where its keys come from, hints the same if it is a hint file.
	src   source
	hints *hintFileReader
	// firstSeq and nextSeq are those of the segment, if started.
	started           bool
	firstSeq, nextSeq uint64
	// unmade is a segment whose creation a crash cut short.
	unmade bool
	damage []Damage
}

// Open opens the data directory dir, making it if it is missing or empty, and recovers what is in it. It fails if the
// directory is in use (ErrLocked), is not ours or of another format (ErrFormat), lacks the end of the log (*MissingError),
// or cannot be read (*IOError). Damage in it is no failure: Recovery reports it, and the keys that it may touch are Unknown.
func Open(dir string, o Options) (*Engine, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	a := &attempt{began: time.Now(), badHintFiles: make(map[SegmentID]bool), rebuilt: make(map[SegmentID]int64)}
	for {
		e := newEngine(dir, o, a)
		err := e.open()
		if err == nil {
			e.start()
			return e, nil
		}
		if e.index != nil {
			e.index.close()
		}
		closed := errors.Join(e.closeFiles(), e.unlock())
		var hints *badHintFileError
		if closed != nil || !errors.As(err, &hints) || a.badHintFiles[hints.segment] {
			return nil, errors.Join(fmt.Errorf("storage: open %s: %w", dir, err), closed)
		}
		// That is so rare that it may take a try for each.
		a.badHintFiles[hints.segment] = true
		o.Logger.Warn("storage: hint file ignored", "segment", hints.segment, "error", hints.err)
	}
}

// attempt is what is kept from one try of Open to the next.
type attempt struct {
	began time.Time
	// badHintFiles are those of segments that are read themselves.
	badHintFiles map[SegmentID]bool
	// tornBytes were cut off tornSegment.
	tornBytes   int64
	tornSegment SegmentID

	mu sync.Mutex // while segments are opened
	// rebuilt are the segments whose hint files were written anew, with how many records they have.
	rebuilt map[SegmentID]int64
}

// newEngine returns an engine that is yet to be opened.
func newEngine(dir string, o Options, a *attempt) *Engine {
	e := &Engine{
		attempt: a,
		opts:    o, fs: o.FS, dir: dir, log: newSegmentLog(), blockings: newBlockingPool(), readers: newReaders(),
		files: handles.NewPool(o.FS, o.OpenFilesMax),
		cache: blockcache.New(max(o.CacheBytes, 0)), stopSyncs: make(chan struct{}), behind: make(chan struct{}, 1),
	}
	e.unopened.Store(new([]runSpan))
	return e
}

func (e *Engine) open() error {
	names, err := e.claim()
	if err != nil {
		return err
	}
	found, err := e.openRuns(names)
	if err != nil {
		return err
	}
	segments, err := e.openSegments(names, found)
	found = append(found, segments...)
	defer func() {
		for _, s := range found {
			if s.hints != nil {
				s.hints.close()
			}
		}
	}()
	if err != nil {
		return err
	}
	e.chain(found)
	if last := e.nextSeq.Load() - 1; last < e.opts.KnownSeq {
		return e.missing(last)
	}
	e.index.keepTombstones = e.lostSeq.Load() > 0
	if err := e.loadIndex(found); err != nil {
		return err
	}
	if err := e.mapSegments(); err != nil {
		return err
	}
	e.summarize(found)
	e.index.opened = logEnd{seg: e.log.last(), nextSeq: e.nextSeq.Load()}
	if seg := e.index.opened.seg; seg != nil {
		e.index.opened.end = seg.written.Load()
	}
	e.writer = newWriter(e)
	e.hintFiles = newHintFileWriter(e)
	e.merger = newMerger(e)
	e.scrubber = newScrubber(e, slices.Contains(names, scrubName))
	e.watchSpace()
	return nil
}

// missing is the refusal of a log that ends with the record last.
func (e *Engine) missing(last uint64) error {
	err := &MissingError{LastSeq: last, KnownSeq: e.opts.KnownSeq}
	if seg := e.log.last(); seg != nil {
		err.Segment = seg.id
	}
	return err
}

// claim locks the directory, checks its identity and clears away what a crash left unfinished. It returns the names
// in the directory.
func (e *Engine) claim() ([]string, error) {
	if err := e.fs.MkdirAll(e.dir); err != nil {
		return nil, &IOError{"create", e.dir, err}
	}
	names, err := e.fs.List(e.dir)
	if err != nil {
		return nil, &IOError{"list", e.dir, err}
	}
	// Nothing is left behind in a directory that is not ours, not even a lock.
	if err := checkOurs(e.dir, names); err != nil {
		return nil, err
	}
	lock, err := e.fs.Lock(filepath.Join(e.dir, lockName))
	var held *vfs.LockedError
	switch {
	case errors.As(err, &held):
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	case err != nil:
		return nil, &IOError{"lock", filepath.Join(e.dir, lockName), err}
	}
	e.lock = lock
	if names, err = e.fs.List(e.dir); err != nil {
		return nil, &IOError{"list", e.dir, err}
	}
	if e.opts.KnownSeq > 0 && !slices.Contains(names, formatName) {
		return nil, e.missing(0)
	}
	if e.engine, e.formatVersion, err = openIdentity(e.fs, e.dir, names); err != nil {
		return nil, err
	}
	e.recovery.Created = !slices.Contains(names, formatName)
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, vfs.TempSuffix); ok && isOurs(base) {
			path := filepath.Join(e.dir, name)
			if err := e.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, &IOError{"remove", path, err}
			}
		}
	}
	return names, nil
}

// isOurs says whether a name is one that the engine gives to files it writes atomically.
func isOurs(name string) bool {
	return name == formatName || name == scrubName || slices.ContainsFunc([]string{hintFileSuffix, suspectSuffix, runSuffix, bucketsSuffix}, func(suffix string) bool {
		return strings.HasSuffix(name, suffix)
	})
}

// openSegments opens every segment that is in no run, several at a time, oldest first in the result. It begins with the youngest:
// those that a crash has left without hint files take longest.
func (e *Engine) openSegments(names []string, runs []*opened) ([]*opened, error) {
	var found []*opened
	for _, name := range names {
		if id, ok := segmentIDOf(name); ok && !merged(id, runs) {
			found = append(found, &opened{seg: newSegment(e.dir, e.engine, id, 0)})
		}
	}
	slices.SortFunc(found, func(a, b *opened) int { return int(int64(a.seg.id) - int64(b.seg.id)) })
	errs := make([]error, len(found))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(len(found), runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for i := len(found) - int(next.Add(1)); i >= 0; i = len(found) - int(next.Add(1)) {
				errs[i] = e.openSegment(found[i], i == len(found)-1)
				if seg := found[i].seg; seg.sealed.Load() {
					seg.file.Release()
				}
			}
		})
	}
	workers.Wait()
	for _, s := range found {
		if s.seg.file != nil {
			e.log.add(s.seg)
		}
	}
	return found, errors.Join(errs...)
}

func (e *Engine) openSegment(s *opened, youngest bool) (err error) {
	seg := s.seg
	f, err := e.fs.OpenReadWrite(seg.path)
	if err != nil {
		return &IOError{"open", seg.path, err}
	}
	seg.file = e.files.Adopt(seg.path, f)
	size, err := seg.file.Size()
	if err != nil {
		return &IOError{"stat", seg.path, err}
	}
	seg.filled.Store(size)
	_, err = e.fs.Stat(seg.suspectPath())
	seg.suspect.Store(err == nil)
	if hints := e.checkedHintFile(seg, size); hints != nil {
		return e.openWithHintFile(s, hints, size)
	}
	scan := newLogScan(seg.file, seg.path, seg.sum, size)
	if s.replay, err = replaySegment(scan, e.engine, seg.id); err != nil {
		return err
	}
	if youngest {
		return e.openYoungest(s, scan)
	}
	seg.sealed.Store(true)
	e.adopt(s)
	if len(s.replay.regions) == 0 {
		if err := e.storeHintFile(seg, s.replay); err != nil {
			e.opts.Logger.Warn("storage: hint file not written", "segment", seg.id, "error", err)
		} else {
			e.attempt.mu.Lock()
			e.attempt.rebuilt[seg.id] = s.replay.records
			e.attempt.mu.Unlock()
		}
	}
	return nil
}

// checkedHintFile opens the segment's hint file and checks its blocks. Nil is a hint file that is missing or of no use.
func (e *Engine) checkedHintFile(seg *segment, size int64) *hintFileReader {
	if e.attempt.badHintFiles[seg.id] {
		return nil
	}
	r, err := openHintFile(e.files, seg)
	if err == nil {
		if err = r.check(); err == nil {
			err = seg.endsAt(r.header.dataEnd, size)
		}
		if err == nil {
			seg.hintFileBytes.Store(r.size)
			return r
		}
		err = errors.Join(err, r.close())
	}
	if !errors.Is(err, fs.ErrNotExist) {
		// It can be made again from the segment, whatever is wrong with it.
		e.opts.Logger.Warn("storage: hint file ignored", "segment", seg.id, "error", err)
	}
	return nil
}

// endsAt fails if a segment has frames behind end: it took them when its hint file could not be read.
func (s *segment) endsAt(end, size int64) error {
	zeros, err := newLogScan(s.file, s.path, s.sum, size).zerosFrom(end)
	if err == nil && !zeros {
		err = fmt.Errorf("%w: the segment goes on behind its end", errHintFile)
	}
	return err
}

// openWithHintFile takes the keys from the hint file. The segment itself is read only if something is known to be
// wrong with it.
func (e *Engine) openWithHintFile(s *opened, hints *hintFileReader, size int64) error {
	h := hints.header
	s.hints, s.src = hints, hints
	s.started, s.firstSeq, s.nextSeq = true, h.firstSeq, h.nextSeq
	s.seg.firstSeq = h.firstSeq
	s.seg.sealed.Store(true)
	s.seg.written.Store(h.dataEnd)
	s.seg.synced.Store(h.dataEnd)
	head := make([]byte, segmentHeaderBytes)
	if err := readFull(s.seg.file, head, 0); err != nil && !errors.Is(err, errHintFile) {
		return &IOError{"read", s.seg.path, err}
	}
	_, headerOK, err := decodeSegmentHeader(head, e.engine, s.seg.id)
	if err != nil {
		return fmt.Errorf("%s: %w", s.seg.path, err)
	}
	if headerOK && size >= h.dataEnd && !s.seg.suspect.Load() {
		return nil
	}
	return e.nameDamage(s, h.dataEnd, size)
}

// adopt takes what a scan found for the segment's state.
func (e *Engine) adopt(s *opened) {
	r := s.replay
	r.keys.sort(min(runtime.GOMAXPROCS(0), loadersMax))
	s.src = &r.keys
	s.started, s.firstSeq, s.nextSeq = r.started, r.firstSeq, r.nextSeq
	s.seg.firstSeq = r.firstSeq
	s.seg.written.Store(r.end)
	s.seg.synced.Store(r.end)
	s.seg.marked = r.marked
}

// openYoungest cuts the torn tail, and makes what is kept durable: until now it may be in the system's memory only, and
// what readers are shown must not go away again.
func (e *Engine) openYoungest(s *opened, scan *logScan) error {
	r, seg := s.replay, s.seg
	r.cut(scan, e.opts.KnownSeq)
	if !r.started {
		return e.leaveUnmade(s)
	}
	e.adopt(s)
	if r.tornBytes > 0 {
		e.attempt.tornBytes, e.attempt.tornSegment = r.tornBytes, seg.id
		if err := seg.file.Truncate(r.end); err != nil {
			return &IOError{"truncate", seg.path, err}
		}
		seg.filled.Store(r.end)
	}
	if err := seg.file.Sync(); err != nil {
		return &IOError{"sync", seg.path, err}
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return &IOError{"sync", e.dir, err}
	}
	// A damaged segment gets no more frames: they would be read only after the damage.
	if len(r.regions) > 0 || r.end >= e.opts.SegmentBytesMax {
		seg.sealed.Store(true)
	}
	return nil
}

// leaveUnmade passes over a youngest segment that has neither a header nor a frame: a crash came before its header
// was synced, and so before its first frame. The file stays until the segment is made again: it says that the one
// before it was sealed.
func (e *Engine) leaveUnmade(s *opened) error {
	err := s.seg.file.Close()
	s.seg.file, s.unmade = nil, true
	if err != nil {
		return &IOError{"close", s.seg.path, err}
	}
	return nil
}

// summarize completes the report and logs it.
func (e *Engine) summarize(found []*opened) {
	rec, a := &e.recovery, e.attempt
	rec.Segments, rec.Runs = len(e.log.all()), len(e.index.runs())
	rec.HintFilesRebuilt, rec.TornBytes, rec.TornSegment = len(a.rebuilt), a.tornBytes, a.tornSegment
	for _, s := range found {
		records, rebuilt := a.rebuilt[s.seg.id]
		switch {
		case rebuilt: // by this try, or by one before it
			rec.RecordsReplayed += records
		case s.replay != nil:
			rec.RecordsReplayed += s.replay.records
		case s.hints != nil:
			rec.HintFilesUsed++
		}
		rec.Damage = append(rec.Damage, s.damage...)
	}
	e.damaged.Add(int64(len(rec.Damage)))
	rec.Duration = time.Since(a.began)
	e.attempt = nil
	if rec.TornBytes > 0 {
		e.opts.Logger.Warn("storage: torn tail cut", "dir", e.dir, "segment", rec.TornSegment, "bytes", rec.TornBytes)
	}
	for _, d := range rec.Damage {
		e.opts.Logger.Error("storage: damage found", "dir", e.dir, "damage", d.String())
	}
}
