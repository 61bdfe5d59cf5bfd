package wire

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

func benchPut() *PutRequest {
	return &PutRequest{Key: []byte("debian/bookworm/golang-go"), Value: make([]byte, 128), Options: Options{W: LevelQuorum, Timeout: 1 << 30, Clock: 1 << 60}}
}

func BenchmarkPutByHand(b *testing.B) {
	put := benchPut()
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var w Writer
		for b.Loop() {
			w.Reset()
			w.Request(1234, MethodPut)
			put.Encode(&w)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var w Writer
		w.Request(1234, MethodPut)
		put.Encode(&w)
		var q PutRequest
		for b.Loop() {
			e, err := ParseEnvelope(w.Bytes())
			if err != nil {
				b.Fatal(err)
			}
			if err := q.Decode(&e.Body); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		var w Writer
		w.Request(1234, MethodPut)
		put.Encode(&w)
		s := NewScanner(ScanLimits{})
		for b.Loop() {
			if _, done, err := s.Scan(w.Bytes()); !done || err != nil {
				b.Fatal(err)
			}
		}
	})
}

// budgeted is what the library reads from: it has to be an io.ByteScanner, or the library buffers by itself.
type budgeted struct{ *bytes.Reader }

// BenchmarkPutByLibrary is the same message by the library's low-level calls, with the same checks.
func BenchmarkPutByLibrary(b *testing.B) {
	put := benchPut()
	encode := func(e *msgpack.Encoder) {
		e.EncodeArrayLen(4)
		e.EncodeUint(0)
		e.EncodeUint(1234)
		e.EncodeString(MethodPut)
		e.EncodeArrayLen(3)
		e.EncodeBytes(put.Key)
		e.EncodeBytes(put.Value)
		e.EncodeMapLen(3)
		e.EncodeString("w")
		e.EncodeString("quorum")
		e.EncodeString("timeout_ms")
		e.EncodeUint(1 << 10)
		e.EncodeString("clock")
		e.EncodeUint(1 << 60)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		e := msgpack.NewEncoder(&buf)
		for b.Loop() {
			buf.Reset()
			encode(e)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		encode(msgpack.NewEncoder(&buf))
		src := budgeted{bytes.NewReader(nil)}
		d := msgpack.NewDecoder(src)
		scratch := make([]byte, 1024)
		bin := func() {
			n, err := d.DecodeBytesLen()
			if err != nil || n > src.Len() {
				b.Fatal("bad length")
			}
			if err := d.ReadFull(scratch[:n]); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			src.Reset(buf.Bytes())
			d.DecodeArrayLen()
			d.DecodeUint64()
			d.DecodeUint64()
			bin()
			d.DecodeArrayLen()
			bin()
			bin()
			n, _ := d.DecodeMapLen()
			for range n {
				bin()
				switch c, _ := d.PeekCode(); {
				case c < 0xc0:
					bin()
				default:
					d.DecodeUint64()
				}
			}
		}
	})
}

// BenchmarkLink is round trips over loopback: an echo at one end, callers that wait for their answer at the other.
func BenchmarkLink(b *testing.B) {
	for _, framing := range []Framing{Bare, Framed} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("framing=%d/callers=%d", framing, callers), func(b *testing.B) { benchLink(b, framing, callers) })
		}
	}
}

func benchLink(b *testing.B, framing Framing, callers int) {
	nc, far := tcpPair(b)
	o := LinkOptions{Framing: framing}
	echo := NewLink(far, o)
	start(b, echo, func(msg []byte) error {
		e, err := ParseEnvelope(msg)
		if err != nil {
			return err
		}
		var q PutRequest
		if err := q.Decode(&e.Body); err != nil {
			return err
		}
		return echo.Send(func(w *Writer) {
			w.Result(e.ID)
			w.Bin(q.Key)
		})
	}, nil)
	done := make([]chan struct{}, callers)
	for i := range done {
		done[i] = make(chan struct{}, 1)
	}
	l := NewLink(nc, o)
	start(b, l, func(msg []byte) error {
		e, err := ParseEnvelope(msg)
		if err != nil {
			return err
		}
		done[e.ID] <- struct{}{}
		return nil
	}, nil)
	put := benchPut()
	b.ReportAllocs()
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range callers {
		wg.Go(func() {
			for range b.N / callers {
				if err := l.Send(func(w *Writer) {
					w.Request(uint32(i), MethodPut)
					put.Encode(w)
				}); err != nil {
					b.Error(err)
					return
				}
				<-done[i]
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "trips/s")
}
