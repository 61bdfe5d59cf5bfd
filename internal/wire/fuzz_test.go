package wire

import (
	"bytes"
	"context"
	"io"
	"net"
	"reflect"
	"testing"
	"time"
)

// fuzzMessage checks that a decoder takes nothing that it would not write, and survives everything else.
func fuzzMessage(f *testing.F, kind message) {
	typ := reflect.TypeOf(kind)
	for _, m := range messages {
		if reflect.TypeOf(m.msg) == typ {
			f.Add(encoded(m.msg))
		}
	}
	f.Add([]byte{0x80})
	f.Add([]byte{0x90})
	f.Add([]byte{0x91, 0xdf, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0x91}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := reflect.New(typ.Elem()).Interface().(message)
		r := NewReader(b)
		if m.Decode(&r) != nil {
			return
		}
		first := encoded(m)
		again := reflect.New(typ.Elem()).Interface().(message)
		r = NewReader(first)
		if err := again.Decode(&r); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if second := encoded(again); !bytes.Equal(first, second) {
			t.Fatalf("written as % x, and then as % x", first, second)
		}
	})
}

func FuzzGetRequest(f *testing.F)      { fuzzMessage(f, &GetRequest{}) }
func FuzzGetResult(f *testing.F)       { fuzzMessage(f, &GetResult{}) }
func FuzzMultiGetRequest(f *testing.F) { fuzzMessage(f, &MultiGetRequest{}) }
func FuzzMultiGetResult(f *testing.F)  { fuzzMessage(f, &MultiGetResult{}) }
func FuzzPutRequest(f *testing.F)      { fuzzMessage(f, &PutRequest{}) }
func FuzzDeleteRequest(f *testing.F)   { fuzzMessage(f, &DeleteRequest{}) }
func FuzzWriteResult(f *testing.F)     { fuzzMessage(f, &WriteResult{}) }
func FuzzBatchRequest(f *testing.F)    { fuzzMessage(f, &BatchRequest{}) }
func FuzzBatchResult(f *testing.F)     { fuzzMessage(f, &BatchResult{}) }
func FuzzRangeRequest(f *testing.F)    { fuzzMessage(f, &RangeRequest{}) }
func FuzzRangeResult(f *testing.F)     { fuzzMessage(f, &RangeResult{}) }
func FuzzPlainRequest(f *testing.F)    { fuzzMessage(f, &PlainRequest{}) }
func FuzzPingResult(f *testing.F)      { fuzzMessage(f, &PingResult{}) }
func FuzzStatus(f *testing.F)          { fuzzMessage(f, &Status{}) }
func FuzzTopology(f *testing.F)        { fuzzMessage(f, &Topology{}) }

func FuzzEnvelope(f *testing.F) {
	var w Writer
	w.Request(1, MethodGet)
	w.ArrayLen(0)
	f.Add(bytes.Clone(w.Bytes()))
	w.Reset()
	w.Failure(1, &aFault, 5)
	f.Add(bytes.Clone(w.Bytes()))
	w.Reset()
	w.Notification("x")
	w.Nil()
	f.Add(bytes.Clone(w.Bytes()))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnvelope(b)
		if err != nil || e.Type != TypeResponse {
			return
		}
		fault, clock := e.Failure()
		if fault == nil || e.Body.Err() != nil {
			return
		}
		var w Writer
		w.Failure(e.ID, fault, clock)
		again, err := ParseEnvelope(w.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if f, c := again.Failure(); f == nil || !reflect.DeepEqual(f, fault) || c != clock {
			t.Fatalf("%+v reads back as %+v", fault, f)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(Cursor{Resume: []byte("k")}.Append(nil, nil, nil, nil), []byte{}, []byte{}, []byte{})
	f.Add(Cursor{Resume: []byte("k"), Reverse: true}.Append(nil, []byte("a"), []byte("b"), []byte("c")), []byte("a"), []byte("b"), []byte("c"))
	f.Fuzz(func(t *testing.T, b, start, end, prefix []byte) {
		if c, err := ParseCursor(b, start, end, prefix); err == nil && !bytes.Equal(c.Append(nil, start, end, prefix), b) {
			t.Fatalf("% x is taken for a cursor", b)
		}
		c := Cursor{Resume: b, Reverse: len(start)%2 == 0}
		made := c.Append(nil, start, end, prefix)
		back, err := ParseCursor(made, start, end, prefix)
		if err != nil || !bytes.Equal(back.Resume, b) || back.Reverse != c.Reverse {
			t.Fatalf("%+v, %v", back, err)
		}
		q := RangeRequest{Start: start, End: end, Prefix: prefix, Cursor: made, Reverse: c.Reverse}
		lo, hi, some, err := q.Span()
		if err != nil || some && len(hi) > 0 && bytes.Compare(lo, hi) >= 0 {
			t.Fatalf("span %q to %q, %v, %v", lo, hi, some, err)
		}
	})
}

// scriptConn is a connection that brings some bytes in small pieces and takes what is written.
type scriptConn struct {
	net.Conn
	left []byte
	step int
}

func (c *scriptConn) Read(b []byte) (int, error) {
	if len(c.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.left[:min(c.step, len(c.left))])
	c.left = c.left[n:]
	return n, nil
}

func (c *scriptConn) Write(b []byte) (int, error)      { return len(b), nil }
func (c *scriptConn) Close() error                     { return nil }
func (c *scriptConn) SetReadDeadline(time.Time) error  { return nil }
func (c *scriptConn) SetWriteDeadline(time.Time) error { return nil }

// FuzzLink feeds a link with a stream; its messages must be the same however the stream is cut.
func FuzzLink(f *testing.F) {
	frames := appendMessage(appendMessage(appendPreamble(nil), Framed, []byte("\x01")), Framed, make([]byte, 5000))
	f.Add(frames, true, uint16(3))
	f.Add(frames[:40], true, uint16(100))
	f.Add([]byte("\x01\xa3abc\xc4\x02xy\x92\x01"), false, uint16(0))
	f.Add([]byte{codeBin32, 0x00, 0x00, 0xff, 0xff}, false, uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, framed bool, step uint16) {
		framing := Bare
		if framed {
			framing = Framed
		}
		run := func(step int) (all []byte, n int) {
			l := NewLink(&scriptConn{left: stream, step: step}, LinkOptions{Framing: framing, MessageBytesMax: 1 << 16, ChunkBytesMax: 4 << 10})
			err := l.Run(context.Background(), func(msg []byte) error {
				all = append(all, msg...)
				n++
				return nil
			}, nil)
			if err == nil {
				t.Fatal("a stream without end")
			}
			return all, n
		}
		whole, n := run(1 << 20)
		pieces, m := run(int(step) + 1)
		if n != m || !bytes.Equal(whole, pieces) {
			t.Fatalf("%d messages at once, %d in pieces", n, m)
		}
	})
}
