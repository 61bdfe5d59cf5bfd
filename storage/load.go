package storage

import (
	"bytes"
	"container/heap"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/ringcask/ringcask/storage/internal/run"
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
			if !d.KeysKnown && d.LastSeq > e.lostSeq {
				e.lostSeq, e.lostError = d.LastSeq, d.err()
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
		src, err := s.src.fork()
		if err != nil {
			return &IOError{"read", s.seg.hintFilePath(), err}
		}
		defer src.close()
		c := &cursor{src: src, mine: mine}
		if ok, err := c.advance(); err != nil {
			return &IOError{"read", s.seg.hintFilePath(), err}
		} else if ok {
			h = append(h, c)
		}
	}
	heap.Init(&h)
	last, any := []byte(nil), false
	for len(h) > 0 {
		c := h[0]
		// The heap gives the newest record of a key first.
		if !any || !bytes.Equal(last, c.at.key) {
			last, any = append(last[:0], c.at.key...), true
			e.index.load(&c.at, c.hash, e.index.keepTombstones && c.at.Seq > e.lostSeq)
		}
		ok, err := c.advance()
		if err != nil {
			return err
		}
		if !ok {
			heap.Pop(&h)
		} else if len(h) > 1 {
			heap.Fix(&h, 0)
		}
	}
	return nil
}

// cursor is a source with its current key, of those that are mine.
type cursor struct {
	src  source
	mine func(hash uint64) bool
	at   entry
	hash uint64
}

func (c *cursor) advance() (ok bool, err error) {
	for {
		if c.at, ok, err = c.src.next(); !ok || err != nil {
			return ok, err
		}
		if c.hash = run.Hash(c.at.key); c.mine(c.hash) {
			return true, nil
		}
	}
}

// sourceHeap orders cursors by key, and by falling sequence number for the same key.
type sourceHeap []*cursor

func (h sourceHeap) Len() int      { return len(h) }
func (h sourceHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *sourceHeap) Push(x any)   { *h = append(*h, x.(*cursor)) }

func (h sourceHeap) Less(i, j int) bool {
	if c := bytes.Compare(h[i].at.key, h[j].at.key); c != 0 {
		return c < 0
	}
	return h[i].at.Seq > h[j].at.Seq
}

func (h *sourceHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
