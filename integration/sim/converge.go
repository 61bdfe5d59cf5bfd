package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// allPartitions asks a node for all partitions that it holds.
const allPartitions = -1

// recovered is why a node has not made up yet for what it had lost at a moment. Damage is found when it is read, so everything must have been
// read since.
func (s *server) recovered(since time.Time) error {
	p := s.process()
	if p == nil {
		return fmt.Errorf("%s does not run", s.cfg.ID)
	}
	if err := p.node.Ready(); err != nil {
		return fmt.Errorf("%s: %w", s.cfg.ID, err)
	}
	st := p.node.Status()
	switch r := st.Replication; {
	case r.Unfilled > 0:
		return fmt.Errorf("%s: %d partitions are not filled", s.cfg.ID, r.Unfilled)
	case r.WithoutTree > 0:
		return fmt.Errorf("%s: %d partitions have no tree, which would show what was lost", s.cfg.ID, r.WithoutTree)
	case r.Poisoned > 0 || r.Healing > 0:
		return fmt.Errorf("%s: %d partitions have what cannot be read, %d keys wait to be healed", s.cfg.ID, r.Poisoned, r.Healing)
	case r.Mending:
		return fmt.Errorf("%s has not made up for the damage that it has found", s.cfg.ID)
	case st.Storage.ReadOnly != "":
		return fmt.Errorf("%s is read-only: %s", s.cfg.ID, st.Storage.ReadOnly)
	case time.UnixMilli(st.Storage.ScrubbedAt).Before(since):
		return fmt.Errorf("%s has not read all that it holds since it lost something", s.cfg.ID)
	}
	return nil
}

// noCopies is an error while a node keeps the copy of a write in place of a replica, which counted.
func (c *Cluster) noCopies() error {
	for _, s := range c.servers {
		p := s.process()
		if p == nil {
			continue // its disk has what it had
		}
		for _, t := range p.node.Status().Hints.Targets {
			if t.Counted > 0 {
				return fmt.Errorf("%s keeps %d copies for %s", s.cfg.ID, t.Counted, t.Node)
			}
		}
	}
	return nil
}

// noHints is an error while hints wait for somebody anywhere.
func (c *Cluster) noHints() error {
	for _, s := range c.servers {
		p := s.process()
		if p == nil {
			return fmt.Errorf("%s does not run", s.cfg.ID)
		}
		if h := p.node.Status().Hints; h.Count > 0 {
			return fmt.Errorf("%s has %d hints: %+v", s.cfg.ID, h.Count, h.Targets)
		}
	}
	return nil
}

// states says of each node what may keep it from converging.
func (c *Cluster) states() (lines []string) {
	for _, s := range c.servers {
		p := s.process()
		if p == nil {
			lines = append(lines, s.cfg.ID+" does not run")
			continue
		}
		st := p.node.Status()
		r := st.Replication
		line := fmt.Sprintf("%s is %s: of %d partitions %d unfilled, %d without tree, %d poisoned; %d keys wait to be healed; mending %t; damage %d; read-only %q; %d hints; %d exchanges, %d failed",
			s.cfg.ID, st.State, r.Partitions, r.Unfilled, r.WithoutTree, r.Poisoned, r.Healing, r.Mending, st.Storage.Damage, st.Storage.ReadOnly+st.Hints.ReadOnly,
			st.Hints.Count, r.Exchanges, r.ExchangesFailed)
		for _, m := range st.Members {
			if !m.Reachable {
				line += fmt.Sprintf("; cannot reach %s: %s", m.ID, m.Reason)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// converged is why not all replicas of every partition are known to be equal.
func (c *Cluster) converged(ctx context.Context) error {
	if err := c.ready(); err != nil {
		return err
	}
	reports := make(map[int][]wire.PartitionReport)
	for _, s := range c.servers {
		if err := s.recovered(time.Time{}); err != nil {
			return err
		}
		for _, r := range s.process().node.Partitions(ctx, allPartitions, false).Partitions {
			if !r.Filled || r.Root == "" || r.PoisonedKeys > 0 || r.SpoiledLeaves > 0 || r.Incomplete {
				return fmt.Errorf("%s: partition %d cannot be compared: %+v", s.cfg.ID, r.Partition, r)
			}
			reports[r.Partition] = append(reports[r.Partition], r)
		}
	}
	for p, held := range reports {
		for _, r := range held[1:] {
			if r.Rule != held[0].Rule || r.Root != held[0].Root {
				return fmt.Errorf("partition %d differs: %s under %s, and %s under %s", p, held[0].Root, held[0].Rule, r.Root, r.Rule)
			}
		}
	}
	return c.noHints()
}
