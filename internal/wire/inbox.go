package wire

import (
	"fmt"
	"io"
	"net"
	"time"
)

// chunkBytesMin is the size of a connection's first chunk; each read that fills its chunk doubles the next one.
const chunkBytesMin = 4 << 10

// inbox reads a connection into chunks and cuts them into messages. A chunk is never used again for other bytes, so that messages can be handed
// out without a copy; what is left of a chunk when a message does not fit is copied to the next one.
type inbox struct {
	nc   net.Conn
	opts LinkOptions
	scan *Scanner // nil if framed

	chunk      []byte
	start, end int // what is read and not handed out
	scanned    int // how much of it the scanner has seen
	preamble   bool
	// chunkBytes is the size of the next chunk.
	chunkBytes int
	// borrowed is what the present chunk has of the receive budget.
	borrowed int
	// partial says that a message has begun to arrive; deadline is the read deadline that stands.
	partial  bool
	deadline time.Time
}

func newInbox(nc net.Conn, o LinkOptions) inbox {
	in := inbox{nc: nc, opts: o, chunkBytes: chunkBytesMin}
	if o.Framing == Framed {
		in.preamble = true
	} else {
		in.scan = NewScanner(ScanLimits{BytesMax: o.MessageBytesMax, ElementsMax: o.ElementsMax, DepthMax: o.DepthMax})
	}
	return in
}

// fill reads once.
func (in *inbox) fill() error {
	if err := in.makeRoom(); err != nil {
		return err
	}
	in.setDeadline()
	n, err := in.nc.Read(in.chunk[in.end:])
	in.end += n
	if in.end == len(in.chunk) {
		in.chunkBytes = min(2*in.chunkBytes, in.opts.ChunkBytesMax)
	}
	switch {
	case n > 0:
		return nil
	case err == io.EOF && in.start == in.end:
		return io.EOF
	case err == io.EOF:
		return fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	case err != nil:
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// makeRoom provides space to read into.
func (in *inbox) makeRoom() error {
	have := in.end - in.start
	enough := min(len(in.chunk), in.opts.ChunkBytesMax) / 4
	if have > 0 {
		enough = min(enough, in.lacking())
	}
	if free := len(in.chunk) - in.end; free > 0 && free >= enough {
		return nil
	}
	// A message that is longer than a chunk gets room as its bytes arrive, not as its header promises. What it lacks is a lower
	// bound, so there is a quarter more: the chunk grows geometrically and each byte is copied a few times at most.
	size := in.chunkBytes
	if have > 0 {
		size = max(size, min(2*have, have+in.lacking()+have/4))
	}
	borrow := 0
	if size > in.opts.ChunkBytesMax {
		borrow = size
	}
	if !in.opts.ReceiveBudget.take(borrow) {
		return ErrBudget
	}
	chunk := make([]byte, size)
	copy(chunk, in.chunk[in.start:in.end])
	in.release()
	in.chunk, in.start, in.end, in.borrowed = chunk, 0, have, borrow
	return nil
}

// release gives back what the present chunk has of the receive budget.
func (in *inbox) release() {
	in.opts.ReceiveBudget.give(in.borrowed)
	in.borrowed = 0
}

// lacking is how many bytes the message that has begun still needs at least, as far as is known; at least 1.
func (in *inbox) lacking() int {
	have := in.end - in.start
	switch {
	case in.preamble:
		return preambleBytes - have
	case in.scan != nil:
		return max(in.scan.Lacking(), 1)
	case have < frameHeadBytes:
		return frameHeadBytes - have
	}
	// The length was found good when the head was first seen.
	n, _ := frameLen(in.chunk[in.start:], in.opts.MessageBytesMax)
	return max(n-have, 1)
}

// setDeadline gives a message that has begun MessageTimeout from its first byte, and an idle connection IdleTimeout.
func (in *inbox) setDeadline() {
	if in.partial {
		return
	}
	now := time.Now()
	deadline := in.deadline
	switch idle := in.opts.IdleTimeout; {
	case in.end > in.start || in.preamble:
		in.partial = true
		deadline = now.Add(in.opts.MessageTimeout)
	case idle <= 0:
		deadline = time.Time{}
	default:
		// Moving the deadline costs more than parsing a message: once a sixteenth of it has passed is often enough.
		if left := deadline.Sub(now); left > idle || left < idle-idle/16 {
			deadline = now.Add(idle)
		}
	}
	if deadline != in.deadline {
		in.deadline = deadline
		// Where this fails the connection is gone, which the next read tells better.
		_ = in.nc.SetReadDeadline(deadline)
	}
}

// handOut gives every whole message to onMessage and says how many there were.
func (in *inbox) handOut(onMessage func([]byte) error) (delivered int, err error) {
	for in.start < in.end {
		msg, ok, err := in.next()
		if err != nil || !ok {
			return delivered, err
		}
		in.partial = false
		delivered++
		if err := onMessage(msg); err != nil {
			return delivered, err
		}
	}
	// Whoever holds a message accounts for its memory from here on.
	if in.start == in.end && in.borrowed > 0 {
		in.release()
		in.chunk, in.start, in.end = nil, 0, 0
	}
	return delivered, nil
}

// next cuts off the next whole message; false if it is not all there yet.
func (in *inbox) next() (msg []byte, ok bool, err error) {
	if in.preamble {
		if ok, err := in.takePreamble(); !ok {
			return nil, false, err
		}
	}
	unread := in.chunk[in.start:in.end]
	if in.scan != nil {
		n, done, err := in.scan.Scan(unread[in.scanned:])
		in.scanned += n
		if err != nil || !done {
			return nil, false, err
		}
		msg = unread[:in.scanned:in.scanned]
		in.start += in.scanned
		in.scanned = 0
		return msg, true, nil
	}
	if len(unread) < frameHeadBytes {
		return nil, false, nil
	}
	n, err := frameLen(unread, in.opts.MessageBytesMax)
	if err != nil || len(unread) < n {
		return nil, false, err
	}
	in.start += n
	msg, err = openFrame(unread[:n])
	return msg, err == nil, err
}

// takePreamble checks the first bytes of a connection; false if they are not all there, or not a peer's.
func (in *inbox) takePreamble() (bool, error) {
	if in.end-in.start < preambleBytes {
		return false, nil
	}
	if err := checkPreamble(in.chunk[in.start:]); err != nil {
		return false, err
	}
	in.start += preambleBytes
	in.preamble, in.partial = false, false
	return true, nil
}
