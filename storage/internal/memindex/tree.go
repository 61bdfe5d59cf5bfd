package memindex

import "bytes"

// first makes the first leaf, with room for size bytes.
func (t *Table) first(key, meta []byte, loc Location, size int) {
	t.entries.reset()
	t.entries.add(nil, key, meta, loc)
	t.root = t.buildLeaf(0, 1, size)
	t.height, t.len = 0, 1
}

// buildLeaf makes a leaf of the scratch entries from i to before j, with room for size bytes if it needs less.
func (t *Table) buildLeaf(i, j, size int) ref {
	f := t.entries.form(i, j)
	return t.writeLeaf(&f, i, j, size)
}

func (t *Table) writeLeaf(f *leafForm, i, j, size int) ref {
	r, b := t.alloc(max(f.used, size) + leafPad)
	t.entries.write(b, f, i, j)
	return r
}

// buildLeaves makes leaves of the scratch entries from i to before j, and adds them to t.leaves. left is the separator
// to the left of the first entry, if anybody is going to ask for it.
func (t *Table) buildLeaves(i, j int, left []byte) {
	f := t.entries.form(i, j)
	t.buildLeavesOf(&f, i, j, left)
}

// buildLeavesOf is buildLeaves where the form is known that one leaf would have.
func (t *Table) buildLeavesOf(f *leafForm, i, j int, left []byte) {
	if tooMany(j-i, f.used) {
		m := t.entries.middle(i, j)
		t.buildLeaves(i, m, left)
		t.buildLeaves(m, j, nil)
		return
	}
	r := t.writeLeaf(f, i, j, 0)
	if i > 0 {
		left = t.entries.separator(i)
	}
	t.leaves.add(r, left, nil)
}

// middle returns where to cut entries so that both sides are about as long.
func (s *entries) middle(i, j int) int {
	const fixed = 12
	half := (s.list[j-1].end - s.list[i].keyAt + (j-i)*fixed) / 2
	at := 0
	for k := i; k < j; k++ {
		size := s.list[k].end - s.list[k].keyAt + fixed
		if at+size/2 >= half {
			return max(k, i+1)
		}
		at += size
	}
	return j - 1
}

// separator returns the shortest key that is greater than the entry before the i-th and not greater than the i-th.
func (s *entries) separator(i int) []byte {
	return s.key(i)[:commonPrefix(s.key(i-1), s.key(i))+1]
}

// insert makes an entry the i-th of the leaf at the path's end.
func (t *Table) insert(l leaf, i int, key, meta []byte, loc *Location) {
	room, ok := l.room(key, meta, loc)
	if used := l.used(); ok && (used+room <= leafBytesMax || l.count() == 0) {
		if used+room+leafPad > granulesOf(l)<<granuleShift {
			t.insertGrowing(l, i, key, meta, loc, room)
			return
		}
		l.insert(l, i, key, meta, loc, room)
		return
	}
	t.entries.reset()
	t.entries.addLeaf(l, 0, i)
	t.entries.add(nil, key, meta, *loc)
	t.entries.addLeaf(l, i, l.count())
	if i == l.count() && t.onLast() {
		t.rebuildLast(l)
		return
	}
	t.rebuildLeaf(l)
}

// onLast says whether the path leads to the last leaf.
func (t *Table) onLast() bool {
	for _, s := range t.path[:t.height] {
		if int(s.at)+1 < inner(t.arena.at(s.ref)).count() {
			return false
		}
	}
	return true
}

// rebuildLast is rebuildLeaf where the new entry is the greatest of the table. As more are likely to follow it, what is
// before it is left in a full leaf.
func (t *Table) rebuildLast(l leaf) {
	n := len(t.entries.list)
	if f := t.entries.form(0, n); !tooMany(n, f.used) {
		t.rebuildLeaf(l)
		return
	}
	t.leaves.reset()
	t.buildLeaves(0, n-1, nil)
	t.buildLeaves(n-1, n, nil)
	t.replaceLeaf()
}

// insertGrowing is insert where the leaf at the path's end has the form for the entry, and not the room. It takes room
// for the next entries, too, so that the leaf is not copied at every few.
func (t *Table) insertGrowing(l leaf, i int, key, meta []byte, loc *Location, room int) {
	old := t.path[t.height].ref
	have := granulesOf(l)
	used := l.used() + room
	need := used + leafPad
	wish := max(need, min(need+used/growthShare, leafBytesMax+leafPad))
	if got := t.arena.extend(old, have, granulesFor(need), granulesFor(wish)); got > have {
		setGranules(l, got)
		l.insert(l, i, key, meta, loc, room)
		return
	}
	r, b := t.alloc(wish)
	l.insert(b, i, key, meta, loc, room)
	t.setRef(t.height, r)
	t.drop(old)
}

// trim gives back the room behind a leaf's end.
func (t *Table) trim(r ref, l leaf) {
	if l.stride() != 0 {
		l.chooseBuckets()
	}
	have, need := granulesOf(l), granulesFor(l.used()+leafPad)
	if need < have {
		setGranules(l, need)
		t.arena.release(r+ref(need), have-need)
	}
}

// appendLeaf puts a leaf behind the last one, at which the path ends. No view sees the path's inner nodes.
func (t *Table) appendLeaf(r ref, separator []byte) {
	t.leaves.reset()
	t.leaves.add(t.path[t.height].ref, nil, nil)
	t.leaves.add(r, separator, nil)
	if t.height == 0 {
		t.newRoot(&t.leaves)
		return
	}
	at := int(t.path[t.height-1].at)
	t.splice(t.height-1, at, at+1, &t.leaves, true)
}

// rebuildLeaf puts leaves of the scratch entries in the place of that at the path's end.
func (t *Table) rebuildLeaf(l leaf) {
	n := len(t.entries.list)
	f := t.entries.form(0, n)
	if f.used+leafPad <= granulesOf(l)<<granuleShift && !tooMany(n, f.used) {
		t.entries.write(l, &f, 0, n)
		return
	}
	t.leaves.reset()
	t.buildLeavesOf(&f, 0, n, nil)
	t.replaceLeaf()
}

// replaceLeaf puts t.leaves in the place of the leaf at the path's end.
func (t *Table) replaceLeaf() {
	old := t.path[t.height].ref
	switch {
	case len(t.leaves.list) == 1:
		t.setRef(t.height, t.leaves.list[0].ref)
		t.drop(old)
	case t.height > 0:
		t.drop(old)
		at := int(t.path[t.height-1].at)
		t.splice(t.height-1, at, at+1, &t.leaves, false)
	default:
		t.drop(old)
		t.newRoot(&t.leaves)
	}
}

// settle gives back memory after an entry was removed from the leaf at the path's end.
func (t *Table) settle(l leaf) {
	const slackGranules = 3
	r := t.path[t.height].ref
	switch {
	case l.count() == 0:
		t.leaves.reset()
		t.drop(r)
		if t.height == 0 {
			t.root = none
			return
		}
		at := int(t.path[t.height-1].at)
		t.splice(t.height-1, at, at+1, &t.leaves, false)
	case l.used() < leafBytesMin && t.height > 0 && t.mergeLeaf(l):
	case granulesOf(l)-granulesFor(l.used()+leafPad) >= slackGranules:
		t.trim(r, l)
	}
}

// mergeLeaf joins the leaf at the path's end with a neighbour, or shares both out evenly. It returns false if both
// neighbours are oversized.
func (t *Table) mergeLeaf(l leaf) bool {
	up := t.path[t.height-1]
	n := inner(t.arena.at(up.ref))
	at := int(up.at)
	for _, first := range [2]int{at, at - 1} {
		if first < 0 || first+1 >= n.count() {
			continue
		}
		a, b := n.child(first), n.child(first+1)
		la, lb := leaf(t.arena.at(a)), leaf(t.arena.at(b))
		if max(la.used(), lb.used()) > leafBytesMax {
			continue
		}
		t.entries.reset()
		t.entries.addLeaf(la, 0, la.count())
		t.entries.addLeaf(lb, 0, lb.count())
		t.leaves.reset()
		t.buildLeaves(0, len(t.entries.list), nil)
		t.drop(a)
		t.drop(b)
		t.splice(t.height-1, first, first+2, &t.leaves, false)
		return true
	}
	return false
}

// splice replaces the children from i to before j of the inner node of the path on a level. The first of the new ones
// takes over the separator of the i-th. edge is set if children come at the tree's right edge only: nodes are left full.
func (t *Table) splice(level, i, j int, by *kids, edge bool) {
	old := t.path[level].ref
	n := inner(t.arena.at(old))
	if j-i == 1 && len(by.list) == 2 && n.divide(i, by) {
		return
	}
	s := &t.levels[level]
	s.in.reset()
	s.in.addInner(n, 0, i, nil)
	for k := range by.list {
		switch {
		case k > 0:
			s.in.add(by.list[k].ref, by.separator(k), nil)
		case i > 0:
			s.in.add(by.list[k].ref, n.prefix(), n.separator(i-1))
		default:
			s.in.add(by.list[k].ref, nil, nil)
		}
	}
	s.in.addInner(n, j, n.count(), nil)
	count := len(s.in.list)
	s.out.reset()
	if count == 0 {
		t.drop(old)
		if level == 0 {
			t.root, t.height = none, 0
			return
		}
		at := int(t.path[level-1].at)
		t.splice(level-1, at, at+1, &s.out, false)
		return
	}
	if level == 0 && count == 1 {
		t.root = s.in.list[0].ref
		t.height--
		t.drop(old)
		return
	}
	if size, _ := s.in.size(0, count); level > 0 && len(by.list) < j-i && (size < innerBytesMin || count == 1) {
		t.mergeInner(level)
		return
	}
	t.buildInners(&s.in, &s.out, 0, count, edge)
	switch {
	case len(s.out.list) == 1:
		t.setRef(level, s.out.list[0].ref)
		t.drop(old)
	case level == 0:
		t.drop(old)
		t.newRoot(&s.out)
	default:
		t.drop(old)
		at := int(t.path[level-1].at)
		t.splice(level-1, at, at+1, &s.out, edge)
	}
}

// divide puts two children in the place of the i-th. It returns false if the node has no room for it, or another prefix.
func (n inner) divide(i int, by *kids) bool {
	separator := by.separator(1)
	if !bytes.HasPrefix(separator, n.prefix()) {
		return false
	}
	rest := separator[n.prefixLen():]
	if n.size()+innerChild+len(rest) > min(granulesOf(n)<<granuleShift, innerBytesMax) {
		return false
	}
	n.setChild(i, by.list[0].ref)
	n.insert(i, by.list[1].ref, rest)
	return true
}

// mergeInner joins the children in the level's scratch, which are too few, with those of a neighbour.
func (t *Table) mergeInner(level int) {
	s := &t.levels[level]
	up := inner(t.arena.at(t.path[level-1].ref))
	first := int(t.path[level-1].at)
	m := &s.merged
	m.reset()
	if first+1 < up.count() {
		m.addKids(&s.in, nil, nil)
		right := inner(t.arena.at(up.child(first + 1)))
		m.addInner(right, 0, 1, nil)
		m.setSeparator(len(m.list)-1, up.prefix(), up.separator(first))
		m.addInner(right, 1, right.count(), nil)
	} else {
		first--
		left := inner(t.arena.at(up.child(first)))
		m.addInner(left, 0, left.count(), nil)
		m.addKids(&s.in, up.prefix(), up.separator(first))
	}
	t.buildInners(m, &s.out, 0, len(m.list), false)
	t.drop(up.child(first))
	t.drop(up.child(first + 1))
	t.splice(level-1, first, first+2, &s.out, false)
}

// newRoot puts a root above nodes, which are few.
func (t *Table) newRoot(by *kids) {
	if t.height == heightMax {
		panic("memindex: too many levels")
	}
	t.root = t.writeInner(by, 0, len(by.list))
	t.height++
}

// buildInners makes inner nodes of kids from i to before j, and adds them to out. See splice for edge.
func (t *Table) buildInners(s, out *kids, i, j int, edge bool) {
	if size, _ := s.size(i, j); size > innerBytesMax && j-i > innerFew {
		m := j - 2
		if !edge {
			m = s.middle(i, j)
		}
		t.buildInners(s, out, i, m, edge)
		t.buildInners(s, out, m, j, edge)
		return
	}
	out.add(t.writeInner(s, i, j), s.separator(i), nil)
}

func (t *Table) writeInner(s *kids, i, j int) ref {
	size, prefixLen := s.size(i, j)
	r, b := t.alloc(size + innerRoom)
	s.write(b, prefixLen, i, j)
	return r
}
