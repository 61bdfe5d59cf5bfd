package storage

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"unsafe"

	"github.com/ringcask/ringcask/storage/internal/memindex"
	"github.com/ringcask/ringcask/storage/internal/run"
)

// source is a stream of entries, sorted by key and without repetition. The slices are valid until the next call; ok is
// false at the end.
type source interface {
	next(at *hashedEntry) (ok bool, err error)
	// from returns another stream of the same, which may begin with some keys that are less than start.
	from(start []byte) source
	// sample adds some of the keys: one for about as many bytes as a block of a hint file has.
	sample(keys [][]byte) [][]byte
}

// hashedEntry is an entry with the hash of its key and the first 8 bytes of it, as headOf has them.
type hashedEntry struct {
	entry
	hash, head uint64
}

// keyList collects the keys of one segment.
type keyList struct {
	segment uint32
	arena   []byte
	items   []keyItem
	at      int // of next
	// rest, if not nil, is called after each few comparisons; one goroutine sorts then.
	rest func()
	// reserved is the memory that reserve has set aside.
	reserved [2][]byte
}

// reserve sets memory aside, outside of the heap, for so many records in so many bytes of log: a list of a million keys would
// leave the collector's estimate of what the program needs high for long. It is given back by free, which ends the list.
func (k *keyList) reserve(records, bytes int64) {
	arena, items := offHeap(bytes), offHeap(records*int64(unsafe.Sizeof(keyItem{})))
	if arena == nil || items == nil {
		freeOffHeap(arena)
		freeOffHeap(items)
		return
	}
	k.reserved = [2][]byte{arena, items}
	k.arena = arena[:0]
	k.items = unsafe.Slice((*keyItem)(unsafe.Pointer(unsafe.SliceData(items))), records)[:0]
}

func (k *keyList) free() {
	freeOffHeap(k.reserved[0])
	freeOffHeap(k.reserved[1])
	*k = keyList{}
}

type keyItem struct {
	// head is the first 8 bytes of the key, which decide most comparisons.
	head uint64
	// hash is taken when the key is at hand: later it is far away in memory.
	hash, seq          uint64
	at, offset, length uint32
	keyLen             uint16
	metaLen, flags     uint8
}

func (k *keyList) add(f *frame, off int64) {
	item := keyItem{
		head: headOf(f.key), hash: run.Hash(f.key), seq: f.seq,
		at: uint32(len(k.arena)), offset: uint32(off), length: uint32(f.length),
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

func (k *keyList) key(i *keyItem) []byte { return k.arena[i.at:][:i.keyLen] }

// sort orders the list by key, with so many goroutines, and keeps the newest record of each.
func (k *keyList) sort(goroutines int) {
	k.order(k.items, goroutines)
	k.items = slices.CompactFunc(k.items, func(a, b keyItem) bool {
		return a.hash == b.hash && bytes.Equal(k.key(&a), k.key(&b))
	})
}

// sortAlone is up to how many items it is not worth it that several goroutines sort them.
const sortAlone = 1 << 14

func (k *keyList) order(items []keyItem, goroutines int) {
	if goroutines < 2 || len(items) <= sortAlone {
		slices.SortFunc(items, k.restful())
		return
	}
	at := k.part(items)
	var less sync.WaitGroup
	less.Go(func() { k.order(items[:at], goroutines/2) })
	k.order(items[at:], goroutines-goroutines/2)
	less.Wait()
}

// part puts the smaller half of the items, as far as a sample tells, before the others, and returns where these begin.
func (k *keyList) part(items []keyItem) int {
	var sample [255]keyItem
	for i := range sample {
		sample[i] = items[len(items)/len(sample)*i]
	}
	slices.SortFunc(sample[:], k.compare)
	middle := sample[len(sample)/2]
	i, j := 0, len(items)
	for i < j {
		if k.compare(items[i], middle) < 0 {
			i++
			continue
		}
		j--
		items[i], items[j] = items[j], items[i]
	}
	return i
}

// restful is compare, with a rest now and then.
func (k *keyList) restful() func(a, b keyItem) int {
	if k.rest == nil {
		return k.compare
	}
	compared := 0
	return func(a, b keyItem) int {
		if compared++; compared%compareRest == 0 {
			k.rest()
		}
		return k.compare(a, b)
	}
}

// compareRest is after how many comparisons there is a rest: some tens of µs.
const compareRest = 1024

// compare orders by key, and by falling sequence number for the same key.
func (k *keyList) compare(a, b keyItem) int {
	switch {
	case a.head < b.head:
		return -1
	case a.head > b.head:
		return 1
	}
	if c := bytes.Compare(k.key(&a), k.key(&b)); c != 0 {
		return c
	}
	return cmp.Compare(b.seq, a.seq)
}

func (k *keyList) item(i int) entry {
	it := &k.items[i]
	key := k.key(it)
	return entry{key, k.arena[int(it.at)+len(key):][:it.metaLen], memindex.Location{
		Seq: it.seq, Segment: k.segment, Offset: it.offset, Length: it.length, Flags: it.flags,
	}}
}

// headOf is the first 8 bytes of a key as a number that orders as they do. What is shorter ends in zeros.
func headOf(key []byte) uint64 {
	if len(key) >= 8 {
		return binary.BigEndian.Uint64(key)
	}
	var b [8]byte
	copy(b[:], key)
	return binary.BigEndian.Uint64(b[:])
}

func (k *keyList) from(start []byte) source {
	at, _ := slices.BinarySearchFunc(k.items, start, func(it keyItem, key []byte) int { return bytes.Compare(k.key(&it), key) })
	return &keyList{segment: k.segment, arena: k.arena, items: k.items, at: at}
}

// sampleItems are about as many as a block of a hint file has, of short keys.
const sampleItems = 1500

func (k *keyList) sample(keys [][]byte) [][]byte {
	for i := min(sampleItems, len(k.items)) / 2; i < len(k.items); i += sampleItems {
		keys = append(keys, k.key(&k.items[i]))
	}
	return keys
}

func (k *keyList) next(at *hashedEntry) (ok bool, err error) {
	if k.at == len(k.items) {
		return false, nil
	}
	at.entry, at.hash, at.head = k.item(k.at), k.items[k.at].hash, k.items[k.at].head
	k.at++
	return true, nil
}
