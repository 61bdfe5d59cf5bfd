package blockcache

import (
	"math/bits"
	"unsafe"
)

const (
	// shardsMax is enough that a lock is rarely contended by as many cores as a server has.
	shardsMax = 16
	// shardBytesMin keeps small caches in few shards: a block may have an eighth of one.
	shardBytesMin = 256 << 10
	// blockShare is the part of a shard that a block may have at most, so that one cannot empty it.
	blockShare = 8
)

// Cache is a cache of blocks. New makes one.
type Cache struct {
	bytesMax int64
	// shift takes a hash to the number of its shard.
	shift  int
	shards []paddedShard
}

// paddedShard keeps the locks of two shards out of one cache line.
type paddedShard struct {
	shard
	_ [128 - unsafe.Sizeof(shard{})%128]byte
}

// Stats is what a cache holds and has done since New.
type Stats struct {
	// Bytes is the blocks and the bookkeeping; BytesMax is its bound.
	Bytes, BytesMax int64
	// Blocks is how many there are.
	Blocks int
	// Hits and Misses count calls of Get, Evictions the blocks that went to make room.
	Hits, Misses, Evictions uint64
}

// New makes an empty cache of at most bytesMax bytes. It caches nothing if that is zero or less. Memory is taken as
// blocks come.
func New(bytesMax int64) *Cache {
	c := &Cache{bytesMax: max(0, bytesMax), shift: 64}
	n := 0
	if c.bytesMax > 0 {
		n = 1
	}
	for n > 0 && n < shardsMax && c.bytesMax/int64(2*n) >= shardBytesMin {
		n *= 2
		c.shift--
	}
	c.shards = make([]paddedShard, n)
	for i := range c.shards {
		c.shards[i].init(c.bytesMax / int64(n))
	}
	return c
}

// Get returns a block. It is shared: the caller may keep it as long as it likes and must not change it.
func (c *Cache) Get(file, offset uint64) (block []byte, ok bool) {
	if len(c.shards) == 0 {
		return nil, false
	}
	h := hash(file, offset)
	return c.shards[h>>c.shift].get(h, file, offset)
}

// Put adds a block and takes ownership of it: it must not be changed any more. A block that is there already stays,
// since both are equal. One whose cap is more than an eighth of a shard is not cached.
func (c *Cache) Put(file, offset uint64, block []byte) {
	if len(c.shards) == 0 {
		return
	}
	h := hash(file, offset)
	c.shards[h>>c.shift].put(h, file, offset, block)
}

// Drop forgets the blocks of a file, when nothing will ask for them any more. It looks at every block of the cache.
// A Put that comes later is not kept from adding one; that is no harm, it only takes space until it is evicted.
func (c *Cache) Drop(file uint64) {
	for i := range c.shards {
		c.shards[i].drop(file)
	}
}

// Stats sums up the shards, one after the other.
func (c *Cache) Stats() Stats {
	sum := Stats{BytesMax: c.bytesMax}
	for i := range c.shards {
		c.shards[i].addTo(&sum)
	}
	return sum
}

// hash spreads names that differ in a few bits only, as the offsets of blocks do. The odd constants are those of
// splitmix64 and of its finalizer's second step.
func hash(file, offset uint64) uint64 {
	high, low := bits.Mul64(file^0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9)
	h := (high ^ low) + offset
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	h = (h ^ h>>32) * 0xd6e8feb86659fd93
	return h ^ h>>32
}
