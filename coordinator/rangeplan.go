package coordinator

import (
	"cmp"
	"slices"

	"github.com/ringcask/ringcask/ring"
)

// rangeTable is a partition table as ranges need it: nodes by number. It is made once for each table.
type rangeTable struct {
	table Topology
	// nodes are sorted, beginning with this one where it is among them, so that nodes do not all ask the same others.
	nodes []ring.NodeID
	// replicas are the numbers of the nodes that hold each partition.
	replicas [][]int
}

// rangeTable is the present table's.
func (c *Coordinator) rangeTable() *rangeTable {
	table := c.opt.Table()
	if t := c.ranges.Load(); t != nil && t.table == table {
		return t
	}
	t := newRangeTable(table, c.opt.Self)
	c.ranges.Store(t)
	return t
}

func newRangeTable(table Topology, self ring.NodeID) *rangeTable {
	t := &rangeTable{table: table, replicas: make([][]int, table.PartitionCount())}
	numbers := map[ring.NodeID]int{}
	for p := range t.replicas {
		for _, id := range table.Replicas(ring.PartitionID(p)) {
			numbers[id] = 0
		}
	}
	for id := range numbers {
		t.nodes = append(t.nodes, id)
	}
	slices.SortFunc(t.nodes, func(a, b ring.NodeID) int {
		after := func(id ring.NodeID) int { // nodes before this one come last
			if id < self {
				return 1
			}
			return 0
		}
		return cmp.Or(after(a)-after(b), cmp.Compare(a, b))
	})
	for n, id := range t.nodes {
		numbers[id] = n
	}
	for p := range t.replicas {
		for _, id := range table.Replicas(ring.PartitionID(p)) {
			t.replicas[p] = append(t.replicas[p], numbers[id])
		}
	}
	return t
}

// rangePlan keeps, while a range is under way, which nodes answer for which partition.
type rangePlan struct {
	table *rangeTable
	need  int
	// usable nodes are asked; the spare ones, which would most likely fail, only where the usable do not suffice. A
	// node that failed is neither.
	usable, spare []bool
	// answering are the nodes that answer for each partition.
	answering [][]int
	// missing partitions are answered for by fewer nodes than needed.
	missing []bool
}

func newRangePlan(table *rangeTable, need int, reachable []bool) *rangePlan {
	p := &rangePlan{table: table, need: need, usable: reachable, spare: make([]bool, len(reachable))}
	for n := range reachable {
		p.spare[n] = !reachable[n]
	}
	p.answering = make([][]int, len(table.replicas))
	n := table.table.N()
	backing := make([]int, n*len(table.replicas)) // one allocation for all partitions
	for id := range p.answering {
		p.answering[id] = backing[id*n : id*n : (id+1)*n]
	}
	p.missing = make([]bool, len(table.replicas))
	return p
}

// cover finds nodes for the partitions that have fewer than needed. shares[n] are the partitions that node n is to
// answer for from now on, besides what it does already, in rising order; lost are those that cannot be covered, which
// are missing from now on.
func (p *rangePlan) cover() (shares [][]ring.PartitionID, lost []ring.PartitionID) {
	first := planCover(len(p.table.nodes), p.needs(p.usable))
	p.assign(first)
	if len(first.uncovered) == 0 {
		return first.shares, nil
	}
	either := make([]bool, len(p.usable))
	for n := range either {
		either[n] = p.usable[n] || p.spare[n]
	}
	second := planCover(len(p.table.nodes), p.needs(either))
	p.assign(second)
	for n, more := range second.shares {
		first.shares[n] = append(first.shares[n], more...)
		slices.Sort(first.shares[n])
	}
	for _, lost := range second.uncovered {
		p.missing[lost] = true
	}
	return first.shares, second.uncovered
}

func (p *rangePlan) needs(allowed []bool) []coverNeed {
	short := func(id int) int {
		if p.missing[id] {
			return 0
		}
		return max(0, p.need-len(p.answering[id]))
	}
	count := 0
	for id := range p.answering {
		count += min(1, short(id))
	}
	needs := make([]coverNeed, 0, count)
	from := make([]int, 0, count*p.table.table.N())
	for id := range p.answering {
		if short(id) == 0 {
			continue
		}
		first := len(from)
		for _, node := range p.table.replicas[id] {
			if allowed[node] && !slices.Contains(p.answering[id], node) {
				from = append(from, node)
			}
		}
		mine := from[first:len(from):len(from)]
		needs = append(needs, coverNeed{partition: ring.PartitionID(id), need: short(id), from: mine})
	}
	return needs
}

func (p *rangePlan) assign(c cover) {
	for node, share := range c.shares {
		for _, id := range share {
			p.answering[id] = append(p.answering[id], node)
		}
	}
}

// fail takes a node out of the plan: it answers for nothing any more.
func (p *rangePlan) fail(node int) {
	p.usable[node], p.spare[node] = false, false
	for id := range p.answering {
		p.answering[id] = slices.DeleteFunc(p.answering[id], func(n int) bool { return n == node })
	}
}

// live is how many replicas of a partition may be asked.
func (p *rangePlan) live(id ring.PartitionID) (n int) {
	for _, node := range p.table.replicas[id] {
		if p.usable[node] {
			n++
		}
	}
	return n
}
