package cluster

import (
	"log/slog"
	"slices"
	"testing"
)

// TestAMemberIsReachedThroughItsRoute lists each of two members at an address of nobody for the other one. One has a route.
func TestAMemberIsReachedThroughItsRoute(t *testing.T) {
	s := newSwarm(t, 4)
	real := s.members
	listed := func(other int) []Peer {
		members := slices.Clone(real[:2])
		members[other].Addr = real[2+other].Addr
		return members
	}
	s.members = listed(1)
	o := s.options(0)
	o.Transport = Routed(real[0].Addr, map[string]string{real[3].Addr: real[1].Addr}, slog.New(slog.DiscardHandler))
	s.start(o)
	s.members = listed(0)
	s.start(s.options(1))
	s.awaitAll()
}
