package blockcache

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// content is a block that says whose it is.
func content(file, offset uint64, n int) []byte {
	b := make([]byte, max(16, n))
	binary.LittleEndian.PutUint64(b, file)
	binary.LittleEndian.PutUint64(b[8:], offset)
	return b
}

func wantOwn(t interface{ Errorf(string, ...any) }, file, offset uint64, block []byte) {
	if len(block) < 16 || binary.LittleEndian.Uint64(block) != file || binary.LittleEndian.Uint64(block[8:]) != offset {
		t.Errorf("block %d of file %d has the content % x", offset, file, block[:min(16, len(block))])
	}
}

// check walks over a shard and compares what it finds with what the shard says of itself.
func (s *shard) check(t interface{ Fatalf(string, ...any) }) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queued := 0
	for _, id := range []queueID{small, main} {
		bytes, last := int64(0), uint32(0)
		for i := s.queues[id].head; i != 0; i = s.slots[i].next {
			x := s.slots[i]
			if x.where != id || x.prev != last || s.findLocked(hash(x.file, x.offset), x.file, x.offset) != i {
				t.Fatalf("slot %d of queue %d: %+v", i, id, x)
			}
			bytes, last = bytes+int64(cap(x.block)), i
			queued++
		}
		if q := s.queues[id]; q.tail != last || q.bytes != bytes {
			t.Fatalf("queue %d is %+v and has %d bytes up to slot %d", id, q, bytes, last)
		}
	}
	unused := 0
	for i := s.freed; i != 0; i = s.slots[i].chain {
		unused++
	}
	if queued != s.blocks || len(s.slots) != 0 && queued+unused+1 != len(s.slots) {
		t.Fatalf("%d blocks in queues of %d, %d slots free of %d", queued, s.blocks, unused, len(s.slots))
	}
	if n := tableLen(len(s.slots)); n != len(s.buckets) || n != len(s.ghost.marks) {
		t.Fatalf("%d slots, %d buckets, %d ghosts", len(s.slots), len(s.buckets), len(s.ghost.marks))
	}
}

func check(t interface{ Fatalf(string, ...any) }, c *Cache) {
	for i := range c.shards {
		c.shards[i].check(t)
	}
	if s := c.Stats(); s.Bytes > s.BytesMax {
		t.Fatalf("%d bytes of %d", s.Bytes, s.BytesMax)
	}
}

func TestGetReturnsWhatWasPutOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type name struct{ file, offset uint64 }
		c := New(rapid.Int64Range(0, 1<<20).Draw(t, "bytesMax"))
		put := map[name]bool{}
		names := func() name {
			return name{rapid.Uint64Range(1, 4).Draw(t, "file"), rapid.Uint64Range(0, 200).Draw(t, "offset")}
		}
		hits := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"get": func(t *rapid.T) {
				n := names()
				block, ok := c.Get(n.file, n.offset)
				if !ok {
					return
				}
				hits++
				if wantOwn(t, n.file, n.offset, block); !put[n] {
					t.Fatalf("block %v was not put since its file was dropped", n)
				}
			},
			"put": func(t *rapid.T) {
				first, size := names(), rapid.SampledFrom([]int{16, 100, 4096, 1 << 15}).Draw(t, "size")
				for i := range rapid.Uint64Range(1, 50).Draw(t, "blocks") {
					n := name{first.file, first.offset + i}
					c.Put(n.file, n.offset, content(n.file, n.offset, size))
					put[n] = true
				}
			},
			"drop": func(t *rapid.T) {
				file := names().file
				c.Drop(file)
				for n := range put {
					if n.file == file {
						delete(put, n)
					}
				}
			},
			"": func(t *rapid.T) {
				check(t, c)
				if s := c.Stats(); s.Hits != hits || s.Blocks > len(put) {
					t.Fatalf("%+v after %d hits and %d blocks put", s, hits, len(put))
				}
			},
		})
	})
}

func TestCheckFindsAWrongSum(t *testing.T) {
	c := New(1 << 20)
	c.Put(1, 0, content(1, 0, 100))
	s := &c.shards[hash(1, 0)>>c.shift].shard
	s.queues[small].bytes--
	found := false
	s.check(fatalFunc(func() { found = true }))
	if !found {
		t.Error("not found")
	}
}

type fatalFunc func()

func (f fatalFunc) Fatalf(string, ...any) { f() }

func TestZeroBytesCacheNothing(t *testing.T) {
	for _, bytesMax := range []int64{-1, 0, 1, 1000} {
		c := New(bytesMax)
		c.Put(1, 0, content(1, 0, 16))
		if _, ok := c.Get(1, 0); ok {
			t.Errorf("a cache of %d bytes has a block", bytesMax)
		}
		c.Drop(1)
		if s := c.Stats(); s.Bytes != 0 || s.BytesMax != max(0, bytesMax) {
			t.Errorf("a cache of %d bytes: %+v", bytesMax, s)
		}
	}
}

func TestBlocksOverAnEighthOfAShardAreNotCached(t *testing.T) {
	c := New(shardsMax * shardBytesMin)
	for size, want := range map[int]bool{shardBytesMin / blockShare: true, shardBytesMin/blockShare + 1: false} {
		block := make([]byte, size)
		c.Put(1, uint64(size), block[:1:size])
		if _, ok := c.Get(1, uint64(size)); ok != want {
			t.Errorf("a block of %d bytes is cached: %v", size, ok)
		}
	}
}

func TestRoomForManySmallBlocksIsGivenToLargeOnes(t *testing.T) {
	c := New(1 << 20)
	for i := range uint64(50_000) {
		c.Put(1, i, content(1, i, 16))
	}
	for i := range uint64(2000) {
		c.Put(2, i, content(2, i, 8192))
		if i%50 == 0 {
			check(t, c)
		}
	}
	if s := c.Stats(); s.Blocks < 110 { // of 128, without any bookkeeping
		t.Errorf("%+v", s)
	}
}

// TestBytesAreThoseOfTheHeap compares the sum that is bounded with what the collector says.
func TestBytesAreThoseOfTheHeap(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, size := range []int{128, 4096} {
		before := heap()
		c := New(8 << 20)
		for i := range uint64(16<<20) / uint64(size) {
			c.Put(1, i, content(1, i, size))
		}
		held, s := heap()-before, c.Stats()
		runtime.KeepAlive(c)
		if held > s.Bytes*102/100 || s.Bytes < s.BytesMax*90/100 {
			t.Errorf("blocks of %d: %d bytes on the heap, %+v", size, held, s)
		}
	}
}

func TestConcurrentUseKeepsBlocksAndBoundRight(t *testing.T) {
	c := New(2 << 20)
	var workers sync.WaitGroup
	for w := range uint64(4) {
		workers.Go(func() {
			rng := rand.New(rand.NewPCG(w, 0))
			for i := range 5000 {
				file, offset := rng.Uint64N(3), rng.Uint64N(500)
				block, ok := c.Get(file, offset)
				if ok {
					wantOwn(t, file, offset, block)
				} else {
					c.Put(file, offset, content(file, offset, 1<<rng.IntN(15)))
				}
				if i%1000 == 999 {
					c.Drop(file)
				}
				if s := c.Stats(); i%16 == 0 && s.Bytes > s.BytesMax {
					t.Errorf("%+v", s)
				}
			}
		})
	}
	workers.Wait()
	check(t, c)
}

func TestGetDoesNotAllocate(t *testing.T) {
	c := New(1 << 20)
	c.Put(1, 0, content(1, 0, 16))
	if n := testing.AllocsPerRun(100, func() { c.Get(1, 0); c.Get(1, 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
