package memindex

import "bytes"

// Adopt takes over all that another table has, whose keys must all be greater than its own; it panics if they are not. The other one is
// empty then. None of the two may have a view, and both must take their memory from the same place. It takes time for each leaf of the other, not for each key: leaves stay where they are.
func (t *Table) Adopt(o *Table) {
	if t.arena.heap != o.arena.heap {
		panic("memindex: Adopt of a table whose memory is from elsewhere")
	}
	t.forgetViews()
	o.forgetViews()
	t.begin()
	t.gen = max(t.gen, o.gen)
	t.version, o.version = newVersion(), newVersion()
	root, height, n := o.root, o.height, o.len
	o.root, o.height, o.len = none, 0, 0
	if len(t.arena.chunks) == 0 {
		t.arena, o.arena = o.arena, t.arena
		t.root, t.height, t.len = root, height, n
		return
	}
	a := adopter{t: t, shift: t.arena.adopt(&o.arena)}
	if root != none {
		a.node(root+a.shift, height)
		t.len += n
	}
}

// adopter appends the leaves of a tree, whose refs are shift less than where their blocks are now.
type adopter struct {
	t     *Table
	shift ref
	// last and first are the keys on both sides of a leaf's beginning.
	last, first []byte
}

// forgetViews gives back what released views have left, and panics if there are others.
func (t *Table) forgetViews() {
	if t.newest.Load() != 0 {
		panic("memindex: Adopt of a table, or by one, that has a view")
	}
	for t.debt.Load() {
		t.reclaim(reclaimStep)
	}
}

// node appends the leaves below a node, and gives back inner nodes.
func (a *adopter) node(r ref, height int) {
	if height == 0 {
		a.leaf(r)
		return
	}
	n := inner(a.t.arena.at(r))
	for i := range n.count() {
		a.node(n.child(i)+a.shift, height-1)
	}
	a.t.arena.release(r, granulesOf(n))
}

func (a *adopter) leaf(r ref) {
	t := a.t
	if t.root == none {
		t.root, t.height = r, 0
		return
	}
	l, next := t.locateLast(), leaf(t.arena.at(r))
	e, first := l.entry(l.count()-1), next.entry(0)
	a.last = append(append(a.last[:0], l.prefix()...), l.rest(&e)...)
	a.first = append(append(a.first[:0], next.prefix()...), next.rest(&first)...)
	if bytes.Compare(a.first, a.last) <= 0 {
		panicOrder()
	}
	t.appendLeaf(r, a.first[:commonPrefix(a.last, a.first)+1])
}

// adopt takes over what another arena has: what was at r there is at r+shift then. This one must not be empty.
func (a *arena) adopt(o *arena) (shift ref) {
	type block struct {
		at       ref
		granules int
	}
	var free []block
	for _, r := range o.bins {
		for ; r != none; r = o.next(r) {
			free = append(free, block{r, o.size(r)})
		}
	}
	a.checkChunks(len(o.chunks))
	shift = ref(len(a.chunks)) << chunkGranuleBits
	a.chunks, a.edges = append(a.chunks, o.chunks...), append(a.edges, o.edges...)
	a.bytes += o.bytes
	for _, b := range free {
		a.link(b.at+shift, b.granules)
	}
	if len(o.chunks) > 0 {
		a.release(shift, 1) // in the other arena its address was none
	}
	*o = arena{heap: o.heap}
	return shift
}
