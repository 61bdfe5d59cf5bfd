package hintedhandoff

import (
	"bytes"
	"errors"
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// batch is hints of one target that are sent together.
type batch struct {
	target ring.NodeID
	items  []Item
	// keys are the engine's; those of the items alias them.
	keys      [][]byte
	revisions []uint64
	bytes     int
	// next is where the hints behind the batch begin; nil if there are none.
	next []byte
}

// readBatch reads hints from the engine's key from on: at most itemsMax, and at most Options.BatchBytesMax but for the first. Hints that
// skip says are left out. What cannot be read is lost. Errors are those of Engine.Scan.
func (s *Store) readBatch(target ring.NodeID, from []byte, itemsMax int, skip func(key []byte) bool) (*batch, error) {
	b := &batch{target: target}
	type unreadable struct{ key, meta []byte }
	var lost []unreadable
	var failed error
	rng := storage.Range{Start: from, End: prefixEnd(appendHintKey(nil, target, nil))}
	rng.Select = func(key, _ []byte) bool { return !skip(key) }
	for rec, err := range s.engine.Scan(rng) {
		if isCorrupt(err) {
			if rec.Key == nil {
				s.loseUnnamed()
			} else {
				lost = append(lost, unreadable{key: bytes.Clone(rec.Key)})
			}
			continue
		}
		if err != nil {
			failed = err
			break
		}
		if len(b.items) == itemsMax || len(b.items) > 0 && b.bytes+len(rec.Key)+len(rec.Value) > s.opts.BatchBytesMax {
			b.next = bytes.Clone(rec.Key)
			break
		}
		if err := b.add(rec); err != nil {
			lost = append(lost, unreadable{bytes.Clone(rec.Key), bytes.Clone(rec.Meta)})
		}
	}
	for _, l := range lost {
		s.lose(l.key, l.meta)
	}
	return b, failed
}

// add copies a hint into the batch.
func (b *batch) add(rec storage.Record) error {
	buf := slices.Concat(rec.Key, rec.Value)
	key, value := buf[:len(rec.Key):len(rec.Key)], buf[len(rec.Key):]
	var o causal.Object
	h, err := decodeHint(&o, rec.Meta, value)
	if err != nil {
		return err
	}
	b.items = append(b.items, Item{Key: key[2+len(b.target):], Object: o})
	b.keys = append(b.keys, key)
	b.revisions = append(b.revisions, h.revision)
	b.bytes += len(buf) + len(rec.Meta)
	return nil
}

// prefixEnd is the first key behind all that begin with prefix, whose last byte is not 0xff: it ends a name.
func prefixEnd(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	end[len(end)-1]++
	return end
}

// isCorrupt says whether an error of a scan stands for something that cannot be read; the scan goes on behind it.
func isCorrupt(err error) bool {
	var corrupt *storage.CorruptError
	return errors.As(err, &corrupt)
}
