package wire

import (
	"fmt"
	"runtime"
	"time"
)

const (
	// sendBytesKept is the largest outgoing buffer that a link keeps for the next messages.
	sendBytesKept = 64 << 10
	// writeBytesMax is the most that is handed to the connection at once.
	writeBytesMax = 256 << 10
)

// Senders do not write themselves, even where nothing else is to be written and the connection would take it at once. That was
// measured over loopback, both ends in one process on two cores: round trips of one caller took as long (30 µs against 28 µs), those of 64
// callers on one link a third longer, because fewer messages share a write, and 64 links with a caller each cost the same CPU time.

// Send appends one message, which build writes, to the outgoing buffer. It never waits for the network: build runs at once,
// under the link's lock, and must not call the link. That the message will be written, let alone arrive, is not known when Send returns.
// Errors: ErrSendFull and ErrTooLarge (the message was not sent), or why the link has ended.
func (l *Link) Send(build func(w *Writer)) error {
	l.mu.Lock()
	if l.err != nil || l.closing {
		defer l.mu.Unlock()
		if l.err != nil {
			return fmt.Errorf("send on an ended link: %w", l.err)
		}
		return ErrClosed
	}
	err := l.appendLocked(build)
	wake := err == nil && l.parked && !l.batching
	if wake {
		l.parked = false
	}
	l.mu.Unlock()
	if wake {
		// The channel holds one token, and only a parked writer has none: this never blocks.
		l.wake <- struct{}{}
	}
	return err
}

// appendLocked appends a message or leaves the buffer as it was.
func (l *Link) appendLocked(build func(w *Writer)) error {
	if len(l.out.buf)+l.writing >= l.opts.SendBytesMax {
		return ErrSendFull
	}
	if l.out.buf == nil {
		l.out.buf, l.spare = l.spare, nil
	}
	start := len(l.out.buf)
	payload := start
	if l.opts.Framing == Framed {
		l.out.buf = appendFrameHead(l.out.buf)
		payload += frameHeadBytes
	}
	build(&l.out)
	switch {
	case len(l.out.buf)-payload > l.opts.MessageBytesMax:
		l.out.buf = l.out.buf[:start]
		return ErrTooLarge
	case len(l.out.buf)+l.writing > l.opts.SendBytesMax && start+l.writing > 0:
		l.out.buf = l.out.buf[:start]
		return ErrSendFull
	}
	if l.opts.Framing == Framed {
		sealFrame(l.out.buf[start:])
	}
	return nil
}

// Pending is the number of bytes that wait to be written.
func (l *Link) Pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.out.buf) + l.writing
}

// writeLoop writes what gathers until the link ends.
func (l *Link) writeLoop() {
	var deadline time.Time
	for {
		buf, ok := l.takeOut()
		if !ok {
			return
		}
		err := l.write(buf, &deadline)
		l.putBack(buf)
		if err != nil {
			l.fail(fmt.Errorf("write: %w", err))
			return
		}
	}
}

// write writes all of buf, in pieces so that a slow reader of a long message is told from one that reads nothing.
func (l *Link) write(buf []byte, deadline *time.Time) error {
	for len(buf) > 0 {
		// A deadline is moved only when half of it has passed: setting one costs as much as encoding a message.
		if now := time.Now(); deadline.Sub(now) < l.opts.WriteTimeout {
			*deadline = now.Add(2 * l.opts.WriteTimeout)
			if err := l.nc.SetWriteDeadline(*deadline); err != nil {
				return err
			}
		}
		n, err := l.nc.Write(buf[:min(len(buf), writeBytesMax)])
		if err != nil {
			return err
		}
		buf = buf[n:]
	}
	return nil
}

// takeOut waits until there is something to write and takes all of it; false when the link has ended.
func (l *Link) takeOut() ([]byte, bool) {
	l.mu.Lock()
	for l.err == nil && (len(l.out.buf) == 0 || l.batching) {
		if l.closing && len(l.out.buf) == 0 {
			l.mu.Unlock()
			return nil, false
		}
		l.parked = true
		l.mu.Unlock()
		<-l.wake
		// Whoever else is ready to run may have a message for the same write.
		runtime.Gosched()
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, false
	}
	buf := l.out.buf
	l.out.buf, l.spare = l.spare, nil
	l.writing = len(buf)
	return buf, true
}

// putBack keeps a written buffer for the next messages, unless it is large.
func (l *Link) putBack(buf []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = 0
	if cap(buf) > sendBytesKept {
		return
	}
	if l.out.buf == nil {
		l.out.buf = buf[:0]
	} else {
		l.spare = buf[:0]
	}
}
