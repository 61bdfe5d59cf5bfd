package coordinator

import (
	"slices"

	"github.com/ringcask/ringcask/ring"
)

// coverNeed is a partition of a range that still needs replicas.
type coverNeed struct {
	partition ring.PartitionID
	// need is how many; from are the nodes to choose among, which hold the partition, may be asked, and do not answer
	// for it yet.
	need int
	from []int
}

// cover is a covering plan.
type cover struct {
	// shares are the partitions that each node is asked for; a node without any is not asked.
	shares [][]ring.PartitionID
	// uncovered are the partitions with fewer candidates than needed, in the order of the needs. Nobody is asked for
	// them.
	uncovered []ring.PartitionID
}

// planCover chooses which of the given number of nodes answers for which partition: each partition gets as many as it
// needs, few nodes are asked, and among those that are the partitions are spread evenly. Earlier nodes are preferred.
// It takes the nodes greedily by how many partitions they still help with, then hands out the partitions, those with
// the least choice first, each to the least loaded of the nodes taken. The greedy step finds no minimum (that is set
// cover), but a cover of at most about ln(partitions) times it.
func planCover(nodes int, needs []coverNeed) cover {
	plan := cover{shares: make([][]ring.PartitionID, nodes)}
	open := make([]coverNeed, 0, len(needs))
	for _, n := range needs {
		if len(n.from) < n.need {
			plan.uncovered = append(plan.uncovered, n.partition)
		} else if n.need > 0 {
			open = append(open, n)
		}
	}
	taken := takeNodes(nodes, open)
	choice := func(n coverNeed) int {
		c := 0
		for _, node := range n.from {
			if taken[node] {
				c++
			}
		}
		return c - n.need
	}
	slices.SortStableFunc(open, func(a, b coverNeed) int { return choice(a) - choice(b) })
	order := make([]int, 0, nodes)
	for _, n := range open {
		order = order[:0]
		for _, node := range n.from {
			if taken[node] {
				order = append(order, node)
			}
		}
		slices.SortFunc(order, func(a, b int) int {
			if d := len(plan.shares[a]) - len(plan.shares[b]); d != 0 {
				return d
			}
			return a - b
		})
		for _, node := range order[:n.need] {
			plan.shares[node] = append(plan.shares[node], n.partition)
		}
	}
	for _, share := range plan.shares {
		slices.Sort(share)
	}
	return plan
}

// takeNodes takes the node that helps with the most partitions until every one has what it needs.
func takeNodes(nodes int, open []coverNeed) []bool {
	taken := make([]bool, nodes)
	left := make([]int, len(open))
	missing := 0
	for i, n := range open {
		left[i] = n.need
		missing += n.need
	}
	helps := make([]int, nodes)
	for missing > 0 {
		clear(helps)
		for i, n := range open {
			for _, node := range n.from {
				if left[i] > 0 && !taken[node] {
					helps[node]++
				}
			}
		}
		best := 0
		for node := range helps {
			if helps[node] > helps[best] {
				best = node
			}
		}
		if helps[best] == 0 {
			break // a need that lists a node twice: what can be had is had
		}
		taken[best] = true
		for i, n := range open {
			if left[i] > 0 && slices.Contains(n.from, best) {
				left[i]--
				missing--
			}
		}
	}
	return taken
}
