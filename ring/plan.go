package ring

import (
	"cmp"
	"fmt"
	"slices"
)

// Plan makes the table for a set of members, from the one before it or, if old is nil, from nothing. Zero fields of
// cfg are defaults. The order of members does not matter, and members is not kept. It takes about a millisecond at
// ten members, but ten seconds at a thousand: docs/ring.md says why. Errors wrap ErrConfig: a bad config or name, a
// duplicate, fewer members than replicas, or another partition count than the old table's.
func Plan(old *Table, members []Member, cfg Config) (*Table, error) {
	cfg = cfg.WithDefaults()
	members = slices.Clone(members)
	slices.SortFunc(members, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	if err := validate(old, members, cfg); err != nil {
		return nil, err
	}
	primaries, err := placePrimaries(cfg, members)
	if err != nil {
		return nil, err
	}
	pl := newPlacement(cfg, members, primaries)
	version := uint64(1)
	if old != nil {
		version = old.version + 1
		pl.keep(survivors(old, members))
	}
	pl.fill()
	pl.lift()
	pl.relieve()
	pl.order()
	rows := make([]int32, 0, cfg.Partitions*cfg.Replicas)
	for _, set := range pl.sets {
		rows = append(rows, set...)
	}
	return newTable(version, cfg, members, rows), nil
}

// validate checks what Plan was given; members are sorted.
func validate(old *Table, members []Member, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if old != nil && old.cfg.Partitions != cfg.Partitions {
		return fmt.Errorf("%w: %d partitions, but the cluster was made with %d, which cannot change",
			ErrConfig, cfg.Partitions, old.cfg.Partitions)
	}
	if len(members) > MembersMax {
		return fmt.Errorf("%w: %d members, the limit is %d", ErrConfig, len(members), MembersMax)
	}
	for i, m := range members {
		if err := m.Validate(); err != nil {
			return fmt.Errorf("%w: %w", ErrConfig, err)
		}
		if i > 0 && members[i-1].ID == m.ID {
			return fmt.Errorf("%w: member %s is listed twice", ErrConfig, m.ID)
		}
	}
	if len(members) < cfg.Replicas {
		return fmt.Errorf("%w: %d replicas of each partition need as many members, there are %d",
			ErrConfig, cfg.Replicas, len(members))
	}
	return nil
}

// survivors are the replicas of each partition in an old table that are among the new members, as indexes into these.
func survivors(old *Table, members []Member) [][]int32 {
	now := make([]int32, len(old.members))
	for i := range now {
		now[i] = -1
	}
	for i, m := range members {
		if o := old.index(m.ID); o >= 0 {
			now[o] = int32(i)
		}
	}
	rows := make([][]int32, old.cfg.Partitions)
	for i, m := range old.rows {
		if p := i / old.cfg.Replicas; now[m] >= 0 {
			rows[p] = append(rows[p], now[m])
		}
	}
	return rows
}
