package node

import (
	"errors"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/cluster"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

var _ gateway.Inspector = (*Node)(nil)

var (
	errStarting = errors.New("starting: not all peers are met yet")
	errDraining = errors.New("draining")
)

// Ready implements gateway.Inspector: nil when the node serves requests, else why not.
func (n *Node) Ready() error {
	switch n.phase.Load() {
	case phaseStarting:
		return n.starting()
	case phaseDraining:
		return errDraining
	}
	return n.replica.Serving()
}

// Status implements gateway.Inspector.
func (n *Node) Status() *wire.Status {
	state := "serving"
	if err := n.Ready(); err != nil {
		state = err.Error()
	}
	return &wire.Status{
		Node: n.cfg.ID, State: state, Version: Version, StartedAt: n.startedAt,
		Incarnation: n.replica.Incarnation(), Actor: n.replica.Actor().String(),
		ClockOffsetMillis: millis(time.Duration(n.offset.Load())),
		Members:           n.memberStatus(),
		Storage:           n.replica.Status(),
		Hints:             n.handoff.status(),
		Requests:          n.admission.Status(),
		Replication:       n.replicationStatus(),
	}
}

func (n *Node) memberStatus() []wire.MemberStatus {
	all := make([]wire.MemberStatus, 0, len(n.cfg.Members))
	seen := n.peers.Status()
	for _, m := range n.table.Members() {
		s := wire.MemberStatus{
			ID: string(m.ID), Zone: m.Zone, Reachable: true,
			Liveness: cluster.Alive.String(), LivenessSince: n.startedAt.UnixMilli(), Condition: n.condition().String(),
		}
		if l, ok := n.liveness.Member(m.ID); ok {
			s.Liveness, s.LivenessSince, s.Condition = l.State.String(), l.Since.UnixMilli(), l.Condition.String()
		}
		s.Primaries, s.Replicas = n.table.Counts(m.ID)
		for _, p := range seen {
			if p.ID == m.ID {
				s.Reachable, s.Reason, s.Slow = p.Reachable, p.Reason, p.Slow
				s.RTTMicros, s.ClockOffsetMillis = p.RTT.Microseconds(), millis(p.Offset)
			}
		}
		all = append(all, s)
	}
	return all
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Topology implements gateway.Inspector. A member that this node has not met yet has no client addresses.
func (n *Node) Topology() *wire.Topology {
	t := &wire.Topology{
		Version: n.table.Version(), Fingerprint: n.table.Fingerprint().String(),
		Partitions: n.table.PartitionCount(), Replicas: n.table.N(),
		R: n.level(n.cfg.R), W: n.level(n.cfg.W),
	}
	seen := n.peers.Status()
	index := make(map[ring.NodeID]int)
	for i, m := range n.table.Members() {
		index[m.ID] = i
		tm := wire.TopologyMember{ID: string(m.ID), Zone: m.Zone, Peer: n.member(string(m.ID)).Peer}
		if string(m.ID) == n.cfg.ID {
			tm.HTTP, tm.RPC = n.announced(n.ports.http), n.announced(n.ports.rpc)
		}
		for _, p := range seen {
			if p.ID == m.ID {
				tm.HTTP, tm.RPC = p.HTTPAddr, p.RPCAddr
			}
		}
		t.Members = append(t.Members, tm)
	}
	t.Table = make([][]int, t.Partitions)
	for p := range t.Table {
		for _, id := range n.table.Replicas(ring.PartitionID(p)) {
			t.Table[p] = append(t.Table[p], index[id])
		}
	}
	return t
}

// level is how many replicas a valid default level asks for.
func (n *Node) level(name string) int {
	level, err := parseLevel(name, n.cfg.Replicas)
	switch {
	case err != nil:
		return 0
	case level == coordinator.LevelOne:
		return 1
	case level == coordinator.LevelQuorum:
		return n.cfg.Replicas/2 + 1
	case level == coordinator.LevelAll:
		return n.cfg.Replicas
	}
	return int(level)
}
