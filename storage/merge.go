package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/internal/yield"
	"github.com/ringcask/ringcask/storage/internal/run"
	"github.com/ringcask/ringcask/storage/vfs"
)

// mergeStepBytes is how much is written between two looks at the context and the throttle.
const mergeStepBytes = 64 << 10

// plan is what a merge makes one run of: segments, and behind them in age runs. Together they are next to each other, so that
// what the run holds of a key is younger than all that is older than the run, and older than all that is younger.
type plan struct {
	segments []*segment // the oldest of the log, oldest first
	runs     []*runFile // the youngest ones, or without segments any that are neighbours; youngest first
	// under are younger runs: what they have goes, too.
	under []*runFile
	// last says that nothing older is left: what is deleted can be forgotten.
	last bool
	// rewrite says that a single run is worth it, for what is dead in it; dead that the merge is due for that.
	rewrite, dead bool
	// drops says that it is due for what Filter would drop.
	drops bool
	// bytes are at most what the run will have.
	bytes int64
}

func (p *plan) empty() bool { return len(p.segments) == 0 && len(p.runs) < 2 && !p.rewrite }

// span is the first and last segment that the run will stand for.
func (p *plan) span() (first, last SegmentID) {
	if n := len(p.runs); n > 0 {
		first, last = p.runs[n-1].first, p.runs[0].last
	}
	if n := len(p.segments); n > 0 {
		if first == 0 {
			first = p.segments[0].id
		}
		last = p.segments[n-1].id
	}
	return first, last
}

// merge is one merge under way.
type merge struct {
	e    *Engine
	plan plan
	// all are the runs when it began, segments the log's table.
	all      []*runFile
	segments *segmentTable
	w        *run.Writer
	out      *runFile
	info     run.Info
	// mem is the memory tier, inputs the runs of the plan.
	mem    *mergeWalk
	memOK  bool
	inputs []*run.Iterator
	inOK   []bool
	buf    []byte
	// pace is called for each few records, with what was written since: it holds the merge to its rate and lets others run.
	pace  func(bytes int64) error
	paced int64
	// file is the run being written, synced how much of it was synced.
	file   vfs.File
	synced int64
	// older are the runs behind the plan's, shadowed counts the records whose keys they have, too.
	older    []*runFile
	shadowed int64
	// unshadowed counts, for each of plan.under, the records whose keys it no longer shares with an older run.
	unshadowed []int64
	lookup     run.Buffer
	// spill is the file of the list of buckets, if there had to be one.
	spill vfs.File
	// outside says that it is the caller's code that runs.
	outside bool
	// dropped are the keys that the filter let go of, if the observer is to be told.
	dropped []droppedKey
	// failed are the records of segments that the disk would not read, read counts the others. advancing is the run that is being
	// read.
	failed    []failedRead
	read      int
	advancing *runFile
}

// SpaceError says that a merge, or a part of one, or the copies of a snapshot were not begun, because the disk could be full before their end.
type SpaceError struct {
	// NeedBytes is what it may write, FreeBytes what the disk has room for besides the reserve.
	NeedBytes, FreeBytes int64
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("storage: up to %d bytes of disk are needed, %d are free", e.NeedBytes, e.FreeBytes)
}

// errNoRun says that a plan has nothing in it: a run must stand for segments.
var errNoRun = errors.New("storage: a merge of nothing")

// mergeNow carries out a plan. At each step a crash leaves the old files or the new one, whole: the run is durable before it
// has its name, and has it durably before anything that it replaces goes.
func (e *Engine) mergeNow(p plan, pace func(bytes int64) error) (err error) {
	free, err := e.freeForMerge(&p)
	if err != nil {
		return &IOError{"stat", e.dir, err}
	}
	if p.bytes > free {
		return &SpaceError{p.bytes, free}
	}
	// This waits for another merge that is finishing: what it sweeps out of the memory tier may be in a run of the plan.
	if err := e.removeStrays(); err != nil {
		return err
	}
	// It takes no pin: nobody else retires what it reads, and what others retire meanwhile need not wait for it.
	m := &merge{e: e, plan: p, pace: pace, all: e.index.beginMerge(), segments: e.log.table.Load(), unshadowed: make([]int64, len(p.under))}
	defer e.index.endMerge()
	first, last := p.span()
	if first == 0 {
		return errNoRun
	}
	m.noteOlder(first)
	path := runPath(e.dir, first, last)
	if err := m.write(path + vfs.TempSuffix); err != nil {
		return errors.Join(err, e.removeFile(path+vfs.TempSuffix))
	}
	// What the index has of newer segments took the place of records that are about to go: it must be durable before.
	if seg := e.log.active(); seg != nil && e.opts.Sync != SyncAlways {
		if err := e.syncSegment(seg); err != nil {
			return e.fail(err)
		}
	}
	if f := e.failure.Load(); f != nil {
		return errors.Join(f.refusal, e.removeFile(path+vfs.TempSuffix)) // what took their place may never be durable
	}
	return m.finish(path)
}

// firstSeqAfter is the number of the first record behind a segment.
func (e *Engine) firstSeqAfter(seg *segment) uint64 {
	next := e.nextSeq.Load() // before the look at the log: a segment may be begun meanwhile
	for _, s := range e.log.all() {
		if s.id > seg.id {
			return s.firstSeq
		}
	}
	return next
}

// write writes the run, durably.
func (m *merge) write(path string) error {
	f, err := m.e.fs.Create(path)
	if err != nil {
		return &IOError{"create", path, err}
	}
	err = errors.Join(m.fill(&eagerFile{File: f, rest: m.rest, early: true}, path), m.removeSpill())
	if err == nil {
		if err = f.Sync(); err != nil {
			err = &IOError{"sync", path, err}
		}
	}
	if cerr := f.Close(); err == nil && cerr != nil {
		err = &IOError{"close", path, cerr}
	}
	return err
}

func (m *merge) fill(f vfs.File, path string) error {
	first, last := m.plan.span()
	m.info = run.Info{Engine: m.e.engine, First: uint64(first), Last: uint64(last), LostSeq: m.lostSeq()}
	m.info.FirstSeq, m.info.NextSeq = m.seqs()
	w, err := run.NewWriter(f, m.info, run.WriterOptions{
		Codec: run.Codec(m.e.opts.Compression), BlockBytes: m.e.opts.BlockBytes, RecordsMax: m.recordsMax(), Buckets: m.buckets(),
	})
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	m.w, m.file = w, f
	if err := m.warm(); err != nil {
		return err
	}
	if fault := vfs.Guard(func() { err = m.addAll() }); fault != nil {
		if m.outside {
			panic(fault) // it is not ours
		}
		if m.advancing == nil {
			return &IOError{"read", m.e.dir, fault}
		}
		return m.runFailed(m.advancing, fault)
	}
	if err == nil {
		err = m.readAgain()
	}
	if err != nil {
		return err
	}
	_, size, err := w.Finish()
	if err != nil {
		return &IOError{"write", path, err}
	}
	return m.pace(size - m.paced)
}

// recordsMax is how many records the run can have.
func (m *merge) recordsMax() uint64 {
	n := uint64(0)
	if len(m.plan.segments) > 0 {
		n += uint64(m.e.index.entries())
	}
	for _, r := range m.plan.runs {
		n += r.info.Records
	}
	return n
}

// seqs are the numbers that the run's records have.
func (m *merge) seqs() (first, next uint64) {
	if n := len(m.plan.runs); n > 0 {
		first, next = m.plan.runs[n-1].info.FirstSeq, m.plan.runs[0].info.NextSeq
	}
	if n := len(m.plan.segments); n > 0 {
		if first == 0 {
			first = m.plan.segments[0].firstSeq
		}
		next = m.e.firstSeqAfter(m.plan.segments[n-1])
	}
	if m.plan.last && m.e.vouched.Load() != nil {
		first = 1 // what is missing before it is not missed
	}
	return first, next
}

// lostSeq is carried over from what is merged: the damage goes with the files, what it may have touched stays Unknown.
func (m *merge) lostSeq() uint64 {
	first, next := m.seqs()
	if lost := m.e.lostSeq.Load(); lost > 0 && lost < next && (m.plan.last || lost >= first) {
		return lost
	}
	return 0
}

// warm reads the segments once from front to back, if the store is larger than what is mapped of it: the merge reads them in any
// order, and the page cache may have lost them.
func (m *merge) warm() error {
	if m.e.diskBytes() <= m.e.opts.MapBytesMax {
		return nil
	}
	buf := make([]byte, scanWindowBytes)
	for _, s := range m.plan.segments {
		for off := int64(0); off < s.written.Load(); off += scanWindowBytes {
			if _, err := s.file.ReadAt(buf, off); err != nil && !errors.Is(err, io.EOF) {
				return &IOError{"read", s.path, err}
			}
			if err := m.pace(0); err != nil {
				return err
			}
		}
	}
	return nil
}

// diskBytes is the size of the segments and runs.
func (e *Engine) diskBytes() (n int64) {
	for _, s := range e.log.all() {
		n += s.written.Load()
	}
	for _, r := range e.index.runs() {
		n += r.reader.Size()
	}
	return n
}

// addAll walks the memory tier and the runs side by side.
func (m *merge) addAll() error {
	m.mem, m.memOK = m.e.index.walkForMerge(m.e.opts.mergeWalkEntries, func() error { return m.pace(0) })
	for _, r := range m.plan.runs {
		it := r.reader.Iter(run.IterOptions{ReadAhead: true})
		m.inputs, m.inOK = append(m.inputs, it), append(m.inOK, false)
		m.advance(len(m.inputs) - 1)
	}
	for added := uint64(1); ; added++ {
		more, err := m.addNext()
		if err != nil || !more || planted.On(planted.HalfMerge) && 2*added > m.recordsMax() {
			return err
		}
		if added%yield.Records == 0 { // it may leave out all of a long stretch
			if err := m.pace(0); err != nil {
				return err
			}
		}
		if n := m.w.Size(); n-m.paced >= mergeStepBytes {
			if err := m.pace(n - m.paced); err != nil {
				return err
			}
			m.paced = n
			if err := m.syncNow(n); err != nil {
				return err
			}
		}
	}
}

// mergeWriteBackBytes is how much is written before the disk is to begin with it: a sync of the log that comes then waits for about as much. With 1 MiB
// the p99 of durable puts beside a merge was 1.4 ms in place of 0.9 to 1.1.
const mergeWriteBackBytes = 256 << 10

// eagerFile writes a little at a time, and may have the disk begin with what is written.
type eagerFile struct {
	vfs.File
	// rest is called after each write: during one nobody else has the processor.
	rest func()
	// early says that the disk is to begin.
	early bool
	// waiting is how much was written since the disk was told.
	waiting int
}

func (f *eagerFile) WriteAt(p []byte, off int64) (written int, err error) {
	for written < len(p) && err == nil {
		var n int
		n, err = f.File.WriteAt(p[written:min(len(p), written+yield.Bytes)], off+int64(written))
		written += n
		if f.waiting += n; err == nil && f.early && f.waiting >= mergeWriteBackBytes {
			f.waiting = 0
			_ = f.File.Advise(vfs.AdviseWriteBack) // not every system can; what cannot be written shows when it is synced
		}
		f.rest()
	}
	return written, err
}

// rest lets others run. That the merge is to stop shows the next time that it is held to its rate.
func (m *merge) rest() { _ = m.pace(0) }

// mergeSyncBytes is how much is written between two syncs of a run: the last one must not keep the disk from others for long.
const mergeSyncBytes = 16 << 20

func (m *merge) syncNow(n int64) error {
	if n-m.synced < mergeSyncBytes {
		return nil
	}
	m.synced = n
	if free, err := m.e.fs.Free(m.e.dir); err == nil && free < min(m.e.opts.ReserveBytes/4, mergeSyncBytes) {
		return &SpaceError{m.plan.bytes, free} // others have taken it
	}
	if err := m.file.Sync(); err != nil {
		return &IOError{"sync", m.e.dir, err}
	}
	return nil
}

// addNext adds the least key that is left, if the run is to have it.
func (m *merge) addNext() (more bool, err error) {
	at, err := m.least()
	if err != nil || at < 0 && !m.memOK {
		return false, err
	}
	var key []byte
	if at >= 0 {
		key = m.inputs[at].Record().Key
	}
	c := -1
	if at >= 0 {
		c = 1
		if m.memOK {
			c = bytes.Compare(m.mem.key(), key)
		}
	}
	if c <= 0 {
		// The memory tier is younger, whether or not its record is one of those to be merged.
		if err := m.addEntry(); err != nil {
			return false, err
		}
	} else if err := m.addRecord(m.inputs[at].Record()); err != nil {
		return false, err
	}
	if c >= 0 {
		m.pass(at, key)
	}
	if c <= 0 {
		m.memOK = m.mem.next()
	}
	return true, m.mem.err
}

// least is the run whose key comes next, the youngest of several, or -1.
func (m *merge) least() (at int, err error) {
	at = -1
	for i, it := range m.inputs {
		for d := it.Damage(); d != nil; d = it.Damage() {
			if !m.e.vouchedFor(m.plan.runs[i], d.Offset) {
				return -1, m.e.runFailed(m.plan.runs[i], d)
			}
			m.advance(i)
		}
		if err := it.Err(); err != nil {
			return -1, m.runFailed(m.plan.runs[i], err)
		}
		if m.inOK[i] && (at < 0 || bytes.Compare(it.Record().Key, m.inputs[at].Record().Key) < 0) {
			at = i
		}
	}
	return at, nil
}

// pass goes past a key in all runs. The key is that of the run at, which therefore goes last.
func (m *merge) pass(at int, key []byte) {
	for i, it := range m.inputs {
		if i != at && m.inOK[i] && bytes.Equal(it.Record().Key, key) {
			m.advance(i)
		}
	}
	m.advance(at)
}

func (m *merge) advance(i int) {
	m.advancing = m.plan.runs[i]
	m.inOK[i] = m.inputs[i].Next()
	m.advancing = nil
}

// addEntry adds what the memory tier has, if it is in a segment that is merged.
func (m *merge) addEntry() error {
	en := m.mem.entry()
	id, n := SegmentID(en.Segment), len(m.plan.segments)
	if n == 0 || id < m.plan.segments[0].id || id > m.plan.segments[n-1].id {
		return nil
	}
	if !en.live() {
		return m.addTombstone(en.key, en.Seq)
	}
	rec := run.Record{Key: en.key, Meta: en.meta, Seq: en.Seq}
	if m.drops(&rec) {
		return m.drop(&rec)
	}
	if en.Flags&flagUnreadable == 0 {
		f, err := m.e.readFrameIn(m.segments, &en, m.buf)
		m.e.mergeReads.Add(1)
		switch {
		case isCorrupt(err), err != nil && m.leave(&en, err):
			en.Flags |= flagUnreadable
		case err != nil:
			return err
		default:
			m.read++
			m.buf, rec.Value = f.whole, f.value
		}
	}
	if en.Flags&flagUnreadable != 0 {
		rec.Flags = run.FlagUnreadable
	}
	return m.add(&rec)
}

// addRecord adds what a run has.
func (m *merge) addRecord(rec *run.Record) error {
	switch above, err := m.supersededAbove(rec.Key); {
	case above, err != nil:
		return err
	case rec.Flags&run.FlagTombstone != 0:
		return m.addTombstone(rec.Key, rec.Seq)
	case m.drops(rec):
		return m.drop(rec)
	}
	return m.add(rec)
}

// addTombstone adds that a key is absent, if anything may say otherwise.
func (m *merge) addTombstone(key []byte, seq uint64) error {
	if lost := m.e.lostSeq.Load(); m.plan.last && (lost == 0 || seq <= lost) {
		return nil
	}
	return m.add(&run.Record{Key: key, Seq: seq, Flags: run.FlagTombstone})
}

func (m *merge) add(rec *run.Record) error {
	m.countShadowed(rec.Key)
	if err := m.w.Add(rec); err != nil {
		return &IOError{"write", runPath(m.e.dir, SegmentID(m.info.First), SegmentID(m.info.Last)), err}
	}
	return nil
}

// Merge gives back the space of everything that is superseded, deleted, expired or filtered out: it seals the log and makes one
// run of all there is. It returns when that is done, and goes at full speed. Writes and reads go on.
//
// Errors: ErrClosed, ErrReadOnly, *SpaceError (there is no room for all of it; what fits was merged), ErrDiskFull (nothing at all is free), *CorruptError (a run is damaged, which stays as it is), *IOError, ctx's: the store
// is as it was, or has fewer, larger runs.
func (e *Engine) Merge(ctx context.Context) error {
	return e.merger.full(ctx)
}
