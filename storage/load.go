package storage

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

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

// loadersMax bounds how many processors load the index: each reads a block of every hint file.
const loadersMax = 16

// loadIndex merges the keys of all segments into the index; of several records of a key the greatest number wins. Each
// processor loads a range of keys into shards of its own, which those of the index then take over.
func (e *Engine) loadIndex(found []*opened) error {
	var sources []*opened
	for _, s := range found {
		if s.src != nil && !s.unmade {
			sources = append(sources, s)
		}
	}
	ranges := loadRanges(sources, min(runtime.GOMAXPROCS(0), loadersMax))
	loaders := make([]*loader, len(ranges))
	var workers errgroup.Group
	for i := range ranges {
		loaders[i] = newLoader(e.index, sources)
		workers.Go(func() error { return e.loadRange(ranges[i], loaders[i]) })
	}
	err := workers.Wait()
	for i := 0; i < len(sources) && err == nil; i++ {
		err = sources[i].allTaken(i, loaders)
	}
	if err == nil {
		handOver(e.index, loaders)
	}
	for _, l := range loaders {
		l.drop()
	}
	return err
}

// allTaken fails unless the loaders have taken all the entries of a hint file, each once: no single one has read all of it.
func (s *opened) allTaken(source int, loaders []*loader) error {
	if s.hints == nil {
		return nil
	}
	taken := uint64(0)
	for _, l := range loaders {
		taken += l.sources[source].taken
	}
	if want := s.hints.header.entries; taken != want {
		return &badHintFileError{s.seg.id, fmt.Errorf("%s: %w: %d entries, not %d", s.hints.path, errHintFile, taken, want)}
	}
	return nil
}

// loadRanges shares all keys out to at most n loaders, evenly as far as samples tell.
func loadRanges(found []*opened, n int) (ranges []Range) {
	var samples [][]byte
	for _, s := range found {
		samples = s.src.sample(samples)
	}
	slices.SortFunc(samples, bytes.Compare)
	var start []byte
	n = min(n, len(samples))
	for i := 1; i < n; i++ {
		if end := samples[len(samples)*i/n]; bytes.Compare(start, end) < 0 {
			ranges, start = append(ranges, Range{Start: start, End: end}), end
		}
	}
	return append(ranges, Range{Start: start})
}

// badHintFileError is a hint file that passed its checksums and makes no sense all the same.
type badHintFileError struct {
	segment SegmentID
	err     error
}

func (e *badHintFileError) Error() string { return e.err.Error() }
func (e *badHintFileError) Unwrap() error { return e.err }

// loadRange loads a range of keys, of each its newest record.
func (e *Engine) loadRange(r Range, into *loader) error {
	var h sourceHeap
	for i := range into.sources {
		c := &into.sources[i]
		c.src, c.keys = c.src.from(r.Start), r
		ok, err := c.advance()
		for ok && err == nil && bytes.Compare(c.at.key, r.Start) < 0 { // of the block in which the range begins
			c.taken = 0
			ok, err = c.advance()
		}
		if err != nil {
			return err
		}
		if ok {
			h = append(h, c)
		}
	}
	h.init()
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

// cursor is a source with its current key, up to the end of a range.
type cursor struct {
	src  source
	seg  *segment
	keys Range
	at   hashedEntry
	// taken counts the entries in the range.
	taken uint64
}

func (c *cursor) advance() (ok bool, err error) {
	ok, err = c.src.next(&c.at)
	switch {
	case errors.Is(err, errHintFile):
		return false, &badHintFileError{c.seg.id, err}
	case err != nil:
		return false, &IOError{"read", c.seg.hintFilePath(), err}
	}
	if !ok || c.keys.past(c.at.key) {
		return false, nil
	}
	c.taken++
	return true, nil
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

// loader fills shards of its own with a range of keys, while the engine opens.
type loader struct {
	index   *index
	sources []cursor
	shards  []shardLoader
}

// shardLoader fills one shard. Its own counts are plain numbers.
type shardLoader struct {
	shard
	appender            *memindex.Appender
	newEntries, newText int64
}

func newLoader(x *index, from []*opened) *loader {
	l := &loader{index: x, sources: make([]cursor, len(from)), shards: make([]shardLoader, len(x.shards))}
	for i, s := range from {
		l.sources[i] = cursor{src: s.src, seg: s.seg}
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.table = memindex.New(memindex.Options{})
		s.appender = memindex.NewAppender(s.table)
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
	s := &l.shards[l.index.shardOf(e.hash)]
	if shadows {
		s.shadows++
	}
	s.count(e.Location, 1)
	s.newEntries++
	s.newText += int64(len(e.key) + len(e.meta))
	s.appender.Append(e.key, e.meta, e.Location)
}

// flush has the tables have all that was loaded.
func (l *loader) flush() {
	for i := range l.shards {
		l.shards[i].appender.Flush()
	}
}

// handOver gives the index, which is empty, all that the loaders have, who come in the order of their keys.
func handOver(x *index, loaders []*loader) {
	var shards sync.WaitGroup
	for i := range x.shards {
		shards.Go(func() {
			for _, l := range loaders {
				x.shards[i].take(&l.shards[i])
			}
		})
	}
	shards.Wait()
}

// take takes over what was loaded.
func (s *shard) take(from *shardLoader) {
	s.table.Adopt(from.table)
	s.keys += from.keys
	s.liveBytes += from.liveBytes
	s.shadows += from.shadows
	for at, n := range from.live {
		if n != 0 {
			s.countIn(from.liveFrom+uint32(at), n)
		}
	}
	s.entries.Add(from.newEntries)
	s.textBytes.Add(from.newText)
}

// drop gives back what was not handed over.
func (l *loader) drop() {
	for i := range l.shards {
		l.shards[i].table.Close()
	}
}
