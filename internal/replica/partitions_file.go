package replica

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"path/filepath"
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs"
)

// The layout is in docs/format/partitions.md; integers are big-endian.
const (
	partitionsMagic  = "RCPT"
	partitionsFormat = 2 // 1 knew no fresh partitions

	partitionFilled = 1 << 0
	partitionFresh  = 1 << 1

	// partitionsBytesMax bounds what is read of the file.
	partitionsBytesMax = 256 << 20
)

func (d *dataDir) partitions() string { return filepath.Join(d.path, "partitions") }

func (d *dataDir) savePartitions(count int, states map[ring.PartitionID]*partitionState) error {
	if err := vfs.WriteFileAtomic(d.fs, d.partitions(), appendPartitions(nil, count, states)); err != nil {
		return fmt.Errorf("replica: write partitions: %w", err)
	}
	return nil
}

// loadPartitions is what the file says, nil if there is none.
func (d *dataDir) loadPartitions(count int) (map[ring.PartitionID]*partitionState, error) {
	data, err := d.read("partitions", partitionsBytesMax)
	if err != nil || data == nil {
		return nil, err
	}
	states, err := decodePartitions(data, count)
	if err != nil {
		return nil, fmt.Errorf("replica: %s: %w", d.partitions(), err)
	}
	return states, nil
}

// appendPartitions appends the content of the file, for count partitions of which states are those that are held.
func appendPartitions(dst []byte, count int, states map[ring.PartitionID]*partitionState) []byte {
	at := len(dst)
	dst = append(append(dst, partitionsMagic...), partitionsFormat)
	dst = binary.BigEndian.AppendUint32(dst, uint32(count))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(states)))
	for _, id := range slices.Sorted(maps.Keys(states)) {
		s := states[id]
		var flags byte
		if s.filled {
			flags |= partitionFilled
		}
		if s.fresh {
			flags |= partitionFresh
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(id)), flags)
		dst = appendEntries(appendEntries(appendEntries(dst, s.stable), s.aside), s.refused)
	}
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[at:], castagnoli))
}

func appendEntries(dst []byte, v causal.Vector) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(v)))
	for _, e := range v {
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.Actor))
		dst = binary.BigEndian.AppendUint64(dst, uint64(e.Time))
	}
	return dst
}

// decodePartitions is what appendPartitions wrote for so many partitions. Errors wrap errDamaged.
func decodePartitions(data []byte, count int) (map[ring.PartitionID]*partitionState, error) {
	body, format, err := checked(data, partitionsMagic, partitionsFormat)
	if err != nil {
		return nil, err
	}
	r := fileReader{rest: body}
	if n := binary.BigEndian.Uint32(r.take(4)); int64(n) != int64(count) {
		return nil, damaged(fmt.Sprintf("it is of %d partitions, there are %d", n, count))
	}
	states := make(map[ring.PartitionID]*partitionState)
	last := int64(-1)
	for n := binary.BigEndian.Uint32(r.take(4)); n > 0 && !r.bad; n-- {
		id := binary.BigEndian.Uint32(r.take(4))
		flags := r.take(1)[0]
		s := &partitionState{
			filled: flags&partitionFilled != 0, fresh: flags&partitionFresh != 0,
			stable: r.entries(), aside: r.entries(), refused: r.entries(),
		}
		if int64(id) <= last || int64(id) >= int64(count) || !validFlags(flags, format) {
			r.bad = true
		}
		last = int64(id)
		states[ring.PartitionID(id)] = s
	}
	if r.bad || len(r.rest) > 0 {
		return nil, damaged("its fields make no sense")
	}
	return states, nil
}

// validFlags says whether a partition may have these flags: what is filled is not fresh any more.
func validFlags(flags, format byte) bool {
	return flags == 0 || flags == partitionFilled || flags == partitionFresh && format > 1
}

func (r *fileReader) entries() (v causal.Vector) {
	for n := binary.BigEndian.Uint16(r.take(2)); n > 0 && !r.bad; n-- {
		v = append(v, causal.Entry{
			Actor: causal.Actor(binary.BigEndian.Uint64(r.take(8))), Time: causal.Timestamp(binary.BigEndian.Uint64(r.take(8))),
		})
	}
	if v.Validate() != nil {
		r.bad = true
	}
	return v
}
