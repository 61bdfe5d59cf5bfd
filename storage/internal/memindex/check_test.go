package memindex

import (
	"bytes"
	"testing"
)

// check fails the test if the table breaks a rule of its own.
func (t *Table) check(tb testing.TB) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := checker{tb: tb, t: t, taken: map[ref]int{}}
	if t.root != none {
		c.node(t.root, 0, nil, nil)
	}
	if c.keys != t.len {
		tb.Fatalf("Len is %d, the leaves have %d keys", t.len, c.keys)
	}
	for _, gens := range [][]*generation{t.live, t.dead} {
		for _, g := range gens {
			for _, r := range g.retired {
				c.take(r.ref, granulesOf(t.arena.at(r.ref)))
			}
		}
	}
	c.arena()
}

type checker struct {
	tb    testing.TB
	t     *Table
	keys  int
	last  []byte
	some  bool
	taken map[ref]int
	// used counts the granules that are taken.
	used int64
}

func (c *checker) take(r ref, granules int) {
	if _, ok := c.taken[r]; ok {
		c.tb.Fatalf("block %d is taken twice", r)
	}
	c.taken[r] = granules
	c.used += int64(granules)
}

func (c *checker) node(r ref, level int, low, high []byte) {
	b := c.t.arena.at(r)
	c.take(r, granulesOf(b))
	if birthOf(b) > c.t.gen {
		c.tb.Fatalf("a node is born in generation %d of %d", birthOf(b), c.t.gen)
	}
	if level == c.t.height {
		c.leafNode(leaf(b), low, high)
		return
	}
	n := inner(b)
	if n.count() < 2 {
		c.tb.Fatalf("an inner node has %d children", n.count())
	}
	for i := range n.count() {
		l, h := low, high
		if i > 0 {
			l = append(bytes.Clone(n.prefix()), n.separator(i-1)...)
		}
		if i+1 < n.count() {
			h = append(bytes.Clone(n.prefix()), n.separator(i)...)
		}
		c.node(n.child(i), level+1, l, h)
	}
}

func (c *checker) leafNode(l leaf, low, high []byte) {
	n := l.count()
	if n == 0 {
		c.tb.Fatal("a leaf is empty")
	}
	if l.used()+leafPad > granulesOf(l)<<granuleShift || n > 1 && l.used() > leafBytesMax {
		c.tb.Fatalf("a leaf of %d entries in %d bytes has %d granules", n, l.used(), granulesOf(l))
	}
	end := leafHeader + l.prefixLen()
	if l.stride() == 0 {
		end += 2 * n
	} else {
		c.directory(l)
		end += directoryKey * l.directoryRoom()
	}
	for i := range n {
		e := l.entry(i)
		if metaLen := l.metaLen(); l.stride() != 0 && metaLen&metasPadded != 0 &&
			(metaLen == metasVary || int(l[e.start]) > metaLen&^metasPadded || e.key <= e.start) {
			c.tb.Fatalf("entry %d is %+v, with a meta of %d bytes, and the leaf says %#x", i, e, l[e.start], metaLen)
		}
		if l.stride() == 0 && e.start != end || e.key > e.meta || e.meta > e.loc || e.loc > e.end {
			c.tb.Fatalf("entry %d is %+v, and that before ends at %d", i, e, end)
		}
		end += e.end - e.start
		key := append(bytes.Clone(l.prefix()), l.rest(&e)...)
		if low != nil && bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			c.tb.Fatalf("key %q is not between %q and %q", key, low, high)
		}
		if c.some && bytes.Compare(c.last, key) >= 0 {
			c.tb.Fatalf("key %q comes before %q", c.last, key)
		}
		c.last, c.some = key, true
	}
	if end != l.used() {
		c.tb.Fatalf("a leaf ends at %d, its entries at %d", l.used(), end)
	}
	c.keys += n
}

// directory checks that each key of a leaf is in its bucket, and has a place of its own.
func (c *checker) directory(l leaf) {
	n := l.count()
	buckets := l.buckets()
	taken := map[byte]bool{}
	for i, place := range l.places()[:n] {
		e := l.entry(i)
		if buckets[i] != l.bucket(l.rest(&e)) || i > 0 && buckets[i] < buckets[i-1] {
			c.tb.Fatalf("key %d is in the bucket %d", i, buckets[i])
		}
		if taken[place] || int(place) >= n {
			c.tb.Fatalf("two entries of %d have the place %d", n, place)
		}
		taken[place] = true
	}
	for i, b := range buckets[n:] {
		if b != bucketCount-1 {
			c.tb.Fatalf("the unused bucket %d is %d", n+i, b)
		}
	}
}

// arena checks that each granule is either taken or free, and that no two free blocks are neighbours.
func (c *checker) arena() {
	a := &c.t.arena
	free := map[ref]int{}
	var total int64
	for bin, r := range a.bins {
		if (r != none) != (a.nonEmpty[bin/64]>>(bin%64)&1 != 0) {
			c.tb.Fatalf("bin %d is marked wrongly", bin)
		}
		for ; r != none; r = a.next(r) {
			if binOf(a.size(r)) != bin {
				c.tb.Fatalf("a block of %d granules is in bin %d", a.size(r), bin)
			}
			free[r] = a.size(r)
			total += int64(a.size(r))
		}
	}
	if total != a.free {
		c.tb.Fatalf("%d granules are free, %d are counted", total, a.free)
	}
	reserved := int64(0)
	for i, mem := range a.chunks {
		r, end := ref(i)<<chunkGranuleBits, ref(i)<<chunkGranuleBits+ref(len(mem)>>granuleShift)
		if r == none {
			r, reserved = 1, 1
		}
		wasFree := false
		for r < end {
			n, isFree := free[r]
			if !isFree {
				if n = c.taken[r]; n == 0 {
					c.tb.Fatalf("granule %d is neither taken nor free", r)
				}
			} else if wasFree {
				c.tb.Fatalf("two neighbours at %d are free", r)
			}
			wasFree = isFree
			r += ref(n)
		}
		if r != end {
			c.tb.Fatalf("a block reaches over its chunk's end")
		}
	}
	if got := c.used + total + reserved; got != a.bytes>>granuleShift {
		c.tb.Fatalf("%d granules are known, %d were taken", got, a.bytes>>granuleShift)
	}
}
