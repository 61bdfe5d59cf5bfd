package storage

import (
	"slices"
	"sync"
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
// entry in it is younger than all that the file tier, the runs, has of its key. Readers and the committer share it under a
// lock that is never held across I/O; a view is immutable and needs none.
type index struct {
	mu    sync.RWMutex
	table *memindex.Table
	log   *segmentLog
	// settled are the runs, the youngest first. The slice is replaced, never changed.
	settled atomic.Pointer[[]*runFile]
	// merging says that a run is being written: what it holds cannot be known yet.
	merging bool
	// shadows counts the entries of the memory tier whose keys the runs have, too, as far as their filters can tell.
	shadows int64
	// keys counts the entries that are no tombstones, and liveBytes the records that they point at.
	keys, liveBytes int64
	// live has the liveBytes of each segment, from the segment liveFrom on.
	live     []int64
	liveFrom uint32
	// keepTombstones has all tombstones kept, because what other absent keys are is not known.
	keepTombstones bool
}

func newIndex(log *segmentLog, keepTombstones bool) *index {
	x := &index{table: memindex.New(memindex.Options{}), log: log, keepTombstones: keepTombstones}
	x.settled.Store(new([]*runFile))
	return x
}

// runs are the runs, the youngest first. The slice must not be changed. Who looks a key up in them has looked in the memory
// tier before: what a merge moves from there is in a run first.
func (x *index) runs() []*runFile { return *x.settled.Load() }

// inRuns says whether a run may have the key.
func (x *index) inRuns(key []byte) bool {
	runs := x.runs()
	if len(runs) == 0 {
		return false
	}
	hash := run.Hash(key)
	for _, r := range runs {
		if r.reader.MayContain(hash) {
			return true
		}
	}
	return false
}

// close gives the memory back. Nobody may use the index any more, nor a view of it.
func (x *index) close() { x.table.Close() }

// get returns the entry of a key, without its meta.
func (x *index) get(key []byte) (entry, bool) {
	if len(key) > keyBytesLimit {
		return entry{}, false
	}
	x.mu.RLock()
	_, loc, ok := x.table.Get(key)
	x.mu.RUnlock()
	return entry{key: key, Location: loc}, ok
}

// getMeta is get with the meta, which is appended to dst.
func (x *index) getMeta(key, dst []byte) (entry, bool) {
	if len(key) > keyBytesLimit {
		return entry{meta: dst}, false
	}
	x.mu.RLock()
	meta, loc, ok := x.table.Get(key)
	dst = append(dst, meta...)
	x.mu.RUnlock()
	return entry{key: key, meta: dst, Location: loc}, ok
}

// load adds an entry whose key is greater than all before it, while the engine opens.
func (x *index) load(e *entry) {
	if x.inRuns(e.key) {
		x.shadows++
	}
	x.count(e.Location, 1)
	x.table.Append(e.key, e.meta, e.Location)
}

func (x *index) count(loc memindex.Location, by int64) {
	if loc.Flags&flagTombstone != 0 {
		return
	}
	x.keys += by
	x.liveBytes += by * int64(loc.Length)
	if len(x.live) == 0 {
		x.liveFrom = loc.Segment
	}
	if loc.Segment < x.liveFrom {
		x.live = append(make([]int64, x.liveFrom-loc.Segment), x.live...)
		x.liveFrom = loc.Segment
	}
	for int(loc.Segment-x.liveFrom) >= len(x.live) {
		x.live = append(x.live, 0)
	}
	x.live[loc.Segment-x.liveFrom] += by * int64(loc.Length)
}

// publishChunk is how many changes are made under one hold of the lock, so that a large group does not keep readers
// waiting.
const publishChunk = 64

// publish makes the changes of a group visible, those of one mutation all at once. before, unless nil, is told of each what
// stood there; its entry is valid in the call only.
func (x *index) publish(g *group, before func(c *change, old entry, existed bool)) {
	for changes := g.changes; len(changes) > 0; {
		n := chunkOf(changes)
		x.mu.Lock()
		for i := range changes[:n] {
			c := &changes[i]
			old, existed := x.setLocked(g.entry(c))
			if before != nil {
				before(c, old, existed)
			}
		}
		x.mu.Unlock()
		changes = changes[n:]
	}
}

// chunkOf is how many changes go together: whole mutations, and no more than it takes to come to publishChunk.
func chunkOf(changes []change) int {
	n := min(publishChunk, len(changes))
	for !changes[n-1].last {
		n++
	}
	return n
}

func (x *index) setLocked(now entry) (old entry, existed bool) {
	shadows := x.inRuns(now.key)
	if now.live() || shadows || x.merging || x.keepTombstones {
		old.meta, old.Location, existed = x.table.Set(now.key, now.meta, now.Location)
		x.count(now.Location, 1)
		if shadows && !existed {
			x.shadows++
		}
	} else {
		old.meta, old.Location, existed = x.table.Delete(now.key)
	}
	if existed {
		x.count(old.Location, -1)
	}
	return old, existed
}

// flag sets flags on the entry of a key if it is still that of the same record. It says whether that changed anything.
func (x *index) flag(e *entry, flags uint8) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, now, ok := x.table.Get(e.key)
	if !ok || !e.samePlace(now) || now.Flags&flags == flags {
		return false
	}
	now.Flags |= flags
	return x.table.Update(e.key, now)
}

// forget takes an entry out whose record was dropped, if it is still that of the same one.
func (x *index) forget(key []byte, seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, loc, ok := x.table.Get(key); ok && loc.Seq == seq {
		x.count(loc, -1)
		x.table.Delete(key)
	}
}

// totals are the number of keys and the size of the memory tier's live records.
func (x *index) totals() (keys, liveBytes int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	keys = x.keys
	for _, r := range x.runs() {
		keys += r.keys()
	}
	return max(keys-x.shadows, 0), x.liveBytes
}

// liveIn is the size of the live records of a segment.
func (x *index) liveIn(id SegmentID) int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if at := int64(id) - int64(x.liveFrom); at >= 0 && at < int64(len(x.live)) {
		return x.live[at]
	}
	return 0
}

// memoryBytes is what the index takes of the memory.
func (x *index) memoryBytes() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.table.Bytes()
	for _, r := range x.runs() {
		n += r.reader.MemoryBytes()
	}
	return n
}

// tableBytes is what the memory tier takes.
func (x *index) tableBytes() int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.table.Bytes()
}

// view is the index as it was at one moment, with the segments that its entries are in. It must be released, and is good for
// as long as a pin that was taken before it.
type view struct {
	mem      *memindex.View
	runs     []*runFile
	segments *segmentTable
}

// view takes a view. It costs nothing now; later changes copy the nodes that they touch, once for each view.
func (x *index) view() view {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.viewLocked()
}

func (x *index) viewLocked() view {
	return view{mem: x.table.View(), runs: x.runs(), segments: x.log.table.Load()}
}

func (v view) release() { v.mem.Release() }

// beginMerge takes the view that a merge works on. Until endMerge all tombstones are kept.
func (x *index) beginMerge() view {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.merging = true
	return x.viewLocked()
}

// endMerge says that no run is being written any more.
func (x *index) endMerge() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.merging = false
}

// install replaces runs, which are next to each other, by one that holds the same and what the merge took from segments. The
// entries of the memory tier that point to those are to be swept next.
func (x *index) install(old []*runFile, now *runFile) {
	x.mu.Lock()
	defer x.mu.Unlock()
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

// sweepLeaves is how many leaves are swept under one hold of the lock.
const sweepLeaves = 4

// sweep takes the entries out of the memory tier that point to the segments from first to last, whose records are in a run
// now, and counts anew how many of the rest the runs have, too.
func (x *index) sweep(first, last SegmentID) {
	shadows := int64(0)
	for from, done := []byte(nil), false; !done; {
		x.mu.Lock()
		from, done = x.table.Sweep(from, sweepLeaves, func(key, _ []byte, loc memindex.Location) bool {
			if id := SegmentID(loc.Segment); id >= first && id <= last {
				x.count(loc, -1)
				return true
			}
			if x.inRuns(key) {
				shadows++
			}
			return false
		})
		x.mu.Unlock()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.shadows = shadows
}

// visit calls fn for each entry in the range, in order, until it returns false. The entry is valid in the call.
func (v view) visit(r Range, fn func(*entry) bool) {
	it := v.mem.Iter()
	ok := false
	if r.Reverse {
		ok = it.SeekBefore(r.End)
	} else {
		ok = it.Seek(r.Start)
	}
	for ok {
		en := entry{it.Key(), it.Meta(), it.Location()}
		if r.past(en.key) || !fn(&en) {
			return
		}
		if r.Reverse {
			ok = it.Prev()
		} else {
			ok = it.Next()
		}
	}
}
