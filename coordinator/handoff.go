package coordinator

import (
	"slices"

	"github.com/ringcask/ringcask/ring"
)

// What a write does about replicas that cannot be had: this node keeps a hint for each of them, and a sloppy write has
// fallback nodes stand in for them.

// missed are the givers that a hint is due for, each once: replicas that were not reachable when the write began, and those
// that failed. None is before the local replica has had its last word: what comes before may run under a lock of its log. The
// caller holds mu, and hands them to hint.
func (op *writeOp) missed() (givers []int) {
	if op.c.opt.Hints == nil || op.tally.local == localPending {
		return nil
	}
	for g := range op.tally.givers {
		v := &op.tally.givers[g]
		if v.hinted || v.standsFor != "" || v.state != giverFailed && op.targets[v.target].reachable {
			continue
		}
		v.hinted = true
		givers = append(givers, g)
	}
	return givers
}

// hint has hints kept for givers. Nobody waits for that.
func (op *writeOp) hint(givers []int) {
	for _, g := range givers {
		op.mu.Lock()
		id, items := op.targets[op.tally.givers[g].target].id, op.shipments[g]
		op.mu.Unlock()
		op.c.opt.Hints.Hint(id, items, func(err error) { op.hintKept(g, err) })
	}
}

// hintKept is told what became of a hint. Where it could not be kept, an exchange brings the write.
func (op *writeOp) hintKept(g int, err error) {
	op.mu.Lock()
	defer op.mu.Unlock()
	op.tally.givers[g].kept = err == nil
}

// keptHints are the hints known to be kept of key i.
func (op *writeOp) keptHints(i int) (hints []KeptHint) {
	for g := range op.tally.givers {
		v := &op.tally.givers[g]
		id := op.targets[v.target].id
		switch {
		case !v.has(i):
		case v.kept:
			hints = append(hints, KeptHint{Target: id, Node: op.c.opt.Self})
		case v.standsFor != "" && v.state == giverAcked:
			hints = append(hints, KeptHint{Target: v.standsFor, Node: id, Counted: true})
		}
	}
	return hints
}

// fallbacks are the nodes that may stand in for replicas of key i.
func (op *writeOp) fallbacks(i int) []ring.NodeID {
	return op.table.Preference(op.table.Partition(op.op(i).Key))[op.table.N():]
}

func (op *writeOp) fallbacksInReach(i int) (n int) {
	for _, id := range op.fallbacks(i) {
		if op.targets[op.targets.index(op.c, id)].reachable {
			n++
		}
	}
	return n
}

// giveUpUnreachable does not wait for replicas that most likely cannot be reached. The caller holds mu.
func (op *writeOp) giveUpUnreachable() {
	for g := range op.tally.givers {
		if t := &op.targets[op.tally.givers[g].target]; !t.reachable {
			op.tally.fail(g, &UnreachableError{Node: t.id})
		}
	}
}

// standInMeanwhile is standIn for a sloppy write that is still waited for. The caller holds mu.
func (op *writeOp) standInMeanwhile() (givers []int) {
	if !op.sloppy || op.phase != writeSpreading {
		return nil
	}
	return op.standIn()
}

// standIn finds fallback nodes for the keys that too few replicas are left for, and returns the givers that are to be sent
// to. The caller holds mu.
func (op *writeOp) standIn() (givers []int) {
	first := len(op.tally.givers)
	for i := range op.keys {
		for !op.tally.skip[i] && op.tally.short(i) > 0 && op.standInFor(i, first) {
			op.c.metrics.StandIns.Add(1)
		}
	}
	for g := first; g < len(op.tally.givers); g++ {
		givers = append(givers, g)
	}
	return givers
}

// standInFor has one more fallback node stand in for a replica of key i, as one of the givers from first on. It is false if
// there is none, or no replica without one.
func (op *writeOp) standInFor(i, first int) bool {
	missing := op.missing(i)
	if missing < 0 {
		return false
	}
	for _, id := range op.fallbacks(i) {
		t := op.targets.index(op.c, id)
		if !op.targets[t].reachable || op.asked(t, i) {
			continue
		}
		v := &op.tally.givers[missing]
		at, _ := slices.BinarySearch(v.keys, i)
		item := op.shipments[missing][at]
		if g := op.tally.stand(first, t, op.targets[v.target].id, i); g < len(op.shipments) {
			op.shipments[g] = append(op.shipments[g], item)
		} else {
			op.shipments = append(op.shipments, []Item{item})
		}
		return true
	}
	return false
}

// missing is a replica of key i that failed and that nobody stands in for; negative if there is none.
func (op *writeOp) missing(i int) int {
	return slices.IndexFunc(op.tally.givers, func(v giver) bool {
		if v.standsFor != "" || v.state != giverFailed || !v.has(i) {
			return false
		}
		id := op.targets[v.target].id
		return !slices.ContainsFunc(op.tally.givers, func(f giver) bool {
			return f.standsFor == id && f.state != giverFailed && f.has(i)
		})
	})
}

// asked says whether a node was sent key i.
func (op *writeOp) asked(t, i int) bool {
	return slices.ContainsFunc(op.tally.givers, func(v giver) bool { return v.target == t && v.has(i) })
}
