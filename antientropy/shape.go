package antientropy

// PlaceScheme numbers the way in which keys come to be in partitions and leaves: see Forest.LeafOf.
const PlaceScheme = 1

// The shape of a partition's tree.
const (
	InnerCount     = 32
	LeavesPerInner = 32
	LeafCount      = InnerCount * LeavesPerInner
)
