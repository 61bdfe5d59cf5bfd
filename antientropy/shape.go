package antientropy

// The shape of a partition's tree.
const (
	InnerCount     = 32
	LeavesPerInner = 32
	LeafCount      = InnerCount * LeavesPerInner
)
