package coordinator

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// instant is a replica that answers before the call returns: what is left to measure is the coordinator.
type instant struct {
	object causal.Object
	page   ScanPage
	items  []ReadItem
	out    []Decided
}

func newInstant(keys int) *instant {
	i := &instant{object: obj("a1=value")}
	for range keys {
		i.items = append(i.items, ReadItem{Object: i.object})
		i.out = append(i.out, Decided{Dot: i.object.Siblings[0].Dot, Object: i.object})
		i.page.Items = append(i.page.Items, Item{Key: fmt.Appendf(nil, "key%05d", len(i.page.Items)), Object: i.object})
	}
	return i
}

func (i *instant) Store(_ time.Time, _ []Item, done func(StoreAck, error)) {
	done(StoreAck{Actor: 1}, nil)
}
func (i *instant) Hint(_ time.Time, _ ring.NodeID, _ []Item, done func(StoreAck, error)) {
	done(StoreAck{Actor: 1}, nil)
}
func (i *instant) Read(_ time.Time, keys [][]byte, _ ReadWant, done func([]ReadItem, error)) {
	done(i.items[:len(keys)], nil)
}
func (i *instant) Scan(_ time.Time, _ ScanRequest, done func(*ScanPage, error)) {
	page := i.page
	done(&page, nil)
}
func (i *instant) Coordinate(_ time.Time, req *WriteRequest, done func([]Outcome, error)) {
	done(make([]Outcome, len(req.Ops)), nil)
}
func (i *instant) Reachable() bool     { return true }
func (i *instant) Health() Health      { return Health{} }
func (i *instant) Actor() causal.Actor { return 1 }
func (i *instant) Serving() error      { return nil }
func (i *instant) Write(_ time.Time, ds []Decision, decided func([]Decided), durable func(error)) {
	decided(i.out[:len(ds)])
	durable(nil)
}

func benchCoordinator(b *testing.B, keys int) (*Coordinator, [][]byte) {
	b.Helper()
	node, table := newInstant(keys), newFakeTable(3, 3, 256)
	c, err := New(Options{
		Self: "n1", Local: node, Table: func() Topology { return table },
		Peers: func(ring.NodeID) Peer { return node },
	})
	if err != nil {
		b.Fatal(err)
	}
	var list [][]byte
	for i := range keys {
		list = append(list, fmt.Appendf(nil, "key%05d", i))
	}
	return c, list
}

func BenchmarkPut(b *testing.B) {
	for _, keys := range []int{1, 100} {
		for _, ordered := range []bool{false, true} {
			b.Run(fmt.Sprintf("keys=%d,ordered=%v", keys, ordered), func(b *testing.B) {
				c, list := benchCoordinator(b, keys)
				ctx, deadline := context.Background(), time.Now().Add(time.Hour)
				b.ReportAllocs()
				for b.Loop() {
					req := &WriteRequest{Ops: make([]Op, keys), Deadline: deadline, Ordered: wire.ChoiceOf(ordered)}
					for i := range list {
						req.Ops[i].Key = list[i]
					}
					if out, err := c.Write(ctx, req); err != nil || out[0].Err != nil {
						b.Fatal(err, out)
					}
				}
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for _, keys := range []int{1, 100} {
		for _, r := range []Level{LevelOne, LevelQuorum} {
			b.Run(fmt.Sprintf("keys=%d,r=%s", keys, r), func(b *testing.B) {
				c, list := benchCoordinator(b, keys)
				ctx, deadline := context.Background(), time.Now().Add(time.Hour)
				b.ReportAllocs()
				for b.Loop() {
					if res, err := c.Read(ctx, &ReadRequest{Keys: list, R: r, Deadline: deadline}); err != nil || res[0].Err != nil {
						b.Fatal(err, res)
					}
				}
			})
		}
	}
}

func BenchmarkCoordinateForPeer(b *testing.B) {
	c, list := benchCoordinator(b, 1)
	deadline := time.Now().Add(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		c.CoordinateForPeer(deadline, &WriteRequest{Ops: []Op{{Key: list[0]}}}, func(out []Outcome, err error) {
			if err != nil || out[0].Err != nil {
				b.Fatal(err, out)
			}
		})
	}
}

func BenchmarkPlanCover(b *testing.B) {
	for _, nodes := range []int{3, 50} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			table := newRangeTable(newFakeTable(nodes, 3, 256), "n1")
			reachable := make([]bool, nodes)
			for n := range reachable {
				reachable[n] = true
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, lost := newRangePlan(table, 2, reachable).cover(); len(lost) > 0 {
					b.Fatal(lost)
				}
			}
		})
	}
}

func BenchmarkRange(b *testing.B) {
	c, list := benchCoordinator(b, 1000)
	ctx, deadline := context.Background(), time.Now().Add(time.Hour)
	b.ReportAllocs()
	for b.Loop() {
		page, err := c.Range(ctx, &RangeRequest{Deadline: deadline})
		if err != nil || len(page.Items) != len(list) {
			b.Fatal(err)
		}
	}
}
