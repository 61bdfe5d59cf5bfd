package antientropy

import (
	"reflect"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

func TestStatesTellVectorsOnlyWhereTheyAreToBeTold(t *testing.T) {
	untold := state{Partition: 3, Filled: true, Digest: 9, Expired: 77, Retiring: []retiring{{Actor: 5, At: 6, Ready: true}}}
	told := untold
	told.Told, told.Stable = true, causal.Vector{{Actor: 1, Time: 2}, {Actor: 3, Time: 4}}
	leftOut := untold
	leftOut.Stable = told.Stable
	for _, c := range []struct{ written, want state }{{untold, untold}, {told, told}, {leftOut, untold}} {
		var w wire.Writer
		c.written.write(&w)
		r := wire.NewReader(w.Bytes())
		var got state
		if got.read(&r); r.Done() != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v was read as %+v, %v", c.written, got, r.Done())
		}
	}
}

// TestWhatIsStableEverywhereIsNotToldAgain has partitions with long stable vectors, of actors that are long gone.
func TestWhatIsStableEverywhereIsNotToldAgain(t *testing.T) {
	simulate(t, func(t *testing.T) {
		const partitions = 64
		c := newFakeCluster(3, partitions, Options{Period: 24 * time.Hour}, plant{})
		vectors := make(map[ring.PartitionID]causal.Vector)
		for p := range ring.PartitionID(partitions) {
			for a := range causal.Actor(100) {
				vectors[p] = append(vectors[p], causal.Entry{Actor: 1000 + a, Time: 1})
			}
		}
		if err := c.nodes[1].Learn(vectors); err != nil {
			t.Fatal(err)
		}
		stop := c.start()
		defer stop()
		time.Sleep(time.Minute)
		for _, n := range c.nodes {
			if !n.KnownStable(7).CoversAll(vectors[7]) {
				t.Fatalf("%s does not know what is stable", n.id)
			}
		}
		before := c.moved()
		for _, n := range c.nodes {
			for _, id := range c.ids {
				n.exchanger().Hurry(id)
			}
		}
		time.Sleep(time.Minute)
		const exchanges, perPartition = 6, 100
		if bytes := c.moved() - before; bytes == 0 || bytes > exchanges*partitions*perPartition {
			t.Errorf("a round takes %d bytes", bytes)
		}
	})
}

// FuzzServe serves whatever a peer may say: it ends with an answer or an error.
func FuzzServe(f *testing.F) {
	c := newFakeCluster(2, 4, Options{}, plant{})
	x := c.nodes[0].exchanger()
	stable := causal.Vector{{Actor: 1, Time: 2}}
	for kind, body := range map[uint64]func(w *wire.Writer){
		kindStates: func(w *wire.Writer) {
			s := state{Partition: 1, Filled: true, Told: true, Stable: stable, Retiring: []retiring{{Actor: 1}}}
			listOf(w, []state{s}, func(w *wire.Writer, s *state) { s.write(w) })
		},
		kindRoots: func(w *wire.Writer) {
			listOf(w, []comparison{{1, 2, 3}}, func(w *wire.Writer, c *comparison) { c.write(w) })
		},
		kindLeaves: func(w *wire.Writer) { listOf(w, []innerRef{{1, 2}}, func(w *wire.Writer, i *innerRef) { i.write(w) }) },
		kindKeys:   func(w *wire.Writer) { listOf(w, []Leaf{{1, 2}}, func(w *wire.Writer, l *Leaf) { l.write(w) }) },
		kindFetch:  func(w *wire.Writer) { listOf(w, [][]byte{[]byte("a")}, writeKey) },
		kindStore: func(w *wire.Writer) {
			dot := causal.Dot{Actor: 1, Time: 2}
			o := causal.Object{Vector: stable, Siblings: []causal.Sibling{{Dot: dot, Value: []byte("v")}}}
			listOf(w, []Item{{Key: []byte("a"), Object: o}}, writeItem)
		},
		kindHints: func(w *wire.Writer) {
			listOf(w, []ring.PartitionID{1}, func(w *wire.Writer, p *ring.PartitionID) { writePartition(w, *p) })
		},
	} {
		var w wire.Writer
		begin(&w, kind)
		body(&w)
		if answer, err := x.Serve(f.Context(), "n1", w.Bytes()); err != nil || len(answer) == 0 {
			f.Fatalf("kind %d: %v", kind, err)
		}
		f.Add(w.Bytes())
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		answer, err := x.Serve(t.Context(), "n1", request)
		if (err == nil) != (len(answer) > 0) {
			t.Errorf("%x, %v", answer, err)
		}
	})
}
