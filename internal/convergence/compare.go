package convergence

import (
	"fmt"
	"strings"

	"github.com/ringcask/ringcask/internal/wire"
)

// Answer is what a member said, or why it said nothing.
type Answer struct {
	Node   string
	Report *wire.PartitionsReport
	Err    error
}

// State is the verdict on a partition.
type State string

// See the package comment.
const (
	Equal   State = "equal"
	Differs State = "differs"
	Unknown State = "unknown"
)

// Partition is the verdict on a partition, with what it was found from.
type Partition struct {
	Partition int   `json:"partition"`
	State     State `json:"state"`
	// Reasons keep some replicas from being compared; Needs are repairs that are known to be due.
	Reasons []string `json:"reasons,omitempty"`
	Needs   []string `json:"needs,omitempty"`
	// Replicas are those that have a tree, primary first.
	Replicas []Replica `json:"replicas"`
}

// Replica is one replica's tree.
type Replica struct {
	Node       string `json:"node"`
	Root       string `json:"root"`
	Rule       string `json:"rule"`
	Keys       int64  `json:"keys"`
	Tombstones int64  `json:"tombstones"`
}

// Converged says whether nothing is left to be done.
func (p *Partition) Converged() bool { return p.State == Equal && len(p.Needs) == 0 }

// Compare gives the verdicts on all partitions. table has the replicas of each, primary first.
func Compare(table [][]string, answers []Answer) []Partition {
	said := make(map[string]*saying, len(answers))
	for _, a := range answers {
		said[a.Node] = newSaying(a)
	}
	verdicts := make([]Partition, len(table))
	for p, replicas := range table {
		verdicts[p] = verdict(p, replicas, said)
	}
	return verdicts
}

// saying is an answer with its partitions by number.
type saying struct {
	err   error
	parts map[int]*wire.PartitionReport
}

func newSaying(a Answer) *saying {
	s := &saying{err: a.Err, parts: make(map[int]*wire.PartitionReport)}
	if a.Report != nil {
		for i := range a.Report.Partitions {
			s.parts[a.Report.Partitions[i].Partition] = &a.Report.Partitions[i]
		}
	}
	return s
}

func verdict(p int, replicas []string, said map[string]*saying) Partition {
	v := Partition{Partition: p, State: Equal, Replicas: []Replica{}}
	for _, id := range replicas {
		part, reason := find(p, id, said[id])
		if reason != "" {
			v.Reasons = append(v.Reasons, reason)
		}
		if part == nil {
			continue
		}
		for _, peer := range part.Peers {
			if peer.NeededSince != 0 {
				v.Needs = append(v.Needs, fmt.Sprintf("%s has to exchange it with %s", id, peer.ID))
			}
		}
		if part.Root != "" && reason == "" {
			v.Replicas = append(v.Replicas, Replica{id, part.Root, part.Rule, part.Keys, part.Tombstones})
		}
	}
	v.compareTrees()
	return v
}

// find is what a replica said of a partition, and why that cannot be compared, if so.
func find(p int, id string, s *saying) (part *wire.PartitionReport, reason string) {
	switch {
	case s == nil:
		return nil, id + " was not asked"
	case s.err != nil:
		return nil, fmt.Sprintf("%s does not answer: %v", id, s.err)
	}
	if part = s.parts[p]; part == nil {
		return nil, id + " says that it does not hold it"
	}
	switch {
	case part.Root == "":
		reason = fmt.Sprintf("%s has no tree of it yet", id)
	case part.PoisonedKeys > 0:
		reason = fmt.Sprintf("%s has keys that it cannot read", id)
	case part.SpoiledLeaves > 0:
		reason = fmt.Sprintf("%s has a tree that was spoiled by damage", id)
	case !part.Filled:
		reason = fmt.Sprintf("%s is not filled: it does not have all again that it should", id)
	}
	return part, reason
}

// compareTrees compares those that can be.
func (v *Partition) compareTrees() {
	roots := make(map[string]string)
	var rules []string
	for _, r := range v.Replicas {
		root, known := roots[r.Rule]
		switch {
		case !known:
			roots[r.Rule] = r.Root
			rules = append(rules, r.Node)
		case root != r.Root:
			v.State = Differs
		}
	}
	if len(rules) > 1 {
		v.Reasons = append(v.Reasons, strings.Join(rules, " and ")+" have trees under different rules: one is about to be built anew")
	}
	if v.State == Equal && len(v.Reasons) > 0 {
		v.State = Unknown
	}
}
