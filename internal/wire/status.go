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
	Requests          RequestStatus  `json:"requests"`
}

// MemberStatus is one member as the answering node sees it, itself among them.
type MemberStatus struct {
	ID        string `json:"id"`
	Zone      string `json:"zone,omitempty"`
	Reachable bool   `json:"reachable"`
	// Reason says why a member is not reachable.
	Reason            string  `json:"reason,omitempty"`
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
	Damage    int64  `json:"damage"`              // unreadable places found and not healed
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
