package storage

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/internal/memindex"
	"github.com/ringcask/ringcask/storage/internal/run"
)

// shard is a part of the memory tier. All of it is under mu. What is said of its entries is said of those in the table.
type shard struct {
	mu    sync.RWMutex
	table *memindex.Table
	fresh freshList
	// unabsorbed is how many changes are fresh. It may be looked at without the lock.
	unabsorbed atomic.Int32
	// keys counts the entries that are no tombstones, and liveBytes the records that they point at.
	keys, liveBytes int64
	// shadows counts the entries whose keys the runs have, too, as far as their filters can tell.
	shadows int64
	// live has the liveBytes of each segment, from the segment liveFrom on.
	live     []int64
	liveFrom uint32
	// entries counts those of the table, textBytes their keys and metas. They may be looked at without the lock.
	entries, textBytes atomic.Int64
	// published is where the last mutation ended that has changed anything here.
	published logEnd
	_         [64]byte // so that the locks of two shards do not share a cache line
}

// set enters a change of a key that was found at a place, if it was, and returns what stood there. A tombstone is entered only if something older may
// be found otherwise.
func (s *shard) set(now *entry, at memindex.Place, shadows, keep bool) (old entry, existed bool) {
	if now.live() || shadows || keep {
		old.meta, old.Location, existed = s.table.SetAt(at, now.key, now.meta, now.Location)
		s.count(now.Location, 1)
		if shadows && !existed {
			s.shadows++
		}
	} else {
		old.meta, old.Location, existed = s.table.Delete(now.key)
	}
	if existed {
		s.count(old.Location, -1)
	}
	return old, existed
}

// grew counts a change that made so many entries more: of one where another meta may have stood before.
func (s *shard) grew(entries int, now *entry, old []byte) {
	text := len(now.meta) - len(old)
	if entries != 0 {
		s.entries.Add(int64(entries))
		text += entries * len(now.key)
	}
	if text != 0 {
		s.textBytes.Add(int64(text))
	}
}

func (s *shard) count(loc memindex.Location, by int64) {
	if loc.Flags&flagTombstone != 0 {
		return
	}
	s.keys += by
	s.liveBytes += by * int64(loc.Length)
	s.countIn(loc.Segment, by*int64(loc.Length))
}

// countIn counts live bytes of a segment.
func (s *shard) countIn(segment uint32, by int64) {
	if len(s.live) == 0 {
		s.liveFrom = segment
	}
	if segment < s.liveFrom {
		s.live = append(make([]int64, s.liveFrom-segment), s.live...)
		s.liveFrom = segment
	}
	for int(segment-s.liveFrom) >= len(s.live) {
		s.live = append(s.live, 0)
	}
	s.live[segment-s.liveFrom] += by
}

// sweepLeaves is how many leaves are swept under one hold of the lock.
const sweepLeaves = 4

func (s *shard) sweep(x *index, first, last SegmentID, rest func()) {
	shadows := int64(0)
	for from, done := []byte(nil), false; !done; {
		s.lock(x)
		from, done = s.table.Sweep(from, sweepLeaves, func(key, meta []byte, loc memindex.Location) bool {
			if id := SegmentID(loc.Segment); id >= first && id <= last {
				s.count(loc, -1)
				s.grew(-1, &entry{key: key}, meta)
				return true
			}
			if x.inRuns(run.Hash(key)) {
				shadows++
			}
			return false
		})
		if done {
			s.shadows = shadows
			s.giveBack()
		}
		s.mu.Unlock()
		rest()
	}
}

// giveBack gives the memory of an empty table back. Views keep it until they are released.
func (s *shard) giveBack() {
	if s.table.Len() == 0 {
		s.table.Close()
		s.table = memindex.New(memindex.Options{})
	}
}

// memWalk walks the shards of a view in key order, one way.
type memWalk struct {
	its     []memindex.Iterator
	reverse bool
	// want says which keys to come to; nil is all.
	want func(key []byte) bool
	// heap are the iterators that are not at their end, the one that comes first on top.
	heap []*memindex.Iterator
}

// walk returns a walk over the keys that are wanted (nil: all of them), which stands at the first entry of the range, the last one
// if it is reversed. ok is false if there is none.
func (v view) walk(r *Range, want func(key []byte) bool) (w *memWalk, ok bool) {
	if len(v.shards) == 0 {
		return nil, false
	}
	w = &memWalk{its: make([]memindex.Iterator, len(v.shards)), reverse: r.Reverse, want: want}
	for i, s := range v.shards {
		w.its[i] = s.Iter()
		it := &w.its[i]
		if w.settle(it, r.Reverse && it.SeekBefore(r.End) || !r.Reverse && it.Seek(r.Start)) {
			w.heap = append(w.heap, it)
		}
	}
	for i := len(w.heap)/2 - 1; i >= 0; i-- {
		w.down(i)
	}
	return w, len(w.heap) > 0
}

// next goes one on.
func (w *memWalk) next() bool {
	top := w.heap[0]
	if !w.settle(top, w.step(top)) {
		n := len(w.heap) - 1
		w.heap[0] = w.heap[n]
		w.heap = w.heap[:n]
	}
	w.down(0)
	return len(w.heap) > 0
}

func (w *memWalk) step(it *memindex.Iterator) bool {
	if w.reverse {
		return it.Prev()
	}
	return it.Next()
}

// settle goes on to a key that is wanted, from where an iterator stands if ok says that it stands anywhere.
func (w *memWalk) settle(it *memindex.Iterator, ok bool) bool {
	for w.want != nil && ok && !w.want(it.Key()) {
		ok = w.step(it)
	}
	return ok
}

func (w *memWalk) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(w.heap); child++ {
			if c := bytes.Compare(w.heap[child].Key(), w.heap[least].Key()); c < 0 && !w.reverse || c > 0 && w.reverse {
				least = child
			}
		}
		if least == i {
			return
		}
		w.heap[i], w.heap[least] = w.heap[least], w.heap[i]
		i = least
	}
}

// at is the entry that the walk stands at. It is valid until the next step.
func (w *memWalk) at() entry {
	it := w.heap[0]
	return entry{it.Key(), it.Meta(), it.Location()}
}

func (w *memWalk) key() []byte { return w.heap[0].Key() }

// visit calls fn for each entry of the memory tier in the range, in order, until it returns false. The entry is valid in the
// call.
func (v view) visit(r Range, fn func(*entry) bool) {
	for w, ok := v.walk(&r, nil); ok; ok = w.next() {
		en := w.at()
		if r.past(en.key) || !fn(&en) {
			return
		}
	}
}
