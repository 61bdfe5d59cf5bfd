package hintedhandoff

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// The layouts are drawn in docs/format/hints.md; integers are big-endian. Whatever a decoder accepts, its encoder would have
// written byte for byte.
const (
	// The first byte of a key.
	kindHint = 'H'
	kindNeed = 'N'

	// The first byte of a meta.
	metaFormat = 1

	flagCounted = 1 << 0

	// headBytes is the fixed part of a hint's meta: format, flags, time, revision, length of the value.
	headBytes = 1 + 1 + 8 + 8 + 4
	// needMetaBytes is a need's meta: format, time.
	needMetaBytes = 1 + 8
	// hintKeyBytesMax is what a hint's key has before the key that it is for.
	hintKeyBytesMax = 2 + ring.NameBytesMax
)

// appendHintKey appends the engine's key of a hint; with an empty key it is the prefix of all hints of the target.
func appendHintKey(dst []byte, target ring.NodeID, key []byte) []byte {
	return append(append(append(dst, kindHint, byte(len(target))), target...), key...)
}

// appendNeedKey appends the engine's key of a need.
func appendNeedKey(dst []byte, p Pair) []byte {
	dst = append(append(dst, kindNeed, byte(len(p.Target))), p.Target...)
	return binary.BigEndian.AppendUint32(dst, uint32(p.Partition))
}

// parseKey takes an engine's key apart: rest is the key that a hint is for, or the partition of a need. It aliases b.
func parseKey(b []byte) (kind byte, target ring.NodeID, rest []byte, err error) {
	if len(b) < 2 || len(b) < 2+int(b[1]) {
		return 0, "", nil, malformed("a key that is too short")
	}
	kind, rest = b[0], b[2+int(b[1]):]
	target = ring.NodeID(b[2 : 2+int(b[1])])
	switch {
	case target.Validate() != nil:
		err = malformed("a key without the name of a node")
	case kind != kindHint && kind != kindNeed:
		err = malformed("a key of no known kind")
	case kind == kindHint && len(rest) == 0:
		err = malformed("a hint for no key")
	case kind == kindNeed && len(rest) != 4:
		err = malformed("a need of no partition")
	}
	return kind, target, rest, err
}

// head is the fixed part of a hint's meta.
type head struct {
	counted bool
	// noted is when the hint was added first, in milliseconds since the Unix epoch.
	noted int64
	// revision is another one after each write of the hint.
	revision   uint64
	valueBytes uint32
}

// scratch is memory that one hint after the other is encoded into.
type scratch struct {
	meta, value []byte
}

// scratchBytesKept bounds what an idle scratch holds on to.
const scratchBytesKept = 64 << 10

func (s *scratch) release() {
	if cap(s.value) > scratchBytesKept {
		s.value = nil
	}
}

// encode is the stored form of a hint. It sets h.valueBytes. The slices are valid until the next call; the value may be that of a
// sibling.
func (s *scratch) encode(h *head, o causal.Object) (meta, value []byte) {
	s.meta = causal.AppendMeta(append(s.meta[:0], make([]byte, headBytes)...), o)
	if len(s.meta) <= storage.MetaBytesMax {
		value = causal.StoredValue(o, s.value[:0])
		if len(o.Siblings) != 1 {
			s.value = value
		}
	} else {
		s.meta = s.meta[:headBytes]
		s.value = causal.AppendObject(s.value[:0], o)
		value = s.value
	}
	h.valueBytes = uint32(len(value))
	putHead(s.meta, *h)
	return s.meta, value
}

func putHead(b []byte, h head) {
	b[0], b[1] = metaFormat, 0
	if h.counted {
		b[1] |= flagCounted
	}
	binary.BigEndian.PutUint64(b[2:], uint64(h.noted))
	binary.BigEndian.PutUint64(b[10:], h.revision)
	binary.BigEndian.PutUint32(b[18:], h.valueBytes)
}

// parseMeta takes a hint's meta apart. heads is the object's meta; it is empty where all of the object is in the value.
func parseMeta(meta []byte) (h head, heads []byte, err error) {
	if len(meta) < headBytes || len(meta) > storage.MetaBytesMax || meta[1]&^flagCounted != 0 {
		return head{}, nil, malformed("not the meta of a hint")
	}
	if meta[0] != metaFormat {
		return head{}, nil, fmt.Errorf("hintedhandoff: %w: a hint of format %d", storage.ErrFormat, meta[0])
	}
	h = head{
		counted: meta[1]&flagCounted != 0, noted: int64(binary.BigEndian.Uint64(meta[2:])),
		revision: binary.BigEndian.Uint64(meta[10:]), valueBytes: binary.BigEndian.Uint32(meta[18:]),
	}
	if h.noted < 0 {
		return head{}, nil, malformed("a hint from before the epoch")
	}
	return h, meta[headBytes:], nil
}

// decodeHint sets o to the object of a hint, using the memory of o's slices as far as it goes. Values alias value.
func decodeHint(o *causal.Object, meta, value []byte) (h head, err error) {
	h, heads, err := parseMeta(meta)
	if err != nil {
		return h, err
	}
	if int(h.valueBytes) != len(value) {
		return h, malformed("a value of another length than its meta says")
	}
	if len(heads) > 0 {
		return h, causal.DecodeStored(o, heads, value)
	}
	if *o, err = causal.DecodeObject(value); err != nil {
		return h, err
	}
	var room [causal.MetaBytesMax]byte
	if headBytes+len(causal.AppendMeta(room[:0], *o)) <= storage.MetaBytesMax {
		return h, malformed("an object in the value whose heads fit into the meta")
	}
	return h, nil
}

// decodeHeads is decodeHint without the value, which is told only if complete.
func decodeHeads(o *causal.Object, meta []byte) (h head, complete bool, err error) {
	h, heads, err := parseMeta(meta)
	if err != nil || len(heads) == 0 {
		return h, false, err
	}
	complete, err = causal.DecodeMeta(o, heads)
	return h, complete, err
}

func appendNeedMeta(dst []byte, since time.Time) []byte {
	return binary.BigEndian.AppendUint64(append(dst, metaFormat), uint64(millis(since)))
}

func parseNeedMeta(meta []byte) (since time.Time, err error) {
	if len(meta) != needMetaBytes {
		return time.Time{}, malformed("not the meta of a need")
	}
	if meta[0] != metaFormat {
		return time.Time{}, fmt.Errorf("hintedhandoff: %w: a need of format %d", storage.ErrFormat, meta[0])
	}
	ms := int64(binary.BigEndian.Uint64(meta[1:]))
	if ms < 0 {
		return time.Time{}, malformed("a need from before the epoch")
	}
	return time.UnixMilli(ms), nil
}

// millis is t in milliseconds since the Unix epoch, or zero before it.
func millis(t time.Time) int64 { return max(t.UnixMilli(), 0) }
