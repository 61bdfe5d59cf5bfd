package wire

// PartitionsReport is what a node says of the partitions that it holds. These reports travel as JSON only. Times are in milliseconds
// since the Unix epoch, and zero for never.
type PartitionsReport struct {
	Node   string `json:"node"`
	Paused bool   `json:"paused"`
	// SizesAt is when StoredKeys and Bytes were counted; zero if they were not, or not asked for.
	SizesAt int64 `json:"sizes_at"`
	// Hints are those that the node keeps for others, of any partition, and the needs that dropped ones have left.
	Hints      []HintTarget      `json:"hints"`
	Partitions []PartitionReport `json:"partitions"`
}

// PartitionReport is one partition on one node.
type PartitionReport struct {
	Partition int `json:"partition"`
	// Filled says whether the node vouches for what it does not hold.
	Filled bool `json:"filled"`
	// Tree is "stands", "rebuilding" (one stands, and is being built anew), "building" or "none". Without one, Root and Rule are empty.
	Tree string `json:"tree"`
	// Root is the hash of all keys; roots can be compared where Rule is the same, which is short for the stable vector and the time up
	// to which what expires counts as deleted.
	Root string `json:"root,omitempty"`
	Rule string `json:"rule,omitempty"`
	// Keys are those in the tree, Tombstones and Expiring those of them that consist of deletions, and of what expires. What is settled
	// is not among them: these are Settled, which the next merges drop.
	Keys       int64 `json:"keys"`
	Tombstones int64 `json:"tombstones"`
	Expiring   int64 `json:"expiring"`
	Settled    int64 `json:"settled"`
	// StoredKeys and Bytes are what the index has, settled ones among them: keys, and the sizes of their records.
	StoredKeys int64 `json:"stored_keys"`
	Bytes      int64 `json:"bytes"`
	// PoisonedKeys cannot be read. SpoiledLeaves are parts of the tree that do not say what is there. Incomplete says that the tree was built
	// past damage of which the keys are not known: what they were is brought back while the partition is not filled.
	PoisonedKeys  int  `json:"poisoned_keys"`
	SpoiledLeaves int  `json:"spoiled_leaves"`
	Incomplete    bool `json:"incomplete"`
	// StableEntries is the length of the stable vector, Retiring are the actors that are to be retired from it.
	StableEntries int      `json:"stable_entries"`
	Retiring      []string `json:"retiring"`
	// Peers are the other replicas.
	Peers []PairReport `json:"peers"`
}

// PairReport is how a partition stands between a node and another replica of it: when it was last found equal, or made so, since the node
// started, and since when it is known to need repair.
type PairReport struct {
	ID           string `json:"id"`
	LastComplete int64  `json:"last_complete"`
	NeededSince  int64  `json:"needed_since"`
}

// KeyReport is what one node holds of a key, and says of it.
type KeyReport struct {
	Node      string `json:"node"`
	Partition int    `json:"partition"`
	Leaf      int    `json:"leaf"`
	// Holds says whether the node is a replica of the partition, Filled whether it vouches for what it does not hold of it.
	Holds  bool `json:"holds"`
	Filled bool `json:"filled"`
	// State is "held", "absent" or "unreadable".
	State string `json:"state"`
	// Healing says that the key waits to be fetched from other replicas.
	Healing  bool            `json:"healing"`
	Siblings []SiblingReport `json:"siblings"`
	// Stored is the vector as it is stored, Seen with what the stable vector implies, Stable the partition's stable vector. All are
	// written as actor@time.
	Stored []string `json:"stored"`
	Seen   []string `json:"seen"`
	Stable []string `json:"stable"`
	// Reclaim is "absent", "kept", "waiting" or "settled", and Reasons say why.
	Reclaim string   `json:"reclaim"`
	Reasons []string `json:"reasons"`
	// Hints are those that the node keeps of the key for others, sorted by target. HintsError is why they cannot be told, or empty.
	Hints      []KeyHint `json:"hints"`
	HintsError string    `json:"hints_error,omitempty"`
}

// KeyHint is what a node keeps of a key for one that has not acknowledged it.
type KeyHint struct {
	Node string `json:"node"`
	// Since is when that one first missed the key, in milliseconds since the Unix epoch.
	Since int64 `json:"since"`
	// Counted says that the hint is a copy, which a sloppy write counted.
	Counted bool  `json:"counted"`
	Bytes   int64 `json:"bytes"`
}

// SiblingReport is one sibling without its value.
type SiblingReport struct {
	Dot        string `json:"dot"`
	Tombstone  bool   `json:"tombstone"`
	ExpiresAt  int64  `json:"expires_at,omitempty"`
	Expired    bool   `json:"expired"`
	ValueBytes int    `json:"value_bytes"`
}

// ExchangeReport says whether exchanges are paused.
type ExchangeReport struct {
	Paused bool `json:"paused"`
}
