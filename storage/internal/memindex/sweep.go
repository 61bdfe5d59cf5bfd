package memindex

import "bytes"

// Sweep removes the entries for which drop returns true. It visits the keys from `from` (nil is the first) in order, in
// at most so many leaves (but at least one), and says where to go on, or that it is done. drop must not use the table,
// and must not keep or change key and meta.
//
// Each visited leaf that loses entries is rebuilt once, together with neighbours that lose some, too.
func (t *Table) Sweep(from []byte, leaves int, drop func(key, meta []byte, loc Location) bool) (next []byte, done bool) {
	t.begin()
	if t.root == none {
		return nil, true
	}
	t.locate(from)
	s := sweep{table: t, from: from, drop: drop}
	t.leaves.reset()
	t.entries.reset()
	if t.height == 0 {
		s.visit(t.root, nil, nil)
		s.flush()
		if s.dropped > 0 {
			t.len -= s.dropped
			t.root = none
			if len(t.leaves.list) > 0 {
				t.root = t.leaves.list[0].ref
			}
			t.drop(s.replaced[0])
		}
		return nil, true
	}
	up := t.path[t.height-1]
	n := inner(t.arena.at(up.ref))
	i := int(up.at)
	j := min(i+max(leaves, 1), n.count())
	for c := i; c < j; c++ {
		if c == 0 {
			s.visit(n.child(c), nil, nil)
		} else {
			s.visit(n.child(c), n.prefix(), n.separator(c-1))
		}
	}
	s.flush()
	next, done = t.rightOf(j)
	if s.dropped > 0 {
		t.len -= s.dropped
		t.ownInner()
		for _, r := range s.replaced {
			t.drop(r)
		}
		t.splice(t.height-1, i, j, &t.leaves, false)
		t.settleSwept(s.last)
	}
	return next, done
}

// rightOf returns the separator to the right of the leaves before the j-th of the path's last inner node.
func (t *Table) rightOf(j int) (next []byte, done bool) {
	for level := t.height - 1; level >= 0; level-- {
		n := inner(t.arena.at(t.path[level].ref))
		if j < n.count() {
			return append(append([]byte{}, n.prefix()...), n.separator(j-1)...), false
		}
		if level > 0 {
			j = int(t.path[level-1].at) + 1
		}
	}
	return nil, true
}

// settleSwept joins the last leaf that a sweep made with a neighbour if it is small.
func (t *Table) settleSwept(key []byte) {
	if key == nil || t.root == none {
		return
	}
	l := t.locate(key)
	if t.height > 0 && l.used() < leafBytesMin {
		t.ownInner()
		t.mergeLeaf(l)
	}
}

// sweep is one Sweep in progress. Entries that stay wait in the table's scratch until they are made leaves.
type sweep struct {
	table *Table
	from  []byte
	drop  func(key, meta []byte, loc Location) bool
	// left is the separator to the left of the entries that wait.
	left []byte
	// last is the last key of the leaves that were made.
	last     []byte
	replaced []ref
	dropped  int
}

// visit visits a leaf; the separator to its left is in two parts.
func (s *sweep) visit(r ref, prefix, rest []byte) {
	t := s.table
	e := &t.entries
	l := leaf(t.arena.at(r))
	waiting, text := len(e.list), len(e.text)
	n := l.count()
	first := 0
	if s.from != nil {
		first, _ = l.search(s.from)
		s.from = nil
	}
	e.addLeaf(l, 0, first)
	for i := first; i < n; i++ {
		e.addLeaf(l, i, i+1)
		k := len(e.list) - 1
		if s.drop(e.key(k), e.meta(k), e.list[k].loc) {
			e.text = e.text[:e.list[k].keyAt]
			e.list = e.list[:k]
		}
	}
	lost := n - (len(e.list) - waiting)
	if lost == 0 && (waiting == 0 || text+l.used() > leafBytesMax) {
		e.list, e.text = e.list[:waiting], e.text[:text]
		s.flush()
		t.leaves.add(r, prefix, rest)
		s.last = nil
		return
	}
	s.dropped += lost
	s.replaced = append(s.replaced, r)
	if waiting == 0 {
		s.left = append(append(s.left[:0], prefix...), rest...)
	}
}

// flush makes leaves of the entries that wait.
func (s *sweep) flush() {
	t := s.table
	n := len(t.entries.list)
	if n == 0 {
		return
	}
	s.last = bytes.Clone(t.entries.key(n - 1))
	t.buildLeaves(0, n, s.left)
	t.entries.reset()
}
