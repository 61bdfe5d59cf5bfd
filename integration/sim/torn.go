package sim

import (
	"fmt"
	"slices"

	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

// remains is what a crash left on a node's disk, before the node was started again.
type remains struct {
	node string
	// actor is the one that the node had.
	actor string
	held  contents
}

// tornBatches are the batches of which a crash left a part.
//
// What a node decides for keys of one partition is one mutation of its engine, and so one frame of its log: after a crash all of it is there, or
// nothing. Of a value on a disk it is known that it came in such a frame, and which others must have come with it, only where
//
//   - its dot is of the node's own actor: of what others decided, repairs, hints and exchanges deliver parts;
//   - nothing else wrote a key of the batch: what did might have superseded or removed the value. A further attempt of the same batch may have, too, but
//     leaves the same value;
//   - no node had lost anything that it had stored: one that cannot read a key refuses this key, which is then taken to another node alone.
//
// The last is for who gathers the remains to see to.
func tornBatches(left []remains, ops []history.Operation) (found []string) {
	writes := make(map[string]int)
	for i := range ops {
		if k := ops[i].Kind; k == history.Put || k == history.Delete || k == history.Batch {
			for _, item := range ops[i].Items {
				writes[item.Key]++
			}
		}
	}
	for i := range ops {
		op := &ops[i]
		if !workload.InOnePartition(op) || slices.ContainsFunc(op.Items, func(item history.Item) bool { return writes[item.Key] > 1 }) {
			continue
		}
		for _, r := range left {
			if missing := r.missing(op); len(missing) > 0 {
				found = append(found, fmt.Sprintf("key %s: when %s had crashed, its disk lacked %d of the %d keys of a batch that it had decided itself, and held the others",
					missing[0], r.node, len(missing), len(op.Items)))
			}
		}
	}
	return found
}

// missing are the keys of a batch that the disk lacks although it holds another one that the node decided itself.
func (r *remains) missing(op *history.Operation) (keys []string) {
	decided := false
	for _, item := range op.Items {
		there := false
		for _, s := range r.held[item.Key].Siblings {
			if string(s.Value) == item.Value {
				there = true
				decided = decided || s.Dot.Actor.String() == r.actor
			}
		}
		if !there {
			keys = append(keys, item.Key)
		}
	}
	if !decided {
		return nil
	}
	return keys
}
