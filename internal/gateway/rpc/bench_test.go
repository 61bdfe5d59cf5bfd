package rpc

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/ring"
)

// trivialStore answers at once: what is left is the cost of the port and of the client.
type trivialStore struct{ object causal.Object }

func (s *trivialStore) Write(_ context.Context, q *coordinator.WriteRequest) ([]coordinator.Outcome, error) {
	outcomes := make([]coordinator.Outcome, len(q.Ops))
	for i := range outcomes {
		outcomes[i] = coordinator.Outcome{Context: s.object.Vector, Receipt: coordinator.Receipt{Replicas: []ring.NodeID{"a", "b"}}}
	}
	return outcomes, nil
}

func (s *trivialStore) Read(_ context.Context, q *coordinator.ReadRequest) ([]coordinator.ReadResult, error) {
	results := make([]coordinator.ReadResult, len(q.Keys))
	for i := range results {
		results[i].Object = s.object
	}
	return results, nil
}

func (s *trivialStore) Range(context.Context, *coordinator.RangeRequest) (*coordinator.RangePage, error) {
	return &coordinator.RangePage{}, nil
}

func BenchmarkPort(b *testing.B) {
	dot := causal.Dot{Actor: 1, Time: 1 << 60}
	store := &trivialStore{causal.Object{
		Vector: causal.Vector{dot}, Siblings: []causal.Sibling{{Dot: dot, Value: make([]byte, 128)}},
	}}
	for _, load := range []struct{ clients, callers int }{{1, 1}, {1, 64}, {64, 64}} {
		p := startPort(b, func(o *Options) {
			o.Store, o.Admission = store, gateway.NewAdmission(8192, 1<<28, time.Second)
		})
		clients := make([]*client.Client, load.clients)
		for i := range clients {
			c, err := client.New(client.Options{Addrs: []string{p.addr}, Direct: true, ConnectionsPerNode: 1})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { c.Close() })
			clients[i] = c
		}
		key, value := []byte("debian/bookworm/golang-go"), make([]byte, 128)
		for name, call := range map[string]func(c *client.Client) error{
			"get": func(c *client.Client) error { _, err := c.Get(context.Background(), key, nil); return err },
			"put": func(c *client.Client) error { _, err := c.Put(context.Background(), key, value, nil); return err },
		} {
			b.Run(fmt.Sprintf("%s/clients=%d/callers=%d", name, load.clients, load.callers), func(b *testing.B) {
				b.ReportAllocs()
				var wg sync.WaitGroup
				for i := range load.callers {
					wg.Go(func() {
						for range b.N / load.callers {
							if err := call(clients[i%load.clients]); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
