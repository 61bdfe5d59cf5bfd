package storage

import (
	"math"
	"slices"
	"time"

	"github.com/ringcask/ringcask/storage/internal/run"
)

// Stats is a snapshot of an engine's counters. Those marked (total) count since Open.
type Stats struct {
	// Keys are present, the unreadable ones among them. It is exact without runs. With some it is an estimate, which may be off by
	// the keys that filters take for known (1 %), by deleted ones, and by those that several runs have which were
	// there at Open: these count several times until they are merged. After Merge it is exact but for the first.
	Keys int64
	// LiveBytes is the size of the newest record of every present key, DeadBytes all else in segments and runs: superseded
	// records, tombstones, headers, marks and damage. In runs, DeadBytes is the number of records known to be superseded, counted
	// as for Keys, times their average size; what has expired counts as live until it is merged. Both together are the bytes of
	// the frames and of the runs. DiskBytes adds the hint files and the zeros filled ahead.
	LiveBytes, DeadBytes, DiskBytes int64
	// Segments are the files of the log, the active one among them.
	Segments int
	// Runs are the files that merges made, RunBytes their size.
	Runs     int
	RunBytes int64
	// IndexBytes is the memory of what the index has on the keys that were not merged yet, RunIndexBytes that of the sparse
	// indexes and filters of runs.
	IndexBytes, RunIndexBytes int64
	// MappedBytes of files are mapped into memory, or set aside for the active segment to grow into.
	MappedBytes int64
	// OpenFiles are the segments and runs that are open now: see Options.OpenFilesMax.
	OpenFiles int
	// LastSeq is the sequence number of the last record in the log, zero if it never had one. If nothing follows damage, it
	// is as great as it can have been.
	LastSeq uint64
	// Records, Groups and Syncs (total) were written: records a group and groups a sync say how well commits are grouped.
	Records, Groups, Syncs int64
	// BytesWritten (total) went to the log, BytesZeroed (total) were zeros ahead of it.
	BytesWritten, BytesZeroed int64
	// Reads (total) are records read and checked.
	Reads int64
	// QueueLen and QueueBytes wait for the writer now.
	QueueLen   int
	QueueBytes int64
	Merge      MergeStats
	Cache      CacheStats
	// ScrubbedAt is when the last scrub ended that has read everything; zero if there was none. ScrubBytes (total) were read
	// by scrubs; Scrubbing says that one is under way.
	ScrubbedAt time.Time
	ScrubBytes int64
	Scrubbing  bool
	// Damage is the number of unreadable places known: those that Open found and those found since.
	Damage int64
	// UnknownAll says that every key whose newest record is older than damage that could not be attributed to keys is
	// Unknown, and so is every absent key: see Recovery.Damage. It never changes while the engine is open, but by Vouch.
	UnknownAll bool
	// DiskFreeBytes is what the file system has free; negative if that is not known.
	DiskFreeBytes int64
	// DiskFull says that writes are refused with ErrDiskFull.
	DiskFull bool
	// ReadOnly is why the engine takes no writes; empty if it does.
	ReadOnly string
}

// MergeStats is what merges have done and have before them.
type MergeStats struct {
	// Merges (total) were completed and BytesWritten (total) by them and those that failed. Dropped (total) are the records that
	// they left out because they had expired or Options.Filter said so.
	Merges, BytesWritten, Dropped int64
	// Running says that one or two are under way, which have written RunningBytes.
	Running      bool
	RunningBytes int64
	// DebtBytes is the most that the merges which are due, or under way, have yet to write; zero if none is. FullBytes is the
	// most that Merge would write at once.
	DebtBytes, FullBytes int64
	// HeldWrites (total) is how often a write has waited for a merge, because the index had outgrown its memory or the runs were too many.
	// HeldTime (total) is for how long there were writes that did.
	HeldWrites int64
	HeldTime   time.Duration
	// LastError is why the last merge in the background failed; empty if it did not.
	LastError string
}

// CacheStats is what the cache of blocks holds and has done.
type CacheStats struct {
	Bytes, BytesMax int64
	// Hits, Misses and Evictions (total): evictions are the blocks that went to make room.
	Hits, Misses, Evictions uint64
}

// Stats returns the engine's counters. It takes some microseconds and a call of the operating system, but reads nothing.
func (e *Engine) Stats() Stats {
	s := Stats{
		Records: e.records.Load(), Groups: e.groups.Load(), Syncs: e.syncs.Load(), Reads: e.reads.Load(),
		LastSeq: e.nextSeq.Load() - 1, BytesWritten: e.bytesWritten.Load(), BytesZeroed: e.bytesZeroed.Load(),
		Damage: e.damaged.Load(), UnknownAll: e.lostSeq.Load() > 0,
		MappedBytes: e.mapped.Load(), OpenFiles: e.files.Count(), DiskFreeBytes: -1, DiskFull: e.space.full.Load(),
		ScrubBytes: e.scrubber.bytes.Load(), Scrubbing: e.scrubber.working.Load(),
	}
	if at := e.scrubber.last.Load(); at != 0 {
		s.ScrubbedAt = time.Unix(0, at)
	}
	e.countFiles(&s)
	s.Merge = e.mergeStats()
	c := e.cache.Stats()
	s.Cache = CacheStats{Bytes: c.Bytes, BytesMax: c.BytesMax, Hits: c.Hits, Misses: c.Misses, Evictions: c.Evictions}
	s.QueueLen, s.QueueBytes = e.writer.queued()
	if free, err := e.fs.Free(e.dir); err == nil && free < math.MaxInt64 {
		s.DiskFreeBytes = free
	}
	if err := e.Err(); err != nil {
		s.ReadOnly = err.Error()
	}
	return s
}

// countFiles adds up keys and bytes.
func (e *Engine) countFiles(s *Stats) {
	u := e.index.usage()
	all := e.log.all()
	s.Segments = len(all)
	for _, seg := range all {
		logged := seg.written.Load()
		s.DeadBytes += logged
		s.DiskBytes += max(logged, seg.filled.Load()) + seg.hintFileBytes.Load()
	}
	// A merge may be between the index and the log: its records are counted where they come from.
	s.DeadBytes = max(s.DeadBytes-u.liveBytes, 0)
	dead := u.deadRunBytes()
	s.Keys = max(u.keys+u.runKeys-u.superseded, 0)
	s.LiveBytes = u.liveBytes + u.runBytes - dead
	s.DeadBytes += dead
	s.DiskBytes += u.runBytes
	s.Runs, s.RunBytes = u.runs, u.runBytes
	s.IndexBytes, s.RunIndexBytes = u.tableBytes, u.runIndexBytes
}

func (e *Engine) mergeStats() MergeStats {
	m := MergeStats{
		Merges: e.merges.Load(), BytesWritten: e.mergeBytes.Load(), Dropped: e.dropped.Load(),
		DebtBytes: e.merger.debt(), FullBytes: e.fullBytes(),
	}
	m.HeldWrites, m.HeldTime = e.writer.held.total()
	for _, k := range e.merger.kinds() {
		if k.underWay() {
			m.Running = true
			m.RunningBytes += k.written.Load()
		}
	}
	if err := e.merger.lastError(); err != nil {
		m.LastError = err.Error()
	}
	return m
}

// usage is what the index knows of the sizes of things.
type usage struct {
	// keys and liveBytes are those of the memory tier's records.
	keys, liveBytes, tableBytes int64
	// runKeys are those that runs have, in runRecords with tombstones; superseded are the records in runs of which something newer
	// is known.
	runs                                         int
	runKeys, runRecords, runTombstones, runBytes int64
	runIndexBytes, superseded                    int64
}

func (x *index) usage() (u usage) {
	x.each(func(s *shard) {
		u.keys += s.keys
		u.liveBytes += s.liveBytes
		u.tableBytes += s.table.Bytes()
		u.superseded += s.shadows
	})
	for _, r := range x.runs() {
		u.runs++
		u.runKeys += r.keys()
		u.runRecords += int64(r.info.Records)
		u.runTombstones += int64(r.info.Tombstones)
		u.runBytes += r.reader.Size()
		u.runIndexBytes += r.reader.MemoryBytes()
		u.superseded += r.shadowed.Load()
	}
	return u
}

// deadRunBytes is an estimate.
func (u *usage) deadRunBytes() int64 {
	if u.runRecords == 0 {
		return u.runBytes
	}
	dead := max(min(u.superseded+u.runTombstones, u.runRecords), 0)
	return int64(float64(u.runBytes) * float64(dead) / float64(u.runRecords))
}

// noteOlder notes the runs that are older than the one that is written.
func (m *merge) noteOlder(first SegmentID) {
	for _, r := range m.all {
		if r.last < first {
			m.older = append(m.older, r)
		}
	}
}

// countShadowed counts a key if an older run may have it.
func (m *merge) countShadowed(key []byte) {
	if len(m.older) == 0 {
		return
	}
	if m.shadows(run.Hash(key)) {
		m.shadowed++
	}
}

// shadows says whether an older run may have the key with this hash.
func (m *merge) shadows(hash uint64) bool {
	return slices.ContainsFunc(m.older, func(r *runFile) bool { return r.reader.MayContain(hash) })
}
