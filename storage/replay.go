package storage

import (
	"encoding/binary"
	"fmt"

	"github.com/ringcask/ringcask/internal/yield"
)

func leUint32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }

// replay is what a segment was found to hold.
type replay struct {
	keys keyList
	// rest, if not nil, is called after each few records.
	rest func()
	// started says that a header or a frame was found, whose firstSeq is then known.
	started bool
	// firstSeq is the number of the segment's first record, nextSeq that of the first one after it.
	firstSeq, nextSeq uint64
	// end is where the frames end, and marked the same if the last one is a mark.
	end, marked int64
	records     int64
	// tornBytes are those behind end that are not zero and are no frames.
	tornBytes int64
	regions   []region
	// synced is the greatest synced offset that a frame vouched for.
	synced int64
}

// region is a place that could not be read.
type region struct {
	from, to int64
	reason   string
	// lostFirst and lostLast are the numbers that are missing, none if the last is less than the first. A region that
	// is open has nothing readable behind it: its last number follows from the next segment.
	lostFirst, lostLast uint64
	open                bool
	// items and records are how many keys and records came before it.
	items   int
	records int64
}

// replaySegment reads a segment from its header to its end. Errors are of I/O, or wrap ErrFormat.
func replaySegment(s *logScan, engine engineID, id SegmentID) (*replay, error) {
	r := &replay{}
	return r, r.all(s, engine, id)
}

// all reads all of the segment.
func (r *replay) all(s *logScan, engine engineID, id SegmentID) error {
	if err := r.begin(s, engine, id); err != nil {
		return err
	}
	steps, rested := 0, int64(0)
	for off := int64(segmentHeaderBytes); off >= 0 && off < s.size; {
		var err error
		if off, err = r.step(s, off); err != nil {
			return err
		}
		if steps++; r.rest != nil && (steps%yield.Records == 0 || off-rested >= yield.Bytes) {
			rested = off
			r.rest()
		}
	}
	return nil
}

// begin reads the header.
func (r *replay) begin(s *logScan, engine engineID, id SegmentID) error {
	r.keys.segment, r.end = uint32(id), segmentHeaderBytes
	head, err := s.bytes(0, segmentHeaderBytes)
	if err != nil {
		return err
	}
	h, ok, err := decodeSegmentHeader(head, engine, id)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	if ok {
		r.started, r.firstSeq, r.nextSeq = true, h.firstSeq, h.firstSeq
	} else {
		r.regions = append(r.regions, region{to: segmentHeaderBytes, reason: "header checksum mismatch"})
	}
	return nil
}

// step takes in the frame at off and returns where the next one may stand, or -1 at the end.
func (r *replay) step(s *logScan, off int64) (int64, error) {
	f, reason, err := s.frameAt(off)
	if err != nil {
		return 0, err
	}
	if reason == "" && r.started && f.seq < r.nextSeq {
		reason = "sequence number goes back"
	}
	if reason == "" {
		r.take(&f, off)
		return off + int64(f.length), nil
	}
	if zeros, err := s.zerosFrom(off); err != nil || zeros {
		return -1, err
	}
	bad := region{
		from: off, to: s.dataEnd, reason: reason, lostFirst: r.nextSeq, items: len(r.keys.items), records: r.records,
	}
	at, ok, err := s.resync(off+1, r.nextSeq)
	if err != nil {
		return 0, err
	}
	if ok {
		bad.to = at
	} else {
		at, bad.open = -1, true
		r.end = s.dataEnd
	}
	r.regions = append(r.regions, bad)
	return at, nil
}

// take adds a valid frame.
func (r *replay) take(f *frame, off int64) {
	if !r.started {
		r.started, r.firstSeq, r.nextSeq = true, f.seq, f.seq
	}
	if n := len(r.regions); n > 0 && r.regions[n-1].to == off && r.regions[n-1].from >= segmentHeaderBytes {
		r.regions[n-1].lostLast = f.seq - 1
	} else if f.seq > r.nextSeq {
		r.regions = append(r.regions, region{
			from: off, to: off, reason: "records are missing", lostFirst: r.nextSeq, lostLast: f.seq - 1,
			items: len(r.keys.items), records: r.records,
		})
	}
	switch f.kind {
	case kindPut, kindDelete:
		r.keys.add(f, off)
	case kindBatch:
		f.eachMember(off, func(m *frame, at int) { r.keys.add(m, off+int64(at)) })
	}
	r.records += int64(f.count)
	r.nextSeq = f.seq + uint64(f.count)
	r.synced = max(r.synced, f.synced)
	r.end = off + int64(f.length)
	r.marked = 0
	if f.kind == kindMark {
		r.marked = r.end
	}
}

// cut takes the torn tail off the youngest segment: the first place that cannot be read and that nobody vouches for, no
// frame and not the caller, who knows of the records up to the number known; and all behind it. What was never known to be
// durable was never more than a promise to try.
func (r *replay) cut(s *logScan, known uint64) {
	for i, bad := range r.regions {
		vouched := bad.from < r.synced || known > 0 && bad.lostFirst <= known
		if vouched || bad.from == bad.to || bad.from < segmentHeaderBytes {
			continue
		}
		r.regions = r.regions[:i]
		r.keys.truncate(bad.items)
		r.records, r.nextSeq, r.end, r.marked = bad.records, bad.lostFirst, bad.from, 0
		r.tornBytes = s.dataEnd - bad.from
		return
	}
}

// nothing notes that no header and no frame of the segment can be read: what it held begins with the number first.
func (r *replay) nothing(first uint64) {
	r.firstSeq, r.nextSeq = first, first
	if !r.isOpen() {
		r.regions = append(r.regions, region{
			from: segmentHeaderBytes, to: segmentHeaderBytes, reason: "the segment is empty", open: true,
		})
	}
	r.regions[len(r.regions)-1].lostFirst = first
}

// isOpen says whether the segment ends in a region that nothing readable follows. A nil replay, of a segment with a
// hint file, does not.
func (r *replay) isOpen() bool {
	return r != nil && len(r.regions) > 0 && r.regions[len(r.regions)-1].open
}

// settle says what such a region has lost, now that it is known which number follows the segment.
func (r *replay) settle(next uint64) {
	if r.isOpen() {
		bad := &r.regions[len(r.regions)-1]
		bad.lostLast, bad.open = next-1, false
	}
}

// lostUpTo says whether the damage at the end of the segment accounts for all numbers before next.
func (r *replay) lostUpTo(next uint64) bool {
	if r == nil || len(r.regions) == 0 {
		return false
	}
	bad := r.regions[len(r.regions)-1]
	return bad.lostFirst == r.nextSeq && bad.lostLast == next-1
}

func (b region) damage(id SegmentID) Damage {
	d := Damage{Segment: id, Offset: b.from, Length: b.to - b.from, Reason: b.reason}
	if b.lostFirst != 0 && b.lostLast >= b.lostFirst {
		d.FirstSeq, d.LastSeq = b.lostFirst, b.lostLast
	}
	return d
}
