package storage

import (
	"bytes"
	"runtime"
	"sync/atomic"

	"github.com/ringcask/ringcask/storage/internal/memindex"
)

// freezeFromDefault is from how many changes of one mutation on readers do not wait until they are made. With fewer they wait for some 100 µs, and the leaves
// that are changed need not be copied.
const freezeFromDefault = 256

// frozen is the index as it was before a large mutation that is entering it. All shards are locked until that is done, and whoever only reads looks here: so he sees
// nothing of it before he sees all of it. Decisions wait, for they must see what comes before them.
type frozen struct {
	// view is for scans; its shards belong to tables, which are those of all shards.
	view   view
	tables []*memindex.View
	// holders counts who uses it: the mutation, and readers.
	holders atomic.Int64
}

// hold is false if nobody has it any more.
func (f *frozen) hold() bool {
	for n := f.holders.Load(); n > 0; n = f.holders.Load() {
		if f.holders.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

func (f *frozen) release() {
	if f.holders.Add(-1) > 0 {
		return
	}
	for _, t := range f.tables {
		t.Release()
	}
}

// find is index.find.
func (f *frozen) find(shard int, key, dst []byte, withMeta bool) (en entry, runs []*runFile, ok bool) {
	en = entry{key: key, meta: dst}
	it := f.tables[shard].Iter()
	if !it.Seek(key) || !bytes.Equal(it.Key(), key) {
		return en, f.view.runs, false
	}
	if withMeta {
		en.meta = append(dst, it.Meta()...)
	}
	en.Location = it.Location()
	return en, nil, true
}

// freezes says whether a mutation is large.
func (x *index) freezes(changes []change) bool { return len(changes) >= x.freezeFrom }

// freeze has readers look at how the index is now. All shards are locked, and the caller has counted himself in x.freezing before.
func (x *index) freeze() {
	f := new(frozen)
	for i := range x.shards {
		t := x.shards[i].table.View()
		f.tables = append(f.tables, t)
		if t.Len() > 0 {
			f.view.shards = append(f.view.shards, t)
		}
	}
	f.view.runs, f.view.segments, f.view.frozen = x.runs(), x.log.table.Load(), f
	f.holders.Store(1)
	x.frozen.Store(f)
}

// thaw has readers look at the index itself, when the mutation is made and before the shards are unlocked.
func (x *index) thaw() {
	f := x.frozen.Swap(nil)
	x.freezing.Add(-1)
	f.release()
}

// readLock locks a shard for reading. If that takes until a large mutation is made, it returns what to read instead, which is to be released. Only who comes in between
// the look at freezing and the lock waits for one that begins then. To try for the lock first took readers of the same keys a seventh of their speed.
func (x *index) readLock(s *shard) *frozen {
	for x.freezing.Load() > 0 {
		if s.mu.TryRLock() {
			return nil
		}
		if f := x.frozen.Load(); f != nil && f.hold() {
			return f
		}
		runtime.Gosched() // it has the locks, and is about to freeze or to let go of them
	}
	s.mu.RLock()
	return nil
}

// readView is view for who only reads.
func (x *index) readView() view {
	if f := x.frozen.Load(); f != nil && f.hold() {
		return f.view
	}
	return x.view()
}
