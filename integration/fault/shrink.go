package fault

import "slices"

// Shrink looks for a smaller plan that still fails: it leaves out runs of faults, from halves down to single ones, for as long as fails says that
// the rest fails too, and then shortens what is left. It calls fails at most tries times and returns the smallest failing plan it has seen.
//
// Source: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (delta debugging), in its greedy form.
func Shrink(p Plan, tries int, fails func(Plan) bool) Plan {
	try := func(faults []Fault) bool {
		if tries <= 0 {
			return false
		}
		tries--
		smaller := p
		smaller.Faults = faults
		if !fails(smaller) {
			return false
		}
		p = smaller
		return true
	}
	for size := (len(p.Faults) + 1) / 2; size >= 1; size /= 2 {
		for from := 0; from < len(p.Faults); {
			rest := slices.Delete(slices.Clone(p.Faults), from, min(from+size, len(p.Faults)))
			if !try(rest) {
				from += size
			}
		}
	}
	for i := range p.Faults {
		shorter := slices.Clone(p.Faults)
		shorter[i].For /= 2
		try(shorter)
	}
	return p
}
