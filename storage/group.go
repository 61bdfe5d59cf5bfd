package storage

const (
	// groupBytesMax is when a group takes no more mutations; the last one may reach past it.
	groupBytesMax = 4 << 20
	// groupCountMax bounds the mutations of a group, and so how long the acknowledgements of one group take.
	groupCountMax = 8192
	// groupBytesKept bounds the memory that an empty group holds on to.
	groupBytesKept = 2 * groupBytesMax
)

// group is what is written and synced together. The decider fills one while the committer commits the other.
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
	// overlaid is how many of the changes the overlay has.
	overlaid int
	members  []Mutation
}

// change is one write of a group.
type change struct {
	now, before entry
	valueLen    uint32
	// last ends a mutation: readers may see the index between it and the next change.
	last bool
}

func (g *group) begin(seg *segment, start int64, opens bool) {
	g.seg, g.start, g.opens, g.vouched = seg, start, opens, 0
}

func (g *group) end() int64  { return g.start + int64(len(g.buf)) }
func (g *group) empty() bool { return len(g.members) == 0 }
func (g *group) full() bool  { return len(g.buf) >= groupBytesMax || len(g.members) >= groupCountMax }

// value is the value that a change writes. It aliases the group's buffer.
func (g *group) value(c *change) []byte {
	end := int64(c.now.offset) - g.start + int64(c.now.length)
	return g.buf[end-int64(c.valueLen) : end : end]
}

// encode adds the writes of one mutation as one frame. seq numbers the first of them; the caller counts on.
func (g *group) encode(w *Writes, seq uint64) {
	synced, sum := g.seg.synced.Load(), g.seg.sum
	g.vouched = synced
	if len(w.ops) == 1 {
		g.record(w, &w.ops[0], placement{synced: synced, seq: seq})
	} else {
		off, start := g.end(), len(g.buf)
		g.buf = appendBatchHead(g.buf, off, synced, seq, len(w.ops))
		for i := range w.ops {
			g.record(w, &w.ops[i], placement{seq: seq + uint64(i), member: true})
		}
		sum.seal(g.buf, start, off)
	}
	g.changes[len(g.changes)-1].last = true
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
	c := change{valueLen: uint32(len(value)), now: entry{
		// The one allocation of a write: the index keeps it.
		text:    string(g.buf[keyAt : keyAt+len(key)+len(meta)]),
		seq:     p.seq,
		segment: uint32(g.seg.id),
		offset:  uint32(p.off),
		length:  uint32(len(g.buf) - start),
		keyLen:  uint16(len(key)),
	}}
	if op.delete {
		c.now.flags = flagTombstone
	}
	g.changes = append(g.changes, c)
}

// reset empties the group for its next use.
func (g *group) reset() {
	clear(g.changes)
	clear(g.members)
	g.changes, g.members, g.overlaid = g.changes[:0], g.members[:0], 0
	if cap(g.buf) > groupBytesKept {
		g.buf = nil
	}
	g.buf = g.buf[:0]
	g.seg, g.opens = nil, false
}
