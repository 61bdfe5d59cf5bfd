package memindex

// Iterator walks over the keys of a view. It is on an entry after a move that returned true; after one that returned
// false it is on none, and only Seek and SeekBefore get it to one. What Key and Meta return is valid until the next
// move, and until the view is released; neither must be changed.
type Iterator struct {
	chunks [][]byte
	root   ref
	height int

	path   [heightMax]step
	leaf   leaf
	at     int
	entry  leafEntry
	prefix int
	key    []byte
	// ahead is read for the sake of reading: to have that memory at hand when its turn comes.
	ahead byte
}

// iterateAhead is how many entries an iterator looks ahead where they do not stand in order: they are fetched side by side.
const iterateAhead = 4

// Iter returns an iterator, which is on no entry yet.
func (v *View) Iter() Iterator {
	return Iterator{chunks: v.chunks, root: v.root, height: v.height}
}

// Seek moves to the first key that is not less than key, which is the first of all if key is nil.
func (it *Iterator) Seek(key []byte) bool {
	it.leaf = nil
	if it.root == none {
		return false
	}
	r := it.root
	for level := range it.height {
		n := inner(blockAt(it.chunks, r))
		i := n.search(key)
		it.path[level] = step{r, int32(i)}
		r = n.child(i)
	}
	l := it.enter(r)
	i, _ := l.search(key)
	if i == l.count() {
		return it.nextLeaf()
	}
	return it.on(i)
}

// SeekBefore moves to the last key that is less than key, which is the last of all if key is nil.
func (it *Iterator) SeekBefore(key []byte) bool {
	it.leaf = nil
	if it.root == none {
		return false
	}
	r := it.root
	for level := range it.height {
		n := inner(blockAt(it.chunks, r))
		i := n.count() - 1
		if key != nil {
			i = n.search(key)
		}
		it.path[level] = step{r, int32(i)}
		r = n.child(i)
	}
	l := it.enter(r)
	i := l.count()
	if key != nil {
		i, _ = l.search(key)
	}
	if i == 0 {
		return it.prevLeaf()
	}
	return it.on(i - 1)
}

// Next moves to the next key.
func (it *Iterator) Next() bool {
	if it.leaf == nil {
		return false
	}
	if it.at+1 < it.leaf.count() {
		return it.on(it.at + 1)
	}
	return it.nextLeaf()
}

// Prev moves to the key before.
func (it *Iterator) Prev() bool {
	if it.leaf == nil {
		return false
	}
	if it.at > 0 {
		return it.on(it.at - 1)
	}
	return it.prevLeaf()
}

// Key returns the key, in memory of the iterator.
func (it *Iterator) Key() []byte { return it.key }

// Meta returns the meta, in memory of the view.
func (it *Iterator) Meta() []byte { return it.leaf.meta(&it.entry) }

// Location returns the location.
func (it *Iterator) Location() Location { return it.leaf.location(&it.entry) }

// enter makes a leaf the one that the iterator is in.
func (it *Iterator) enter(r ref) leaf {
	it.leaf = leaf(blockAt(it.chunks, r))
	prefix := it.leaf.prefix()
	it.key = append(it.key[:0], prefix...)
	it.prefix = len(prefix)
	return it.leaf
}

// on moves to an entry of the leaf.
func (it *Iterator) on(i int) bool {
	it.at = i
	it.entry = it.leaf.entry(i)
	if stride := it.leaf.stride(); stride != 0 && i+iterateAhead < it.leaf.count() {
		it.ahead += it.leaf[it.leaf.place(i+iterateAhead, stride)]
	}
	it.key = append(it.key[:it.prefix], it.leaf.rest(&it.entry)...)
	return true
}

func (it *Iterator) nextLeaf() bool {
	for level := it.height - 1; level >= 0; level-- {
		s := &it.path[level]
		n := inner(blockAt(it.chunks, s.ref))
		if int(s.at)+1 == n.count() {
			continue
		}
		s.at++
		r := n.child(int(s.at))
		for level++; level < it.height; level++ {
			it.path[level] = step{r, 0}
			r = inner(blockAt(it.chunks, r)).child(0)
		}
		it.enter(r)
		return it.on(0)
	}
	it.leaf = nil
	return false
}

func (it *Iterator) prevLeaf() bool {
	for level := it.height - 1; level >= 0; level-- {
		s := &it.path[level]
		if s.at == 0 {
			continue
		}
		s.at--
		r := inner(blockAt(it.chunks, s.ref)).child(int(s.at))
		for level++; level < it.height; level++ {
			n := inner(blockAt(it.chunks, r))
			it.path[level] = step{r, int32(n.count() - 1)}
			r = n.child(n.count() - 1)
		}
		l := it.enter(r)
		return it.on(l.count() - 1)
	}
	it.leaf = nil
	return false
}
