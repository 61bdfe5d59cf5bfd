package blockcache

import (
	"math/bits"
	"sync"
	"unsafe"
)

// slot is the place of a block. Slots are named by their index, which costs less than a pointer and nothing to the
// garbage collector; slot 0 holds no block, so that 0 means none.
type slot struct {
	file, offset uint64
	block        []byte
	// chain is the next slot of the same bucket, or of the free list.
	chain uint32
	// prev and next are the neighbours in the queue.
	prev, next uint32
	// reads counts hits, up to readsMax, less those that spared it.
	reads uint8
	where queueID
}

type queueID uint8

const (
	free queueID = iota
	small
	main
)

const (
	slotBytes   = int64(unsafe.Sizeof(slot{}))
	bucketBytes = int64(unsafe.Sizeof(uint32(0)))
	slotsMin    = 16
	// slotsGrow is the part that slots grow by. Twice as many would rarely find the room in a cache of small blocks.
	slotsGrow = 4
	readsMax  = 3
	// smallShare is the part of the bytes that belongs to the small queue.
	smallShare = 10
)

// queue is a list of slots, oldest first.
type queue struct {
	head, tail uint32
	bytes      int64 // of the blocks
}

// shard is a part of the cache that has its own lock and its own share of the bytes.
type shard struct {
	mu       sync.Mutex
	bytesMax int64
	slots    []slot
	buckets  []uint32 // tableLen of the slots
	freed    uint32   // head of the free slots
	blocks   int
	queues   [3]queue // by queueID; that of free is unused
	ghost    ghost

	hits, misses, evictions uint64
}

func (s *shard) init(bytesMax int64) { s.bytesMax = bytesMax }

func (s *shard) get(h, file, offset uint64) ([]byte, bool) {
	s.mu.Lock()
	i := s.findLocked(h, file, offset)
	if i == 0 {
		s.misses++
		s.mu.Unlock()
		return nil, false
	}
	s.hits++
	found := &s.slots[i]
	if found.reads < readsMax {
		found.reads++
	}
	block := found.block
	s.mu.Unlock()
	return block, true
}

func (s *shard) put(h, file, offset uint64, block []byte) {
	size := int64(cap(block))
	if size > s.bytesMax/blockShare {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.findLocked(h, file, offset) != 0 || !s.makeRoomLocked(size) {
		return
	}
	i := s.freed
	s.freed = s.slots[i].chain
	to := small
	if s.ghost.take(h) {
		to = main
	}
	s.slots[i] = slot{file: file, offset: offset, block: block}
	s.linkLocked(h, i)
	s.pushLocked(to, i)
	s.blocks++
}

// makeRoomLocked evicts until there is a free slot and as many bytes as asked, or says that there cannot be.
func (s *shard) makeRoomLocked(size int64) bool {
	for {
		slots := len(s.slots)
		if s.freed == 0 {
			slots = max(slotsMin, slots+slots/slotsGrow)
		}
		if s.blockBytesLocked()+size+bookBytes(slots) <= s.bytesMax {
			if slots != len(s.slots) {
				s.resizeLocked(slots)
			}
			return true
		}
		// Room for many small blocks is a waste once the blocks are large.
		if len(s.slots) > slotsMin && s.blocks < len(s.slots)/4 {
			s.resizeLocked(len(s.slots) / 2)
			continue
		}
		if s.blocks == 0 {
			return false
		}
		s.evictLocked()
	}
}

// evictLocked makes one block go.
func (s *shard) evictLocked() {
	for {
		from := main
		if q := s.queues[small]; q.head != 0 && (q.bytes >= s.bytesMax/smallShare || s.queues[main].head == 0) {
			from = small
		}
		i := s.queues[from].head
		oldest := &s.slots[i]
		switch {
		case from == small && oldest.reads > 1:
			oldest.reads = 0
			s.unqueueLocked(i)
			s.pushLocked(main, i)
			continue
		case from == main && oldest.reads > 0:
			oldest.reads--
			s.unqueueLocked(i)
			s.pushLocked(main, i)
			continue
		case from == small:
			s.ghost.add(hash(oldest.file, oldest.offset))
		}
		s.removeLocked(i)
		s.evictions++
		return
	}
}

func (s *shard) drop(file uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if s.slots[i].where != free && s.slots[i].file == file {
			s.removeLocked(uint32(i))
		}
	}
}

func (s *shard) removeLocked(i uint32) {
	gone := &s.slots[i]
	s.unqueueLocked(i)
	link := &s.buckets[s.bucket(hash(gone.file, gone.offset))]
	for *link != i {
		link = &s.slots[*link].chain
	}
	*link = gone.chain
	*gone = slot{chain: s.freed}
	s.freed = i
	s.blocks--
}

func (s *shard) addTo(sum *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum.Bytes += s.blockBytesLocked() + bookBytes(len(s.slots))
	sum.Blocks += s.blocks
	sum.Hits += s.hits
	sum.Misses += s.misses
	sum.Evictions += s.evictions
}

// bookBytes is what n slots cost, with their buckets and ghosts.
func bookBytes(n int) int64 { return int64(n)*slotBytes + int64(tableLen(n))*(bucketBytes+ghostBytes) }

// tableLen is how many buckets, and ghosts, go with n slots: the power of two that is not above n.
func tableLen(n int) int {
	if n == 0 {
		return 0
	}
	return 1 << (bits.Len(uint(n)) - 1)
}

func (s *shard) blockBytesLocked() int64 { return s.queues[small].bytes + s.queues[main].bytes }

// bucket uses the low bits of a hash; the shard is chosen by the high ones.
func (s *shard) bucket(h uint64) int { return int(h & uint64(len(s.buckets)-1)) }

// findLocked returns the slot of a block, or 0.
func (s *shard) findLocked(h, file, offset uint64) uint32 {
	if len(s.buckets) == 0 {
		return 0
	}
	i := s.buckets[s.bucket(h)]
	for i != 0 && (s.slots[i].offset != offset || s.slots[i].file != file) {
		i = s.slots[i].chain
	}
	return i
}

func (s *shard) linkLocked(h uint64, i uint32) {
	b := s.bucket(h)
	s.slots[i].chain = s.buckets[b]
	s.buckets[b] = i
}

func (s *shard) pushLocked(to queueID, i uint32) {
	q := &s.queues[to]
	added := &s.slots[i]
	added.where, added.prev, added.next = to, q.tail, 0
	if q.tail == 0 {
		q.head = i
	} else {
		s.slots[q.tail].next = i
	}
	q.tail = i
	q.bytes += int64(cap(added.block))
}

func (s *shard) unqueueLocked(i uint32) {
	gone := &s.slots[i]
	q := &s.queues[gone.where]
	if gone.prev == 0 {
		q.head = gone.next
	} else {
		s.slots[gone.prev].next = gone.next
	}
	if gone.next == 0 {
		q.tail = gone.prev
	} else {
		s.slots[gone.next].prev = gone.prev
	}
	q.bytes -= int64(cap(gone.block))
}

// resizeLocked moves the blocks into n slots, more than there are blocks.
func (s *shard) resizeLocked(n int) {
	old, queues := s.slots, s.queues
	s.slots, s.buckets = make([]slot, n), make([]uint32, tableLen(n))
	s.queues, s.freed = [3]queue{}, 0
	s.ghost.resize(tableLen(n))
	i := uint32(1)
	for _, id := range []queueID{small, main} {
		for from := queues[id].head; from != 0; from = old[from].next {
			s.slots[i] = old[from]
			s.linkLocked(hash(old[from].file, old[from].offset), i)
			s.pushLocked(id, i)
			i++
		}
	}
	for ; int(i) < n; i++ {
		s.slots[i].chain = s.freed
		s.freed = i
	}
}
