package peer

import (
	"fmt"

	"github.com/ringcask/ringcask/ring"
)

// LostError says that the link broke after a request was queued on it: the effect of the request is unknown.
type LostError struct {
	Node ring.NodeID
	Err  error
}

func (e *LostError) Error() string {
	return fmt.Sprintf("peer: connection to %s lost: %v", e.Node, e.Err)
}
func (e *LostError) Unwrap() error { return e.Err }

// Reason is why a handshake failed. It travels as a number: the list is append-only.
type Reason uint8

// The reasons.
const (
	// ReasonProtocol: the two nodes share no protocol version.
	ReasonProtocol Reason = iota + 1
	// ReasonWrongNode: another node answers at the address than the member list says.
	ReasonWrongNode
	// ReasonNotMember: the node is not in the member list.
	ReasonNotMember
	// ReasonPartitions: the partition counts differ.
	ReasonPartitions
	// ReasonReplicas: N differs.
	ReasonReplicas
	// ReasonTable: the tables' fingerprints differ.
	ReasonTable
	// ReasonOutdated: the peer has met a run of the node that its data directory does not know: that is an older state, or
	// another one than the node had.
	ReasonOutdated
	// ReasonDuplicateNode: another holder of the node's id is alive.
	ReasonDuplicateNode
	// ReasonDuplicateActor: another node holds the actor.
	ReasonDuplicateActor
	// ReasonConflict: the two nodes themselves hold the same id or actor. Which of them is the copy is for the others
	// to say.
	ReasonConflict
	// ReasonInternal: the node could not be remembered durably, or the judge was stopped.
	ReasonInternal
	reasonEnd
)

var reasonNames = [reasonEnd]string{
	"unknown", "protocol", "wrong_node", "not_member", "partitions", "replicas", "table",
	"outdated", "duplicate_node", "duplicate_actor", "conflict", "internal",
}

func (r Reason) String() string {
	if r < reasonEnd {
		return reasonNames[r]
	}
	return reasonNames[0]
}

// HandshakeError says why two nodes do not talk to each other.
type HandshakeError struct {
	// Node is the other node, as it names itself, or as the member list does when it said nothing; Addr its address.
	Node   ring.NodeID
	Addr   string
	Reason Reason
	// ByPeer says that the other node refused this one; else this one refused it.
	ByPeer bool
	// Detail names the values of both sides.
	Detail string
	// Last is, for ReasonOutdated, the run that was met last.
	Last Run
}

func (e *HandshakeError) Error() string {
	if e.ByPeer {
		return fmt.Sprintf("peer: refused by %s at %s (%s): %s", e.Node, e.Addr, e.Reason, e.Detail)
	}
	return fmt.Sprintf("peer: refused %s at %s (%s): %s", e.Node, e.Addr, e.Reason, e.Detail)
}

// Fatal says that the refused node holds an identity which is not, or no longer, its own: it must stop.
func (e *HandshakeError) Fatal() bool {
	switch e.Reason {
	case ReasonDuplicateNode, ReasonDuplicateActor:
		return true
	default:
		return false
	}
}
