package wire

import (
	"bytes"
	"math"
)

const (
	// RangeLimitMax is the greatest limit of a range; the node may answer with fewer items.
	RangeLimitMax = 1 << 20
	// rangeFieldsMax bounds the fields of a range request.
	rangeFieldsMax = 32
	// partitionsMax bounds the partitions of a topology.
	partitionsMax = 1 << 20
)

// RangeRequest asks for a page of keys in bytewise order: [{"start", "end", "prefix", "limit", "reverse", "keys_only",
// "cursor", "partial", "r", "timeout_ms", "deadline_us", "clock"}], all optional.
type RangeRequest struct {
	// Start and End are both inclusive; empty is no bound. Prefix restricts the range further.
	Start, End, Prefix []byte
	// Limit bounds the items of the page; zero leaves it to the node.
	Limit    int
	Reverse  bool
	KeysOnly bool
	// Cursor is from the page before; the other fields must then be the same as they were.
	Cursor []byte
	// Partial asks for what can be read when some partitions cannot.
	Partial bool
	// Options: R, Timeout, DeadlineMicros, Clock.
	Options
}

// Encode writes the params.
func (q *RangeRequest) Encode(w *Writer) {
	w.ArrayLen(1)
	m := w.openMap()
	w.binField(m, "start", q.Start)
	w.binField(m, "end", q.End)
	w.binField(m, "prefix", q.Prefix)
	if q.Limit > 0 {
		w.field(m, "limit")
		w.Uint(uint64(q.Limit))
	}
	w.trueField(m, "reverse", q.Reverse)
	w.trueField(m, "keys_only", q.KeysOnly)
	w.binField(m, "cursor", q.Cursor)
	w.trueField(m, "partial", q.Partial)
	common := Options{R: q.R, Timeout: q.Timeout, DeadlineMicros: q.DeadlineMicros, Clock: q.Clock}
	common.encodeFields(w, m)
}

// Decode reads the params; byte strings alias the message. Error: *DecodeError.
func (q *RangeRequest) Decode(r *Reader) error {
	*q = RangeRequest{}
	if n := r.ArrayLen(1); n == 0 {
		return r.Done()
	}
	for range r.MapLen(rangeFieldsMax) {
		switch name := r.Bytes(); string(name) {
		case "start":
			q.Start = r.bytesOrNil()
		case "end":
			q.End = r.bytesOrNil()
		case "prefix":
			q.Prefix = r.bytesOrNil()
		case "limit":
			q.Limit = int(r.Int(1, RangeLimitMax))
		case "reverse":
			q.Reverse = r.Bool()
		case "keys_only":
			q.KeysOnly = r.Bool()
		case "cursor":
			q.Cursor = r.bytesOrNil()
		case "partial":
			q.Partial = r.Bool()
		default:
			if r.err != nil || !q.Options.decodeField(r, name, optionsOfAll|optionR) {
				r.refuseOption(name)
				return r.err
			}
		}
	}
	return r.Done()
}

// Span is the range as an inclusive start and an exclusive end, where an empty end is no bound: the bounds, narrowed by the
// prefix and by the cursor. It is false if no key can lie within. Error: ErrCursor.
func (q *RangeRequest) Span() (start, end []byte, some bool, err error) {
	start = q.Start
	if len(q.End) > 0 {
		end = append(bytes.Clone(q.End), 0)
	}
	if len(q.Prefix) > 0 {
		if bytes.Compare(q.Prefix, start) > 0 {
			start = q.Prefix
		}
		end = lesserEnd(end, prefixEnd(q.Prefix))
	}
	if len(q.Cursor) > 0 {
		c, err := ParseCursor(q.Cursor, q.Start, q.End, q.Prefix)
		switch {
		case err != nil || c.Reverse != q.Reverse:
			return nil, nil, false, ErrCursor
		case c.Reverse && len(c.Resume) == 0:
			return nil, nil, false, nil
		case c.Reverse:
			end = lesserEnd(end, c.Resume)
		case bytes.Compare(c.Resume, start) > 0:
			start = c.Resume
		}
	}
	return start, end, len(end) == 0 || bytes.Compare(start, end) < 0, nil
}

// NextCursor is the cursor of the page that starts (in reverse, ends) at resume.
func (q *RangeRequest) NextCursor(resume []byte) []byte {
	return Cursor{Resume: resume, Reverse: q.Reverse}.Append(nil, q.Start, q.End, q.Prefix)
}

// prefixEnd is the least key that is greater than every key with the prefix; empty if there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// lesserEnd is the lesser of two exclusive ends of which an empty one is no bound.
func lesserEnd(a, b []byte) []byte {
	if len(a) == 0 || (len(b) > 0 && bytes.Compare(b, a) < 0) {
		return b
	}
	return a
}

// RangeItem is one key of a range.
type RangeItem struct {
	Key []byte
	// Value is nil if only keys were asked for.
	Value []byte
	// Siblings is how many values the key has at once.
	Siblings int
}

// RangeResult is a page of a range: {"items": [[key, value, siblings], …], "cursor", "missing", "clock"}.
type RangeResult struct {
	Items []RangeItem
	// Cursor asks for the next page; nil at the end of the range.
	Cursor []byte
	// Missing are the partitions that could not be read, if the caller asked for partial results.
	Missing []uint32
	Clock   uint64
}

// Encode writes the result.
func (p *RangeResult) Encode(w *Writer) {
	m := w.openMap()
	w.field(m, "items")
	w.ArrayLen(len(p.Items))
	for i := range p.Items {
		w.ArrayLen(3)
		w.Bin(p.Items[i].Key)
		w.BinOrNil(p.Items[i].Value)
		w.Uint(uint64(p.Items[i].Siblings))
	}
	w.field(m, "cursor")
	w.BinOrNil(p.Cursor)
	w.field(m, "missing")
	w.ArrayLen(len(p.Missing))
	for _, partition := range p.Missing {
		w.Uint(uint64(partition))
	}
	encodeClock(w, m, p.Clock)
}

// Decode reads the result; keys, values and the cursor alias the message. Error: *DecodeError.
func (p *RangeResult) Decode(r *Reader) error {
	*p = RangeResult{}
	for range r.MapLen(resultFieldsMax) {
		switch string(r.Bytes()) {
		case "items":
			p.Items = make([]RangeItem, r.ArrayLen(RangeLimitMax))
			for i := range p.Items {
				p.Items[i].decode(r)
			}
		case "cursor":
			p.Cursor = r.bytesOrNil()
		case "missing":
			p.Missing = make([]uint32, r.ArrayLen(partitionsMax))
			for i := range p.Missing {
				p.Missing[i] = uint32(r.Uint(math.MaxUint32))
			}
		case "clock":
			p.Clock = r.Uint64()
		default:
			r.Skip()
		}
	}
	return r.Done()
}

// decode reads an item; a newer node may send more elements.
func (i *RangeItem) decode(r *Reader) {
	n := r.ArrayLen(resultFieldsMax)
	if r.err == nil && n < 3 {
		r.fail("range item of %d elements, want 3", n)
	}
	i.Key = r.Bytes()
	i.Value = r.bytesOrNil()
	i.Siblings = int(r.Uint(math.MaxInt32))
	for range n - 3 {
		r.Skip()
	}
}

// binField adds a byte string to the map at m, unless it is empty.
func (w *Writer) binField(m int, name string, b []byte) {
	if len(b) > 0 {
		w.field(m, name)
		w.Bin(b)
	}
}

// trueField adds a true to the map at m, unless it is false.
func (w *Writer) trueField(m int, name string, v bool) {
	if v {
		w.field(m, name)
		w.Bool(true)
	}
}
