package coordinator

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/ring"
)

func TestAWriteIsForwardedToFewReplicas(t *testing.T) {
	for _, tc := range []struct {
		name       string
		keys       []int
		candidates [][]int
		want       string
	}{
		{"one key goes to its primary", []int{7}, [][]int{{3, 1, 2}}, "[{3 [7]}]"},
		{"nobody is left", []int{7}, [][]int{nil}, "[]"},
		{"one replica that can take all takes all", []int{0, 1, 2}, [][]int{{1, 2, 3}, {2, 3, 4}, {3, 4, 1}}, "[{3 [0 1 2]}]"},
		{"of two that can, the more preferred", []int{0, 1, 2}, [][]int{{1, 2}, {2, 1}, {2, 1}}, "[{2 [0 1 2]}]"},
		{"two are needed", []int{4, 5, 6}, [][]int{{1, 2}, {3, 4}, {2, 5}}, "[{2 [4 6]} {3 [5]}]"},
		{"a key without candidates is left out", []int{4, 5}, [][]int{nil, {3}}, "[{3 [5]}]"},
	} {
		if got := fmt.Sprint(planForward(tc.keys, tc.candidates)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestEveryKeyIsForwardedOnceToACandidate(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		candidates := rapid.SliceOfN(rapid.SliceOfNDistinct(rapid.IntRange(0, 6), 0, 4, rapid.ID), 1, 12).Draw(rt, "candidates")
		keys := make([]int, len(candidates))
		for i := range keys {
			keys[i] = 10 + i
		}
		times := map[int]int{}
		for _, s := range planForward(keys, candidates) {
			for _, k := range s.keys {
				times[k]++
				if !slices.Contains(candidates[k-10], s.target) {
					rt.Fatalf("key %d went to %d", k, s.target)
				}
			}
		}
		for i, k := range keys {
			if want := min(1, len(candidates[i])); times[k] != want {
				rt.Fatalf("key %d was forwarded %d times, want %d", k, times[k], want)
			}
		}
	})
}

func TestACoverHasFewNodesAndEvenWork(t *testing.T) {
	for _, tc := range []struct {
		nodes, n, r, partitions int
		asked, most             int // nodes asked at most, partitions of one node at most
	}{
		{3, 3, 1, 64, 1, 64},
		{3, 3, 2, 64, 2, 64},
		{3, 3, 3, 64, 3, 64},
		{6, 3, 2, 60, 5, 36},
		{10, 3, 2, 100, 8, 30},
		{50, 3, 2, 256, 40, 20},
	} {
		table := newFakeTable(tc.nodes, tc.n, tc.partitions)
		p := newRangePlan(newRangeTable(table, "n1"), tc.r, slices.Repeat([]bool{true}, tc.nodes))
		shares, lost := p.cover()
		asked, most := 0, 0
		for _, s := range shares {
			most = max(most, len(s))
			asked += min(1, len(s))
		}
		if len(lost) > 0 || asked > tc.asked || most > tc.most {
			t.Errorf("%d nodes, n=%d, r=%d, %d partitions: %d nodes asked, one for %d; lost %v", tc.nodes, tc.n, tc.r, tc.partitions, asked, most, lost)
		}
		if len(shares[0]) == 0 {
			t.Errorf("%d nodes: this node is not asked", tc.nodes)
		}
	}
}

func TestACoverGivesEachPartitionItsReplicasOrNamesIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := rapid.IntRange(1, 9).Draw(rt, "nodes")
		n := rapid.IntRange(1, min(nodes, 4)).Draw(rt, "n")
		r := rapid.IntRange(1, n).Draw(rt, "r")
		table := &fakeTable{}
		for range rapid.IntRange(1, 24).Draw(rt, "partitions") {
			var row []ring.NodeID
			for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, nodes-1), n, n, rapid.ID).Draw(rt, "row") {
				row = append(row, nodeID(i))
			}
			table.rows = append(table.rows, row)
		}
		rtab := newRangeTable(table, nodeID(rapid.IntRange(0, nodes-1).Draw(rt, "self")))
		reachable := rapid.SliceOfN(rapid.Bool(), len(rtab.nodes), len(rtab.nodes)).Draw(rt, "reachable")
		allowed := slices.Repeat([]bool{true}, len(rtab.nodes))
		plan := newRangePlan(rtab, r, slices.Clone(reachable))
		given := make([][]int, len(table.rows))
		missing := make([]bool, len(table.rows))
		for round := range 3 {
			shares, lost := plan.cover()
			for _, p := range lost {
				missing[p] = true
			}
			for node, share := range shares {
				for _, p := range share {
					if !allowed[node] || !slices.Contains(rtab.replicas[p], node) || slices.Contains(given[p], node) {
						rt.Fatalf("round %d: partition %d is answered by node %d: allowed %v, already %v", round, p, node, allowed, given[p])
					}
					given[p] = append(given[p], node)
				}
			}
			for p, row := range rtab.replicas {
				usable := 0
				for _, node := range row {
					if allowed[node] {
						usable++
					}
				}
				ok := !missing[p] && len(given[p]) >= r && usable >= r
				if wrongly := round == 0 && usable >= r; !ok && (!missing[p] || wrongly) {
					rt.Fatalf("round %d: partition %d has %v of %d, %d usable, missing %v", round, p, given[p], r, usable, missing[p])
				}
			}
			dead := rapid.IntRange(0, len(rtab.nodes)-1).Draw(rt, "dead")
			allowed[dead] = false
			plan.fail(dead)
			for p := range given {
				given[p] = slices.DeleteFunc(given[p], func(n int) bool { return n == dead })
			}
		}
	})
}
