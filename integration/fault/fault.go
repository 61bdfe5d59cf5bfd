// Package fault plans what goes wrong in a cluster under test: which faults, when, for how long, and whom they strike. A plan is drawn
// from a seed, can be written down and read again, and shrinks to what a failure needs. The package strikes nobody itself: the simulated
// cluster (integration/sim) and the one of real processes (integration/chaos) each do that in their own way.
//
// # What is survivable
//
// A cluster of N replicas promises nothing against the loss of more copies than W leaves it. So a fault that destroys stored data
// (Kind.Destroys) strikes one node, and whoever carries out a plan begins it only once everything that was destroyed before is filled again.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is what goes wrong. Its text is part of the command line, of saved plans and of reports.
type Kind string

// The kinds. Nodes are those of Fault.Nodes; they go on as before when the fault ends.
const (
	// Kill ends the process without warning; it is started again at the end. What it wrote to files survives, synced or not.
	Kill Kind = "kill"
	// PowerLoss is a Kill that loses what was not synced.
	PowerLoss Kind = "power-loss"
	// Restart shuts the node down in order; it is started again at the end.
	Restart Kind = "restart"
	// Pause stops the process (SIGSTOP) and lets it go on at the end.
	Pause Kind = "pause"

	// Halves lets no message pass between Nodes and the others. Clients reach both sides.
	Halves Kind = "split-halves"
	// MajorityRing puts all nodes on a ring in the order of Nodes, where each hears only the nearest ones that make up a majority with itself.
	MajorityRing Kind = "split-ring"
	// OneWay loses what Nodes[0] sends to Nodes[1].
	OneWay Kind = "split-one-way"
	// CutLink lets no message pass between Nodes[0] and Nodes[1], which both hear everyone else.
	CutLink Kind = "cut-link"
	// Isolate lets no message pass between one node and the others. Clients reach it all the same.
	Isolate Kind = "isolate"

	// Latency adds Delay, give or take half, to what one node sends and hears.
	Latency Kind = "latency"
	// Bandwidth bounds what one node sends and hears to BytesPerSecond.
	Bandwidth Kind = "bandwidth"
	// Reset breaks the connections of one node now and then.
	Reset Kind = "reset"
	// Loss, Duplicate and Reorder lose, repeat or hold back a Share of the messages between all nodes.
	Loss      Kind = "loss"
	Duplicate Kind = "duplicate"
	Reorder   Kind = "reorder"

	// DiskFull leaves a node no room to write.
	DiskFull Kind = "disk-full"
	// DiskError fails a Share of a node's reads and writes of files.
	DiskError Kind = "disk-error"
	// DiskSlow adds Delay to each sync of a node's files.
	DiskSlow Kind = "disk-slow"
	// Flip stops a node, flips Count bytes of what it has stored in finished segments, and starts it again.
	Flip Kind = "flip"
	// Wipe kills a node and removes its data directory; it is started again, empty, at the end.
	Wipe Kind = "wipe"
	// Skew sets a node's clock ahead by Delay (back if it is negative), which takes a restart of it; at the end it is set right again.
	Skew Kind = "skew"
)

// Kinds are all kinds there are, in the order in which they are shown.
func Kinds() []Kind {
	return []Kind{
		Kill, PowerLoss, Restart, Pause, Halves, MajorityRing, OneWay, CutLink, Isolate, Latency, Bandwidth, Reset, Loss, Duplicate, Reorder,
		DiskFull, DiskError, DiskSlow, Flip, Wipe, Skew,
	}
}

// ParseKinds reads kinds separated by commas, of some that there are to choose from or, if none are given, of all. "all" is every one of those, and an
// empty text none. Error: a name that is not among them.
func ParseKinds(text string, of ...Kind) ([]Kind, error) {
	if text == "" {
		return nil, nil
	}
	if len(of) == 0 {
		of = Kinds()
	}
	var kinds []Kind
	for _, name := range strings.Split(text, ",") {
		switch k := Kind(strings.TrimSpace(name)); {
		case k == "all":
			kinds = append(kinds, of...)
		case slices.Contains(of, k):
			kinds = append(kinds, k)
		default:
			return nil, fmt.Errorf("no kind of fault is called %q; there are %s", k, Listed(of))
		}
	}
	return kinds, nil
}

// Listed are kinds as they are given on a command line.
func Listed(kinds []Kind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}

// Destroys says that a fault of this kind loses or may lose stored data of its node.
func (k Kind) Destroys() bool { return k == Flip || k == Wipe || k == DiskError }

// Stops says that the node's process does not run for some of the fault.
func (k Kind) Stops() bool {
	switch k {
	case Kill, PowerLoss, Restart, Pause, Flip, Wipe, Skew:
		return true
	}
	return false
}

// Fault is one thing that goes wrong.
type Fault struct {
	Kind Kind `json:"kind"`
	// At is when it begins, after the start of the workload, and For how long it lasts.
	At  time.Duration `json:"at"`
	For time.Duration `json:"for"`
	// Nodes are the numbers, from 0, of those that it strikes; none for a kind that concerns all.
	Nodes []int `json:"nodes,omitempty"`
	// The measure of it, where the kind has one.
	Delay          time.Duration `json:"delay,omitempty"`
	BytesPerSecond int64         `json:"bytes_per_second,omitempty"`
	Share          float64       `json:"share,omitempty"`
	Count          int           `json:"count,omitempty"`
}

// End is when the fault is over.
func (f Fault) End() time.Duration { return f.At + f.For }

// String is one line for people.
func (f Fault) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v–%v %s", f.At.Round(time.Millisecond), f.End().Round(time.Millisecond), f.Kind)
	if len(f.Nodes) > 0 {
		fmt.Fprintf(&b, " nodes %v", f.Nodes)
	}
	if f.Delay != 0 {
		fmt.Fprintf(&b, " by %v", f.Delay)
	}
	if f.BytesPerSecond != 0 {
		fmt.Fprintf(&b, " to %d B/s", f.BytesPerSecond)
	}
	if f.Share != 0 {
		fmt.Fprintf(&b, " share %.3g", f.Share)
	}
	if f.Count != 0 {
		fmt.Fprintf(&b, " %d bytes", f.Count)
	}
	return b.String()
}

// Plan is everything that goes wrong in a run, in the order of its beginning.
type Plan struct {
	Seed  uint64 `json:"seed"`
	Nodes int    `json:"nodes"`
	// Duration is how long the workload runs. No fault lasts beyond it.
	Duration time.Duration `json:"duration"`
	Faults   []Fault       `json:"faults"`
}

// GreatestSkew is how far ahead a clock of the plan is at most: what a node has written down may be dated as much too late.
func (p Plan) GreatestSkew() (most time.Duration) {
	for _, f := range p.Faults {
		if f.Kind == Skew {
			most = max(most, f.Delay)
		}
	}
	return most
}

// Validate says what is wrong with a plan that was read: also what would be carried out as something else than it says, or do nothing.
func (p Plan) Validate() error {
	for i, f := range p.Faults {
		if err := f.validate(p); err != nil {
			return fmt.Errorf("fault %d (%v) %w", i, f, err)
		}
	}
	return nil
}

func (f Fault) validate(p Plan) error {
	least, most := struck(f.Kind, p.Nodes)
	switch {
	case !slices.Contains(Kinds(), f.Kind):
		return errors.New("is of a kind that is none")
	case f.At < 0 || f.For < 0 || f.End() > p.Duration:
		return fmt.Errorf("is not within the run of %v", p.Duration)
	case most == 0 && len(f.Nodes) > 0:
		return errors.New("strikes all nodes, and cannot strike some")
	case least == most && len(f.Nodes) != least:
		return fmt.Errorf("names %d of %d nodes; a %s needs %d", len(f.Nodes), p.Nodes, f.Kind, least)
	case len(f.Nodes) < least || len(f.Nodes) > most:
		return fmt.Errorf("names %d of %d nodes; a %s needs from %d to %d", len(f.Nodes), p.Nodes, f.Kind, least, most)
	}
	for i, n := range f.Nodes {
		if n < 0 || n >= p.Nodes || slices.Contains(f.Nodes[:i], n) {
			return errors.New("strikes a node that is not there, or one twice")
		}
	}
	if netsplit(f.Kind) && len(f.Cuts(p.Nodes)) == 0 {
		return fmt.Errorf("cuts nothing between %d nodes", p.Nodes)
	}
	return f.validateMeasure()
}

// struck are the least and the most nodes that a fault of a kind has to name, of all.
func struck(k Kind, all int) (least, most int) {
	switch k {
	case Loss, Duplicate, Reorder:
		return 0, 0
	case OneWay, CutLink:
		return 2, 2
	case MajorityRing:
		return all, all
	case Halves:
		return 1, max(1, all-1)
	}
	return 1, 1
}

// validateMeasure says whether a fault has the measure that its kind needs, and no other.
func (f Fault) validateMeasure() error {
	needs, has := "", true
	switch f.Kind {
	case Latency, DiskSlow:
		needs, has, f.Delay = "a delay above 0", f.Delay > 0, 0
	case Skew:
		needs, has, f.Delay = "a delay other than 0", f.Delay != 0, 0
	case Bandwidth:
		needs, has, f.BytesPerSecond = "bytes_per_second above 0", f.BytesPerSecond > 0, 0
	case Loss, Duplicate, Reorder, DiskError:
		needs, has, f.Share = "a share above 0 and not above 1", f.Share > 0 && f.Share <= 1, 0
	case Flip:
		needs, has, f.Count = "a count above 0", f.Count > 0, 0
	}
	if !has {
		return fmt.Errorf("needs %s", needs)
	}
	if f.Delay != 0 || f.BytesPerSecond != 0 || f.Share != 0 || f.Count != 0 {
		return fmt.Errorf("has a measure that a %s does not have", f.Kind)
	}
	return nil
}
