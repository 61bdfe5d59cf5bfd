package storage

import (
	"bytes"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/ringcask/ringcask/storage/internal/memindex"
)

// seqsMax bounds the records that one segment can have held.
const seqsMax = segmentBytesLimit / frameBytesMin

// chain follows the sequence numbers from segment to segment. Numbers that are missing are records that are lost;
// what has no key to it in a hint file makes lostSeq.
func (e *Engine) chain(found []*opened) {
	next := uint64(1)
	var prev *replay
	for _, s := range found {
		if s.unmade {
			continue
		}
		if !s.started {
			s.replay.nothing(next)
			prev.settle(next)
			prev = s.replay
			continue
		}
		prev.settle(s.firstSeq)
		if s.firstSeq > next && !prev.lostUpTo(s.firstSeq) {
			gap := region{from: segmentHeaderBytes, to: segmentHeaderBytes, lostFirst: next, lostLast: s.firstSeq - 1,
				reason: "records before the segment are missing"}
			s.damage = append(s.damage, gap.damage(s.seg.id))
		}
		next, prev = max(next, s.nextSeq), s.replay
	}
	if prev.isOpen() {
		// Nothing follows that would say how many records stood there: as many as there can have been.
		next += seqsMax
		prev.settle(next)
	}
	e.nextSeq.Store(next)
	e.sumUpLosses(found)
}

// sumUpLosses lists the damage of each segment and finds lostSeq.
func (e *Engine) sumUpLosses(found []*opened) {
	for _, s := range found {
		if s.replay != nil && !s.unmade {
			for _, bad := range s.replay.regions {
				s.damage = append(s.damage, bad.damage(s.seg.id))
			}
		}
		for _, d := range s.damage {
			if !d.KeysKnown && d.LastSeq > e.lostSeq.Load() {
				e.lostSeq.Store(d.LastSeq)
				e.lostError = d.err()
			}
		}
	}
}

// loadIndex merges the keys of all segments into the index; of several records of a key the greatest number wins. Each
// processor loads shards of its own.
func (e *Engine) loadIndex(found []*opened) error {
	n := min(runtime.GOMAXPROCS(0), len(e.index.shards))
	var workers errgroup.Group
	for part := range n {
		workers.Go(func() error {
			return e.loadShards(found, func(hash uint64) bool { return e.index.shardOf(hash)%n == part })
		})
	}
	return workers.Wait()
}

// loadShards loads the shards that mine says of a key's hash.
func (e *Engine) loadShards(found []*opened, mine func(hash uint64) bool) error {
	var h sourceHeap
	for _, s := range found {
		if s.src == nil || s.unmade {
			continue
		}
		c := &cursor{src: s.src.fork(), mine: mine}
		if ok, err := c.advance(); err != nil {
			return &IOError{"read", s.seg.hintFilePath(), err}
		} else if ok {
			h = append(h, c)
		}
	}
	h.init()
	into := newLoader(e.index)
	last, any := []byte(nil), false
	for len(h) > 0 {
		at := &h[0].at
		// The heap gives the newest record of a key first.
		if !any || !bytes.Equal(last, at.key) {
			last, any = append(last[:0], at.key...), true
			into.load(at, e.index.keepTombstones && at.Seq > e.lostSeq.Load())
		}
		if err := h.advance(); err != nil {
			return err
		}
	}
	into.flush()
	return nil
}

// cursor is a source with its current key, of those that are mine.
type cursor struct {
	src  source
	mine func(hash uint64) bool
	at   hashedEntry
}

func (c *cursor) advance() (ok bool, err error) {
	for {
		if ok, err = c.src.next(&c.at); !ok || err != nil {
			return ok, err
		}
		if c.mine(c.at.hash) {
			return true, nil
		}
	}
}

// before orders cursors by key, and by falling sequence number for the same key.
func (c *cursor) before(o *cursor) bool {
	if c.at.head != o.at.head {
		return c.at.head < o.at.head
	}
	if order := bytes.Compare(c.at.key, o.at.key); order != 0 {
		return order < 0
	}
	return c.at.Seq > o.at.Seq
}

// sourceHeap has the cursors that are not at their end, the one that comes first on top.
type sourceHeap []*cursor

func (h sourceHeap) init() {
	for i := len(h)/2 - 1; i >= 0; i-- {
		h.down(i)
	}
}

// advance has the first cursor go on.
func (h *sourceHeap) advance() error {
	all := *h
	ok, err := all[0].advance()
	if err != nil {
		return err
	}
	if !ok {
		n := len(all) - 1
		all[0], all = all[n], all[:n]
		*h = all
	}
	all.down(0)
	return nil
}

func (h sourceHeap) down(i int) {
	for {
		first := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[first]) {
				first = child
			}
		}
		if first == i {
			return
		}
		h[i], h[first] = h[first], h[i]
		i = first
	}
}

// loader fills shards of an index while the engine opens. Those of two loaders must not be the same.
type loader struct {
	index  *index
	shards []shardLoader
}

// shardLoader fills one shard. It counts by itself what others may look at in the shard.
type shardLoader struct {
	appender           *memindex.Appender
	entries, textBytes int64
}

func newLoader(x *index) *loader {
	l := &loader{index: x, shards: make([]shardLoader, len(x.shards))}
	for i := range l.shards {
		l.shards[i].appender = memindex.NewAppender(x.shards[i].table)
	}
	return l
}

// load adds an entry whose key is greater than all before it in its shard. Tombstones are left out where nothing older can be
// found.
func (l *loader) load(e *hashedEntry, keep bool) {
	shadows := l.index.inRuns(e.hash)
	if !e.live() && !keep && !shadows {
		return
	}
	i := l.index.shardOf(e.hash)
	s, into := &l.index.shards[i], &l.shards[i]
	if shadows {
		s.shadows++
	}
	s.count(e.Location, 1)
	into.entries++
	into.textBytes += int64(len(e.key) + len(e.meta))
	into.appender.Append(e.key, e.meta, e.Location)
}

// flush has the index take all that was loaded.
func (l *loader) flush() {
	for i := range l.shards {
		from, s := &l.shards[i], &l.index.shards[i]
		from.appender.Flush()
		s.entries.Add(from.entries)
		s.textBytes.Add(from.textBytes)
	}
}
