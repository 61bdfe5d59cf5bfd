package fault

// Cuts are the ways that a netsplit cuts, of so many nodes: what Way[0] sends does not reach Way[1]. They are none for other kinds.
func (f Fault) Cuts(nodes int) (ways [][2]int) {
	hears := f.hearing()
	if hears == nil {
		return nil
	}
	for from := range nodes {
		for to := range nodes {
			if from != to && !hears(to, from) {
				ways = append(ways, [2]int{from, to})
			}
		}
	}
	return ways
}

// hearing says who still hears whom, or is nil if the fault is no netsplit.
func (f Fault) hearing() func(to, from int) bool {
	place := map[int]int{}
	for i, n := range f.Nodes {
		place[n] = i
	}
	struck := func(n int) bool { _, ok := place[n]; return ok }
	switch f.Kind {
	case Halves, Isolate:
		return func(to, from int) bool { return struck(to) == struck(from) }
	case CutLink:
		return func(to, from int) bool { return !struck(to) || !struck(from) }
	case OneWay:
		return func(to, from int) bool { return from != f.Nodes[0] || to != f.Nodes[1] }
	case MajorityRing:
		others := len(f.Nodes) / 2 // with itself, they are a majority
		return func(to, from int) bool {
			ahead := (place[from] - place[to] + len(f.Nodes)) % len(f.Nodes)
			return ahead <= (others+1)/2 || len(f.Nodes)-ahead <= others/2
		}
	}
	return nil
}
