package memindex

// generation is what the views that were taken between two changes share.
type generation struct {
	gen    uint64
	views  int
	chunks [][]byte
	root   ref
	height int
	len    int
	// retired are nodes that are in the tree no more and that this is the newest generation to see.
	retired []retired
}

type retired struct {
	ref   ref
	birth uint64
}

// View is the table as it was at one moment. It needs no lock while the table changes.
type View struct {
	table *Table
	*generation
}

// View returns a view of the table as it is now. It copies nothing: later changes copy the nodes that they touch, once
// for each generation. The view must be released.
func (t *Table) View() *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.live); n > 0 && t.live[n-1].gen == t.gen {
		g := t.live[n-1]
		g.views++
		return &View{t, g}
	}
	g := &generation{gen: t.gen, views: 1, chunks: t.arena.chunks, root: t.root, height: t.height, len: t.len}
	t.live = append(t.live, g)
	t.newest.Store(g.gen)
	return &View{t, g}
}

// Len returns the number of keys in the view.
func (v *View) Len() int { return v.len }

// Release gives the view up: neither it nor its iterators must be used anymore. It must be called once, by any
// goroutine and at any time.
func (v *View) Release() {
	t, g := v.table, v.generation
	t.mu.Lock()
	defer t.mu.Unlock()
	if g.views--; g.views > 0 {
		return
	}
	i := t.liveBefore(g.gen)
	copy(t.live[i:], t.live[i+1:])
	t.live[len(t.live)-1] = nil
	t.live = t.live[:len(t.live)-1]
	if n := len(t.live); n == 0 {
		t.newest.Store(0)
	} else {
		t.newest.Store(t.live[n-1].gen)
	}
	if t.closed && len(t.live) == 0 {
		t.arena.close()
	} else if len(g.retired) > 0 {
		t.dead = append(t.dead, g)
		t.debt.Store(true)
	}
}

// liveBefore returns how many live generations are older.
func (t *Table) liveBefore(gen uint64) int {
	n := len(t.live)
	for n > 0 && t.live[n-1].gen >= gen {
		n--
	}
	return n
}

// retire hands a node over to the newest generation that sees it. It returns false if none does.
func (t *Table) retire(r ref, birth uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.live)
	if n == 0 || t.live[n-1].gen < birth {
		return false
	}
	g := t.live[n-1]
	g.retired = append(g.retired, retired{r, birth})
	return true
}

// reclaimStep is how many nodes a change gives back for views that were released: more than a change can retire but
// for a sweep, and few enough that no change takes long.
const reclaimStep = 48

// reclaim gives back nodes of dead generations, at most budget of them. Those that an older live generation sees are
// handed over to it.
func (t *Table) reclaim(budget int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.dead) > 0 {
		g := t.dead[len(t.dead)-1]
		var heir *generation
		if n := t.liveBefore(g.gen); n > 0 {
			heir = t.live[n-1]
		}
		for len(g.retired) > 0 {
			if budget == 0 {
				return
			}
			budget--
			last := g.retired[len(g.retired)-1]
			g.retired = g.retired[:len(g.retired)-1]
			if heir != nil && last.birth <= heir.gen {
				heir.retired = append(heir.retired, last)
			} else {
				t.arena.release(last.ref, granulesOf(t.arena.at(last.ref)))
			}
		}
		t.dead[len(t.dead)-1] = nil
		t.dead = t.dead[:len(t.dead)-1]
	}
	t.debt.Store(false)
}
