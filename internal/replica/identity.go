package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// BootID tells one run of a node from another; it is drawn anew at each open.
type BootID [16]byte

// identity is the content of the identity file: who wrote the data directory, and how it was left.
type identity struct {
	// clean is the mark of a clean shutdown: the actor has forgotten nothing.
	clean       bool
	incarnation uint64 // zero: no run that counts
	actor       causal.Actor
	boot        BootID
	// earlier are runs before this one: see Runs.
	earlier []Run
	// logSeq is the number of the last record in the log when this was written, at least: that record was durable.
	logSeq  uint64
	cluster cluster
}

// cluster is what all nodes must agree upon, and the node's place in it. The members are there to be read by people:
// the fingerprint alone would say that something differs, and not what.
type cluster struct {
	node        ring.NodeID
	replicas    int
	partitions  int
	fingerprint ring.Fingerprint
	members     []ring.Member // sorted by ID
}

func clusterOf(o Options) cluster {
	return cluster{
		node: o.Node, replicas: o.Table.N(), partitions: o.Table.PartitionCount(),
		fingerprint: o.Table.Fingerprint(), members: o.Table.Members(),
	}
}

// The layouts are in docs/format/identity.md; integers are big-endian.
const (
	identityMagic = "RCID"
	clockMagic    = "RCCK"
	// The newest formats are those that are written.
	identityFormat = 3 // 1 had no logSeq, 2 no earlier runs
	clockFormat    = 1

	identityClean = 1 << 0

	// identityBytesMax bounds what is read of an identity file: far more than the members that a table may have take.
	identityBytesMax = 1 << 20
	checksumBytes    = 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged is wrapped by the errors of the decoders below.
var errDamaged = errors.New("file is damaged, or not one of ours")

func damaged(why string) error { return fmt.Errorf("%w: %s", errDamaged, why) }

// appendIdentity appends the encoding of id. The names in it are at most 255 bytes long, as ring sees to.
func appendIdentity(dst []byte, id *identity) []byte {
	at := len(dst)
	var flags byte
	if id.clean {
		flags |= identityClean
	}
	dst = append(append(dst, identityMagic...), identityFormat, flags)
	dst = binary.BigEndian.AppendUint64(dst, id.incarnation)
	dst = binary.BigEndian.AppendUint64(dst, uint64(id.actor))
	dst = append(dst, id.boot[:]...)
	dst = binary.BigEndian.AppendUint64(dst, id.logSeq)
	dst = append(dst, byte(len(id.earlier)))
	for _, run := range id.earlier {
		dst = binary.BigEndian.AppendUint64(dst, run.Incarnation)
		dst = binary.BigEndian.AppendUint64(dst, run.Boot)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(id.cluster.replicas))
	dst = binary.BigEndian.AppendUint32(dst, uint32(id.cluster.partitions))
	dst = binary.BigEndian.AppendUint64(dst, uint64(id.cluster.fingerprint))
	dst = appendName(dst, string(id.cluster.node))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(id.cluster.members)))
	for _, m := range id.cluster.members {
		dst = appendName(appendName(dst, string(m.ID)), m.Zone)
	}
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func appendName(dst []byte, name string) []byte {
	return append(append(dst, byte(len(name))), name...)
}

// decodeIdentity is the identity that appendIdentity wrote. Errors wrap errDamaged.
func decodeIdentity(data []byte) (*identity, error) {
	body, format, err := checked(data, identityMagic, identityFormat)
	if err != nil {
		return nil, err
	}
	r := fileReader{rest: body}
	flags := r.take(1)
	id := &identity{clean: flags[0]&identityClean != 0}
	if flags[0]&^identityClean != 0 {
		r.bad = true
	}
	id.incarnation = binary.BigEndian.Uint64(r.take(8))
	id.actor = causal.Actor(binary.BigEndian.Uint64(r.take(8)))
	copy(id.boot[:], r.take(16))
	if format > 1 {
		id.logSeq = binary.BigEndian.Uint64(r.take(8))
	}
	if format > 2 {
		id.earlier = r.runs()
	}
	id.cluster.replicas = int(binary.BigEndian.Uint32(r.take(4)))
	id.cluster.partitions = int(binary.BigEndian.Uint32(r.take(4)))
	id.cluster.fingerprint = ring.Fingerprint(binary.BigEndian.Uint64(r.take(8)))
	id.cluster.node = ring.NodeID(r.name())
	for n := binary.BigEndian.Uint32(r.take(4)); n > 0 && !r.bad; n-- {
		id.cluster.members = append(id.cluster.members, ring.Member{ID: ring.NodeID(r.name()), Zone: r.name()})
	}
	if r.bad || len(r.rest) > 0 || !id.actor.Valid() {
		return nil, damaged("its fields make no sense")
	}
	return id, nil
}

// appendCeiling appends the content of the clock file.
func appendCeiling(dst []byte, ceiling causal.Timestamp) []byte {
	at := len(dst)
	dst = append(append(dst, clockMagic...), clockFormat)
	dst = binary.BigEndian.AppendUint64(dst, uint64(ceiling))
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

// decodeCeiling is the ceiling that appendCeiling wrote. Errors wrap errDamaged.
func decodeCeiling(data []byte) (causal.Timestamp, error) {
	body, _, err := checked(data, clockMagic, clockFormat)
	if err != nil {
		return 0, err
	}
	if len(body) != 8 {
		return 0, damaged("wrong length")
	}
	return causal.Timestamp(binary.BigEndian.Uint64(body)), nil
}

// checked is the format, and what stands between it and the checksum. Formats up to newest are read.
func checked(data []byte, magic string, newest byte) (body []byte, format byte, err error) {
	head := len(magic) + 1
	if len(data) < head+checksumBytes || string(data[:len(magic)]) != magic {
		return nil, 0, damaged("it does not begin as it must")
	}
	body, format = data[:len(data)-checksumBytes], data[len(magic)]
	if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(data[len(body):]) {
		return nil, 0, damaged("wrong checksum")
	}
	if format == 0 || format > newest {
		return nil, 0, damaged(fmt.Sprintf("format %d, this version reads up to %d", format, newest))
	}
	return body[head:], format, nil
}

// fileReader takes a file's body apart. Past the end, and once something was bad, all that it reads is zero.
type fileReader struct {
	rest []byte
	bad  bool
}

func (r *fileReader) take(n int) []byte {
	if n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *fileReader) runs() (runs []Run) {
	n := int(r.take(1)[0])
	for last := uint64(0); n > 0 && !r.bad; n-- {
		run := Run{Incarnation: binary.BigEndian.Uint64(r.take(8)), Boot: binary.BigEndian.Uint64(r.take(8))}
		if run.Incarnation < last {
			r.bad = true
		}
		last = run.Incarnation
		runs = append(runs, run)
	}
	if len(runs) > runsMax {
		r.bad = true
	}
	return runs
}

func (r *fileReader) name() string { return string(r.take(int(r.take(1)[0]))) }
