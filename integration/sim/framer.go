package sim

import (
	"bytes"
	"encoding/binary"
)

const (
	// preambleBytes is what each side of a link of peers sends first, headBytes what stands before each message: see internal/wire.
	preambleBytes = 8
	headBytes     = 8
	// sparedFrames are the first messages of each side of a link. They are the handshake, which goes by order: no message is allowed before its
	// end, and TCP keeps that. They can be slowed down, and cut off, but not lost, repeated or held back by themselves.
	sparedFrames = 2
)

// onceMethod is the one request between nodes that does something else when it is carried out again: a write that is handed on to be coordinated. That it
// arrives at most once is TCP's, so it is lost and held back like all others, but not repeated.
const onceMethod = "coordinate"

// methodWithin is how far a message's method ends from its beginning at most, if that is the one above.
const methodWithin = 24

func carriedOutOnce(frame []byte) bool {
	return bytes.Contains(frame[headBytes:min(len(frame), headBytes+methodWithin)], []byte(onceMethod))
}

// framePart is a frame, or what was written of one.
type framePart struct {
	bytes []byte
	// whole says that it is one frame from its beginning to its end; joined that it goes on with the one before; spared that it must
	// arrive, once, in its turn.
	whole, joined, spared bool
}

// framer finds the frames in one direction of a link between peers.
type framer struct {
	begun  bool
	frames int
	// left is what is missing of the frame that the last part began, torn a head that was not written whole.
	left int
	torn []byte
}

// split hands out what was written in parts.
func (f *framer) split(b []byte, part func(framePart)) {
	b, f.torn = append(f.torn, b...), nil
	if !f.begun && len(b) >= preambleBytes {
		f.begun = true
		part(framePart{bytes: b[:preambleBytes], spared: true})
		b = b[preambleBytes:]
	}
	for len(b) > 0 {
		n := min(f.left, len(b))
		switch {
		case n > 0:
			f.left -= n
			part(framePart{bytes: b[:n], joined: true})
		case len(b) < headBytes:
			f.torn = b
			return
		default:
			f.frames++
			size := headBytes + int(binary.BigEndian.Uint32(b))
			n = min(size, len(b))
			f.left = size - n
			part(framePart{bytes: b[:n], whole: n == size, spared: f.frames <= sparedFrames})
		}
		b = b[n:]
	}
}
