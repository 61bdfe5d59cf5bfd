package ring

import (
	"fmt"
	"testing"
)

// share is a part of all copies in percent.
func share(part, whole int) float64 { return 100 * float64(part) / float64(whole) }

// without are the members but one.
func without(ms []Member, id NodeID) []Member {
	var rest []Member
	for _, m := range ms {
		if m.ID != id {
			rest = append(rest, m)
		}
	}
	return rest
}

// The bounds are what the planner reached when it was written: docs/ring.md has the table, which -v prints.
func TestAJoiningNodeMovesNearTheMinimum(t *testing.T) {
	for _, c := range []struct {
		nodes     int
		most      float64 // of all copies, percent
		leastLoad float64 // of the mean, that any node is left with
	}{
		{3, 25.0, 0.93}, {5, 16.7, 0.93}, {10, 9.1, 0.93}, {20, 4.9, 0.90}, {50, 2.0, 0.90},
	} {
		a := mustPlan(t, nil, nodes(c.nodes), Config{})
		b := mustPlan(t, a, nodes(c.nodes+1), Config{})
		moved := share(len(Moves(a, b)), 768)
		if moved > c.most {
			t.Errorf("%d to %d nodes moved %.2f %% of copies, at most %.1f %% is expected", c.nodes, c.nodes+1, moved, c.most)
		}
		mean := 768 / float64(c.nodes+1)
		for _, m := range b.Members() {
			if _, copies := b.Counts(m.ID); float64(copies) < c.leastLoad*mean {
				t.Errorf("%d to %d nodes left %s with %d copies, the mean is %.1f", c.nodes, c.nodes+1, m.ID, copies, mean)
			}
		}
		t.Logf("| %d → %d | %.1f %% | %.1f %% |", c.nodes, c.nodes+1, 100/float64(c.nodes+1), moved)
	}
}

func TestALeavingNodeMovesLittleMoreThanWhatItHeld(t *testing.T) {
	for _, n := range []int{4, 5, 6, 10, 20} {
		a := mustPlan(t, nil, nodes(n), Config{})
		moved, lost := 0, 0
		for _, m := range a.Members() {
			_, copies := a.Counts(m.ID)
			lost += copies
			moved += len(Moves(a, mustPlan(t, a, without(nodes(n), m.ID), Config{})))
		}
		if float64(moved) > 1.2*float64(lost) {
			t.Errorf("%d nodes: on average %.1f copies moved for %.1f that were lost", n, float64(moved)/float64(n), float64(lost)/float64(n))
		}
		t.Logf("| %d → %d | %.1f %% | %.1f %% |", n, n-1, share(lost, 768*n), share(moved, 768*n))
	}
}

// burden is the greatest part of any dead node's share that falls to one peer, in percent.
type burden struct {
	heir   float64 // of the partitions that it was the primary of: who is next in the row
	source float64 // of the copies that it held: who else has them, to read from
	target float64 // of the copies that it held: who gets them when it is removed
}

func burdenOf(t *testing.T, table *Table) burden {
	var worst burden
	for _, dead := range table.Members() {
		heirs, sources, targets := map[NodeID]int{}, map[NodeID]int{}, map[NodeID]int{}
		primaries, copies := table.Counts(dead.ID)
		for _, p := range table.Partitions(dead.ID) {
			row := table.Replicas(p)
			if row[0] == dead.ID {
				heirs[row[1]]++
			}
			for _, id := range row {
				if id != dead.ID {
					sources[id]++
				}
			}
		}
		for _, move := range Moves(table, mustPlan(t, table, without(table.Members(), dead.ID), Config{})) {
			targets[move.To]++
		}
		for _, m := range table.Members() {
			worst.heir = max(worst.heir, share(heirs[m.ID], primaries))
			worst.source = max(worst.source, share(sources[m.ID], 2*copies))
			worst.target = max(worst.target, share(targets[m.ID], copies))
		}
	}
	return worst
}

func TestManyPeersShareTheWorkOfALostNode(t *testing.T) {
	for _, c := range []struct {
		nodes int
		most  burden
	}{
		{5, burden{28, 29, 32}}, {10, burden{18, 16, 20}}, {20, burden{20, 15, 17}},
	} {
		table := mustPlan(t, nil, nodes(c.nodes), Config{})
		got := burdenOf(t, table)
		if got.heir > c.most.heir || got.source > c.most.source || got.target > c.most.target {
			t.Errorf("%d nodes: %+v, at most %+v is expected", c.nodes, got, c.most)
		}
		t.Logf("| %d | %.1f %% | %.1f %% | %.1f %% | %.1f %% |", c.nodes, 100/float64(c.nodes-1), got.heir, got.source, got.target)
	}
}

// Names that happen to hash well prove little.
func TestMovementIsLowWhateverTheNodesAreCalled(t *testing.T) {
	moved := 0
	const names = 12
	for i := range names {
		var ms []Member
		for j := range 11 {
			ms = append(ms, Member{ID: NodeID(fmt.Sprintf("host-%d.rack%d.example", i*97+j, j%3))})
		}
		a := mustPlan(t, nil, ms[:10], Config{})
		moved += len(Moves(a, mustPlan(t, a, ms, Config{})))
	}
	if got := share(moved, 768*names); got > 9.5 {
		t.Errorf("10 to 11 nodes moved %.2f %% of copies on average over %d sets of names", got, names)
	} else {
		t.Logf("10 to 11 nodes moved %.2f %% on average", got)
	}
}

func TestMovementIsLowWithZones(t *testing.T) {
	before, after := zoned(4, 4, 4), zoned(5, 4, 4)
	a := mustPlan(t, nil, before, Config{})
	b := mustPlan(t, a, after, Config{})
	checkTable(t, b)
	// With three zones and three replicas a new node takes from its own zone only: a fifth of a third.
	if moved := share(len(Moves(a, b)), 768); moved > 9 {
		t.Errorf("13th node moved %.2f %% of copies, the minimum is 6.7 %%", moved)
	} else {
		t.Logf("13th node in three zones moved %.2f %%", moved)
	}
}
