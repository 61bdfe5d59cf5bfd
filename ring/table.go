package ring

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Algorithm numbers the way Plan places copies. It grows with every change, ours or of a library, that makes Plan
// give another table for the same input, so that nodes that would disagree refuse each other by their fingerprints.
const Algorithm = 1

// Table says which nodes hold which partition. It is immutable. The zero Table is not valid: Plan makes one.
type Table struct {
	version uint64
	cfg     Config
	members []Member // sorted by ID
	// rows has Replicas indexes into members for each partition, primary first, one partition after the other.
	rows []int32
	// names is rows with the indexes replaced by the IDs.
	names []NodeID
	// primaries and copies are counts for each member.
	primaries, copies []int
	fingerprint       Fingerprint
}

// Fingerprint identifies a table by its content: the algorithm, the config, the members with their zones, and who
// holds what. The version is not part of it.
type Fingerprint uint64

// String is the fingerprint as 16 hexadecimal digits.
func (f Fingerprint) String() string { return fmt.Sprintf("%016x", uint64(f)) }

// PartitionOf is the partition of a key where there are count partitions, which must be at least 1.
func PartitionOf(key []byte, count int) PartitionID {
	return PartitionID(xxhash.Sum64(key) % uint64(count))
}

// newTable freezes what Plan decided. The slices become the table's.
func newTable(version uint64, cfg Config, members []Member, rows []int32) *Table {
	t := &Table{
		version: version, cfg: cfg, members: members, rows: rows,
		names:     make([]NodeID, len(rows)),
		primaries: make([]int, len(members)),
		copies:    make([]int, len(members)),
	}
	for i, m := range rows {
		t.names[i] = members[m].ID
		t.copies[m]++
		if i%cfg.Replicas == 0 {
			t.primaries[m]++
		}
	}
	t.fingerprint = t.digest()
	return t
}

func (t *Table) digest() Fingerprint {
	h := xxhash.New()
	var buf []byte
	number := func(n uint64) { buf = binary.LittleEndian.AppendUint64(buf, n) }
	text := func(s string) {
		number(uint64(len(s)))
		buf = append(buf, s...)
	}
	number(Algorithm)
	number(uint64(t.cfg.Partitions))
	number(uint64(t.cfg.Replicas))
	number(uint64(t.cfg.VirtualNodes))
	number(math.Float64bits(t.cfg.Load))
	number(math.Float64bits(t.cfg.LoadMax))
	number(uint64(len(t.members)))
	for _, m := range t.members {
		text(string(m.ID))
		text(m.Zone)
	}
	for _, m := range t.rows {
		buf = binary.LittleEndian.AppendUint32(buf, uint32(m))
	}
	h.Write(buf) // never fails
	return Fingerprint(h.Sum64())
}

// Version is 1 for a table planned from nothing, else one more than that of the table it was planned from.
func (t *Table) Version() uint64 { return t.version }

// Fingerprint identifies the table's content.
func (t *Table) Fingerprint() Fingerprint { return t.fingerprint }

// Config is what the table was planned with, defaults filled in.
func (t *Table) Config() Config { return t.cfg }

// N is the number of replicas of each partition.
func (t *Table) N() int { return t.cfg.Replicas }

// PartitionCount is the number of partitions.
func (t *Table) PartitionCount() int { return t.cfg.Partitions }

// Members are the members, sorted by ID. Shared: not to be changed.
func (t *Table) Members() []Member { return t.members }

// Has says whether the node is a member.
func (t *Table) Has(id NodeID) bool { return t.index(id) >= 0 }

// Partition is the partition of a key. It does not keep the key, and allocates nothing.
func (t *Table) Partition(key []byte) PartitionID { return PartitionOf(key, t.cfg.Partitions) }

// Replicas are the N nodes that hold a partition, primary first; none for a partition out of range. Shared: not to be
// changed.
func (t *Table) Replicas(p PartitionID) []NodeID {
	if int64(p) >= int64(t.cfg.Partitions) {
		return nil
	}
	n := t.cfg.Replicas
	return t.names[int(p)*n : (int(p)+1)*n : (int(p)+1)*n]
}

// Holds says whether the node is a replica of the partition.
func (t *Table) Holds(id NodeID, p PartitionID) bool { return slices.Contains(t.Replicas(p), id) }

// Partitions are the partitions that a node holds, in rising order; a fresh slice.
func (t *Table) Partitions(id NodeID) []PartitionID {
	m := t.index(id)
	if m < 0 {
		return nil
	}
	held := make([]PartitionID, 0, t.copies[m])
	for i, r := range t.rows {
		if int(r) == m {
			held = append(held, PartitionID(i/t.cfg.Replicas))
		}
	}
	return held
}

// Counts is how many partitions a node is the primary of and how many it holds in all; zeros for who is no member.
func (t *Table) Counts(id NodeID) (primaries, replicas int) {
	m := t.index(id)
	if m < 0 {
		return 0, 0
	}
	return t.primaries[m], t.copies[m]
}

// Preference is the preference list of a partition: its replicas in table order, then every other member in the order in
// which they stand in for a replica that is away. A zone that has fewer nodes in the list so far comes first, then the
// rendezvous hash decides. The slice is fresh; it costs a sort of the members.
func (t *Table) Preference(p PartitionID) []NodeID {
	if int64(p) >= int64(t.cfg.Partitions) {
		return nil
	}
	type fallback struct {
		member, turn int
		score        uint64
	}
	zones := numberZones(t.members)
	listed := make([]int, len(t.members))
	row := t.rows[int(p)*t.cfg.Replicas : (int(p)+1)*t.cfg.Replicas]
	for _, m := range row {
		listed[zones[m]]++
	}
	others := make([]fallback, 0, len(t.members)-len(row))
	for m := range t.members {
		if !slices.Contains(row, int32(m)) {
			others = append(others, fallback{member: m, score: score(nodeHash(t.members[m].ID), p)})
		}
	}
	byScore := func(a, b fallback) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.member, b.member))
	}
	slices.SortFunc(others, byScore)
	for i := range others {
		z := zones[others[i].member]
		others[i].turn = listed[z]
		listed[z]++
	}
	slices.SortFunc(others, func(a, b fallback) int { return cmp.Or(cmp.Compare(a.turn, b.turn), byScore(a, b)) })
	list := append(make([]NodeID, 0, len(t.members)), t.Replicas(p)...)
	for _, f := range others {
		list = append(list, t.members[f.member].ID)
	}
	return list
}

func (t *Table) index(id NodeID) int {
	i, ok := slices.BinarySearchFunc(t.members, id, func(m Member, id NodeID) int { return cmp.Compare(m.ID, id) })
	if !ok {
		return -1
	}
	return i
}
