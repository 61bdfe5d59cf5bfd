package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testDir = "data"

var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

func table(t testing.TB, n, partitions int, members ...ring.Member) *ring.Table {
	t.Helper()
	if len(members) == 0 {
		members = []ring.Member{{ID: "n0"}, {ID: "n1"}, {ID: "n2"}}
	}
	tab, err := ring.Plan(nil, members, ring.Config{Replicas: n, Partitions: partitions})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func options(t testing.TB, fs vfs.FS) Options {
	t.Helper()
	return Options{Node: "n0", Table: table(t, 3, 16), NewCluster: true, Storage: storage.Options{FS: fs, SegmentBytesMax: 1 << 20}}
}

func mustOpen(t testing.TB, opts Options) *Replica {
	t.Helper()
	r, err := Open(testDir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

func mustClose(t testing.TB, r *Replica) {
	t.Helper()
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func newReplica(t testing.TB) *Replica {
	t.Helper()
	return mustOpen(t, options(t, vfstest.New()))
}

// writeNow is Write, waited for. handed says whether decided was called.
func (r *Replica) writeNow(ds ...coordinator.Decision) (out []coordinator.Decided, handed bool, err error) {
	durable := make(chan error, 1)
	r.Write(time.Time{}, ds, func(d []coordinator.Decided) { out, handed = d, true }, func(err error) { durable <- err })
	err = <-durable
	return out, handed, err
}

func put(key, value string) coordinator.Decision {
	return coordinator.Decision{Key: []byte(key), Value: []byte(value)}
}

func putAfter(key, value string, seen causal.Vector) coordinator.Decision {
	d := put(key, value)
	d.Context, d.HasContext = seen, true
	return d
}

func (r *Replica) mustWrite(t testing.TB, d coordinator.Decision) coordinator.Decided {
	t.Helper()
	out, _, err := r.writeNow(d)
	if err != nil || out[0].Err != nil {
		t.Fatal(errors.Join(err, out[0].Err))
	}
	return out[0]
}

func (r *Replica) storeNow(items ...coordinator.Item) (ack coordinator.StoreAck, err error) {
	done := make(chan error, 1)
	r.Store(time.Time{}, items, func(a coordinator.StoreAck, err error) {
		ack = a
		done <- err
	})
	err = <-done
	return ack, err
}

func (r *Replica) mustStore(t testing.TB, items ...coordinator.Item) {
	t.Helper()
	ack, err := r.storeNow(items...)
	if err != nil || ack.Actor != r.Actor() {
		t.Fatalf("acknowledged by %v, %v", ack.Actor, err)
	}
}

func (r *Replica) readKeys(want coordinator.ReadWant, keys ...string) (items []coordinator.ReadItem, err error) {
	var ks [][]byte
	for _, k := range keys {
		ks = append(ks, []byte(k))
	}
	r.Read(time.Time{}, ks, want, func(got []coordinator.ReadItem, e error) { items, err = got, e })
	return items, err
}

func (r *Replica) mustRead(t testing.TB, key string) causal.Object {
	t.Helper()
	items, err := r.readKeys(coordinator.WantValues, key)
	if err != nil || items[0].State != coordinator.ReadKnown {
		t.Fatalf("%s: state %v, %v", key, items, err)
	}
	return items[0].Object
}

// foreign is an object that another node's actor wrote: one sibling.
func foreign(actor causal.Actor, at causal.Timestamp, value string) causal.Object {
	d := causal.Dot{Actor: actor, Time: at}
	return causal.Object{Vector: causal.Vector{d}, Siblings: []causal.Sibling{{Dot: d, Value: []byte(value)}}}
}

// crowd is an object of n siblings by as many actors.
func crowd(n int) causal.Object {
	var o causal.Object
	for a := causal.Actor(1); a <= causal.Actor(n); a++ {
		o = causal.Join(o, foreign(a, 10, fmt.Sprint("value ", a)))
	}
	return o
}

func item(key string, o causal.Object) coordinator.Item {
	return coordinator.Item{Key: []byte(key), Object: o}
}

func values(o causal.Object) []string {
	var vs []string
	for _, s := range o.Siblings {
		if !s.Tombstone {
			vs = append(vs, string(s.Value))
		}
	}
	return vs
}

func vectorOf(d causal.Dot) causal.Vector { return causal.Vector{d} }
