// Package planted is mistakes that the code can be told to make, so that a test harness can be shown to find them. Without the build tag
// "planted" there are none: On is a constant then, and what it guards is not compiled. With it one mistake at a time can be sown, for the whole
// process; such a build is for tests only.
package planted

// Bug is a mistake.
type Bug uint8

// The mistakes.
const (
	// DropHint acknowledges a copy that a node is to keep for another one, and keeps none.
	DropHint Bug = iota + 1
	// SkipSync acknowledges writes that were written to the log but not synced.
	SkipSync
	// ReuseDot gives a write the dot of the last write of the same actor on the same key.
	ReuseDot
	// ForgetTombstone lets merges drop tombstones that not all replicas are known to hold.
	ForgetTombstone
	// ServeUnfilled has a replica answer for a partition that it has lost and not filled again.
	ServeUnfilled
	// HalfMerge has a merge put what it has written half-way in place of all that it was to merge.
	HalfMerge
	// ShortPage leaves the last key out of each page of a scan.
	ShortPage
	// TearBatch writes each record of a mutation as a frame of its own, and syncs the first one before it writes the next.
	TearBatch
)

var names = [...]string{"none", "drop-hint", "skip-sync", "reuse-dot", "forget-tombstone", "serve-unfilled", "half-merge", "short-page", "tear-batch"}

// String is the mistake's name.
func (b Bug) String() string { return names[b] }

// Named is the mistake with a name; false if there is none.
func Named(name string) (Bug, bool) {
	for b, n := range names {
		if n == name && b > 0 {
			return Bug(b), true
		}
	}
	return 0, false
}
