package peer

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
)

// countingConn counts the system calls that move bytes.
type countingConn struct {
	net.Conn
	writes, reads *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) { c.writes.Add(1); return c.Conn.Write(b) }
func (c countingConn) Read(b []byte) (int, error)  { c.reads.Add(1); return c.Conn.Read(b) }

type countingListener struct {
	net.Listener
	writes, reads *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return countingConn{nc, l.writes, l.reads}, err
}

// BenchmarkStore is a store of one 128-byte value and its answer over loopback, both nodes in this process.
func BenchmarkStore(b *testing.B) {
	b.Run("callers=1", func(b *testing.B) { benchmarkStore(b, 1) })
	b.Run("callers=64", func(b *testing.B) { benchmarkStore(b, 64) })
}

func benchmarkStore(b *testing.B, callers int) {
	var writes, reads atomic.Int64
	members, listeners := listen(b, 2)
	var nodes []*testNode
	for i := range 2 {
		o := testOptions(b, members, i)
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
		o.PingInterval = time.Second
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			nc, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			return countingConn{nc, &writes, &reads}, err
		}
		nodes = append(nodes, start(b, o, countingListener{listeners[i], &writes, &reads}))
	}
	awaitAll(b, nodes)
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onStore = func(_ time.Time, _ []coordinator.Item, done func(coordinator.StoreAck, error)) {
			done(coordinator.StoreAck{Actor: 1}, nil)
		}
	})
	p := nodes[0].Peer("n2")
	items := []coordinator.Item{item("0123456789abcdef", strings.Repeat("v", 128))}

	// A token is a caller's right to have a store under way.
	tokens := make(chan struct{}, callers)
	for range callers {
		tokens <- struct{}{}
	}
	done := func(_ coordinator.StoreAck, err error) {
		if err != nil {
			b.Error(err)
		}
		tokens <- struct{}{}
	}
	writes.Store(0)
	reads.Store(0)
	b.ReportAllocs()
	for b.Loop() {
		<-tokens
		p.Store(time.Now().Add(time.Minute), items, done)
	}
	for range callers {
		<-tokens
	}
	b.ReportMetric(float64(writes.Load())/float64(b.N), "writes/op")
	b.ReportMetric(float64(reads.Load())/float64(b.N), "reads/op")
}
