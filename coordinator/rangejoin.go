package coordinator

import (
	"bytes"

	"github.com/ringcask/ringcask/ring"
)

// rangeStream is what one replica has said, so far, of the partitions it was asked for: a sorted run of its keys, up
// to a bound.
type rangeStream struct {
	target     int
	partitions []ring.PartitionID
	// items and unknown are what is left of the last page, in the range's order.
	items   []Item
	unknown [][]byte
	// more says that there may be keys beyond bound, which is where the next page starts (in reverse, its exclusive
	// end). All keys before it that the replica holds, and that were not handed out, are in items.
	more  bool
	bound []byte
	// asked: the next page is under way.
	asked bool
	// gone: the replica failed, and others answer for its partitions.
	gone bool
}

// head is the next key of what is buffered; nil if nothing is.
func (s *rangeStream) head(reverse bool) []byte {
	switch {
	case len(s.items) == 0 && len(s.unknown) == 0:
		return nil
	case len(s.items) == 0:
		return s.unknown[0]
	case len(s.unknown) == 0 || before(s.items[0].Key, s.unknown[0], reverse):
		return s.items[0].Key
	}
	return s.unknown[0]
}

// before says whether a comes before b in the range's order.
func before(a, b []byte, reverse bool) bool {
	if reverse {
		return bytes.Compare(a, b) > 0
	}
	return bytes.Compare(a, b) < 0
}

// within says whether a key comes before a bound: one before which (in reverse, from which on) a stream is complete.
func within(key, bound []byte, reverse bool) bool {
	if reverse {
		return bytes.Compare(key, bound) >= 0
	}
	return bytes.Compare(key, bound) < 0
}

// rangeKey is one key of a range, with what the replicas that answer for it hold.
type rangeKey struct {
	key []byte
	// objects are of the streams that have the key. A replica that answers for the key's partition and is not
	// among them holds nothing of it.
	objects []Item
	// unknown: a replica cannot vouch for the key.
	unknown bool
}

// rangeJoin brings the sorted streams of several replicas together, key by key. It is pure: pages go in, keys come out
// in order. A key comes out only when every stream is complete up to it, so the first stream that was cut short holds
// all of them.
type rangeJoin struct {
	reverse bool
	// start and end bound what is left of the range, of which last, the key handed out last, and all before it are no
	// part any more.
	start, end, last []byte
	streams          []*rangeStream
	objects          []Item // of the last key handed out; reused
}

// open adds a stream for what is left of the range.
func (j *rangeJoin) open(target int, partitions []ring.PartitionID) *rangeStream {
	s := &rangeStream{target: target, partitions: partitions, more: true, bound: j.position()}
	j.streams = append(j.streams, s)
	return s
}

// position is where a scan of what is left begins: its inclusive start; in reverse its exclusive end.
func (j *rangeJoin) position() []byte {
	switch {
	case j.reverse && j.last != nil:
		j.end, j.last = j.last, nil
	case j.last != nil:
		j.start, j.last = justBeyond(j.last), nil
	}
	if j.reverse {
		return j.end
	}
	return j.start
}

// justBeyond is the least key greater than k.
func justBeyond(k []byte) []byte { return append(append(make([]byte, 0, len(k)+1), k...), 0) }

// page is the answer that a stream waited for.
func (j *rangeJoin) page(s *rangeStream, p *ScanPage) {
	s.asked = false
	s.items, s.unknown = p.Items, p.Unknown
	s.more, s.bound = p.More, p.Resume
}

// lose drops a stream with all that it has buffered.
func (j *rangeJoin) lose(s *rangeStream) {
	s.gone = true
	for i := range j.streams {
		if j.streams[i] == s {
			j.streams = append(j.streams[:i], j.streams[i+1:]...)
			return
		}
	}
}

// short says whether a stream has nothing buffered and may have more: it has to be asked before anything beyond its
// bound comes out.
func (s *rangeStream) short() bool { return s.more && len(s.items) == 0 && len(s.unknown) == 0 }

// next hands out the next key. It is false when there is none, or when a stream that is short has to be asked first:
// done tells the two apart. What it returns is valid until the next call.
func (j *rangeJoin) next() (k rangeKey, ok bool) {
	var least []byte
	for _, s := range j.streams {
		if h := s.head(j.reverse); h != nil && (least == nil || before(h, least, j.reverse)) {
			least = h
		}
	}
	if least == nil {
		return rangeKey{}, false
	}
	for _, s := range j.streams {
		if s.short() && !j.complete(s, least) {
			return rangeKey{}, false
		}
	}
	k.key = least
	j.objects = j.objects[:0]
	for _, s := range j.streams {
		if len(s.items) > 0 && bytes.Equal(s.items[0].Key, least) {
			j.objects = append(j.objects, s.items[0])
			s.items = s.items[1:]
		}
		if len(s.unknown) > 0 && bytes.Equal(s.unknown[0], least) {
			k.unknown = true
			s.unknown = s.unknown[1:]
		}
	}
	k.objects = j.objects
	j.last = least
	return k, true
}

// complete says whether a stream that has nothing buffered has told all up to and including the key. In reverse an
// empty bound is that of a stream that was not asked yet: no key is beyond the end of an unbounded range.
func (j *rangeJoin) complete(s *rangeStream, key []byte) bool {
	if j.reverse && len(s.bound) == 0 {
		return false
	}
	return within(key, s.bound, j.reverse)
}

// done says whether every stream has told all and all of it was handed out.
func (j *rangeJoin) done() bool {
	for _, s := range j.streams {
		if s.more || s.head(j.reverse) != nil {
			return false
		}
	}
	return true
}

// reach moves what is left of the range up to where nothing is known: beyond it some stream may still have a key that
// was not handed out, before it none has. It returns that place, where the next page starts (in reverse, ends).
func (j *rangeJoin) reach() []byte {
	place, found := j.position(), false
	for _, s := range j.streams {
		at := s.bound
		switch h := s.head(j.reverse); {
		case h != nil && j.reverse:
			at = justBeyond(h) // the key itself is yet to come
		case h != nil:
			at = h
		case !s.more:
			continue
		}
		if !found || j.sooner(at, place) {
			place, found = at, true
		}
	}
	if j.reverse {
		j.end = place
	} else {
		j.start = place
	}
	return place
}

// sooner says whether place a comes before place b; in reverse an empty place is the very beginning.
func (j *rangeJoin) sooner(a, b []byte) bool {
	if j.reverse {
		return len(b) > 0 && (len(a) == 0 || bytes.Compare(a, b) > 0)
	}
	return bytes.Compare(a, b) < 0
}
