package ring

import (
	"cmp"
	"slices"
)

// placement is a table in the making: the replica sets of all partitions and who holds how much.
type placement struct {
	replicas int
	zones    zoneRule
	hash     []uint64 // of each node, for score
	fair     []int    // copies that each node should at least get
	soft     []int    // copies above which a node is passed over while others have room
	caps     []int    // copies that a node may hold at most
	sets     [][]int32
	// held are the partitions that each node is a replica, but not the primary, of, in no order.
	held [][]PartitionID
	load []int
}

func newPlacement(cfg Config, members []Member, primaries []int32) *placement {
	n := len(members)
	pl := &placement{
		replicas: cfg.Replicas,
		zones:    newZoneRule(members, cfg.Replicas),
		hash:     make([]uint64, n), fair: make([]int, n), soft: make([]int, n), caps: make([]int, n),
		sets: make([][]int32, cfg.Partitions),
		held: make([][]PartitionID, n),
		load: make([]int, n),
	}
	low, high := pl.zones.shares(cfg.Partitions, cfg.Replicas)
	mean := shareCap(cfg.Partitions*cfg.Replicas, n, cfg.LoadMax)
	for m, member := range members {
		zone := pl.zones.of[m]
		pl.hash[m] = nodeHash(member.ID)
		pl.fair[m] = low[zone] - low[zone]/16
		pl.caps[m] = min(max(mean, high[zone]), cfg.Partitions)
		pl.soft[m] = min(pl.caps[m], high[zone]+(high[zone]+31)/32)
	}
	for p, m := range primaries {
		pl.sets[p] = append(make([]int32, 0, cfg.Replicas), m)
		pl.load[m]++
	}
	return pl
}

func (pl *placement) score(m int32, p PartitionID) uint64 { return score(pl.hash[m], p) }

func (pl *placement) add(p PartitionID, m int32) {
	pl.sets[p] = append(pl.sets[p], m)
	pl.held[m] = append(pl.held[m], p)
	pl.load[m]++
}

// move hands the copy of a partition from one node, which is not the primary, to another.
func (pl *placement) move(p PartitionID, from, to int32) {
	i := slices.Index(pl.sets[p], from)
	pl.sets[p] = slices.Delete(pl.sets[p], i, i+1)
	i = slices.Index(pl.held[from], p)
	pl.held[from] = slices.Delete(pl.held[from], i, i+1)
	pl.load[from]--
	pl.add(p, to)
}

// keep leaves the copies of an old table where they are, as far as the zones allow. rows has the old replicas of each
// partition that are still members. Where a new primary leaves one too many, the most loaded node gives up its copy.
func (pl *placement) keep(rows [][]int32) {
	expected := slices.Clone(pl.load)
	for p, row := range rows {
		for _, m := range row {
			if m != pl.sets[p][0] {
				expected[m]++
			}
		}
	}
	for i, row := range rows {
		p := PartitionID(i)
		slices.SortFunc(row, func(a, b int32) int {
			return cmp.Or(cmp.Compare(expected[a]-pl.fair[a], expected[b]-pl.fair[b]),
				cmp.Compare(pl.score(b, p), pl.score(a, p)), cmp.Compare(a, b))
		})
		for _, m := range row {
			switch {
			case m == pl.sets[p][0]:
			case len(pl.sets[p]) < pl.replicas && pl.zones.admits(pl.sets[p], m, -1):
				pl.add(p, m)
			default:
				expected[m]--
			}
		}
	}
}

// fill completes every replica set. It may load a node beyond its cap where the zones leave no other: see relieve.
func (pl *placement) fill() {
	for i := range pl.sets {
		p := PartitionID(i)
		for len(pl.sets[p]) < pl.replicas {
			pl.add(p, pl.choose(p))
		}
	}
}

// choose picks the node with the greatest score among those below their soft bound, or else below their cap, or else
// the one that is the least above it.
func (pl *placement) choose(p PartitionID) int32 {
	const soft, hard, over = 0, 1, 2
	best, bestTier, bestOver, bestScore := int32(-1), over+1, 0, uint64(0)
	for i := range pl.load {
		m := int32(i)
		tier, above := soft, 0
		switch {
		case pl.load[m] >= pl.caps[m]:
			tier, above = over, pl.load[m]-pl.caps[m]
		case pl.load[m] >= pl.soft[m]:
			tier = hard
		}
		s := pl.score(m, p)
		better := cmp.Or(cmp.Compare(tier, bestTier), cmp.Compare(above, bestOver), cmp.Compare(bestScore, s)) < 0
		if better && pl.zones.admits(pl.sets[p], m, -1) {
			best, bestTier, bestOver, bestScore = m, tier, above, s
		}
	}
	return best
}

// lift brings nodes that hold less than their fair share, such as new ones, up to it, taking copies from those that are
// furthest above theirs.
func (pl *placement) lift() {
	for i := range pl.load {
		m := int32(i)
		spent := make([]bool, len(pl.load)) // nodes that have nothing to give to m
		for pl.load[m] < pl.fair[m] {
			giver := pl.giver(spent)
			if giver < 0 {
				break
			}
			if p, found := pl.giveable(giver, m); found {
				pl.move(p, giver, m)
			} else {
				spent[giver] = true
			}
		}
	}
}

// giver is the node that is furthest above its fair share, or -1 if none is.
func (pl *placement) giver(spent []bool) int32 {
	best, most := int32(-1), 0
	for m, load := range pl.load {
		if above := load - pl.fair[m]; above > most && !spent[m] {
			best, most = int32(m), above
		}
	}
	return best
}

// giveable finds the partition that a node may hand to another, the one that the other scores highest for.
func (pl *placement) giveable(from, to int32) (PartitionID, bool) {
	var best PartitionID
	var bestScore uint64
	found := false
	for _, p := range pl.held[from] {
		s := pl.score(to, p)
		better := !found || s > bestScore || s == bestScore && p < best
		if better && pl.zones.admits(pl.sets[p], to, from) {
			best, bestScore, found = p, s, true
		}
	}
	return best, found
}

// order puts the replicas of each partition in their final order. If a primary is lost, the next in the row is asked
// first: it is chosen so that each node has the partitions of every other to inherit in nearly equal numbers. The
// second round mends what the first decided before it knew the rest.
func (pl *placement) order() {
	if pl.replicas == 1 {
		return
	}
	heirs := make(map[[2]int32]int)
	for i, set := range pl.sets {
		p := PartitionID(i)
		slices.SortFunc(set[1:], func(a, b int32) int {
			return cmp.Or(cmp.Compare(pl.score(b, p), pl.score(a, p)), cmp.Compare(a, b))
		})
		heirs[[2]int32{set[0], set[1]}]++
	}
	for range 2 {
		for _, set := range pl.sets {
			heirs[[2]int32{set[0], set[1]}]--
			first := 1
			for j := 2; j < len(set); j++ {
				if heirs[[2]int32{set[0], set[j]}] < heirs[[2]int32{set[0], set[first]}] {
					first = j
				}
			}
			set[1], set[first] = set[first], set[1]
			heirs[[2]int32{set[0], set[1]}]++
		}
	}
}
