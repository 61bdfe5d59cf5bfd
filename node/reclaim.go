package node

import (
	"fmt"
	"time"

	"github.com/ringcask/ringcask/antientropy"
	"github.com/ringcask/ringcask/internal/causal"
)

// What can be said of whether a key's record may go.
const (
	reclaimAbsent  = "absent"  // there is none
	reclaimKept    = "kept"    // it shows something, or may
	reclaimWaiting = "waiting" // it shows nothing, and has to be remembered still
	reclaimSettled = "settled" // the next merge of its file drops it
)

// verdictOf explains whether a record may be dropped by a merge. The merge's filter goes by the rule of the partition's standing tree: an
// object goes that shows nothing by then, and of which all that it has seen is stable.
type verdictOf struct {
	rule           antientropy.Rule
	stands, filled bool
	// stable is the partition's stable vector, which the rule follows once the tree was built anew.
	stable causal.Vector
	now    time.Time
}

func (v *verdictOf) absent(holds bool) string {
	switch {
	case !holds:
		return "the node is no replica of it"
	case !v.filled:
		return "nothing is stored, but the partition is not filled: it may have been here"
	}
	return "nothing is stored: it never was, or what was deleted has been dropped"
}

// held explains what the filter says of an object.
func (v *verdictOf) held(o causal.Object, settled bool) (state string, reasons []string) {
	if settled {
		return reclaimSettled, []string{"it shows nothing, and all replicas hold all that it has seen: it is in no tree, and goes with the next merge of its file"}
	}
	state = reclaimWaiting
	for i := range o.Siblings {
		s := &o.Siblings[i]
		switch {
		case s.Tombstone:
		case s.ExpiresAt == 0 || s.Visible(v.now):
			state = reclaimKept
			reasons = append(reasons, fmt.Sprintf("%s is a value%s", s.Dot, besideTombstone(o)))
		case s.ExpiresAt > v.rule.Expired:
			reasons = append(reasons, fmt.Sprintf("%s has expired, but counts as deleted a while after %s only, for clocks differ",
				s.Dot, time.UnixMilli(s.ExpiresAt).UTC().Format(time.RFC3339)))
		}
	}
	if state == reclaimKept {
		return state, reasons
	}
	if !v.stands {
		reasons = append(reasons, "the partition's tree is being built: nothing is dropped until it stands")
	}
	reasons = append(reasons, v.unstable(o)...)
	if !v.filled {
		reasons = append(reasons, "the partition is not filled here: it vouches for nothing, and so no events become stable")
	}
	if len(reasons) == 0 { // nothing is missing but what the index shows the filter
		reasons = []string{"it is settled, but its versions do not fit into the index, where merges look"}
	}
	return state, reasons
}

func besideTombstone(o causal.Object) string {
	for i := range o.Siblings {
		if o.Siblings[i].Tombstone {
			return ": the tombstone beside it has to stay"
		}
	}
	return ""
}

// unstable names what the object has seen of which the rule does not know that all replicas hold it.
func (v *verdictOf) unstable(o causal.Object) (reasons []string) {
	if !v.stands {
		return nil
	}
	for _, e := range o.Vector {
		switch {
		case v.rule.Stable.Covers(e):
		case v.stable.Covers(e):
			reasons = append(reasons, fmt.Sprintf("%s is stable, but the partition's tree was built before it was known: a new one is on its way", e))
		default:
			reasons = append(reasons, fmt.Sprintf("%s is not known to be held by all replicas: the stable vector has %s", e, stableEntry(v.stable, e.Actor)))
		}
	}
	return reasons
}

func stableEntry(v causal.Vector, a causal.Actor) string {
	if t := v.Get(a); t != 0 {
		return t.String()
	}
	return "nothing of that actor"
}
