package wire

import "math"

// Encode writes the topology as a map with the JSON names.
func (t *Topology) Encode(w *Writer) {
	m := w.openMap()
	w.field(m, "version")
	w.Uint(t.Version)
	w.strField(m, "fingerprint", t.Fingerprint)
	w.intField(m, "partitions", int64(t.Partitions))
	w.intField(m, "replicas", int64(t.Replicas))
	w.intField(m, "r", int64(t.R))
	w.intField(m, "w", int64(t.W))
	w.field(m, "members")
	w.ArrayLen(len(t.Members))
	for i := range t.Members {
		w.rare(&t.Members[i])
	}
	w.field(m, "table")
	w.ArrayLen(len(t.Table))
	for _, row := range t.Table {
		w.ArrayLen(len(row))
		for _, member := range row {
			w.Uint(uint64(member))
		}
	}
}

// Decode reads a topology, and checks that it can be used: a row for each partition, and each row's members there.
// Error: *DecodeError.
func (t *Topology) Decode(r *Reader) error {
	*t = Topology{}
	err := r.fields(func(name []byte) bool {
		switch string(name) {
		case "version":
			t.Version = r.Uint64()
		case "fingerprint":
			t.Fingerprint = r.Str()
		case "partitions":
			t.Partitions = int(r.Int(1, partitionsMax))
		case "replicas":
			t.Replicas = int(r.Int(0, replicasMax))
		case "r":
			t.R = int(r.Int(0, replicasMax))
		case "w":
			t.W = int(r.Int(0, replicasMax))
		case "members":
			t.Members = make([]TopologyMember, r.ArrayLen(membersMax))
			for i := range t.Members {
				t.Members[i].decode(r)
			}
		case "table":
			t.decodeTable(r)
		default:
			return false
		}
		return true
	})
	if err == nil {
		t.check(r)
	}
	return r.err
}

// decodeTable reads the rows into one array of cells.
func (t *Topology) decodeTable(r *Reader) {
	t.Table = make([][]int, r.ArrayLen(partitionsMax))
	var cells []int
	for i := range t.Table {
		n := r.ArrayLen(replicasMax)
		start := len(cells)
		for range n {
			cells = append(cells, int(r.Uint(math.MaxInt32)))
		}
		if r.err != nil {
			return
		}
		t.Table[i] = cells[start:len(cells):len(cells)]
	}
}

func (t *Topology) check(r *Reader) {
	if t.Partitions == 0 {
		r.fail("no partitions")
	}
	if len(t.Table) != t.Partitions {
		r.fail("table of %d rows for %d partitions", len(t.Table), t.Partitions)
	}
	for partition, row := range t.Table {
		for _, member := range row {
			if member >= len(t.Members) {
				r.fail("partition %d is on member %d of %d", partition, member, len(t.Members))
				return
			}
		}
	}
}

func (t *TopologyMember) decode(r *Reader) {
	r.pairs(func(name []byte) bool {
		switch string(name) {
		case "id":
			t.ID = r.Str()
		case "zone":
			t.Zone = r.Str()
		case "http":
			t.HTTP = r.Str()
		case "rpc":
			t.RPC = r.Str()
		case "peer":
			t.Peer = r.Str()
		default:
			return false
		}
		return true
	})
}
