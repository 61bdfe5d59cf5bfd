package coordinator

// shipment is the keys of a write that one replica is asked to coordinate.
type shipment struct {
	target int
	keys   []int
}

// planForward chooses for every key of a write the replica that is asked to coordinate it, so that few are asked and
// so that of two that could take equally much the one earlier in a key's preference is. candidates[i] are the targets
// that may coordinate keys[i], in order of preference; keys without any are left out.
func planForward(keys []int, candidates [][]int) []shipment {
	if len(keys) == 1 && len(candidates[0]) > 0 {
		return []shipment{{target: candidates[0][0], keys: keys}}
	}
	var plan []shipment
	placed := make([]bool, len(keys))
	for {
		best, most, favour := -1, 0, 0
		could, first := map[int]int{}, map[int]int{}
		for i := range keys {
			if placed[i] {
				continue
			}
			for at, target := range candidates[i] {
				could[target]++
				if at == 0 {
					first[target]++
				}
			}
		}
		for i := range keys { // in the order of keys, not of the map: the same input, the same plan
			for _, target := range candidates[i] {
				n, f := could[target], first[target]
				if n > most || n == most && f > favour {
					best, most, favour = target, n, f
				}
			}
		}
		if best < 0 {
			return plan
		}
		ship := shipment{target: best}
		for i := range keys {
			for _, target := range candidates[i] {
				if target == best && !placed[i] {
					placed[i] = true
					ship.keys = append(ship.keys, keys[i])
				}
			}
		}
		plan = append(plan, ship)
	}
}
