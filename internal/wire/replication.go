package wire

import "math"

// ReplicationStatus says how far a node's partitions are from being held alike by all of their replicas, and what exchanges have done since
// it started. Times are in milliseconds since the Unix epoch, and zero for never.
type ReplicationStatus struct {
	// Partitions are held. Of them, Unfilled do not have all again that they should; WithoutTree cannot be compared yet; Poisoned
	// have something that cannot be read.
	Partitions  int `json:"partitions"`
	Unfilled    int `json:"unfilled"`
	WithoutTree int `json:"without_tree"`
	Poisoned    int `json:"poisoned"`
	// Healing counts keys that cannot be read here and wait to be fetched from other replicas; Healed those that were.
	Healing int64 `json:"healing"`
	Healed  int64 `json:"healed"`
	// Mending says that damage was found which is not made up for yet, be it that nobody knows which keys are lost, or that it was found just now.
	// Which keys an Open has lost the node finds while it builds the trees that are missing. With a replication factor of 1 nothing can be made up
	// for: only the storage's damage tells.
	Mending bool `json:"mending"`
	// Paused says that no exchanges are begun.
	Paused bool `json:"paused"`
	// UnderReplicatedSince is when the oldest write came that is known not to have reached all of its replicas, as far as that can be told: the
	// oldest of what needs repair, is not filled, or cannot be read, since that is known. UnderReplicatedWhy says which.
	UnderReplicatedSince int64  `json:"under_replicated_since"`
	UnderReplicatedWhy   string `json:"under_replicated_why,omitempty"`
	// Peers are the exchanges with each other member that shares partitions with this node.
	Peers []ExchangeStatus `json:"peers,omitempty"`

	Exchanges       int64 `json:"exchanges"`
	ExchangesFailed int64 `json:"exchanges_failed"`
	// Complete counts partitions that an exchange found equal with a peer, or made so.
	Complete      int64 `json:"complete"`
	KeysFetched   int64 `json:"keys_fetched"`
	KeysPushed    int64 `json:"keys_pushed"`
	BytesSent     int64 `json:"bytes_sent"`
	BytesReceived int64 `json:"bytes_received"`
	// Stable counts announcements that the events of an actor are held by all replicas; Retired the actors that were retired, Filled the
	// partitions that were filled.
	Stable  int64 `json:"stable"`
	Retired int64 `json:"retired"`
	Filled  int64 `json:"filled"`
}

// ExchangeStatus is how far the exchanges with one peer have come since the node started.
type ExchangeStatus struct {
	ID string `json:"id"`
	// Partitions are held by both. Needs of them are known to need repair, the first since NeededSince; Never were exchanged completely.
	Partitions  int   `json:"partitions"`
	Needs       int   `json:"needs"`
	NeededSince int64 `json:"needed_since"`
	Never       int   `json:"never"`
	// OldestComplete and NewestComplete are the ends of the last complete exchanges of the partitions that had one.
	OldestComplete int64 `json:"oldest_complete"`
	NewestComplete int64 `json:"newest_complete"`
}

func (s *ReplicationStatus) decode(r *Reader) {
	ints := map[string]*int64{
		"healing": &s.Healing, "healed": &s.Healed, "under_replicated_since": &s.UnderReplicatedSince,
		"exchanges": &s.Exchanges, "exchanges_failed": &s.ExchangesFailed, "complete": &s.Complete,
		"keys_fetched": &s.KeysFetched, "keys_pushed": &s.KeysPushed, "bytes_sent": &s.BytesSent, "bytes_received": &s.BytesReceived,
		"stable": &s.Stable, "retired": &s.Retired, "filled": &s.Filled,
	}
	counts := map[string]*int{
		"partitions": &s.Partitions, "unfilled": &s.Unfilled, "without_tree": &s.WithoutTree, "poisoned": &s.Poisoned,
	}
	r.pairs(func(name []byte) bool {
		switch string(name) {
		case "mending":
			s.Mending = r.Bool()
		case "paused":
			s.Paused = r.Bool()
		case "under_replicated_why":
			s.UnderReplicatedWhy = r.Str()
		case "peers":
			s.Peers = make([]ExchangeStatus, r.ArrayLen(membersMax))
			for i := range s.Peers {
				s.Peers[i].decode(r)
			}
		default:
			return r.number(name, ints, counts)
		}
		return true
	})
}

func (s *ExchangeStatus) decode(r *Reader) {
	ints := map[string]*int64{
		"needed_since": &s.NeededSince, "oldest_complete": &s.OldestComplete, "newest_complete": &s.NewestComplete,
	}
	counts := map[string]*int{"partitions": &s.Partitions, "needs": &s.Needs, "never": &s.Never}
	r.pairs(func(name []byte) bool {
		if string(name) == "id" {
			s.ID = r.Str()
			return true
		}
		return r.number(name, ints, counts)
	})
}

// number reads the value of a name into where it belongs; false if it belongs nowhere.
func (r *Reader) number(name []byte, ints map[string]*int64, counts map[string]*int) bool {
	if v := ints[string(name)]; v != nil {
		*v = r.Int64()
		return true
	}
	if v := counts[string(name)]; v != nil {
		*v = int(r.Int(0, math.MaxInt32))
		return true
	}
	return false
}
