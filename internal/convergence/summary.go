package convergence

import (
	"fmt"
	"slices"
	"strings"
)

// Summary counts verdicts.
type Summary struct {
	Partitions int `json:"partitions"`
	Equal      int `json:"equal"`
	Differ     int `json:"differ"`
	Unknown    int `json:"unknown"`
	// Needing are equal, but known to need repair.
	Needing int `json:"needing_repair"`
	// Keys are those of the partitions that are equal, tombstones among them.
	Keys int64 `json:"keys"`
}

// Sum counts.
func Sum(partitions []Partition) (s Summary) {
	s.Partitions = len(partitions)
	for i := range partitions {
		p := &partitions[i]
		switch p.State {
		case Differs:
			s.Differ++
			continue
		case Unknown:
			s.Unknown++
			continue
		}
		s.Equal++
		if len(p.Needs) > 0 {
			s.Needing++
		}
		if len(p.Replicas) > 0 {
			s.Keys += p.Replicas[0].Keys
		}
	}
	return s
}

// Lines say in words what there is to say of the partitions, those of which the same is to be said in one line. Needs are left out unless
// withNeeds.
func Lines(partitions []Partition, withNeeds bool) []string {
	var order []string
	of := make(map[string][]int)
	say := func(p int, what string) {
		if _, said := of[what]; !said {
			order = append(order, what)
		}
		of[what] = append(of[what], p)
	}
	var lines []string
	for i := range partitions {
		p := &partitions[i]
		if p.State == Differs {
			lines = append(lines, fmt.Sprintf("partition %d differs: %s", p.Partition, p.counts()))
		}
		for _, reason := range p.Reasons {
			say(p.Partition, "cannot be compared: "+reason)
		}
		for _, need := range p.Needs {
			if withNeeds {
				say(p.Partition, "to be repaired: "+need)
			}
		}
	}
	for _, what := range order {
		lines = append(lines, ranges(of[what])+" "+what)
	}
	return lines
}

// counts says which replicas hold what.
func (p *Partition) counts() string {
	var texts []string
	for _, r := range p.Replicas {
		texts = append(texts, fmt.Sprintf("%s has %d keys, %d of them deleted, root %s", r.Node, r.Keys, r.Tombstones, r.Root))
	}
	return strings.Join(texts, "; ")
}

// ranges writes numbers of partitions: "partitions 0-3, 7".
func ranges(ps []int) string {
	slices.Sort(ps)
	var texts []string
	for from := 0; from < len(ps); {
		to := from
		for to+1 < len(ps) && ps[to+1] == ps[to]+1 {
			to++
		}
		text := fmt.Sprint(ps[from])
		if to > from {
			text = fmt.Sprintf("%d-%d", ps[from], ps[to])
		}
		texts = append(texts, text)
		from = to + 1
	}
	noun := "partition "
	if len(ps) > 1 {
		noun = "partitions "
	}
	return noun + strings.Join(texts, ", ")
}
