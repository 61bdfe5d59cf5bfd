package cluster

import (
	"time"

	"github.com/ringcask/ringcask/ring"
)

// State says how a member seems to be.
type State uint8

// The states.
const (
	// Unseen: it was not met since this node started.
	Unseen State = iota
	// Alive: its probes are answered.
	Alive
	// Suspect: it is held for alive, but has left this node's last probes unanswered.
	Suspect
	// Dead: it was given up, or has left.
	Dead
)

// States lists all states.
var States = [...]State{Unseen, Alive, Suspect, Dead}

func (s State) String() string {
	return [...]string{"unseen", "alive", "suspect", "dead"}[min(s, Dead)]
}

// Member is another node as this one sees it.
type Member struct {
	ID    ring.NodeID
	State State
	// Since is when State began: for Unseen, when Liveness was made.
	Since time.Time
	// Incarnation and Condition are what the member last said; zero and Starting before it was met.
	Incarnation uint64
	Condition   Condition
}

// record is a Member and what its state is judged by.
type record struct {
	Member
	// held: memberlist holds it for alive. heard is when it last answered a probe, or was found to be alive.
	held  bool
	heard time.Time
	// changed: Options.Changed is to be told.
	changed bool
}

// judge draws the state from what is known, at the given moment; silence is how long a living member may be unheard of.
func (r *record) judge(now time.Time, silence time.Duration) {
	state := r.State
	switch {
	case r.held && now.Sub(r.heard) > silence:
		state = Suspect
	case r.held:
		state = Alive
	case r.State != Unseen:
		state = Dead
	}
	if state != r.State {
		r.State, r.Since, r.changed = state, now, true
	}
}

// take notes what the member says of itself.
func (r *record) take(m metadata) {
	if r.Incarnation != m.incarnation || r.Condition != m.condition {
		r.Incarnation, r.Condition, r.changed = m.incarnation, m.condition, true
	}
}
