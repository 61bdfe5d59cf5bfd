package ring

import (
	"fmt"
	"slices"
	"strings"
)

// Move is a copy that one table has and another has not: To is to be filled with the partition.
type Move struct {
	Partition PartitionID
	To        NodeID
	// From are the nodes that hold the partition in the old table and can fill it; shared with the old table.
	From []NodeID
}

// Moves lists the copies that are new in to, in the order of partitions. A partition whose replicas are only in
// another order does not move. The tables must have the same partition count, or nil is returned.
func Moves(from, to *Table) []Move {
	if from.cfg.Partitions != to.cfg.Partitions {
		return nil
	}
	var moves []Move
	for p := range PartitionID(to.cfg.Partitions) {
		before := from.Replicas(p)
		for _, id := range to.Replicas(p) {
			if !slices.Contains(before, id) {
				moves = append(moves, Move{Partition: p, To: id, From: before})
			}
		}
	}
	return moves
}

// diffNamesMax bounds how many names Diff lists of a kind.
const diffNamesMax = 8

// Diff says in words in what two tables differ, one difference a line, for the operator whose nodes refuse each
// other. It is empty if, and only if, the fingerprints are equal.
func Diff(a, b *Table) []string {
	var diff []string
	note := func(format string, args ...any) { diff = append(diff, fmt.Sprintf(format, args...)) }
	if a.cfg.Partitions != b.cfg.Partitions {
		note("partition count: %d against %d", a.cfg.Partitions, b.cfg.Partitions)
	}
	if a.cfg.Replicas != b.cfg.Replicas {
		note("replicas (N): %d against %d", a.cfg.Replicas, b.cfg.Replicas)
	}
	if a.cfg.VirtualNodes != b.cfg.VirtualNodes {
		note("virtual nodes: %d against %d", a.cfg.VirtualNodes, b.cfg.VirtualNodes)
	}
	if a.cfg.Load != b.cfg.Load || a.cfg.LoadMax != b.cfg.LoadMax {
		note("load: %g to %g against %g to %g", a.cfg.Load, a.cfg.LoadMax, b.cfg.Load, b.cfg.LoadMax)
	}
	diff = append(diff, diffMembers(a, b)...)
	if len(diff) == 0 && !slices.Equal(a.rows, b.rows) {
		moved := len(Moves(a, b))
		note("placement: same members and settings, but %d copies are elsewhere%s", moved, orderOnly(moved))
	}
	return diff
}

func orderOnly(moved int) string {
	if moved == 0 {
		return " (the order of replicas differs)"
	}
	return " (planned from different tables, or by different versions)"
}

func diffMembers(a, b *Table) []string {
	var onlyA, onlyB, zones []string
	for _, m := range a.members {
		i := b.index(m.ID)
		switch {
		case i < 0:
			onlyA = append(onlyA, string(m.ID))
		case b.members[i].Zone != m.Zone:
			zones = append(zones, fmt.Sprintf("%s (%q against %q)", m.ID, m.Zone, b.members[i].Zone))
		}
	}
	for _, m := range b.members {
		if !a.Has(m.ID) {
			onlyB = append(onlyB, string(m.ID))
		}
	}
	var diff []string
	if len(onlyA) > 0 {
		diff = append(diff, "members only in the first: "+list(onlyA))
	}
	if len(onlyB) > 0 {
		diff = append(diff, "members only in the second: "+list(onlyB))
	}
	if len(zones) > 0 {
		diff = append(diff, "zone of "+list(zones))
	}
	return diff
}

// list joins names, the first few of them.
func list(names []string) string {
	if more := len(names) - diffNamesMax; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:diffNamesMax], ", "), more)
	}
	return strings.Join(names, ", ")
}
