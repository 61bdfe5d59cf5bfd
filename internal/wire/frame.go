package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// FrameVersion is the version in the preamble: of the frames and of the messages in them.
const FrameVersion = 1

const (
	preambleMagic   = "RCPEER"
	preambleBytes   = len(preambleMagic) + 2
	frameHeadBytes  = 8
	frameBytesLimit = 1<<31 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FrameError is a stream of frames that cannot be read further.
type FrameError struct {
	Reason string
}

func (e *FrameError) Error() string { return "broken frame: " + e.Reason }

// appendPreamble appends what each side sends first.
func appendPreamble(b []byte) []byte {
	return binary.BigEndian.AppendUint16(append(b, preambleMagic...), FrameVersion)
}

// checkPreamble says whether the first preambleBytes of a connection are those of a peer that speaks our version.
func checkPreamble(b []byte) error {
	if string(b[:len(preambleMagic)]) != preambleMagic {
		return &FrameError{Reason: fmt.Sprintf("preamble %q, want %q", b[:len(preambleMagic)], preambleMagic)}
	}
	if v := binary.BigEndian.Uint16(b[len(preambleMagic):]); v != FrameVersion {
		return &FrameError{Reason: fmt.Sprintf("peer speaks version %d, this node version %d", v, FrameVersion)}
	}
	return nil
}

// appendFrameHead appends room for a frame's head, which sealFrame fills in when the payload stands.
func appendFrameHead(b []byte) []byte {
	return append(b, 0, 0, 0, 0, 0, 0, 0, 0)
}

// sealFrame completes a frame that begins with an empty head.
func sealFrame(frame []byte) {
	payload := frame[frameHeadBytes:]
	binary.BigEndian.PutUint32(frame, uint32(len(payload)))
	binary.BigEndian.PutUint32(frame[4:], crc32.Checksum(payload, castagnoli))
}

// frameLen is the length of the whole frame whose head begins b, or an error if that is no length for a frame.
func frameLen(b []byte, payloadMax int) (int, error) {
	n := binary.BigEndian.Uint32(b)
	if n == 0 {
		return 0, &FrameError{Reason: "length 0"}
	}
	if uint64(n) > uint64(payloadMax) {
		return 0, &LimitError{What: "bytes", Limit: payloadMax}
	}
	return frameHeadBytes + int(n), nil
}

// openFrame checks a whole frame and returns its payload.
func openFrame(frame []byte) ([]byte, error) {
	payload := frame[frameHeadBytes:len(frame):len(frame)]
	if got, want := crc32.Checksum(payload, castagnoli), binary.BigEndian.Uint32(frame[4:]); got != want {
		return nil, &FrameError{Reason: fmt.Sprintf("checksum %08x, want %08x", got, want)}
	}
	return payload, nil
}
