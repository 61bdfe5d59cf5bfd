package storage

import (
	"bytes"
	"cmp"
	"slices"
)

// located is what a hint file or a frame says of one key.
type located struct {
	key, meta      []byte
	seq            uint64
	segment        uint32
	offset, length uint32
	flags          uint8
}

func (l *located) entry() entry {
	text := make([]byte, 0, len(l.key)+len(l.meta))
	return entry{
		text: string(append(append(text, l.key...), l.meta...)), keyLen: uint16(len(l.key)),
		seq: l.seq, segment: l.segment, offset: l.offset, length: l.length, flags: l.flags,
	}
}

// source is a stream of located keys, sorted and without repetition. The slices are valid until the next call; ok is
// false at the end.
type source interface {
	next() (l located, ok bool, err error)
}

// keyList collects the keys of one segment. It has two allocations however many there are.
type keyList struct {
	segment uint32
	arena   []byte
	items   []keyItem
	at      int // of next
}

type keyItem struct {
	at             int
	seq            uint64
	offset, length uint32
	keyLen         uint16
	metaLen, flags uint8
}

func (k *keyList) add(f *frame, off int64) {
	item := keyItem{
		at: len(k.arena), seq: f.seq, offset: uint32(off), length: uint32(f.length),
		keyLen: uint16(len(f.key)), metaLen: uint8(len(f.meta)),
	}
	if f.kind == kindDelete {
		item.flags = flagTombstone
	}
	k.arena = append(append(k.arena, f.key...), f.meta...)
	k.items = append(k.items, item)
}

// truncate forgets all but the first n records added.
func (k *keyList) truncate(n int) {
	if n < len(k.items) {
		k.arena, k.items = k.arena[:k.items[n].at], k.items[:n]
	}
}

func (k *keyList) key(i *keyItem) []byte { return k.arena[i.at : i.at+int(i.keyLen)] }

// sort orders the list by key and keeps the newest record of each.
func (k *keyList) sort() {
	slices.SortFunc(k.items, func(a, b keyItem) int {
		if c := bytes.Compare(k.key(&a), k.key(&b)); c != 0 {
			return c
		}
		return cmp.Compare(b.seq, a.seq)
	})
	k.items = slices.CompactFunc(k.items, func(a, b keyItem) bool { return bytes.Equal(k.key(&a), k.key(&b)) })
}

func (k *keyList) item(i int) located {
	it := &k.items[i]
	key := k.key(it)
	return located{
		key: key, meta: k.arena[it.at+len(key) : it.at+len(key)+int(it.metaLen)],
		seq: it.seq, segment: k.segment, offset: it.offset, length: it.length, flags: it.flags,
	}
}

func (k *keyList) next() (located, bool, error) {
	if k.at == len(k.items) {
		return located{}, false, nil
	}
	k.at++
	return k.item(k.at - 1), true, nil
}
