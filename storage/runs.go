package storage

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/internal/handles"
	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

const runSuffix = ".run"

// runFile is a run in use: what a merge has made of the segments first to last.
type runFile struct {
	first, last SegmentID
	path        string
	file        *handles.File
	mapping     vfs.Mapping
	reader      *run.Reader
	info        run.Info
	// fileID is its name in the cache of blocks.
	fileID uint64
	// replaced says that the path may be that of another run by now: the file is held then. shadowed counts the records whose keys
	// older runs had when it was written, too, as far as their filters could tell; it was not counted for a run that was there when
	// the engine was opened.
	replaced atomic.Bool
	counted  bool
	shadowed atomic.Int64
	// claimed says that a merge has it, or is about to. It is under the merger's planning.
	claimed bool
	// damaged has the offsets of the damage that was noted, and whether it touches keys. failures counts the merges that could not read it.
	damaged  sync.Map
	failures atomic.Int32
	room     roomNeed
}

// runSpan is the first and last segment that a run stands for.
type runSpan struct{ first, last SegmentID }

// runFileIDs tells the runs of the process from each other, for the block caches.
var runFileIDs atomic.Uint64

func runPath(dir string, first, last SegmentID) string {
	return filepath.Join(dir, fmt.Sprintf("%010d-%010d%s", first, last, runSuffix))
}

// runNameOf is what the name of a run says.
func runNameOf(name string) (first, last SegmentID, ok bool) {
	digits, ok := strings.CutSuffix(name, runSuffix)
	from, to, cut := strings.Cut(digits, "-")
	if !ok || !cut {
		return 0, 0, false
	}
	a, errA := strconv.ParseUint(from, 10, 32)
	b, errB := strconv.ParseUint(to, 10, 32)
	first, last = SegmentID(a), SegmentID(b)
	if errA != nil || errB != nil || a == 0 || a > b || filepath.Base(runPath("", first, last)) != name {
		return 0, 0, false
	}
	return first, last, true
}

// openRun opens a run. Errors: *IOError, run.ErrFormat, run.ErrDamaged.
func (e *Engine) openRun(path string) (*runFile, error) {
	f, err := e.files.Open(path)
	if err != nil {
		return nil, &IOError{"open", path, err}
	}
	r := &runFile{path: path, file: f}
	if err := e.readRun(r); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (e *Engine) readRun(r *runFile) error {
	size, err := r.file.Size()
	if err == nil {
		r.mapping, err = e.mapFile(r.file, size)
	}
	if err != nil {
		return &IOError{"open", r.path, err}
	}
	r.fileID = runFileIDs.Add(1)
	o := run.ReaderOptions{Mapped: r.mapping.Bytes, FileID: r.fileID}
	if e.cache != nil {
		o.Cache = e.cache
	}
	fault := vfs.Guard(func() { r.reader, err = run.Open(r.file, r.path, e.engine, o) })
	switch {
	case fault != nil:
		return &IOError{"read", r.path, fault}
	case errors.Is(err, run.ErrFormat), errors.Is(err, run.ErrDamaged):
		return err
	case err != nil:
		return &IOError{"read", r.path, err}
	}
	r.info = r.reader.Info()
	r.first, r.last = SegmentID(r.info.First), SegmentID(r.info.Last)
	return nil
}

func (r *runFile) close() error {
	var err error
	if r.mapping.Unmap != nil {
		err = r.mapping.Unmap()
	}
	if err = errors.Join(err, r.file.Close()); err != nil {
		return &IOError{"close", r.path, err}
	}
	return nil
}

// keys is how many keys the run has that are not known to be absent.
func (r *runFile) keys() int64 { return int64(r.info.Records - r.info.Tombstones) }

// runBuffers are the buffers of lookups in runs.
var runBuffers = sync.Pool{New: func() any { return new(run.Buffer) }}

// settled looks a key up in runs, the youngest first, and hands what it finds to use: the record is good during the call
// only, and may say that the key is Absent or Unknown. found is false if no run knows the key. The caller is one of readers, or is a
// goroutine that Close waits for.
func (e *Engine) settled(runs []*runFile, key []byte, use func(run.Record)) (found bool, err error) {
	if len(runs) == 0 || len(key) > keyBytesLimit {
		return false, nil
	}
	hash := run.Hash(key)
	buf := runBuffers.Get().(*run.Buffer)
	defer runBuffers.Put(buf)
	for _, r := range runs {
		fault := vfs.Guard(func() {
			var rec run.Record
			if rec, found, err = r.reader.Get(key, hash, buf); found {
				use(rec)
			}
		})
		if fault != nil {
			err = fault
		}
		if err != nil {
			return false, e.runFailed(r, err)
		}
		if found {
			e.reads.Add(1)
			return true, nil
		}
	}
	return false, nil
}

// runFailed is the error of an operation on a run, as the engine reports it. Damage that was not known is noted.
func (e *Engine) runFailed(r *runFile, err error) error {
	var d *run.DamageError
	if !errors.As(err, &d) {
		return &IOError{"read", r.path, err}
	}
	e.runDamaged(r, d)
	return r.corrupt(d)
}

// runDamaged is the damage, which is noted if it was not known.
func (e *Engine) runDamaged(r *runFile, d *run.DamageError) Damage {
	damage := r.damage(d)
	if _, known := r.damaged.LoadOrStore(d.Offset, !d.Aside); !known {
		e.note(damage)
	}
	return damage
}

// hasDamage says whether damage was noted that touches keys.
func (r *runFile) hasDamage() (noted bool) {
	r.damaged.Range(func(_, keys any) bool { noted = keys.(bool); return !noted })
	return noted
}

func (r *runFile) corrupt(d *run.DamageError) *CorruptError {
	return &CorruptError{
		Segment: r.last, File: filepath.Base(r.path), Offset: d.Offset, Reason: d.Reason,
		Ranged: true, FirstKey: d.FirstKey, EndKey: d.EndKey,
	}
}

func (r *runFile) damage(d *run.DamageError) Damage {
	return Damage{
		Segment: r.last, File: filepath.Base(r.path), Offset: d.Offset, Length: d.Length, Reason: d.Reason,
		KeysKnown: d.Aside, Ranged: !d.Aside, FirstKey: d.FirstKey, EndKey: d.EndKey,
	}
}

// merged says whether a segment is in one of the runs.
func merged(id SegmentID, runs []*opened) bool {
	return slices.ContainsFunc(runs, func(o *opened) bool { return id >= o.first && id <= o.seg.id })
}

// openRuns opens the runs, oldest first in the result, and removes what a crash has left of what they were made of. A run that
// is damaged where it has to be read is no failure, but leaves unknown what it held.
func (e *Engine) openRuns(names []string) (found []*opened, err error) {
	e.index = newIndex(e.log, e.opts.showFrom)
	e.index.freezeFrom = e.opts.freezeFrom
	for _, name := range names {
		if first, last, ok := runNameOf(name); ok {
			found = append(found, &opened{first: first, seg: newSegment(e.dir, e.engine, last, 0)})
		}
	}
	whole := func(o *opened) bool {
		return !slices.ContainsFunc(found, func(p *opened) bool {
			return p != o && p.first <= o.first && p.seg.id >= o.seg.id
		})
	}
	var parts []*opened
	for _, o := range found {
		if !whole(o) {
			parts = append(parts, o)
		}
	}
	found = slices.DeleteFunc(found, func(o *opened) bool { return slices.Contains(parts, o) })
	slices.SortFunc(found, func(a, b *opened) int { return cmp.Compare(a.first, b.first) })
	for i, o := range found {
		if i > 0 && found[i-1].seg.id >= o.first {
			return nil, fmt.Errorf("%w: runs overlap at segment %d", ErrFormat, o.first)
		}
		if err := e.openFound(o); err != nil {
			return nil, err
		}
	}
	return found, e.removeParts(names, found, parts)
}

func (e *Engine) openFound(o *opened) error {
	path := runPath(e.dir, o.first, o.seg.id)
	r, err := e.openRun(path)
	switch {
	case errors.Is(err, run.ErrFormat):
		return fmt.Errorf("%w: %w", ErrFormat, err)
	case errors.Is(err, run.ErrDamaged):
		o.seg.path, o.replay = path, &replay{}
		e.unopened.Store(new(append(*e.unopened.Load(), runSpan{o.first, o.seg.id})))
		e.opts.Logger.Error("storage: run cannot be read", "path", path, "error", err)
		return nil
	case err != nil:
		return err
	case r.first != o.first || r.last != o.seg.id:
		return errors.Join(fmt.Errorf("%w: run of segments %d to %d under the name %s", ErrFormat, r.first, r.last, path), r.close())
	}
	o.run, o.started, o.firstSeq, o.nextSeq = r, true, r.info.FirstSeq, r.info.NextSeq
	if lost := r.info.LostSeq; lost > 0 {
		o.damage = append(o.damage, Damage{
			Segment: r.last, File: filepath.Base(path), Reason: "records were lost before the merge", FirstSeq: 1, LastSeq: lost,
		})
	}
	if n := r.info.Unreadables; n > 0 {
		o.damage = append(o.damage, Damage{
			Segment: r.last, File: filepath.Base(path), Reason: "records were lost before the merge", KeysKnown: true, KeyCount: int(n),
		})
	}
	e.index.install(nil, r)
	return nil
}

// removeParts removes files whose records are all in a run.
func (e *Engine) removeParts(names []string, runs, parts []*opened) error {
	removed := 0
	for _, o := range parts {
		in := slices.IndexFunc(runs, func(p *opened) bool { return p.run != nil && p.first <= o.first && p.seg.id >= o.seg.id })
		if in >= 0 {
			removed++
			if err := e.removeFile(runPath(e.dir, o.first, o.seg.id)); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		base := strings.TrimSuffix(strings.TrimSuffix(name, hintFileSuffix), suspectSuffix)
		id, ok := segmentIDOf(strings.TrimSuffix(base, segmentSuffix) + segmentSuffix)
		in := slices.IndexFunc(runs, func(p *opened) bool { return p.run != nil && id >= p.first && id <= p.seg.id })
		if !ok || in < 0 {
			continue
		}
		removed++
		if err := e.removeFile(filepath.Join(e.dir, name)); err != nil {
			return err
		}
	}
	if removed == 0 {
		return nil
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return &IOError{"sync", e.dir, err}
	}
	return nil
}

// cold says whether a run is read by calls, which may wait for the disk.
func (x *index) cold() bool {
	return slices.ContainsFunc(x.runs(), func(r *runFile) bool { return r.mapping.Bytes == nil })
}

// warm looks keys up that a decision is about to look at under the writer's lock: it shall not wait for the disk then.
func (e *Engine) warm(keys [][]byte) {
	defer e.readers.leave(e.readers.enter())
	if e.closed.Load() {
		return
	}
	for _, key := range keys {
		_, _, _ = e.stored(key, nil) // an error shows again
	}
}
