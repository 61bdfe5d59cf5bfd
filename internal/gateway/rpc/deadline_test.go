package rpc

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
)

// atOffsets runs a test against nodes whose clocks are right, ahead and behind.
func atOffsets(t *testing.T, test func(t *testing.T, p *port, now func() time.Time)) {
	for _, offset := range []time.Duration{-30 * time.Second, 0, 30 * time.Second} {
		t.Run(fmt.Sprint("clock ", offset), func(t *testing.T) {
			now := func() time.Time { return time.Now().Add(offset) }
			test(t, startPort(t, func(o *Options) { o.Now = now }), now)
		})
	}
}

func TestARequestThatArrivesAfterItsDeadlineIsNotCarriedOut(t *testing.T) {
	atOffsets(t, func(t *testing.T, p *port, now func() time.Time) {
		c := p.dial()
		var pong wire.PingResult
		c.must(wire.MethodPing, (&wire.PlainRequest{}).Encode, pong.Decode)
		if off := time.UnixMicro(pong.NowMicros).Sub(now()); off > 0 || off < -5*time.Second {
			t.Fatalf("the node tells a time that is off by %v", off)
		}
		key := []byte("k")
		with := func(left time.Duration) map[string]func(*wire.Writer) {
			o := wire.Options{Timeout: time.Minute, DeadlineMicros: now().Add(left).UnixMicro()}
			return map[string]func(*wire.Writer){
				wire.MethodPut:      (&wire.PutRequest{Key: key, Options: o}).Encode,
				wire.MethodDelete:   (&wire.DeleteRequest{Key: key, Options: o}).Encode,
				wire.MethodBatch:    (&wire.BatchRequest{Ops: []wire.Op{{Key: key}}, Options: o}).Encode,
				wire.MethodGet:      (&wire.GetRequest{Key: key, Options: o}).Encode,
				wire.MethodMultiGet: (&wire.MultiGetRequest{Keys: [][]byte{key}, Options: o}).Encode,
				wire.MethodRange:    (&wire.RangeRequest{Options: o}).Encode,
			}
		}
		skip := func(r *wire.Reader) error { r.Skip(); return r.Done() }
		for method, params := range with(-time.Millisecond) {
			if f := c.call(method, params, skip); f == nil || f.Code != wire.CodeTimeout || f.Effect != wire.EffectNone {
				t.Errorf("a late %s: %v", method, f)
			}
		}
		if n := len(p.store.writes) + len(p.store.reads) + len(p.store.ranges); n != 0 {
			t.Fatalf("the store was asked %d times", n)
		}
		for method, params := range with(10 * time.Second) {
			c.must(method, params, skip)
		}
		for _, w := range p.store.writes {
			if left := time.Until(w.Deadline); left > 10*time.Second || left < time.Second {
				t.Errorf("the store was given %v", left)
			}
		}
		// The time limit counts where it ends first.
		sooner := wire.PutRequest{Key: key, Options: wire.Options{Timeout: time.Second, DeadlineMicros: now().Add(time.Hour).UnixMicro()}}
		c.must(wire.MethodPut, sooner.Encode, skip)
		if left := time.Until(p.store.writes[len(p.store.writes)-1].Deadline); left > time.Second {
			t.Errorf("the store was given %v in place of 1 s", left)
		}
	})
}

func TestAPutThatANodeFindsWhenItWakesIsNotCarriedOut(t *testing.T) {
	atOffsets(t, func(t *testing.T, p *port, _ func() time.Time) {
		g := startGate(t, p.addr)
		c, err := client.New(client.Options{
			Addrs: []string{g.addr}, Direct: true, ConnectionsPerNode: 1, Timeout: 200 * time.Millisecond, RetriesMax: -1,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Put(t.Context(), []byte("k"), []byte("first"), nil); err != nil {
			t.Fatalf("in time: %v", err)
		}
		g.hold()
		var e *client.Error
		_, err = c.Put(t.Context(), []byte("k"), []byte("old"), nil)
		if !errors.As(err, &e) || e.Code != client.CodeTimeout || e.Effect != client.EffectUnknown {
			t.Fatalf("to a node that hangs: %v", err)
		}
		g.release()
		for deadline := time.Now().Add(10 * time.Second); ; {
			if s := p.adm.Status(); s.Total == 2 && s.InFlight == 0 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("the late request does not arrive: %+v", s)
			}
			<-time.After(time.Millisecond)
		}
		p.store.mu.Lock()
		writes := len(p.store.writes)
		p.store.mu.Unlock()
		if writes != 1 {
			t.Fatal("the late put was carried out")
		}
		c2, err := client.New(client.Options{Addrs: []string{g.addr}, Direct: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c2.Close() })
		if _, err := c2.Put(t.Context(), []byte("k"), []byte("new"), nil); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAPingIsAnsweredWhereNothingElseIsAdmitted(t *testing.T) {
	p := startPort(t, func(o *Options) { o.Admission = gateway.NewAdmission(1, 1<<30, time.Second) })
	if f := p.adm.Acquire(1); f != nil {
		t.Fatal(f)
	}
	defer p.adm.Release(1)
	c := p.dial()
	if f := c.call(wire.MethodGet, (&wire.GetRequest{}).Encode, nil); f == nil || f.Code != wire.CodeOverloaded {
		t.Fatalf("a get: %v", f)
	}
	c.must(wire.MethodPing, (&wire.PlainRequest{}).Encode, new(wire.PingResult).Decode)
}

// gate is a proxy that can hold back what clients send, as a stopped node leaves it in its socket.
type gate struct {
	addr string
	mu   sync.RWMutex // held for writing: closed
}

func (g *gate) hold()    { g.mu.Lock() }
func (g *gate) release() { g.mu.Unlock() }

func startGate(t *testing.T, to string) *gate {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{addr: ln.Addr().String()}
	var running sync.WaitGroup
	t.Cleanup(running.Wait)
	t.Cleanup(func() { ln.Close() })
	running.Go(func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			node, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			running.Go(func() { g.forward(node, from) })
			running.Go(func() { io.Copy(from, node); from.Close() })
		}
	})
	return g
}

func (g *gate) forward(node, from net.Conn) {
	defer node.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		g.mu.RLock()
		_, failed := node.Write(buf[:n])
		g.mu.RUnlock()
		if err != nil || failed != nil {
			return
		}
	}
}
