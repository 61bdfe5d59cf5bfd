package httpgw

import (
	"net/http"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// streamChunkBytes is how much of a stream is encoded before it is written.
const streamChunkBytes = 32 << 10

// streamRange answers with one line of JSON for each key, page after page, to the limit or the end of the range. One
// page is held at a time; the next is read when the client has taken the last. What goes wrong after the first line
// is the last line.
func (x *exchange) streamRange(left bounds, more bool) *failure {
	if !more {
		x.beginStream()
		return nil
	}
	var missing []ring.PartitionID
	limited, wanted := x.params.rng.limit > 0, x.params.rng.limit
	for first := true; more && (!limited || wanted > 0); first = false {
		page, fail := x.nextPage(left, wanted)
		if fail != nil && first {
			return fail
		}
		if fail != nil {
			return x.breakStream(fail, left)
		}
		if first {
			x.beginStream()
		}
		if !x.writePage(page) {
			return nil // the client is gone
		}
		if limited {
			wanted -= len(page.Items)
		}
		missing = union(missing, page.Missing)
		if more = page.More; more {
			left = left.rest(page.Resume)
		}
	}
	if more || len(missing) > 0 {
		x.writeLines(func(b []byte) []byte { return append(appendEnd(append(b, '{'), left, more, missing), '\n') })
	}
	return nil
}

// nextPage reads a page for a stream and sees to it that no more is counted than one page at a time.
func (x *exchange) nextPage(left bounds, limit int) (*coordinator.RangePage, *failure) {
	select {
	case <-x.draining:
		return nil, refused(wire.CodeUnavailable, "node is shutting down")
	default:
	}
	page, fail := x.readPage(left, limit, x.opt.StreamBytesMax, x.deadline())
	if fail != nil {
		return nil, fail
	}
	if more := requestBytes + pageBytes(page) - int(x.held); more > 0 {
		fail = x.grow(more)
	}
	return page, fail
}

func (x *exchange) beginStream() {
	x.w.Header()["Content-Type"] = typeNDJSON
	x.w.WriteHeader(http.StatusOK)
}

// breakStream ends a stream with a line that says why, and where it could go on.
func (x *exchange) breakStream(f *failure, left bounds) *failure {
	x.writeLines(func(b []byte) []byte {
		b = appendFault(append(b, '{'), f.fault)
		return append(appendCursorMember(append(b, ','), left, true), "}\n"...)
	})
	f.written = true
	return f
}

// writePage writes the lines of a page. False means that the client does not take them.
func (x *exchange) writePage(page *coordinator.RangePage) bool {
	next := 0
	for next < len(page.Items) {
		ok := x.writeLines(func(b []byte) []byte {
			for next < len(page.Items) && len(b) < streamChunkBytes {
				b = append(x.appendItem(b, &page.Items[next]), '\n')
				next++
			}
			return b
		})
		if !ok {
			return false
		}
	}
	return x.rc.Flush() == nil
}

// writeLines encodes lines into a buffer and writes them.
func (x *exchange) writeLines(encode func(b []byte) []byte) bool {
	buf := x.buffers.Get().(*[]byte)
	b := encode((*buf)[:0])
	x.setWriteDeadline()
	var err error
	if x.r.Method != http.MethodHead {
		_, err = x.w.Write(b)
	}
	if cap(b) <= bufferBytesMax {
		*buf = b
		x.buffers.Put(buf)
	}
	return err == nil
}
