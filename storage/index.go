package storage

import (
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/internal/memindex"
	"github.com/ringcask/ringcask/storage/internal/run"
)

// The flags of an entry.
const (
	// flagTombstone marks a key that is known to be absent. Such entries are kept only while something older may be found
	// otherwise.
	flagTombstone = 1 << iota
	// flagUnreadable marks a key whose newest record cannot be read.
	flagUnreadable
)

// entry is what the index, a hint file or a frame knows of a key: its meta, and where its newest record stands. The slices
// are lent: who hands an entry out says for how long.
type entry struct {
	key, meta []byte
	memindex.Location
}

func (e *entry) live() bool { return e.Flags&flagTombstone == 0 }

func (e *entry) corrupt(reason string) *CorruptError {
	return &CorruptError{Segment: SegmentID(e.Segment), Offset: int64(e.Offset), Reason: reason}
}

// samePlace says whether two entries of one key are of the same record.
func (e *entry) samePlace(o memindex.Location) bool {
	return e.Segment == o.Segment && e.Offset == o.Offset && e.Seq == o.Seq
}

// index is the sorted map from keys to entries, in two tiers. The memory tier knows the keys of the log's segments, and every
// entry in it is younger than all that the file tier, the runs, has of its key. The memory tier is in shards by the hash of the
// key, each with a lock that is never held across I/O: several writers enter what they have written at the same time.
type index struct {
	shards []shard
	log    *segmentLog
	// settled are the runs, the youngest first. The slice is replaced, never changed.
	settled atomic.Pointer[[]*runFile]
	// merging counts the runs that are being written: what they hold cannot be known yet. It is written with all shards locked.
	merging int
	// entering has the changes that are being made, if others may help; its shards are unlocked one by one.
	entering atomic.Pointer[group]
	// frozen is what readers look at while a large mutation is entering, freezing counts those that are about to.
	frozen   atomic.Pointer[frozen]
	freezing atomic.Int32
	// freezeFrom is Options.freezeFrom.
	freezeFrom int
	// keepTombstones has all tombstones kept, because what other absent keys are is not known.
	keepTombstones bool
	// showFrom is Options.showFrom.
	showFrom int
	// opened is where the log ended when the engine was opened.
	opened logEnd
}

// shardsPerProcessor makes it unlikely that two writers meet in one shard; shardsMax bounds what a scan has to merge.
const (
	shardsPerProcessor = 4
	shardsMax          = 16
)

func newIndex(log *segmentLog, showFrom int) *index {
	n := 1
	for n < min(shardsMax, shardsPerProcessor*runtime.GOMAXPROCS(0)) {
		n *= 2
	}
	x := &index{shards: make([]shard, n), log: log, showFrom: showFrom, freezeFrom: freezeFromDefault}
	for i := range x.shards {
		x.shards[i].table = memindex.New(memindex.Options{})
	}
	x.settled.Store(new([]*runFile))
	return x
}

// close gives the memory back. Nobody may use the index any more, nor a view of it.
func (x *index) close() {
	x.lock() // Stats may look at any time
	defer x.unlock()
	for i := range x.shards {
		x.shards[i].table.Close()
	}
}

// runs are the runs, the youngest first. The slice must not be changed.
func (x *index) runs() []*runFile { return *x.settled.Load() }

// inRuns says whether a run may have the key of a hash.
func (x *index) inRuns(hash uint64) bool {
	for _, r := range x.runs() {
		if r.reader.MayContain(hash) {
			return true
		}
	}
	return false
}

func (x *index) shardOf(hash uint64) int  { return int(hash & uint64(len(x.shards)-1)) }
func (x *index) shard(hash uint64) *shard { return &x.shards[x.shardOf(hash)] }

// find returns the entry of a key, with its meta behind dst if withMeta says so. Without an entry, the key's record is in one of
// runs, if it has one: they are those of the moment when there was no entry.
func (x *index) find(key, dst []byte, withMeta bool) (en entry, runs []*runFile, ok bool) {
	if len(key) > keyBytesLimit {
		return entry{key: key, meta: dst}, nil, false
	}
	hash := run.Hash(key)
	s := x.shard(hash)
	if f := x.readLock(s); f != nil {
		defer f.release()
		return f.find(x.shardOf(hash), key, dst, withMeta)
	}
	defer s.mu.RUnlock()
	en, _, runs, ok = x.findLocked(s, hash, key, dst, withMeta)
	return en, runs, ok
}

// findPlace is find for a change that follows: it says where the key is, and sees all that is entering.
func (x *index) findPlace(key, dst []byte, withMeta bool) (en entry, at memindex.Place, runs []*runFile, ok bool) {
	if len(key) > keyBytesLimit {
		return entry{key: key, meta: dst}, at, nil, false
	}
	hash := run.Hash(key)
	s := x.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return x.findLocked(s, hash, key, dst, withMeta)
}

func (x *index) findLocked(s *shard, hash uint64, key, dst []byte, withMeta bool) (en entry, at memindex.Place, runs []*runFile, ok bool) {
	en = entry{key: key, meta: dst}
	if f, ok := s.fresh.find(hash, key); ok {
		now := f.g.entry(f.c)
		if withMeta {
			en.meta = append(dst, now.meta...)
		}
		en.Location = now.Location
		return en, at, nil, true
	}
	meta, loc, at, ok := s.table.Find(key)
	if !ok {
		return en, at, x.runs(), false
	}
	if withMeta {
		en.meta = append(dst, meta...)
	}
	en.Location = loc
	return en, at, nil, true
}

// get returns the entry of a key, without its meta.
func (x *index) get(key []byte) (entry, bool) {
	en, _, ok := x.find(key, nil, false)
	return en, ok
}

// lock locks all shards to write, in their order. The tables have all that is visible then.
func (x *index) lock() {
	x.absorb() // one shard at a time, so that little is left to do with many of them locked
	for i := range x.shards {
		x.shards[i].lock(x)
	}
}

func (x *index) unlock() {
	for i := range x.shards {
		x.shards[i].mu.Unlock()
	}
}

// flag sets flags on the entry of a key if it is still that of the same record. It says whether that changed anything.
func (x *index) flag(e *entry, flags uint8) bool {
	s := x.shard(run.Hash(e.key))
	s.lock(x)
	defer s.mu.Unlock()
	_, now, ok := s.table.Get(e.key)
	if !ok || !e.samePlace(now) || now.Flags&flags == flags {
		return false
	}
	now.Flags |= flags
	return s.table.Update(e.key, now)
}

// forget takes an entry out whose record was dropped, if it is still that of the same one.
func (x *index) forget(key []byte, seq uint64) {
	s := x.shard(run.Hash(key))
	s.lock(x)
	defer s.mu.Unlock()
	if _, loc, ok := s.table.Get(key); ok && loc.Seq == seq {
		s.count(loc, -1)
		meta, _, _ := s.table.Delete(key)
		s.grew(-1, &entry{key: key}, meta)
	}
}

// each calls fn for each shard, which is locked for reading, with nothing fresh.
func (x *index) each(fn func(*shard)) {
	for i := range x.shards {
		s := &x.shards[i]
		s.mu.RLock()
		if s.fresh.len() == 0 {
			fn(s)
			s.mu.RUnlock()
			continue
		}
		s.mu.RUnlock()
		s.lock(x)
		fn(s)
		s.mu.Unlock()
	}
}

// liveIn is the size of the live records of a segment.
func (x *index) liveIn(id SegmentID) (bytes int64) {
	x.each(func(s *shard) {
		if at := int64(id) - int64(s.liveFrom); at >= 0 && at < int64(len(s.live)) {
			bytes += s.live[at]
		}
	})
	return bytes
}

// entryBytes is about what an entry of the memory tier takes besides its key and meta.
const entryBytes = 16

// entriesBytes is about what the entries take, without those that are fresh. The memory that they had before a merge took them out is used for others.
func (x *index) entriesBytes() (n int64) {
	for i := range x.shards {
		n += x.shards[i].entries.Load()*entryBytes + x.shards[i].textBytes.Load()
	}
	return n
}

// entries is how many entries the memory tier has, without those that are fresh.
func (x *index) entries() (n int64) {
	for i := range x.shards {
		n += x.shards[i].entries.Load()
	}
	return n
}

// view is the index as it was at one moment, with the segments that its entries are in. It must be released, and is good for
// as long as a pin that was taken before it.
type view struct {
	// shards are those that are not empty.
	shards   []*memindex.View
	runs     []*runFile
	segments *segmentTable
	// frozen, if not nil, is who the shards belong to.
	frozen *frozen
}

// viewTries is how often a view is tried to be taken beside readers. What is fresh is absorbed before each try, and little comes in between.
const viewTries = 3

// view takes a view. It costs little now, if little is fresh; later changes copy the nodes that they touch, once for each view.
func (x *index) view() view {
	for range viewTries {
		x.absorb()
		if v, ok := x.tryView(); ok {
			return v
		}
	}
	x.lock()
	defer x.unlock()
	return x.viewLocked()
}

// tryView takes a view if nothing is fresh.
func (x *index) tryView() (v view, ok bool) {
	for i := range x.shards {
		x.shards[i].mu.RLock()
	}
	if ok = !x.anyFresh(); ok {
		v = x.viewLocked()
	}
	for i := range x.shards {
		x.shards[i].mu.RUnlock()
	}
	return v, ok
}

func (x *index) viewLocked() view {
	var v view
	for i := range x.shards {
		if t := x.shards[i].table; t.Len() > 0 {
			v.shards = append(v.shards, t.View())
		}
	}
	// After the shards: what is in them no more is in a run by now.
	v.runs, v.segments = x.runs(), x.log.table.Load()
	return v
}

func (v view) release() {
	if v.frozen != nil {
		v.frozen.release()
		return
	}
	for _, s := range v.shards {
		s.Release()
	}
}

// beginMerge returns the runs. Until its endMerge all tombstones are kept.
func (x *index) beginMerge() []*runFile {
	x.lock()
	defer x.unlock()
	x.merging++
	return x.runs()
}

// endMerge says that the run is written, or never will be.
func (x *index) endMerge() {
	x.lock()
	defer x.unlock()
	x.merging--
}

// install replaces runs, which are next to each other, by one that holds the same and what the merge took from segments. The
// entries of the memory tier that point to those are to be swept next.
func (x *index) install(old []*runFile, now *runFile) {
	var runs []*runFile
	placed := false
	for _, r := range x.runs() {
		if !placed && r.last < now.last {
			runs, placed = append(runs, now), true
		}
		if !slices.Contains(old, r) {
			runs = append(runs, r)
		}
	}
	if !placed {
		runs = append(runs, now)
	}
	x.settled.Store(&runs)
}

// sweep takes the entries out of the memory tier that point to the segments from first to last, whose records are in a run
// now, and counts anew how many of the rest the runs have, too.
func (x *index) sweep(first, last SegmentID, rest func()) {
	for i := range x.shards {
		x.shards[i].sweep(x, first, last, rest)
	}
}
