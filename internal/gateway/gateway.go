// Package gateway is what the faces of a node (http, rpc) have in common: the interfaces that they need, admission at
// the edge, and the one table that maps errors to wire codes. Faces translate; they never decide.
package gateway

import (
	"context"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

// Store is the coordinator as the faces use it. The error of each call is for the request as a whole (an overloaded or
// draining node, a bad request); what became of each key is in the results.
type Store interface {
	Write(ctx context.Context, req *coordinator.WriteRequest) ([]coordinator.Outcome, error)
	Read(ctx context.Context, req *coordinator.ReadRequest) ([]coordinator.ReadResult, error)
	Range(ctx context.Context, req *coordinator.RangeRequest) (*coordinator.RangePage, error)
}

// Clock is the node's hybrid logical clock, which travels on every message between nodes and Go clients.
type Clock interface {
	// Last is the greatest timestamp issued or observed.
	Last() causal.Timestamp
	// ObserveClient advances the clock past what a client brought. It refuses, with no effect, what is further ahead
	// than the bound on clock offsets: a client must not be able to push the clock into the future.
	ObserveClient(causal.Timestamp) error
}

// Inspector tells of the node.
type Inspector interface {
	Status() *wire.Status
	Topology() *wire.Topology
	// Ready is nil when the node serves requests, else why not.
	Ready() error
}
