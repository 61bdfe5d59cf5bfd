package run

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The flags of a record; at most one is set.
const (
	// FlagTombstone marks a key that is known to be absent. It has no value.
	FlagTombstone = 1
	// FlagUnreadable marks a key whose newest record was lost to damage. It has no value.
	FlagUnreadable = 2

	flagsMask = 3
	flagBits  = 2
)

// The largest parts of a record, in bytes.
const (
	KeyBytesMax   = 1<<16 - 1
	MetaBytesMax  = 1<<8 - 1
	ValueBytesMax = 1 << 30
)

// recordBytesMin is the smallest record: checksum, meta length, and three numbers of one byte.
const recordBytesMin = 8

// Record is one record. Who gets one from a Reader must not change its slices.
type Record struct {
	Key, Meta, Value []byte
	Seq              uint64
	Flags            uint8
}

// check says whether the record can stand in a run of this info.
func (r *Record) check(i *Info) error {
	switch {
	case len(r.Key) > KeyBytesMax || len(r.Meta) > MetaBytesMax || len(r.Value) > ValueBytesMax:
		return fmt.Errorf("%w: key of %d, meta of %d, value of %d bytes", ErrRecord, len(r.Key), len(r.Meta), len(r.Value))
	case r.Flags > FlagUnreadable:
		return fmt.Errorf("%w: flags %d", ErrRecord, r.Flags)
	case r.Flags != 0 && len(r.Value) > 0:
		return fmt.Errorf("%w: flags %d with a value", ErrRecord, r.Flags)
	case r.Seq < i.FirstSeq || r.Seq >= i.NextSeq:
		return fmt.Errorf("%w: sequence number %d is not in [%d, %d)", ErrRecord, r.Seq, i.FirstSeq, i.NextSeq)
	}
	return nil
}

// size is the length of the encoded record.
func (r *Record) size(firstSeq uint64) int {
	return recordBytesMin - 3 + uvarintBytes(uint64(len(r.Key))<<flagBits) + uvarintBytes(uint64(len(r.Value))) +
		uvarintBytes(r.Seq-firstSeq) + len(r.Key) + len(r.Meta) + len(r.Value)
}

func uvarintBytes(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// append adds the record to b, its checksum not yet filled in.
func (r *Record) append(b []byte, firstSeq uint64) []byte {
	b = append(b, 0, 0, 0, 0, byte(len(r.Meta)))
	b = binary.AppendUvarint(b, uint64(len(r.Key))<<flagBits|uint64(r.Flags))
	b = binary.AppendUvarint(b, uint64(len(r.Value)))
	b = binary.AppendUvarint(b, r.Seq-firstSeq)
	return append(append(append(b, r.Key...), r.Meta...), r.Value...)
}

// decode reads the record that b begins with and returns its length, or 0 if there is none. It does not look at the
// checksum. The record aliases b.
func (r *Record) decode(b []byte, firstSeq uint64) int {
	if len(b) < recordBytesMin {
		return 0
	}
	// Numbers of one byte, which most are, are read in place: this is the inner loop of every scan.
	meta := int(b[4])
	head, n := uint64(b[5]), 6
	if head >= 0x80 {
		head, n = uvarint(b, 5)
	}
	if n >= len(b) {
		return 0
	}
	value := uint64(b[n])
	if n++; value >= 0x80 {
		value, n = uvarint(b, n-1)
	}
	if n >= len(b) {
		return 0
	}
	seq := uint64(b[n])
	if n++; seq >= 0x80 {
		seq, n = uvarint(b, n-1)
	}
	key := head >> flagBits
	if key > KeyBytesMax || value > ValueBytesMax || head&flagsMask == flagsMask || head&flagsMask != 0 && value > 0 {
		return 0
	}
	keyEnd := n + int(key)
	metaEnd := keyEnd + meta
	end := metaEnd + int(value)
	if end > len(b) {
		return 0
	}
	r.Key, r.Meta, r.Value = b[n:keyEnd:keyEnd], b[keyEnd:metaEnd:metaEnd], b[metaEnd:end:end]
	r.Seq, r.Flags = firstSeq+seq, uint8(head&flagsMask)
	return end
}

// uvarint reads the number at b[at:] and says where it ends: behind the end of b if there is none.
func uvarint(b []byte, at int) (v uint64, end int) {
	for shift := 0; at < len(b) && shift < 64; shift += 7 {
		c := b[at]
		at++
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, at
		}
	}
	return 0, len(b) + 1
}
