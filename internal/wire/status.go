package wire

import "time"

// Status is what a node says of itself and of what it knows of the others. It is the same in every face's own notation; the
// JSON names are also the msgpack map keys.
type Status struct {
	Node        string    `json:"node"`
	State       string    `json:"state"` // "serving", "starting", "draining", or why it does not serve
	Version     string    `json:"version"`
	StartedAt   time.Time `json:"started_at"`
	Incarnation uint64    `json:"incarnation"`
	Actor       string    `json:"actor"` // 12 hexadecimal digits
	// ClockOffset is this node's physical clock less the median of its peers', in milliseconds.
	ClockOffsetMillis float64        `json:"clock_offset_ms"`
	Members           []MemberStatus `json:"members"`
	Storage           StorageStatus  `json:"storage"`
	Hints             HintStatus     `json:"hints"`
	Requests          RequestStatus  `json:"requests"`
	// Replication says how far this node's partitions are from those of their other replicas.
	Replication ReplicationStatus `json:"replication"`
}

// MemberStatus is one member as the answering node sees it, itself among them.
type MemberStatus struct {
	ID        string `json:"id"`
	Zone      string `json:"zone,omitempty"`
	Reachable bool   `json:"reachable"`
	// Reason says why a member is not reachable.
	Reason string `json:"reason,omitempty"`
	// Slow says that others are asked first, because it answers late or has not answered for a moment.
	Slow bool `json:"slow"`
	// Liveness is what the gossip says of it: "alive", "suspect", "dead" or "unseen"; since when, in milliseconds since the
	// Unix epoch. Condition is what it says of itself: "starting", "serving", "draining", "read-only" or "barred".
	Liveness          string  `json:"liveness"`
	LivenessSince     int64   `json:"liveness_since"`
	Condition         string  `json:"condition"`
	RTTMicros         int64   `json:"rtt_us"`
	ClockOffsetMillis float64 `json:"clock_offset_ms"`
	Primaries         int     `json:"primaries"`
	Replicas          int     `json:"replicas"`
}

// StorageStatus is the state of a node's engine.
type StorageStatus struct {
	Keys      int64  `json:"keys"`
	Segments  int64  `json:"segments"`
	DiskBytes int64  `json:"disk_bytes"`
	LiveBytes int64  `json:"live_bytes"`
	DeadBytes int64  `json:"dead_bytes"`
	ReadOnly  string `json:"read_only,omitempty"` // why, or empty
	Damage    int64  `json:"damage"`              // unreadable places that are known, also those whose keys were healed
	DiskFull  bool   `json:"disk_full"`           // writes are refused until there is room
	DiskFree  int64  `json:"disk_free_bytes"`     // negative if it is not known
	// IndexBytes is the memory that the index takes, MappedBytes what is mapped of files.
	IndexBytes  int64 `json:"index_bytes"`
	MappedBytes int64 `json:"mapped_bytes"`
	// OpenFiles are the segments and runs that are open.
	OpenFiles int64 `json:"open_files"`
	// Runs are the files that merges have made.
	Runs     int64 `json:"runs"`
	RunBytes int64 `json:"run_bytes"`
	// MergeDebtBytes is what the merge that is due has yet to write at most; MergeError why the last one failed, or empty.
	Merges         int64  `json:"merges"`
	MergeBytes     int64  `json:"merge_bytes"`
	MergeDropped   int64  `json:"merge_dropped"`
	MergeDebtBytes int64  `json:"merge_debt_bytes"`
	MergeRunning   bool   `json:"merge_running"`
	MergeError     string `json:"merge_error,omitempty"`
	// MergeHeldWrites is how often a write has waited for a merge, MergeHeldMicros for how long there were any.
	MergeHeldWrites int64 `json:"merge_held_writes"`
	MergeHeldMicros int64 `json:"merge_held_us"`

	CacheBytes  int64 `json:"cache_bytes"`
	CacheHits   int64 `json:"cache_hits"`
	CacheMisses int64 `json:"cache_misses"`
	// ScrubbedAt is when everything was last read and checked, in milliseconds since the Unix epoch; zero if it never was.
	ScrubbedAt int64 `json:"scrubbed_at"`
	ScrubBytes int64 `json:"scrub_bytes"`
}

// RequestStatus is what the edge has admitted.
type RequestStatus struct {
	InFlight      int64 `json:"in_flight"`
	InFlightBytes int64 `json:"in_flight_bytes"`
	Total         int64 `json:"total"`
	Refused       int64 `json:"refused"`
}

// Topology is the members and the partition table: what a client needs to route a key to one of its replicas.
type Topology struct {
	Version     uint64           `json:"version"`
	Fingerprint string           `json:"fingerprint"` // 16 hexadecimal digits
	Partitions  int              `json:"partitions"`
	Replicas    int              `json:"replicas"` // N
	R           int              `json:"r"`        // defaults of the cluster
	W           int              `json:"w"`
	Members     []TopologyMember `json:"members"`
	// Table has a row for each partition: indexes into Members, primary first.
	Table [][]int `json:"table"`
}

// TopologyMember is a member with its addresses, host:port each.
type TopologyMember struct {
	ID   string `json:"id"`
	Zone string `json:"zone,omitempty"`
	HTTP string `json:"http"`
	RPC  string `json:"rpc"`
	Peer string `json:"peer"`
}
