package rpc

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

// hostile is what a stranger may send.
func hostile(rnd *rand.Rand) map[string][]byte {
	random := make([]byte, 4096)
	for i := range random {
		random[i] = byte(rnd.Uint32())
	}
	w := wire.NewWriter(nil)
	w.Request(1, wire.MethodPut)
	(&wire.PutRequest{Key: []byte("k"), Value: make([]byte, 1000)}).Encode(w)
	return map[string][]byte{
		"random":             random,
		"http":               []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"truncated":          w.Bytes()[:500],
		"a huge byte string": {0x94, 0, 1, 0xa3, 'p', 'u', 't', 0x92, 0xa1, 'k', 0xc6, 0xff, 0xff, 0xff, 0xff},
		"a huge array":       {0x94, 0, 1, 0xa8, 'm', 'u', 'l', 't', 'i', 'g', 'e', 't', 0x91, 0xdd, 0xff, 0xff, 0xff, 0xff},
		"a huge map":         {0x94, 0, 1, 0xa5, 'r', 'a', 'n', 'g', 'e', 0x91, 0xdf, 0xff, 0xff, 0xff, 0xff},
		"a huge extension":   {0x94, 0, 1, 0xc9, 0xff, 0xff, 0xff, 0xff, 1},
		"nested arrays":      bytes.Repeat([]byte{0x91}, 1<<20),
		"nested maps":        bytes.Repeat([]byte{0x81, 0x01}, 1<<19),
		"nested in a method": append([]byte{0x94, 0, 1, 0xa3, 'g', 'e', 't'}, bytes.Repeat([]byte{0xdc, 0, 1}, 1<<18)...),
		"a response":         {0x94, 1, 1, 0xc0, 0xc0},
		"a notification":     {0x93, 2, 0xa3, 'g', 'e', 't', 0x90},
		"a scalar":           {42},
		"the unused byte":    {0xc1},
		"an id that is none": {0x94, 0, 0xff, 0xa3, 'g', 'e', 't', 0x90},
	}
}

func TestHostileBytesEndTheirConnectionAndNobodyElses(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	p := startPort(t, func(o *Options) { o.MessageTimeout = 300 * time.Millisecond })
	good := p.dial()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for name, payload := range hostile(rand.New(rand.NewPCG(seed, 1))) {
		t.Run(name, func(t *testing.T) {
			c := p.dial()
			c.t = t
			c.nc.Write(payload) // the server may have closed before all is sent
			c.ended()
			var got wire.GetResult
			good.must(wire.MethodGet, (&wire.GetRequest{Key: []byte("k")}).Encode, got.Decode)
		})
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
		t.Fatalf("%d MiB were allocated", allocated>>20)
	}
}

func TestManySlowSendersHoldNoMoreThanTheBudget(t *testing.T) {
	const budget = 2 << 20
	p := startPort(t, func(o *Options) { o.ReceiveBytesMax = budget; o.MessageTimeout = time.Second })
	// Each sends 200 KiB of a value that is said to have 60 MiB, and then nothing.
	head := []byte{0x94, 0, 1, 0xa3, 'p', 'u', 't', 0x92, 0xa1, 'k', 0xc6, 0x03, 0xc0, 0, 0}
	payload := append(head, make([]byte, 200<<10)...)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var conns []*caller
	var wg sync.WaitGroup
	for range 50 {
		c := p.dial()
		conns = append(conns, c)
		wg.Go(func() { c.nc.Write(payload) })
	}
	wg.Wait()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4*budget {
		t.Fatalf("the heap has grown by %d KiB under a budget of %d KiB", grown>>10, budget>>10)
	}
	good := p.dial()
	good.must(wire.MethodPing, (&wire.PlainRequest{}).Encode, new(wire.PingResult).Decode)
	for _, c := range conns {
		c.ended()
	}
}

func TestAClientThatAsksAndDoesNotReadIsCutOff(t *testing.T) {
	p := startPort(t, func(o *Options) {
		o.MessageBytesMax, o.SendBytesMax, o.WriteTimeout = 1<<20, 2<<20, 500*time.Millisecond
	})
	p.store.objects["big"] = causal.Object{Siblings: []causal.Sibling{{Dot: causal.Dot{Actor: 1, Time: 1}, Value: make([]byte, 500<<10)}}}
	c := p.dial()
	w := wire.NewWriter(nil)
	w.Request(1, wire.MethodGet)
	(&wire.GetRequest{Key: []byte("big")}).Encode(w)
	var err error
	for range 10_000 {
		if _, err = c.nc.Write(w.Bytes()); err != nil {
			break
		}
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal("the server reads on and on")
	}
	eventually(t, "what it asked for is released", func() bool { return p.adm.InFlight() == 0 })
	good := p.dial()
	good.must(wire.MethodPing, (&wire.PlainRequest{}).Encode, new(wire.PingResult).Decode)
}

func TestAnAnswerThatIsTooLargeIsAFault(t *testing.T) {
	p := startPort(t, func(o *Options) { o.MessageBytesMax = 1 << 20 })
	p.store.objects["big"] = causal.Object{Siblings: []causal.Sibling{{Dot: causal.Dot{Actor: 1, Time: 1}, Value: make([]byte, 600<<10)}}}
	c := p.dial()
	two := wire.MultiGetRequest{Keys: [][]byte{[]byte("big"), []byte("big")}}
	if f := c.call(wire.MethodMultiGet, two.Encode, new(wire.MultiGetResult).Decode); f == nil || f.Code != wire.CodeTooLarge {
		t.Fatalf("%v", f)
	}
	c.must(wire.MethodGet, (&wire.GetRequest{Key: []byte("big")}).Encode, new(wire.GetResult).Decode)
}

func TestOneConnectionTooManyIsClosed(t *testing.T) {
	p := startPort(t, func(o *Options) { o.ConnectionsMax = 2 })
	ping := func(c *caller) {
		c.must(wire.MethodPing, (&wire.PlainRequest{}).Encode, new(wire.PingResult).Decode)
	}
	a, b := p.dial(), p.dial()
	ping(a)
	ping(b)
	p.dial().ended()
	a.nc.Close()
	eventually(t, "there is room again", func() bool {
		c := p.dial()
		w := wire.NewWriter(nil)
		w.Request(1, wire.MethodPing)
		w.ArrayLen(0)
		c.nc.Write(w.Bytes())
		_, err := c.receive()
		return err == nil
	})
	ping(b)
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	p := startPort(t, func(o *Options) { o.IdleTimeout = 50 * time.Millisecond })
	p.dial().ended()
}
