package replica

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func (r *Replica) partitionOf(key string) ring.PartitionID {
	return r.opts.Table.Partition([]byte(key))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (r *Replica) learn(t *testing.T, key string, v causal.Vector) {
	t.Helper()
	must(t, r.Learn(map[ring.PartitionID]causal.Vector{r.partitionOf(key): v}))
}

func TestWhatIsStableIsNotStoredAndNotForgotten(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	old := foreign(7, 5, "old")
	r.mustStore(t, item("k", old))
	r.learn(t, "k", causal.Vector{{Actor: 7, Time: 5}, {Actor: 8, Time: 3}})
	next := r.mustWrite(t, put("k", "new"))
	if next.Object.Vector.Get(7) != 5 || next.Object.Vector.Get(8) != 3 {
		t.Fatalf("what is sent has seen %v", next.Object.Vector)
	}
	meta, err := r.engine.Meta([]byte("k"), nil)
	must(t, err)
	if len(meta) != 15 {
		t.Errorf("the meta has %d bytes, that of one sibling 15", len(meta))
	}
	mustClose(t, r)
	r = mustOpen(t, options(t, disk))
	if o := r.mustRead(t, "k"); !o.Vector.Equal(next.Object.Vector) {
		t.Errorf("read back: %v, was %v", o.Vector, next.Object.Vector)
	}
	// The old value comes late: it was superseded, and an absent key has seen it, too.
	r.mustStore(t, item("k", old))
	if v := values(r.mustRead(t, "k")); len(v) != 1 || v[0] != "new" {
		t.Errorf("after a late message: %q", v)
	}
	absent := "l"
	for i := 0; r.partitionOf(absent) != r.partitionOf("k"); i++ {
		absent = strings.Repeat("l", i)
	}
	r.mustStore(t, item(absent, old))
	if o := r.mustRead(t, absent); len(o.Siblings) > 0 || o.Vector.Get(7) != 5 {
		t.Errorf("an absent key holds %v", o)
	}
}

func TestUnfilledPartitionTakesAndDoesNotAnswer(t *testing.T) {
	disk := vfstest.New()
	opts := options(t, disk)
	opts.NewCluster = false
	r := mustOpen(t, opts)
	if len(r.Unfilled()) != 16 {
		t.Fatalf("a new directory of an old cluster: unfilled are %v", r.Unfilled())
	}
	r.mustStore(t, item("k", foreign(7, 5, "v")))
	r.learn(t, "k", causal.Vector{{Actor: 7, Time: 9}})
	r.mustStore(t, item("late", foreign(7, 6, "v"))) // stable elsewhere, and not seen here
	answers := func(state coordinator.ReadState) {
		t.Helper()
		items, err := r.readKeys(coordinator.WantHeads, "k")
		must(t, err)
		if items[0].State != state {
			t.Errorf("state %v, want %v", items[0].State, state)
		}
	}
	answers(coordinator.ReadUnknown)
	if out, _, err := r.writeNow(put("k", "w")); err != nil || !errors.Is(out[0].Err, coordinator.ErrUnknownKey) {
		t.Errorf("write: %v, %v", out, err)
	}
	if r.Stable(r.partitionOf("k")) != nil || r.KnownStable(r.partitionOf("k")).Get(7) != 9 {
		t.Error("the stable vector is not kept aside")
	}
	mustClose(t, r)
	r = mustOpen(t, opts)
	answers(coordinator.ReadUnknown)
	must(t, r.Fill(r.Unfilled()...))
	answers(coordinator.ReadKnown)
	if r.Stable(r.partitionOf("k")).Get(7) != 9 {
		t.Error("what was kept aside is lost")
	}
	if v := values(r.mustRead(t, "late")); r.partitionOf("late") == r.partitionOf("k") && len(v) != 1 {
		t.Errorf("what came during the refill: %q", v)
	}
	mustClose(t, r)
	r = mustOpen(t, opts)
	answers(coordinator.ReadKnown)
	must(t, r.Refill(r.partitionOf("k")))
	answers(coordinator.ReadUnknown)
}

func TestRetiredActorsEventsComeByExchangeOnly(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	held := foreign(7, 5, "held")
	r.mustStore(t, item("k", held))
	must(t, r.Refuse(r.partitionOf("k"), 7, 9))
	must(t, r.Refuse(r.partitionOf("k"), 7))
	for range 2 {
		r.mustStore(t, item("k", held))
		if _, err := r.storeNow(item("k", foreign(7, 6, "late"))); !errors.Is(err, ErrRetired) {
			t.Errorf("a late event: %v", err)
		}
		if v := values(r.mustRead(t, "k")); len(v) != 1 || v[0] != "held" {
			t.Errorf("holds %q", v)
		}
		mustClose(t, r)
		r = mustOpen(t, options(t, disk))
	}
	done := make(chan error, 1)
	r.StoreExchanged(time.Time{}, []coordinator.Item{item("k", foreign(7, 6, "late"))}, func(_ coordinator.StoreAck, err error) { done <- err })
	must(t, <-done)
	if v := values(r.mustRead(t, "k")); len(v) != 1 || v[0] != "late" {
		t.Errorf("after an exchange: %q", v)
	}
}

// TestALateEventOfARetiredActorTakesNothingAlong has what comes late be stable already: joined, it would go itself, and take with it what it has seen.
// A replica that has lost its disk since has lost its refusal, but knows that the actor has retired.
func TestALateEventOfARetiredActorTakesNothingAlong(t *testing.T) {
	r := newReplica(t)
	p := r.partitionOf("k")
	r.mustStore(t, item("k", foreign(7, 5, "held")))
	must(t, r.Learn(map[ring.PartitionID]causal.Vector{p: {{Actor: 7, Time: causal.Timestamp(9).Final()}}}))
	if _, err := r.storeNow(item("k", foreign(7, 6, "late"))); !errors.Is(err, ErrRetired) {
		t.Errorf("a late event: %v", err)
	}
	if v := values(r.mustRead(t, "k")); len(v) != 1 || v[0] != "held" {
		t.Errorf("holds %q", v)
	}
}

func TestADotThatIsNotDurableYetIsNotSaidToBe(t *testing.T) {
	r := newReplica(t)
	p := r.partitionOf("k")
	var before, dot causal.Timestamp
	durable := make(chan error, 1)
	r.Write(time.Time{}, []coordinator.Decision{put("k", "v")}, func(d []coordinator.Decided) {
		dot, before = d[0].Dot.Time, r.Issued(p)
	}, func(err error) { durable <- err })
	must(t, <-durable)
	if before >= dot || r.Issued(p) != dot {
		t.Errorf("%v was issued: %v was said to be durable before, %v afterwards", dot, before, r.Issued(p))
	}
}

func TestRenewedActorIsDurableAndIssues(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	was := r.Actor()
	must(t, r.RenewActor("test"))
	d := r.mustWrite(t, put("k", "v"))
	if r.Actor() == was || d.Dot.Actor != r.Actor() || r.Issued(r.partitionOf("k")) != d.Dot.Time {
		t.Errorf("issued %v, the actor is %v, was %v; issued %v", d.Dot, r.Actor(), was, r.Issued(r.partitionOf("k")))
	}
	mustClose(t, r)
	if again := mustOpen(t, options(t, disk)); again.Actor() != r.Actor() {
		t.Errorf("the actor is %v, was %v", again.Actor(), r.Actor())
	}
}

func TestAStoreIsAcknowledgedByTheActorThatDecidedIt(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	was, written, struck := r.Actor(), make(chan struct{}), make(chan struct{}, 1)
	remove := disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: "engine/", Block: written, Struck: struck})
	acked := make(chan coordinator.StoreAck, 1)
	r.Store(time.Now().Add(time.Minute), []coordinator.Item{item("k", foreign(8, 5, "v"))}, func(ack coordinator.StoreAck, err error) {
		if err != nil {
			t.Error(err)
		}
		acked <- ack
	})
	<-struck
	must(t, r.RenewActor("what was decided may be lost"))
	remove()
	close(written)
	if ack := <-acked; ack.Actor != was {
		t.Errorf("acknowledged by %v, decided under %v", ack.Actor, was)
	}
	mustClose(t, r)
}

// TestAReplicaInRefillHasNotSeenWhatIsStableOfTheKeysThatItLost stores objects before and after the loss. Who is given one that says more than it
// knows drops what the replica has lost.
func TestAReplicaInRefillHasNotSeenWhatIsStableOfTheKeysThatItLost(t *testing.T) {
	r := newReplica(t)
	p := r.partitionOf("k")
	must(t, r.Learn(map[ring.PartitionID]causal.Vector{p: {{Actor: 7, Time: 9}}}))
	after := func(key, value string) coordinator.Item { // has seen some of what is stable
		return item(key, causal.Join(foreign(8, 5, value), causal.Object{Vector: causal.Vector{{Actor: 7, Time: 3}}}))
	}
	kept := anotherKey(r, p)
	r.mustStore(t, after(kept, "v"))
	must(t, r.Refill(p))
	r.mustStore(t, after("k", "v"))
	for key, seen := range map[string]causal.Timestamp{kept: 9, "k": 3} {
		for range 2 {
			items, _, err := r.Held([][]byte{[]byte(key)}, 1)
			must(t, err)
			if got := items[0].Object.Vector.Get(7); got != seen {
				t.Errorf("%s says that it has seen %v of actor 7, want %v", key, got, seen)
			}
			r.mustStore(t, item(key, foreign(9, 1, "w")))
		}
	}
	must(t, r.Fill(p))
	if got := r.mustRead(t, "k").Vector.Get(7); got != 9 {
		t.Errorf("when it is filled it has seen %v of actor 7", got)
	}
}

// anotherKey is a key of a partition.
func anotherKey(r *Replica, p ring.PartitionID) string {
	for i := 0; ; i++ {
		if key := string(keyOf(i)); r.partitionOf(key) == p {
			return key
		}
	}
}

func TestWhatAnEarlierRunIssuedIsKnownToBeDurable(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	d := r.mustWrite(t, put("k", "v"))
	mustClose(t, r)
	r = mustOpen(t, options(t, disk))
	if got := r.Issued(r.partitionOf("k")); r.Actor() != d.Dot.Actor || got < d.Dot.Time {
		t.Errorf("actor %v, issued %v: %v would never be stable", r.Actor(), got, d.Dot)
	}
	was := r.Issued(r.partitionOf("k"))
	r.Clock().Observe(was.Final()) // the end of an actor that has retired
	mustClose(t, r)
	r = mustOpen(t, options(t, disk))
	if was = r.Issued(r.partitionOf("k")); was < d.Dot.Time || was.IsFinal() {
		t.Errorf("%v says that the actor has retired", was)
	}
	if d := r.mustWrite(t, put("k", "w")); d.Dot.Time <= was {
		t.Errorf("%v was said to be durable before it was issued", d.Dot)
	}
}

func somePartitions() map[ring.PartitionID]*partitionState {
	return map[ring.PartitionID]*partitionState{
		0: {filled: true},
		3: {filled: true, stable: causal.Vector{{Actor: 1, Time: 2}, {Actor: 0xffffffffffff, Time: 1 << 60}}, refused: causal.Vector{{Actor: 5, Time: 9}, {Actor: 6, Time: 9}}},
		9: {aside: causal.Vector{{Actor: 4, Time: 4}}},
	}
}

func partitionsWithFresh() map[ring.PartitionID]*partitionState {
	states := somePartitions()
	states[11] = &partitionState{fresh: true}
	return states
}

func TestPartitionsFileIsAsItWas(t *testing.T) {
	golden(t, "partitions-2.hex", appendPartitions(nil, 16, partitionsWithFresh()))
}

func TestPartitionsFileOfFormat1IsRead(t *testing.T) {
	got, err := decodePartitions(goldenBytes(t, "partitions-1.hex"), 16)
	if err != nil || !reflect.DeepEqual(got, somePartitions()) {
		t.Fatalf("got %v, %v", got, err)
	}
}

func FuzzDecodePartitions(f *testing.F) {
	f.Add(appendPartitions(nil, 16, partitionsWithFresh()))
	f.Add(appendPartitions(nil, 16, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		states, err := decodePartitions(data, 16)
		if err == nil && data[len(partitionsMagic)] == partitionsFormat && !bytes.Equal(appendPartitions(nil, 16, states), data) {
			t.Fatal("what was accepted is written otherwise")
		}
		if err != nil && !errors.Is(err, errDamaged) {
			t.Fatal(err)
		}
	})
}

// TestObjectInAnEarlierFormIsWrittenAnewByAnExchange: to the trees it is another object than the same one in today's form.
func TestObjectInAnEarlierFormIsWrittenAnewByAnExchange(t *testing.T) {
	r := newReplica(t)
	o := foreign(7, 30, "v")
	for a := range causal.Actor(20) {
		o.Vector = o.Vector.With(causal.Dot{Actor: 100 + a, Time: 1})
	}
	now := causal.AppendMeta(nil, o)
	head := append([]byte{0}, now[1:]...)
	digest := sha256.Sum256(head)
	must(t, r.engine.PutMeta([]byte("k"), append([]byte{0x28}, digest[:8]...), causal.StoredValue(o, nil)))
	if got := r.mustRead(t, "k"); !got.Equal(o) {
		t.Fatalf("read %v", got)
	}
	seq := r.LastSeq()
	for range 2 { // the second time there is nothing left to do
		done := make(chan error, 1)
		r.StoreExchanged(time.Time{}, []coordinator.Item{item("k", o)}, func(_ coordinator.StoreAck, err error) { done <- err })
		must(t, <-done)
	}
	meta, err := r.engine.Meta([]byte("k"), nil)
	must(t, err)
	if got := r.mustRead(t, "k"); !bytes.Equal(meta, now) || !got.Equal(o) || r.LastSeq() != seq+1 {
		t.Errorf("after %d writes the meta is %x, of %v", r.LastSeq()-seq, meta, got)
	}
}
