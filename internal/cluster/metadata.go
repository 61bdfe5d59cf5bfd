package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Condition is what a member says of itself. The numbers are part of the format.
type Condition uint8

// The conditions. A number that is not among them is of a later version and counts as not serving.
const (
	// Starting: it has not met its peers yet.
	Starting Condition = iota
	// Serving: it coordinates requests.
	Serving
	// Draining: it is about to stop.
	Draining
	// ReadOnly: its disk is full or has failed.
	ReadOnly
	// Barred: it must not issue timestamps, for its clock is off or its data directory was refused.
	Barred
)

func (c Condition) String() string {
	names := [...]string{"starting", "serving", "draining", "read-only", "barred"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("condition %d", uint8(c))
}

// metadata travels with a member's name in the gossip:
//
//	version(1) = 1  incarnation(8, big-endian)  condition(1)
//
// A later version only adds bytes at the end.
type metadata struct {
	incarnation uint64
	condition   Condition
}

const (
	metadataVersion  = 1
	metadataBytesMin = 1 + 8 + 1
)

var errMetadata = errors.New("malformed metadata")

func (m metadata) encode() []byte {
	b := make([]byte, 0, metadataBytesMin)
	b = append(b, metadataVersion)
	b = binary.BigEndian.AppendUint64(b, m.incarnation)
	return append(b, byte(m.condition))
}

func decodeMetadata(b []byte) (metadata, error) {
	if len(b) < metadataBytesMin || b[0] < metadataVersion || b[0] == metadataVersion && len(b) > metadataBytesMin {
		return metadata{}, fmt.Errorf("%w of %d bytes", errMetadata, len(b))
	}
	return metadata{incarnation: binary.BigEndian.Uint64(b[1:]), condition: Condition(b[9])}, nil
}
