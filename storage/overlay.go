package storage

// overlay is what is decided but not yet published: it lies over the index for the decisions that follow. It is used under
// the writer's lock. A log of blind writes never builds it: the changes of a group are entered when a decision first asks.
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
		// The key is the group's until it is uncovered.
		o.entries[stringOf(g.key(&g.changes[g.overlaid]))] = overlaid{g, g.overlaid}
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

// uncover takes out the changes of a group. Where a later group has changed the same key again, its change is entered
// instead: the map's own key must not outlive the group that lent it.
func (o *overlay) uncover(g *group) {
	for i := range g.changes[:g.overlaid] {
		key := stringOf(g.key(&g.changes[i]))
		e, ok := o.entries[key]
		if !ok {
			continue
		}
		delete(o.entries, key)
		if e.group != g {
			o.entries[stringOf(e.group.key(&e.group.changes[e.index]))] = e
		}
	}
	g.overlaid = 0
}
