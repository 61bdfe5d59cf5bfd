package storage

import (
	"bytes"
	"sync/atomic"

	"github.com/ringcask/ringcask/internal/planted"
	"github.com/ringcask/ringcask/storage/internal/memindex"
	"github.com/ringcask/ringcask/storage/internal/run"
)

const (
	// groupBytesMax is when a group takes no more mutations; the last one may reach past it.
	groupBytesMax = 4 << 20
	// groupCountMax bounds the mutations of a group, and so how long the acknowledgements of one group take.
	groupCountMax = 8192
	// groupBytesKept bounds the memory that an empty group holds on to.
	groupBytesKept = 2 * groupBytesMax
	// groupChangesKept bounds it for the changes, which take 56 bytes each.
	groupChangesKept = 1 << 16
)

// group is what is written and synced together.
type group struct {
	seg *segment
	// opens says that the segment is to be made first, and the one before it sealed.
	opens bool
	// start is where buf begins in the segment.
	start   int64
	buf     []byte
	changes []change
	// vouched is the synced offset that the frames carry.
	vouched int64
	members []member
	// unpublished has the changes by their keys, for decisions that follow.
	unpublished unpublished
	// publication is of the mutation of it that is entering the index.
	publication publication
	// holders counts who needs what the group has: the writer, and those of its changes that are fresh.
	holders atomic.Int32
	// pool is where it goes then.
	pool *groupPool
}

// groupPool has groups that are in nobody's use, so that their buffers need not grow again: a sync.Pool would lose them with every
// collection.
type groupPool [groupsKept]atomic.Pointer[group]

// groupsKept is how many there are at most.
const groupsKept = 2

// get returns an empty group, which the caller holds.
func (p *groupPool) get() *group {
	g := p.take()
	if g == nil {
		g = &group{pool: p}
	}
	g.holders.Store(1)
	return g
}

func (p *groupPool) take() *group {
	for i := range p {
		if g := p[i].Load(); g != nil && p[i].CompareAndSwap(g, nil) {
			return g
		}
	}
	return nil
}

// put keeps a group, if there is room.
func (p *groupPool) put(g *group) {
	for i := range p {
		if p[i].CompareAndSwap(nil, g) {
			return
		}
	}
}

func (g *group) hold(n int) { g.holders.Add(int32(n)) }

// release takes a holder off. When the last one has released it the group is kept for its next use, or let go.
func (g *group) release() {
	if g.holders.Add(-1) == 0 {
		g.reset()
		g.pool.put(g)
	}
}

// member is a mutation of a group, with what the queue's bounds have counted for it.
type member struct {
	m     Mutation
	bytes int64
}

// change is one write of a group. Its key, meta and value stand in the group's buffer, at keyAt and on.
type change struct {
	hash, seq uint64 // the hash is that of the key
	// at is where the index has the key, if the decision has found it.
	at             memindex.Place
	keyAt          uint32
	valueLen       uint32
	offset, length uint32
	keyLen         uint16
	metaLen, flags uint8
	// last ends a mutation: readers may see the index between it and the next change.
	last bool
}

func (c *change) live() bool { return c.flags&flagTombstone == 0 }

func (g *group) begin(seg *segment, start int64, opens bool) {
	g.seg, g.start, g.opens, g.vouched = seg, start, opens, 0
}

func (g *group) end() int64  { return g.start + int64(len(g.buf)) }
func (g *group) empty() bool { return len(g.members) == 0 }
func (g *group) full() bool  { return len(g.buf) >= groupBytesMax || len(g.members) >= groupCountMax }

// memberBytes is what the queue's bounds have counted for its members.
func (g *group) memberBytes() (n int64) {
	for i := range g.members {
		n += g.members[i].bytes
	}
	return n
}

// key, meta and value are those of a change. They alias the group's buffer, which only grows until the group is reset: what
// was returned before stays what it was.
func (g *group) key(c *change) []byte {
	end := c.keyAt + uint32(c.keyLen)
	return g.buf[c.keyAt:end:end]
}

func (g *group) meta(c *change) []byte {
	from := c.keyAt + uint32(c.keyLen)
	return g.buf[from : from+uint32(c.metaLen) : from+uint32(c.metaLen)]
}

func (g *group) value(c *change) []byte {
	from := c.keyAt + uint32(c.keyLen) + uint32(c.metaLen)
	return g.buf[from : from+c.valueLen : from+c.valueLen]
}

// endOf is where the log ends that ends with a change.
func (g *group) endOf(c *change) logEnd {
	return logEnd{g.seg, int64(c.offset) + int64(c.length), c.seq + 1}
}

// entry is what the index is to know of a change.
func (g *group) entry(c *change) entry {
	return entry{g.key(c), g.meta(c), memindex.Location{
		Seq: c.seq, Segment: uint32(g.seg.id), Offset: c.offset, Length: c.length, Flags: c.flags,
	}}
}

// encode adds the writes of one mutation as one frame. seq numbers the first of them; the caller counts on.
func (g *group) encode(w *Writes, seq uint64) {
	synced, sum := g.seg.synced.Load(), g.seg.sum
	g.vouched = synced
	switch {
	case len(w.ops) == 1:
		g.record(w, &w.ops[0], placement{synced: synced, seq: seq})
	case planted.On(planted.TearBatch):
		for i := range w.ops {
			g.record(w, &w.ops[i], placement{synced: synced, seq: seq + uint64(i)})
		}
	default:
		off, start := g.end(), len(g.buf)
		g.buf = appendBatchHead(g.buf, off, synced, seq, len(w.ops))
		for i := range w.ops {
			g.record(w, &w.ops[i], placement{seq: seq + uint64(i), member: true})
		}
		sum.seal(g.buf, start, off)
	}
	g.changes[len(g.changes)-1].last = true
}

// locate says of the last n changes where the index has their keys, as the decision on some keys has found them. Changes are mostly in the order
// of these keys; those that are not are looked for again.
func (g *group) locate(n int, keys [][]byte, places []memindex.Place) {
	for changes := g.changes[len(g.changes)-n:]; len(changes) > 0 && len(keys) > 0; keys, places = keys[1:], places[1:] {
		if c := &changes[0]; bytes.Equal(g.key(c), keys[0]) {
			c.at, changes = places[0], changes[1:]
		}
	}
}

// vouch adds a mark if more is durable by now than the frames say: the group before was still being synced when they
// were encoded. Without it, damage to that group, which was acknowledged, would pass for a torn tail. next is the
// number of the next record.
func (g *group) vouch(next uint64) {
	if synced := g.seg.synced.Load(); len(g.buf) > 0 && synced > g.vouched {
		g.buf = g.seg.sum.appendMark(g.buf, g.end(), synced, next)
	}
}

func (g *group) record(w *Writes, op *write, p placement) {
	key, meta, value := w.parts(op)
	start := len(g.buf)
	p.off = g.end()
	var keyAt int
	g.buf, keyAt = g.seg.sum.appendRecord(g.buf, p, op.delete, key, meta, value)
	c := change{
		hash: run.Hash(key), seq: p.seq, keyAt: uint32(keyAt), valueLen: uint32(len(value)),
		offset: uint32(p.off), length: uint32(len(g.buf) - start), keyLen: uint16(len(key)), metaLen: uint8(len(meta)),
	}
	if op.delete {
		c.flags, c.metaLen, c.valueLen = flagTombstone, 0, 0
	}
	g.changes = append(g.changes, c)
}

// reset empties the group for its next use.
func (g *group) reset() {
	clear(g.members)
	g.unpublished.reset()
	g.changes, g.members = g.changes[:0], g.members[:0]
	if cap(g.buf) > groupBytesKept {
		g.buf = nil
	}
	if cap(g.changes) > groupChangesKept {
		g.changes = nil
	}
	g.buf = g.buf[:0]
	g.seg, g.opens = nil, false
}
