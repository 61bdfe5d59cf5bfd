package peer

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// MemoryFile is the name of the file, in the data directory, with what this node remembers of its peers.
const MemoryFile = "peers"

const (
	memoryMagic   = "RCPEERS\x00"
	memoryVersion = 1
	// memoryHeaderBytes: magic, u32 version, u32 count. memoryEntryBytes: what an entry has besides its id.
	memoryHeaderBytes = len(memoryMagic) + 8
	memoryEntryBytes  = 1 + 3*8
	memoryFileMax     = memoryHeaderBytes + 4 + MembersMax*(memoryEntryBytes+nodeIDBytesMax)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// identity is what a node was when it was last let in.
type identity struct {
	id          ring.NodeID
	incarnation uint64
	boot        uint64
	actor       causal.Actor
}

// MemoryError is a memory file that cannot be used. Without the memory an old state of a peer could be let in, so it is
// not ignored.
type MemoryError struct {
	Path   string
	Reason string
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("peer: memory file %s: %s", e.Path, e.Reason)
}

// encodeMemory is the content of the memory file; identities are written in the order of their ids.
func encodeMemory(identities []identity) []byte {
	slices.SortFunc(identities, func(a, b identity) int { return cmp.Compare(a.id, b.id) })
	b := append(make([]byte, 0, memoryHeaderBytes), memoryMagic...)
	b = binary.BigEndian.AppendUint32(b, memoryVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(identities)))
	for _, known := range identities {
		b = append(b, byte(len(known.id)))
		b = append(b, known.id...)
		b = binary.BigEndian.AppendUint64(b, known.incarnation)
		b = binary.BigEndian.AppendUint64(b, known.boot)
		b = binary.BigEndian.AppendUint64(b, uint64(known.actor))
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeMemory is the inverse of encodeMemory. The error says what is wrong.
func decodeMemory(b []byte) ([]identity, error) {
	if len(b) < memoryHeaderBytes+4 || string(b[:len(memoryMagic)]) != memoryMagic {
		return nil, errors.New("not a file of this kind")
	}
	if v := binary.BigEndian.Uint32(b[len(memoryMagic):]); v != memoryVersion {
		return nil, fmt.Errorf("format version %d, this software reads %d", v, memoryVersion)
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if got := crc32.Checksum(body, castagnoli); got != sum {
		return nil, fmt.Errorf("damaged: checksum %08x, computed %08x", sum, got)
	}
	count := int(binary.BigEndian.Uint32(body[len(memoryMagic)+4:]))
	rest := body[memoryHeaderBytes:]
	if count > len(rest)/memoryEntryBytes {
		return nil, fmt.Errorf("%d entries declared, %d bytes left", count, len(rest))
	}
	identities := make([]identity, 0, count)
	for range count {
		known, n, err := decodeIdentity(rest)
		if err != nil {
			return nil, err
		}
		if k := len(identities); k > 0 && identities[k-1].id >= known.id {
			return nil, fmt.Errorf("entry %q is out of order", known.id)
		}
		identities, rest = append(identities, known), rest[n:]
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%d bytes after the last entry", len(rest))
	}
	return identities, nil
}

func decodeIdentity(b []byte) (known identity, n int, err error) {
	if len(b) < memoryEntryBytes || len(b) < memoryEntryBytes+int(b[0]) {
		return identity{}, 0, errors.New("an entry is cut short")
	}
	n = 1 + int(b[0])
	known.id = ring.NodeID(b[1:n])
	if len(known.id) == 0 || len(known.id) > nodeIDBytesMax {
		return identity{}, 0, fmt.Errorf("a node id has %d bytes", len(known.id))
	}
	known.incarnation = binary.BigEndian.Uint64(b[n:])
	known.boot = binary.BigEndian.Uint64(b[n+8:])
	known.actor = causal.Actor(binary.BigEndian.Uint64(b[n+16:]))
	return known, n + 24, nil
}
