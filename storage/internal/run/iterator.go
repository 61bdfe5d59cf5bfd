package run

import (
	"bytes"
	"sort"
)

// IterOptions are the bounds of an iterator and how it reads.
type IterOptions struct {
	// Start and End bound the keys: Start <= key < End. Nil is no bound. They are not copied.
	Start, End []byte
	// Blocks are the only blocks to walk, in rising order, as BlocksOf returns them. Nil is all.
	Blocks []uint32
	// ReadAhead is for scans: it reads more at once the longer it moves forward, up to 256 KiB, and does not touch the cache.
	ReadAhead bool
}

const readAheadBytesMax = 256 << 10

// where says where an iterator stands.
type where uint8

const (
	nowhere where = iota
	atRecord
	atDamage
	atStart
	atEnd
	atError
)

// Iterator walks the records of a run in key order, both ways. It checks each block that it comes to, and stands once on
// each that is damaged in place of its records: Damage is not nil then. It goes on behind it like behind a record.
//
// Every move says whether it came to a record or to damage. If not, the iterator stands before the first or behind the last
// record in its bounds, from where it can come back, or Err says that reading failed. One goroutine may use it at a time.
type Iterator struct {
	r   *Reader
	o   IterOptions
	pos where
	// n is the block, at the record in it; the bounds leave the records [low, high) of it.
	n, at, low, high int
	block            block
	rec              Record
	damage           *DamageError
	err              error
	buf              Buffer
	// ahead is the bytes from aheadAt on, aheadBytes how much was asked for.
	ahead      []byte
	aheadAt    int64
	aheadBytes int64
}

// Iter returns an iterator that stands nowhere yet: Next goes to the first record, Prev to the last.
func (r *Reader) Iter(o IterOptions) *Iterator {
	return &Iterator{r: r, o: o, block: block{firstSeq: r.trailer.info.FirstSeq}}
}

// Record is where the iterator stands. It and its slices are good until the iterator moves, and must not be changed. It
// is empty unless the last move returned true and Damage is nil.
func (it *Iterator) Record() *Record { return &it.rec }

// Damage is the damaged block that the iterator stands on, nil if it does not.
func (it *Iterator) Damage() *DamageError { return it.damage }

// Err is why the last move failed, if it did: an error of reading, wrapped. A Seek may try again.
func (it *Iterator) Err() error { return it.err }

// First goes to the first record.
func (it *Iterator) First() bool {
	n := 0
	if it.o.Start != nil {
		n = max(it.r.index.find(it.o.Start), 0)
	}
	return it.forward(n)
}

// Last goes to the last record.
func (it *Iterator) Last() bool {
	n := it.r.index.blocks() - 1
	if it.o.End != nil {
		n = it.r.index.findBelow(it.o.End)
	}
	return it.backward(n)
}

// Seek goes to the first record whose key is not below key, or to the damaged block that may have it.
func (it *Iterator) Seek(key []byte) bool {
	if it.o.Start != nil && bytes.Compare(key, it.o.Start) <= 0 {
		return it.First()
	}
	n := max(it.r.index.find(key), 0)
	if !it.startsInBounds(n) {
		return it.leave(atEnd)
	}
	if it.notBelow(n) != n {
		return it.forward(n)
	}
	if !it.enter(n) {
		return it.pos == atDamage
	}
	at, ok := it.block.lowerBound(key)
	if !ok {
		return it.malformed()
	}
	if at = max(at, it.low); at < it.high {
		return it.stand(at)
	}
	return it.forward(n + 1)
}

// SeekBefore goes to the last record whose key is below key, or to the damaged block that may have it.
func (it *Iterator) SeekBefore(key []byte) bool {
	if it.o.End != nil && bytes.Compare(key, it.o.End) >= 0 {
		return it.Last()
	}
	n := it.r.index.findBelow(key)
	if n < 0 || !it.endsInBounds(n) {
		return it.leave(atStart)
	}
	if it.notAbove(n) != n {
		return it.backward(n)
	}
	if !it.enter(n) {
		return it.pos == atDamage
	}
	at, ok := it.block.lowerBound(key)
	if !ok {
		return it.malformed()
	}
	if at = min(at, it.high); at > it.low {
		return it.stand(at - 1)
	}
	return it.backward(n - 1)
}

// Next goes one forward.
func (it *Iterator) Next() bool {
	switch it.pos {
	case atRecord:
		if at := it.at + 1; at < it.high {
			// What stand does, without its calls: a scan is this line.
			if it.rec.decode(it.block.from(at), it.block.firstSeq) == 0 {
				return it.malformed()
			}
			it.at = at
			return true
		}
		return it.forward(it.n + 1)
	case atDamage:
		return it.forward(it.n + 1)
	case nowhere, atStart:
		return it.First()
	}
	return false
}

// Prev goes one back.
func (it *Iterator) Prev() bool {
	switch it.pos {
	case atRecord:
		if it.at > it.low {
			return it.stand(it.at - 1)
		}
		return it.backward(it.n - 1)
	case atDamage:
		return it.backward(it.n - 1)
	case nowhere, atEnd:
		return it.Last()
	}
	return false
}

// startsInBounds says whether block n may hold keys below End, endsInBounds whether it may hold some not below Start.
func (it *Iterator) startsInBounds(n int) bool {
	return n < it.r.index.blocks() && (it.o.End == nil || it.r.index.compare(n, it.o.End) < 0)
}

func (it *Iterator) endsInBounds(n int) bool {
	return n >= 0 && (it.o.Start == nil || n+1 == it.r.index.blocks() || it.r.index.compare(n+1, it.o.Start) > 0)
}

// notBelow is the first block to walk that is not before n: the number of blocks if there is none. notAbove is the last one that is
// not behind n, or -1.
func (it *Iterator) notBelow(n int) int {
	blocks := it.o.Blocks
	if blocks == nil {
		return n
	}
	i := sort.Search(len(blocks), func(i int) bool { return int(blocks[i]) >= n })
	if i == len(blocks) {
		return it.r.index.blocks()
	}
	return int(blocks[i])
}

func (it *Iterator) notAbove(n int) int {
	blocks := it.o.Blocks
	if blocks == nil {
		return n
	}
	i := sort.Search(len(blocks), func(i int) bool { return int(blocks[i]) > n })
	if i == 0 {
		return -1
	}
	return int(blocks[i-1])
}

// forward goes to the first record in bounds of block n or of one behind it.
func (it *Iterator) forward(n int) bool {
	for n = it.notBelow(n); it.startsInBounds(n); n = it.notBelow(n + 1) {
		if !it.enter(n) {
			return it.pos == atDamage
		}
		if it.low < it.high {
			return it.stand(it.low)
		}
	}
	return it.leave(atEnd)
}

// backward goes to the last record in bounds of block n or of one before it.
func (it *Iterator) backward(n int) bool {
	for n = it.notAbove(n); it.endsInBounds(n); n = it.notAbove(n - 1) {
		if !it.enter(n) {
			return it.pos == atDamage
		}
		if it.low < it.high {
			return it.stand(it.high - 1)
		}
	}
	return it.leave(atStart)
}

// stand takes the record at of the block.
func (it *Iterator) stand(at int) bool {
	if !it.block.record(at, &it.rec) {
		return it.malformed()
	}
	it.at = at
	return true
}

// malformed stands on the block as damaged: it is as it was written, but what was written is no block.
func (it *Iterator) malformed() bool {
	it.leave(atDamage)
	it.damage = it.r.damageBlock(it.n, "content of the block")
	return true
}

func (it *Iterator) leave(pos where) bool {
	it.pos, it.rec, it.damage, it.err = pos, Record{}, nil, nil
	return false
}

// enter loads block n and finds which of its records are in bounds. If it fails, pos is atDamage or atError.
func (it *Iterator) enter(n int) bool {
	it.leave(atRecord)
	it.n = n
	raw, err := it.load(n)
	if damage, ok := err.(*DamageError); ok {
		it.leave(atDamage)
		it.damage = damage
		return false
	}
	if err != nil {
		it.leave(atError)
		it.err = err
		return false
	}
	x := it.r.index
	it.block.at, _ = x.extent(n)
	if !it.block.view(raw) {
		it.malformed()
		return false
	}
	ok := true
	it.low, it.high = 0, it.block.count
	if it.o.Start != nil && x.compare(n, it.o.Start) < 0 {
		it.low, ok = it.block.lowerBound(it.o.Start)
	}
	if ok && it.o.End != nil && (n+1 == x.blocks() || x.compare(n+1, it.o.End) > 0) {
		it.high, ok = it.block.lowerBound(it.o.End)
	}
	if !ok {
		it.malformed()
	}
	return ok
}

// load returns the checked content of block n.
func (it *Iterator) load(n int) ([]byte, error) {
	r := it.r
	if !it.o.ReadAhead {
		raw, _, err := r.load(n, &it.buf, true)
		return raw, err
	}
	off, length := r.index.extent(n)
	if r.mapped != nil {
		return r.unpack(n, r.mapped[off:off+length], &it.buf.raw)
	}
	if off < it.aheadAt || off+length > it.aheadAt+int64(len(it.ahead)) {
		if err := it.readAhead(n, off, length); err != nil {
			return nil, err
		}
	}
	return r.unpack(n, it.ahead[off-it.aheadAt:][:length], &it.buf.raw)
}

// readAhead reads block n, and with it more of those that follow the more often it was asked for what follows.
func (it *Iterator) readAhead(n int, off, length int64) error {
	if len(it.ahead) > 0 && off == it.aheadAt+int64(len(it.ahead)) {
		it.aheadBytes = min(2*max(it.aheadBytes, length), readAheadBytesMax)
	} else {
		it.aheadBytes = 0
	}
	total := length
	for n++; it.startsInBounds(n); n++ {
		_, more := it.r.index.extent(n)
		if total+more > it.aheadBytes {
			break
		}
		total += more
	}
	it.ahead = grow(it.ahead, int(total))
	it.aheadAt = off
	err := it.r.readAt(it.ahead, off)
	if err != nil {
		it.ahead = it.ahead[:0]
	}
	return err
}
