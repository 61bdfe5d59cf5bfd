package storage

// overlay is what is decided but not yet published: it lies over the index for the decisions that follow. It is used
// by the decider alone. A log of blind writes never builds it: the changes of a group are entered when a decision
// first asks.
type overlay struct {
	entries map[string]overlaid
}

type overlaid struct {
	group *group
	index int // in group.changes
}

func newOverlay() *overlay { return &overlay{entries: map[string]overlaid{}} }

// cover enters the changes of a group that are not in yet. Groups must be covered in log order.
func (o *overlay) cover(g *group) {
	for ; g.overlaid < len(g.changes); g.overlaid++ {
		c := &g.changes[g.overlaid]
		o.entries[c.now.key()] = overlaid{g, g.overlaid}
	}
}

// get returns the undecided change of a key.
func (o *overlay) get(key []byte) (c *change, g *group, ok bool) {
	if len(o.entries) == 0 {
		return nil, nil, false
	}
	e, ok := o.entries[string(key)]
	if !ok {
		return nil, nil, false
	}
	return &e.group.changes[e.index], e.group, true
}

// uncover takes out the changes of a group, except where a later group has changed the same key again.
func (o *overlay) uncover(g *group) {
	for i := range g.changes[:g.overlaid] {
		key := g.changes[i].now.key()
		if o.entries[key].group == g {
			delete(o.entries, key)
		}
	}
	g.overlaid = 0
}
