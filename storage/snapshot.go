package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/ringcask/ringcask/storage/vfs"
)

// snapshotName is the FORMAT file of a snapshot that is not complete: a directory that has it and no FORMAT is not opened.
const snapshotName = "SNAPSHOT"

// copyStepBytes is how much is copied between two looks at the context and the throttle.
const copyStepBytes = 256 << 10

// ErrNotEmpty: the directory for a snapshot has something in it.
var ErrNotEmpty = errors.New("storage: directory is not empty")

// SnapshotInfo says what a snapshot is made of.
type SnapshotInfo struct {
	// LastSeq is the number of the last record in it, zero if there is none: a snapshot that was damaged on the way does not
	// pass where it is opened with this as Options.KnownSeq.
	LastSeq uint64
	// Runs and Segments are how many there are.
	Runs, Segments int
	// LinkedBytes take no space as long as the store has the same files; CopiedBytes were written.
	LinkedBytes, CopiedBytes int64
	// LinkedFiles and CopiedFiles are how many files that is, FORMAT not among them.
	LinkedFiles, CopiedFiles int
}

// Snapshot makes a copy of the store in dir, which must be missing or empty (a LOCK file aside). Open opens it, at any time and
// independently of this engine; it has the same engine id. Writes, reads and merges go on meanwhile.
//
// The snapshot holds exactly what was published at one moment during the call: all that was acknowledged before the call,
// under every sync policy, and of what is written during it the first so many, no batch in part. When Snapshot returns, all of it
// is durable. If it fails or the machine does, dir may be left behind with some files but never with FORMAT, which comes last,
// and Open refuses it.
//
// What never changes again is hard-linked: sealed segments, their hint files, runs. It takes no time and no space, until merges
// here or there let go of their names; and damage to one of these files is damage to both. The active segment is copied up to
// the moment. Where files cannot be linked, because dir is on another file system or on one without links, they are copied
// at Options.MergeBytesPerSecond; until that is done, the space of files merged meanwhile is not given back.
//
// Damage that is known is taken along: the same keys are Unknown in the snapshot.
//
// Errors (the store is as it was): ErrNotEmpty; ErrLocked, if dir is in use; ErrClosed; *SpaceError, where the copies
// would leave less than Options.ReserveBytes; *IOError; ctx's. What was made in dir is then removed where possible.
func (e *Engine) Snapshot(ctx context.Context, dir string) (SnapshotInfo, error) {
	defer e.pins.unpin(e.pins.pin())
	if err := e.alive(ctx.Err); err != nil {
		return SnapshotInfo{}, err
	}
	ctx, done := e.whileOpen(ctx)
	defer done()
	s := &snapshot{e: e, dir: dir, ctx: ctx, pace: e.newThrottle(e.opts.MergeBytesPerSecond)}
	lock, err := s.claim()
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("storage: snapshot to %s: %w", dir, err)
	}
	if err = s.make(); err != nil {
		s.undo()
	}
	if cerr := lock.Close(); err == nil && cerr != nil {
		err = &IOError{"unlock", dir, cerr}
	}
	if err != nil {
		return SnapshotInfo{}, fmt.Errorf("storage: snapshot to %s: %w", dir, err)
	}
	return s.info, nil
}

// snapshot is a snapshot in the making.
type snapshot struct {
	e    *Engine
	dir  string
	ctx  context.Context
	pace throttle
	info SnapshotInfo
	// made are the names in dir, in the order in which they came.
	made []string
	// copies are what is to be copied, once nothing is held up by it.
	copies []copying
}

// copying is one file to be copied: the first bytes of a file, and a tail that takes the place of the rest.
type copying struct {
	name string
	from vfs.File
	// owned files are to be closed.
	owned bool
	bytes int64
	tail  []byte
}

// claim locks the directory, which must be empty.
func (s *snapshot) claim() (lock io.Closer, err error) {
	fsys := s.e.fs
	if err := fsys.MkdirAll(s.dir); err != nil {
		return nil, &IOError{"create", s.dir, err}
	}
	// Before the lock, too: nothing is left behind in a directory that is not for us.
	if err := s.checkEmpty(); err != nil {
		return nil, err
	}
	path := filepath.Join(s.dir, lockName)
	lock, err = fsys.Lock(path)
	var held *vfs.LockedError
	switch {
	case errors.As(err, &held):
		return nil, fmt.Errorf("%w: %w", ErrLocked, err)
	case err != nil:
		return nil, &IOError{"lock", path, err}
	}
	if err := s.checkEmpty(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

func (s *snapshot) checkEmpty() error {
	names, err := s.e.fs.List(s.dir)
	if err != nil {
		return &IOError{"list", s.dir, err}
	}
	i := slices.IndexFunc(names, func(name string) bool { return name != lockName && name != "lost+found" })
	if i >= 0 {
		return fmt.Errorf("%w: found %q", ErrNotEmpty, names[i])
	}
	return nil
}

// make makes the snapshot. A crash leaves SNAPSHOT where it leaves anything, until the last step makes FORMAT of it: all else is
// durable by then.
func (s *snapshot) make() error {
	defer s.closeOwned()
	if err := s.link(); err != nil {
		return err
	}
	if err := s.copyAll(); err != nil {
		return err
	}
	if err := s.e.fs.SyncDir(s.dir); err != nil {
		return &IOError{"sync", s.dir, err}
	}
	path := filepath.Join(s.dir, formatName)
	if err := s.e.fs.Rename(filepath.Join(s.dir, snapshotName), path); err != nil {
		return &IOError{"rename", path, err}
	}
	s.made = append(s.made, formatName)
	if err := s.e.fs.SyncDir(s.dir); err != nil {
		return &IOError{"sync", s.dir, err}
	}
	return nil
}

// link takes the moment, links what does not change, and notes what is to be copied. No file of the moment loses its name
// meanwhile, but only merges wait for that.
func (s *snapshot) link() error {
	e := s.e
	e.naming.Lock()
	defer e.naming.Unlock()
	m := e.index.moment()
	s.info.LastSeq = m.at.nextSeq - 1
	covered := SegmentID(0)
	if len(m.runs) > 0 {
		covered = m.runs[0].last
	}
	if err := s.begin(len(m.runs)+len(*e.unopened.Load()) > 0); err != nil {
		return err
	}
	for _, r := range m.runs {
		if err := s.linkRun(r); err != nil {
			return err
		}
	}
	for _, u := range *e.unopened.Load() {
		if slices.ContainsFunc(m.runs, func(r *runFile) bool { return r.first <= u.first && r.last >= u.last }) {
			continue
		}
		if err := s.linkFile(runPath(e.dir, u.first, u.last), nil); err != nil {
			return err
		}
	}
	for _, seg := range m.segments {
		if seg.id <= covered || m.at.seg == nil || seg.id > m.at.seg.id || seg == m.at.seg && !m.sealed {
			continue
		}
		if err := s.linkSegment(seg); err != nil {
			return err
		}
	}
	return s.youngest(&m, covered)
}

// begin makes the file that will be FORMAT.
func (s *snapshot) begin(runs bool) error {
	version := uint64(formatLog)
	if runs {
		version = formatRuns
	}
	path := filepath.Join(s.dir, snapshotName)
	s.made = append(s.made, snapshotName)
	if err := vfs.WriteFileAtomic(s.e.fs, path, encodeFormat(s.e.engine, version)); err != nil {
		return &IOError{"create", path, err}
	}
	return nil
}

// youngest plans the segment that Open may cut and append to, which therefore is a file of its own: the active segment up to the
// moment, or a new one behind a sealed segment, whose end is then known for damage if it is. Either ends with a mark that
// vouches for all of it.
func (s *snapshot) youngest(m *moment, covered SegmentID) error {
	e, at := s.e, m.at
	if at.seg == nil || at.seg.id <= covered && m.next == 0 {
		return nil // runs, or nothing, are all there is
	}
	if !m.sealed {
		s.info.Segments++
		s.copies = append(s.copies, copying{
			name: filepath.Base(at.seg.path), from: at.seg.file, bytes: at.end,
			tail: at.seg.sum.appendMark(nil, at.end, at.end, at.nextSeq),
		})
		return s.noteSuspect(at.seg)
	}
	id := max(m.next, at.seg.id+1)
	head := segmentHeader{id: id, engine: e.engine, firstSeq: at.nextSeq}.encode()
	sum := newFrameSum(e.engine, id)
	s.info.Segments++
	s.copies = append(s.copies, copying{
		name: filepath.Base(segmentPath("", id)), tail: sum.appendMark(head, segmentHeaderBytes, segmentHeaderBytes, at.nextSeq),
	})
	return nil
}

func (s *snapshot) linkRun(r *runFile) error {
	s.info.Runs++
	if !r.replaced.Load() {
		if err := s.linkFile(r.path, r.file); err != nil || !r.replaced.Load() {
			return err
		}
		// It is not known whether this run was linked or the one that a merge put in its place.
		name := filepath.Base(r.path)
		if err := s.e.fs.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &IOError{"remove", filepath.Join(s.dir, name), err}
		}
		s.copies = slices.DeleteFunc(s.copies, func(c copying) bool { return c.name == name })
	}
	return s.copyLater(r.path, r.file, false)
}

func (s *snapshot) linkSegment(seg *segment) error {
	s.info.Segments++
	if err := s.linkFile(seg.path, seg.file); err != nil {
		return err
	}
	if err := s.linkFile(seg.hintFilePath(), nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // without a hint file it is read as a whole
	}
	return s.noteSuspect(seg)
}

// noteSuspect makes the snapshot's Open look for the damage of a segment.
func (s *snapshot) noteSuspect(seg *segment) error {
	if seg.suspect.Load() {
		s.copies = append(s.copies, copying{name: filepath.Base(seg.suspectPath()), tail: []byte("found before the snapshot\n")})
	}
	return nil
}

// linkFile links a file, or plans to copy it: from open, unless that is nil.
func (s *snapshot) linkFile(path string, open vfs.File) error {
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	to := filepath.Join(s.dir, filepath.Base(path))
	err := s.e.alive(func() error { return s.e.fs.Link(path, to) })
	switch {
	case err == nil:
		s.made = append(s.made, filepath.Base(path))
		size, err := s.e.fs.Stat(to)
		if err != nil {
			return &IOError{"stat", to, err}
		}
		s.info.LinkedFiles++
		s.info.LinkedBytes += size.Size
		return nil
	case errors.Is(err, ErrClosed):
		return err
	case open != nil && (errors.Is(err, fs.ErrNotExist) || unlinkable(err)):
		return s.copyLater(path, open, false)
	case unlinkable(err):
		f, err := s.e.files.Open(path)
		if err != nil {
			return &IOError{"open", path, err}
		}
		return s.copyLater(path, f, true)
	}
	return &IOError{"link", to, err}
}

// unlinkable says whether a file can be copied that cannot be linked.
func unlinkable(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || slices.ContainsFunc([]error{syscall.EXDEV, syscall.EPERM, syscall.EMLINK}, func(e error) bool {
		return errors.Is(err, e)
	})
}

func (s *snapshot) copyLater(path string, from vfs.File, owned bool) error {
	s.copies = append(s.copies, copying{name: filepath.Base(path), from: from, owned: owned})
	return s.e.alive(func() error {
		size, err := from.Size()
		if err != nil {
			return &IOError{"stat", path, err}
		}
		s.copies[len(s.copies)-1].bytes = size
		return nil
	})
}

func (s *snapshot) closeOwned() {
	for i := range s.copies {
		if c := &s.copies[i]; c.owned {
			s.e.logClosed(c.from.Close())
		}
	}
}

// copyAll copies what could not be linked.
func (s *snapshot) copyAll() error {
	need := int64(0)
	for i := range s.copies {
		need += s.copies[i].bytes
	}
	free, err := s.e.fs.Free(s.dir)
	if err != nil {
		return &IOError{"stat", s.dir, err}
	}
	if free -= max(s.e.opts.ReserveBytes, 0); need > free {
		return &SpaceError{need, free}
	}
	for i := range s.copies {
		if err := s.copyFile(&s.copies[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *snapshot) copyFile(c *copying) error {
	path := filepath.Join(s.dir, c.name)
	s.made = append(s.made, c.name)
	f, err := s.e.fs.Create(path)
	if err != nil {
		return &IOError{"create", path, err}
	}
	err = s.copyTo(f, path, c)
	if err == nil {
		if err = f.Sync(); err != nil {
			err = &IOError{"sync", path, err}
		}
	}
	if cerr := f.Close(); err == nil && cerr != nil {
		err = &IOError{"close", path, cerr}
	}
	s.info.CopiedFiles++
	s.info.CopiedBytes += c.bytes + int64(len(c.tail))
	return err
}

func (s *snapshot) copyTo(f vfs.File, path string, c *copying) error {
	buf := make([]byte, min(copyStepBytes, c.bytes))
	for off := int64(0); off < c.bytes; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), c.bytes-off)]
		err := s.e.alive(func() error {
			if n, err := c.from.ReadAt(buf, off); n < len(buf) {
				return &IOError{"read", filepath.Join(s.e.dir, c.name), err}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := f.WriteAt(buf, off); err != nil {
			return &IOError{"write", path, err}
		}
		if err := s.pace.wait(s.ctx, int64(len(buf))); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(c.tail, c.bytes); err != nil {
		return &IOError{"write", path, err}
	}
	return nil
}

// undo removes what was made, FORMAT first and SNAPSHOT last: nothing of it can be opened meanwhile.
func (s *snapshot) undo() {
	for _, name := range slices.Backward(s.made) {
		if err := s.e.removeFile(filepath.Join(s.dir, name)); err != nil {
			s.e.opts.Logger.Warn("storage: unfinished snapshot not removed", "dir", s.dir, "error", err)
			return
		}
	}
}

// logEnd is a place in the log: all that was published stands before it. Without a segment, nothing was.
type logEnd struct {
	seg     *segment
	end     int64
	nextSeq uint64
}

// moment is what the store was made of at one moment. It is good for as long as a pin that was taken before it. A segment may be
// in a run already.
type moment struct {
	runs     []*runFile
	segments []*segment
	at       logEnd
	// sealed says that the segment of at was complete, next is the segment behind it, zero if there was none.
	sealed bool
	next   SegmentID
}

// moment takes the moment: with every shard locked nobody is in the middle of a mutation. What stands in the log before a
// record that is published was written before, even if the other half of its group is published only next.
func (x *index) moment() moment {
	for i := range x.shards {
		x.shards[i].mu.RLock()
	}
	m := moment{at: x.opened}
	for i := range x.shards {
		if p := x.shards[i].published; p.seg != nil && p.nextSeq > m.at.nextSeq {
			m.at = p
		}
	}
	// Before the runs: what is in the log no more is in a run by then.
	m.segments = x.log.all()
	m.runs = x.runs()
	if seg := m.at.seg; seg != nil {
		if last := m.segments; len(last) > 0 && last[len(last)-1].id > seg.id {
			m.next = last[len(last)-1].id
		}
		m.sealed = seg.sealed.Load()
	}
	for i := range x.shards {
		x.shards[i].mu.RUnlock()
	}
	return m
}
