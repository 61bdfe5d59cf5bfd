package coordinator

import (
	"fmt"
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// giverState is what is known of a replica that was sent a write.
type giverState uint8

const (
	giverSilent giverState = iota // it has not answered
	giverAcked                    // it holds what it was sent
	giverFailed                   // it will not answer any more, or its word is void
)

// giver is a replica, other than the coordinating one, that was sent a write, or a fallback node that stands in for one.
type giver struct {
	target int
	// standsFor is the replica that a fallback node keeps its copy for; empty for a replica.
	standsFor ring.NodeID
	state     giverState
	// actor is who gave the word, when acked.
	actor causal.Actor
	// err says why it failed.
	err error
	// keys are the keys of the write that it was sent, in rising order.
	keys []int
	// hinted says that a hint for it was asked for, kept that this node has it durably.
	hinted, kept bool
}

// has says whether the giver was sent key k.
func (v *giver) has(k int) bool {
	_, ok := slices.BinarySearch(v.keys, k)
	return ok
}

// localState is what is known of the coordinating replica's own log.
type localState uint8

const (
	localPending localState = iota // decided, not yet durable
	localDurable                   // every key is durable here
	localFailed                    // the log failed after the write was sent
)

// verdict is what has become of one key of a write.
type verdict uint8

const (
	verdictOpen    verdict = iota // it may still be met
	verdictMet                    // it is durable here and on enough other replicas
	verdictFailed                 // it is durable here, and too few replicas are left
	verdictUnknown                // it may or may not be durable here
)

// tally counts the acknowledgements of a write, one key by itself as well as the keys of a batch. It is pure: events
// go in and verdicts come out.
//
//	         durable, acks >= need                          void
//	open ───────────────────────────> met     (an ack is taken back: met goes back to open or failed)
//	 │ └───── durable, acks + silent < need ──> failed
//	 └─────── the local log failed ───────────> unknown
type tally struct {
	// need is W less the coordinating replica.
	need   int
	local  localState
	givers []giver
	// acked and silent count givers for each key.
	acked, silent []int16
	// skip are keys that nothing was decided for: they count as settled.
	skip []bool
}

// sent adds a giver for the keys; it is silent until it answers.
func (t *tally) sent(target int, keys []int) {
	t.givers = append(t.givers, giver{target: target, keys: keys})
	for _, k := range keys {
		t.silent[k]++
	}
}

// stand adds a key to what a fallback node is sent in the place of a replica, as one of the givers from first on, and says
// which giver that is.
func (t *tally) stand(first, target int, standsFor ring.NodeID, k int) (g int) {
	for g = first; g < len(t.givers); g++ {
		if v := &t.givers[g]; v.target == target && v.standsFor == standsFor {
			v.keys = append(v.keys, k)
			t.silent[k]++
			return g
		}
	}
	t.givers = append(t.givers, giver{target: target, standsFor: standsFor, keys: []int{k}})
	t.silent[k]++
	return g
}

// short is how many copies of key k are missing even if all that are silent have it.
func (t *tally) short(k int) int { return t.need - int(t.acked[k]+t.silent[k]) }

// ack is a giver's word. Only the first answer of a giver counts.
func (t *tally) ack(g int, actor causal.Actor) {
	v := &t.givers[g]
	if v.state != giverSilent {
		return
	}
	v.state, v.actor = giverAcked, actor
	for _, k := range v.keys {
		t.silent[k]--
		t.acked[k]++
	}
}

// fail says that a giver will not give its word. Only the first answer of a giver counts.
func (t *tally) fail(g int, err error) {
	v := &t.givers[g]
	if v.state != giverSilent {
		return
	}
	v.state, v.err = giverFailed, err
	for _, k := range v.keys {
		t.silent[k]--
	}
}

// errVoid is the cause that a giver has whose actor changed.
type errVoid struct{ had, has causal.Actor }

func (e errVoid) Error() string {
	return fmt.Sprintf("acknowledged as actor %s and may have forgotten it: its actor is now %s", e.had, e.has)
}

// void takes the word back of a giver that has another actor by now. An actor of zero is one not heard of, and voids
// nothing.
func (t *tally) void(g int, now causal.Actor) bool {
	v := &t.givers[g]
	if v.state != giverAcked || now == 0 || now == v.actor {
		return false
	}
	v.state, v.err = giverFailed, errVoid{had: v.actor, has: now}
	for _, k := range v.keys {
		t.acked[k]--
	}
	return true
}

// verdict is what has become of key k.
func (t *tally) verdict(k int) verdict {
	switch {
	case t.local == localFailed:
		return verdictUnknown
	case t.local == localPending:
		return verdictOpen // even if too few are left: only the local log can tell the effect
	case int(t.acked[k]) >= t.need:
		return verdictMet
	case t.short(k) > 0:
		return verdictFailed
	}
	return verdictOpen
}

// settled says whether no key is open.
func (t *tally) settled() bool {
	if t.local == localPending {
		return false
	}
	for k := range t.acked {
		if !t.skip[k] && t.verdict(k) == verdictOpen {
			return false
		}
	}
	return true
}
