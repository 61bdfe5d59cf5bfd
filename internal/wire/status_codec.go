package wire

import (
	"math"
	"time"
)

const (
	// membersMax bounds the members of a cluster.
	membersMax = 10_000
	// replicasMax bounds the replicas of a partition.
	replicasMax = 256
)

// PlainRequest is the params of status, topology and ping: [] or [options]. Options: Timeout, DeadlineMicros, Clock; the first two change nothing.
type PlainRequest struct {
	Options
}

// Encode writes the params.
func (q *PlainRequest) Encode(w *Writer) { q.Options.encode(w, w.openArray()) }

// Decode reads the params. Error: *DecodeError.
func (q *PlainRequest) Decode(r *Reader) error {
	*q = PlainRequest{}
	if r.params(0) {
		q.Options.decode(r, optionsOfAll)
	}
	return r.Done()
}

// PingResult is the answer to a ping.
type PingResult struct {
	Clock uint64
	// NowMicros is the node's wall clock, which deadlines go by, in microseconds since the Unix epoch; zero if the node does not tell.
	NowMicros int64
}

// Encode writes the result.
func (p *PingResult) Encode(w *Writer) {
	m := w.openMap()
	if p.NowMicros != 0 {
		w.intField(m, "now_us", p.NowMicros)
	}
	encodeClock(w, m, p.Clock)
}

// Decode reads the result. Error: *DecodeError.
func (p *PingResult) Decode(r *Reader) error {
	*p = PingResult{}
	return r.fields(func(name []byte) bool {
		switch string(name) {
		case "clock":
			p.Clock = r.Uint64()
		case "now_us":
			p.NowMicros = r.Int(0, math.MaxInt64)
		default:
			return false
		}
		return true
	})
}

// fields reads a map to the end of the message: field reads the value of a name that it knows, others are skipped.
func (r *Reader) fields(field func(name []byte) bool) error {
	r.pairs(field)
	return r.Done()
}

func (r *Reader) pairs(field func(name []byte) bool) {
	for range r.MapLen(resultFieldsMax) {
		name := r.Bytes()
		if r.err != nil {
			return
		}
		if !field(name) {
			r.Skip()
		}
	}
}

// Encode writes the status as a map with the JSON names. StartedAt is in milliseconds since the Unix epoch.
func (s *Status) Encode(w *Writer) {
	m := w.openMap()
	w.strField(m, "node", s.Node)
	w.strField(m, "state", s.State)
	w.strField(m, "version", s.Version)
	w.intField(m, "started_at", s.StartedAt.UnixMilli())
	w.field(m, "incarnation")
	w.Uint(s.Incarnation)
	w.strField(m, "actor", s.Actor)
	w.field(m, "clock_offset_ms")
	w.Float(s.ClockOffsetMillis)
	w.field(m, "members")
	w.ArrayLen(len(s.Members))
	for i := range s.Members {
		w.rare(&s.Members[i])
	}
	w.field(m, "storage")
	w.rare(&s.Storage)
	w.field(m, "hints")
	w.rare(&s.Hints)
	w.field(m, "requests")
	w.rare(&s.Requests)
	w.field(m, "replication")
	w.rare(&s.Replication)
}

// Decode reads a status. Error: *DecodeError.
func (s *Status) Decode(r *Reader) error {
	*s = Status{}
	return r.fields(func(name []byte) bool {
		switch string(name) {
		case "node":
			s.Node = r.Str()
		case "state":
			s.State = r.Str()
		case "version":
			s.Version = r.Str()
		case "started_at":
			s.StartedAt = time.UnixMilli(r.Int64()).UTC()
		case "incarnation":
			s.Incarnation = r.Uint64()
		case "actor":
			s.Actor = r.Str()
		case "clock_offset_ms":
			s.ClockOffsetMillis = r.Float()
		case "members":
			s.Members = make([]MemberStatus, r.ArrayLen(membersMax))
			for i := range s.Members {
				s.Members[i].decode(r)
			}
		case "storage":
			s.Storage.decode(r)
		case "hints":
			s.Hints.decode(r)
		case "requests":
			s.Requests.decode(r)
		case "replication":
			s.Replication.decode(r)
		default:
			return false
		}
		return true
	})
}

func (s *MemberStatus) decode(r *Reader) {
	r.pairs(func(name []byte) bool {
		switch string(name) {
		case "id":
			s.ID = r.Str()
		case "zone":
			s.Zone = r.Str()
		case "reachable":
			s.Reachable = r.Bool()
		case "reason":
			s.Reason = r.Str()
		case "slow":
			s.Slow = r.Bool()
		case "liveness":
			s.Liveness = r.Str()
		case "liveness_since":
			s.LivenessSince = r.Int64()
		case "condition":
			s.Condition = r.Str()
		case "rtt_us":
			s.RTTMicros = r.Int64()
		case "clock_offset_ms":
			s.ClockOffsetMillis = r.Float()
		case "primaries":
			s.Primaries = int(r.Int(0, math.MaxInt32))
		case "replicas":
			s.Replicas = int(r.Int(0, math.MaxInt32))
		default:
			return false
		}
		return true
	})
}

func (s *StorageStatus) decode(r *Reader) {
	r.pairs(func(name []byte) bool {
		switch string(name) {
		case "keys":
			s.Keys = r.Int64()
		case "segments":
			s.Segments = r.Int64()
		case "disk_bytes":
			s.DiskBytes = r.Int64()
		case "live_bytes":
			s.LiveBytes = r.Int64()
		case "dead_bytes":
			s.DeadBytes = r.Int64()
		case "read_only":
			s.ReadOnly = r.Str()
		case "damage":
			s.Damage = r.Int64()
		case "disk_full":
			s.DiskFull = r.Bool()
		case "disk_free_bytes":
			s.DiskFree = r.Int64()
		case "index_bytes":
			s.IndexBytes = r.Int64()
		case "mapped_bytes":
			s.MappedBytes = r.Int64()
		case "open_files":
			s.OpenFiles = r.Int64()
		case "runs":
			s.Runs = r.Int64()
		case "run_bytes":
			s.RunBytes = r.Int64()
		case "merges":
			s.Merges = r.Int64()
		case "merge_bytes":
			s.MergeBytes = r.Int64()
		case "merge_dropped":
			s.MergeDropped = r.Int64()
		case "merge_debt_bytes":
			s.MergeDebtBytes = r.Int64()
		case "merge_held_writes":
			s.MergeHeldWrites = r.Int64()
		case "merge_held_us":
			s.MergeHeldMicros = r.Int64()
		case "cache_bytes":
			s.CacheBytes = r.Int64()
		case "cache_hits":
			s.CacheHits = r.Int64()
		case "cache_misses":
			s.CacheMisses = r.Int64()
		case "scrubbed_at":
			s.ScrubbedAt = r.Int64()
		case "scrub_bytes":
			s.ScrubBytes = r.Int64()
		case "merge_running":
			s.MergeRunning = r.Bool()
		case "merge_error":
			s.MergeError = r.Str()
		default:
			return false
		}
		return true
	})
}

func (s *RequestStatus) decode(r *Reader) {
	r.pairs(func(name []byte) bool {
		switch string(name) {
		case "in_flight":
			s.InFlight = r.Int64()
		case "in_flight_bytes":
			s.InFlightBytes = r.Int64()
		case "total":
			s.Total = r.Int64()
		case "refused":
			s.Refused = r.Int64()
		default:
			return false
		}
		return true
	})
}

// strField adds a string to the map at m.
func (w *Writer) strField(m int, name, v string) {
	w.field(m, name)
	w.Str(v)
}

// intField adds an integer to the map at m.
func (w *Writer) intField(m int, name string, v int64) {
	w.field(m, name)
	w.Int(v)
}
