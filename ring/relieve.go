package ring

import "slices"

// step is one move of a chain: the copy of a partition goes from a node to the one that the step belongs to.
type step struct {
	from int32
	p    PartitionID
}

// relieve brings every node down to its cap. A node with too much hands a copy to one with room; if the zones rule
// that out, to one that in turn hands on another, and so forth. A chain always exists: caps leave room for all copies
// in every zone, and the sets that obey the zone rule are the bases of a matroid, in which a shortest chain of
// exchanges is valid as a whole.
func (pl *placement) relieve() {
	for i := range pl.load {
		m := int32(i)
		for pl.load[m] > pl.caps[m] {
			chain, end := pl.shortestChain(m)
			if end < 0 {
				break
			}
			pl.follow(chain, m, end)
		}
	}
}

// follow makes the moves of a chain from its end back to its start.
func (pl *placement) follow(chain []step, start, end int32) {
	for to := end; to != start; to = chain[to].from {
		pl.move(chain[to].p, chain[to].from, to)
	}
}

// shortestChain looks for the nearest node with room by breadth-first search. It returns the last step to every node
// it reached, and the end, which is the node with the most room among the nearest, or -1 if there is none.
func (pl *placement) shortestChain(start int32) (chain []step, end int32) {
	chain = make([]step, len(pl.load))
	reached := make([]bool, len(pl.load))
	reached[start] = true
	for level := []int32{start}; len(level) > 0; {
		var next []int32
		for _, from := range level {
			for i := range pl.load {
				to := int32(i)
				if reached[to] {
					continue
				}
				if p, found := pl.giveable(from, to); found {
					reached[to] = true
					chain[to] = step{from: from, p: p}
					next = append(next, to)
				}
			}
		}
		if end = pl.roomiest(next); end >= 0 {
			return chain, end
		}
		slices.Sort(next)
		level = next
	}
	return chain, -1
}

// roomiest is the node furthest below its cap, or -1 if none is below.
func (pl *placement) roomiest(nodes []int32) int32 {
	best, most := int32(-1), 0
	for _, m := range nodes {
		room := pl.caps[m] - pl.load[m]
		if room > most || room == most && best >= 0 && m < best {
			best, most = m, room
		}
	}
	return best
}
