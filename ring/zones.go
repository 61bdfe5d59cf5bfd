package ring

// zoneRule says how the replicas of one partition are to be spread over zones: base[z] of them in every zone z, and extra
// further ones, at most one in any zone. The base sums to N less extra.
//
// The sets of nodes that can still be completed to such a spread are the independent sets of a matroid: those with at
// most extra nodes above the base of their zones, none above by more than one. So taking nodes greedily never gets stuck.
type zoneRule struct {
	of    []int // zone of each member
	size  []int // members of each zone
	base  []int
	extra int
}

// numberZones gives each member the number of its zone. A member without a zone gets one of its own.
func numberZones(members []Member) []int {
	of := make([]int, len(members))
	named := make(map[string]int)
	next := 0
	for i, m := range members {
		z, known := named[m.Zone]
		if !known || m.Zone == "" {
			z = next
			next++
			named[m.Zone] = z
		}
		of[i] = z
	}
	return of
}

// newZoneRule spreads replicas, which are no more than members, as evenly as the sizes of the zones allow.
func newZoneRule(members []Member, replicas int) zoneRule {
	r := zoneRule{of: numberZones(members)}
	for _, z := range r.of {
		for len(r.size) <= z {
			r.size = append(r.size, 0)
		}
		r.size[z]++
	}
	// level is the most that any zone has to take.
	level := 1
	for r.capacity(level) < replicas {
		level++
	}
	r.base = make([]int, len(r.size))
	r.extra = replicas
	for z, size := range r.size {
		r.base[z] = min(size, level-1)
		r.extra -= r.base[z]
	}
	return r
}

// capacity is how many replicas of a partition fit when no zone takes more than level.
func (r *zoneRule) capacity(level int) int {
	fit := 0
	for _, size := range r.size {
		fit += min(size, level)
	}
	return fit
}

// admits says whether in may join the replicas in set, out (none if negative) having left.
func (r *zoneRule) admits(set []int32, in, out int32) bool {
	zone, inZone, above := r.of[in], 0, 0
	for i, m := range set {
		if m == in {
			return false
		}
		if m == out {
			continue
		}
		z, nth := r.of[m], 1
		for _, earlier := range set[:i] {
			if earlier != out && r.of[earlier] == z {
				nth++
			}
		}
		if nth > r.base[z] {
			above++
		}
		if z == zone {
			inZone++
		}
	}
	if inZone == r.base[zone] {
		return above < r.extra
	}
	return inZone < r.base[zone]
}

// shares returns, for each zone, the fair share of copies of one node in it, rounded down and up, when partitions
// have their copies spread by the rule and as evenly over nodes as the rule leaves free. Whole numbers only, so that
// every machine agrees.
func (r *zoneRule) shares(partitions, replicas int) (low, high []int) {
	copies := partitions * replicas
	// level is the least number of copies a node that makes room for all of them. It is at most partitions.
	level := (copies + len(r.of) - 1) / len(r.of)
	for r.room(level, partitions) < copies {
		level++
	}
	under := level
	if r.room(level, partitions) > copies {
		under--
	}
	low, high = make([]int, len(r.size)), make([]int, len(r.size))
	for z, size := range r.size {
		low[z] = r.roomIn(z, under, partitions) / size
		high[z] = (r.roomIn(z, level, partitions) + size - 1) / size
	}
	return low, high
}

func (r *zoneRule) room(level, partitions int) int {
	sum := 0
	for z := range r.size {
		sum += r.roomIn(z, level, partitions)
	}
	return sum
}

// roomIn is how many copies a zone takes at level copies a node: no less than its base, no more than one above.
func (r *zoneRule) roomIn(z, level, partitions int) int {
	least := r.base[z] * partitions
	most := least
	if r.size[z] > r.base[z] && r.extra > 0 {
		most += partitions
	}
	return min(max(level*r.size[z], least), most)
}
