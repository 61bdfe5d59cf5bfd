package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ringcask/ringcask/antientropy"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/replica"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

var _ gateway.Admin = (*Node)(nil)

// Partitions implements gateway.Admin.
func (n *Node) Partitions(ctx context.Context, partition int, sizes bool) *wire.PartitionsReport {
	report := &wire.PartitionsReport{
		Node: n.cfg.ID, Paused: n.exchanger.Paused(), Hints: hintTargets(n.handoff.store.Stats().Targets), Partitions: []wire.PartitionReport{},
	}
	var counted census
	if sizes {
		counted = n.sizes.get(ctx)
		report.SizesAt = epochMillis(counted.at)
	}
	for _, p := range n.held() {
		if partition != gateway.AllPartitions && int(p) != partition {
			continue
		}
		r := n.partitionReport(p)
		if counted.parts != nil {
			r.StoredKeys, r.Bytes = counted.parts[p].keys, counted.parts[p].bytes
		}
		report.Partitions = append(report.Partitions, r)
	}
	return report
}

func (n *Node) partitionReport(p ring.PartitionID) wire.PartitionReport {
	stats := n.forest.Stats(p)
	r := wire.PartitionReport{
		Partition: int(p), Filled: n.replica.Filled(p), Tree: treeState(stats),
		Keys: stats.Keys, Tombstones: stats.Tombstones, Expiring: stats.Expiring, Settled: stats.Settled,
		PoisonedKeys: stats.PoisonedKeys, SpoiledLeaves: stats.SpoiledLeaves, Incomplete: stats.Incomplete,
		StableEntries: len(n.replica.Stable(p)), Retiring: []string{}, Peers: []wire.PairReport{},
	}
	if stats.Stands {
		rule, root := n.rootOf(p)
		r.Rule, r.Root = fmt.Sprintf("%016x", rule.Digest()), fmt.Sprintf("%016x", root)
	}
	for _, a := range n.exchanger.Retiring(p) {
		r.Retiring = append(r.Retiring, a.String())
	}
	for _, id := range n.table.Replicas(p) {
		if string(id) == n.cfg.ID {
			continue
		}
		r.Peers = append(r.Peers, wire.PairReport{
			ID: string(id), LastComplete: epochMillis(n.exchanger.LastComplete(p, id)), NeededSince: epochMillis(n.exchanger.NeededSince(p, id)),
		})
	}
	return r
}

// rootOf is the root of a tree that stands, with the rule that it is of: a new tree may take its place between two looks.
func (n *Node) rootOf(p ring.PartitionID) (antientropy.Rule, uint64) {
	for {
		rule := n.forest.Rule(p)
		root := n.forest.Root(p)
		if n.forest.Rule(p).Equal(rule) {
			return rule, root
		}
	}
}

func treeState(s antientropy.TreeStats) string {
	switch {
	case s.Stands && s.Rebuilding:
		return "rebuilding"
	case s.Stands:
		return "stands"
	case s.Rebuilding:
		return "building"
	}
	return "none"
}

// PauseExchange implements gateway.Admin.
func (n *Node) PauseExchange(paused bool) {
	n.log.Info("exchanges are paused or resumed", "paused", paused)
	n.exchanger.Pause(paused)
}

// ExchangePaused implements gateway.Admin.
func (n *Node) ExchangePaused() bool { return n.exchanger.Paused() }

// ExchangeNow implements gateway.Admin.
func (n *Node) ExchangeNow() {
	for _, m := range n.table.Members() {
		n.exchanger.Hurry(m.ID)
	}
}

// Key implements gateway.Admin.
func (n *Node) Key(key []byte) (*wire.KeyReport, error) {
	p, leaf := n.forest.LeafOf(key)
	r := &wire.KeyReport{
		Node: n.cfg.ID, Partition: int(p), Leaf: leaf, Holds: n.replica.Holds(p), Filled: n.replica.Filled(p),
		Healing: n.healer.waitsFor(key), State: "held", Siblings: []wire.SiblingReport{},
	}
	o, meta, err := n.replica.Stored(key)
	stable := n.replica.Stable(p)
	v := verdictOf{rule: n.forest.Rule(p), stands: n.forest.Stands(p), filled: r.Filled, stable: stable, now: n.now()}
	switch {
	case errors.Is(err, storage.ErrNotFound):
		r.State = "absent"
		r.Reclaim, r.Reasons = reclaimAbsent, []string{v.absent(r.Holds)}
	case replica.Unreadable(err):
		r.State = "unreadable"
		r.Reclaim, r.Reasons = reclaimKept, []string{"its record cannot be read: what it was is not known until enough other replicas were asked"}
	case err != nil:
		return nil, err
	default:
		r.Reclaim, r.Reasons = v.held(o, n.forest.Settled(p, meta))
	}
	for i := range o.Siblings {
		s := &o.Siblings[i]
		r.Siblings = append(r.Siblings, wire.SiblingReport{
			Dot: s.Dot.String(), Tombstone: s.Tombstone, ExpiresAt: s.ExpiresAt,
			Expired: !s.Tombstone && !s.Visible(n.now()), ValueBytes: len(s.Value),
		})
	}
	n.handoff.explain(r, key)
	r.Stored, r.Seen, r.Stable = vectorText(o.Vector), vectorText(n.seen(r, o, stable)), vectorText(stable)
	return r, nil
}

// seen is what the key counts as having seen here: what is absent or not known from a partition that is not filled has seen nothing.
func (n *Node) seen(r *wire.KeyReport, o causal.Object, stable causal.Vector) causal.Vector {
	if r.State == "unreadable" || r.State == "absent" && !r.Filled {
		return nil
	}
	return o.Expand(stable, nil).Vector
}

func vectorText(v causal.Vector) []string {
	texts := make([]string, len(v))
	for i, e := range v {
		texts[i] = e.String()
	}
	return texts
}
