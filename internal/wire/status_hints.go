package wire

// HintStatus is what a node keeps for other nodes that have missed it.
type HintStatus struct {
	Count int64 `json:"count"`
	Bytes int64 `json:"bytes"`
	// BytesMax bounds Bytes.
	BytesMax int64 `json:"bytes_max"`
	// Oldest is when the oldest hint was noted, in milliseconds since the Unix epoch; zero if there is none.
	Oldest int64 `json:"oldest"`
	// ReadOnly is why no hints are taken, and none is forgotten that was delivered; empty if all is well.
	ReadOnly string `json:"read_only,omitempty"`
	// Targets are the nodes that there are hints or needs for.
	Targets []HintTarget `json:"targets"`
}

// HintTarget is what a node keeps for one other.
type HintTarget struct {
	Node  string `json:"node"`
	Count int64  `json:"count"`
	// Counted of the hints are copies that a sloppy write counted.
	Counted int64 `json:"counted"`
	Bytes   int64 `json:"bytes"`
	// Oldest is as in HintStatus.
	Oldest int64 `json:"oldest"`
	// State is "idle", "waiting" or "replaying".
	State string `json:"state"`
	// Refused hints are sent again only after a while; LastError says why the last ones were not taken, or is empty.
	Refused   int64  `json:"refused"`
	LastError string `json:"last_error,omitempty"`
	// Needs is the number of partitions that hints were dropped of, and that an exchange has to repair.
	Needs int64 `json:"needs"`
}

func (s *HintStatus) decode(r *Reader) {
	r.pairs(func(name []byte) bool {
		switch string(name) {
		case "count":
			s.Count = r.Int64()
		case "bytes":
			s.Bytes = r.Int64()
		case "bytes_max":
			s.BytesMax = r.Int64()
		case "oldest":
			s.Oldest = r.Int64()
		case "read_only":
			s.ReadOnly = r.Str()
		case "targets":
			if r.TryNil() {
				break
			}
			s.Targets = make([]HintTarget, r.ArrayLen(membersMax))
			for i := range s.Targets {
				s.Targets[i].decode(r)
			}
		default:
			return false
		}
		return true
	})
}

func (t *HintTarget) decode(r *Reader) {
	r.pairs(func(name []byte) bool {
		switch string(name) {
		case "node":
			t.Node = r.Str()
		case "count":
			t.Count = r.Int64()
		case "counted":
			t.Counted = r.Int64()
		case "bytes":
			t.Bytes = r.Int64()
		case "oldest":
			t.Oldest = r.Int64()
		case "state":
			t.State = r.Str()
		case "refused":
			t.Refused = r.Int64()
		case "last_error":
			t.LastError = r.Str()
		case "needs":
			t.Needs = r.Int64()
		default:
			return false
		}
		return true
	})
}
