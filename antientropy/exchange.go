package antientropy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// What one message of an exchange holds at most. One key is always allowed to pass batchBytes.
const (
	statesPerMessage = 512
	rootsPerMessage  = 1024
	innersPerMessage = 256
	leavesPerMessage = 1 << 14
	batchKeys        = 512
	batchBytes       = 1 << 20
	// keysBytes bounds the keys of an answer. No more leaves are asked for, or answered, at a time than hold keysExpected keys, by what their
	// trees say: to find them all keys that were not merged yet are gone through, however many leaves are asked for.
	keysBytes    = 1 << 20
	keysExpected = 1 << 14
)

// batchesAtOnce are moved at a time: each waits for the peer and for two syncs, which several share.
const batchesAtOnce = 4

// exchange is one exchange with a peer over some partitions, from this side. It belongs to one goroutine, but for what is under mu.
type exchange struct {
	x    *Exchanger
	peer ring.NodeID
	link Peer
	// theirs are the partitions of the exchange, with what the peer says of them.
	theirs map[ring.PartitionID]*state
	// complete are those of which both sides hold all that either held when the exchange began.
	complete map[ring.PartitionID]bool

	mu sync.Mutex // while batches are moved
	// failed are those that cannot be complete, because of a key that cannot be read.
	failed map[ring.PartitionID]bool
}

func (x *Exchanger) newExchange(peer ring.NodeID, link Peer) *exchange {
	return &exchange{
		x: x, peer: peer, link: link, theirs: make(map[ring.PartitionID]*state),
		complete: make(map[ring.PartitionID]bool), failed: make(map[ring.PartitionID]bool),
	}
}

// run exchanges partitions until each is complete, or cannot be compared, or has failed. Errors end it where it is: what was moved was moved.
func (e *exchange) run(ctx context.Context, ps []ring.PartitionID) error {
	for try := 0; len(ps) > 0 && try < e.x.opt.CompareTries; try++ {
		if try > 0 { // the trees are being built under the vectors that were joined
			if err := sleep(ctx, e.x.opt.CompareWait); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(ps, statesPerMessage) {
			if err := e.joinStates(ctx, part); err != nil {
				return err
			}
		}
		var differing []finding
		for part := range slices.Chunk(ps, rootsPerMessage) {
			found, err := e.compare(ctx, part)
			if err != nil {
				return err
			}
			differing = append(differing, found...)
		}
		if err := e.settle(ctx, differing); err != nil {
			return err
		}
		ps = slices.DeleteFunc(ps, func(p ring.PartitionID) bool { return e.complete[p] || e.failed[p] })
	}
	return nil
}

// joinStates joins the stable vectors of both sides, first of all: an absent key is judged by them. Vectors that are the same are not sent.
func (e *exchange) joinStates(ctx context.Context, ps []ring.PartitionID) error {
	if err := e.swapStates(ctx, e.x.states(ps)); err != nil {
		return err
	}
	var more []state
	for _, s := range e.x.states(ps) {
		if e.theirs[s.Partition].Digest != s.Digest {
			s.Told = true
			more = append(more, s)
		}
	}
	if len(more) == 0 {
		return nil
	}
	return e.swapStates(ctx, more)
}

// swapStates tells the peer states, and takes what it says of the same partitions.
func (e *exchange) swapStates(ctx context.Context, ours []state) error {
	var w wire.Writer
	begin(&w, kindStates)
	listOf(&w, ours, func(w *wire.Writer, s *state) { s.write(w) })
	r, err := e.call(ctx, w.Bytes(), kindStates)
	if err != nil {
		return err
	}
	theirs := readList(r, partitionsMax, func(r *wire.Reader, s *state) { s.read(r) })
	if err := done(r); err != nil {
		return err
	}
	if len(theirs) != len(ours) {
		return fmt.Errorf("antientropy: %d states in an answer for %d partitions", len(theirs), len(ours))
	}
	for i := range theirs {
		if theirs[i].Partition != ours[i].Partition {
			return fmt.Errorf("antientropy: the state of partition %d in place of %d", theirs[i].Partition, ours[i].Partition)
		}
		e.theirs[theirs[i].Partition] = &theirs[i]
	}
	return e.x.take(e.peer, theirs)
}

// compare compares roots. Partitions with the same are complete.
func (e *exchange) compare(ctx context.Context, ps []ring.PartitionID) (differing []finding, err error) {
	var ours []comparison
	for _, p := range ps {
		if e.x.trees.Stands(p) {
			ours = append(ours, comparison{Partition: p, Rule: e.x.trees.Rule(p).Digest(), Root: e.x.trees.Root(p)})
		}
	}
	if len(ours) == 0 {
		return nil, nil
	}
	var w wire.Writer
	begin(&w, kindRoots)
	listOf(&w, ours, func(w *wire.Writer, c *comparison) { c.write(w) })
	r, err := e.call(ctx, w.Bytes(), kindRoots)
	if err != nil {
		return nil, err
	}
	answers := readList(r, partitionsMax, func(r *wire.Reader, f *finding) { f.read(r) })
	if err := done(r); err != nil {
		return nil, err
	}
	if len(answers) != len(ours) {
		return nil, fmt.Errorf("antientropy: %d roots in an answer to %d", len(answers), len(ours))
	}
	for i := range answers {
		switch f := &answers[i]; {
		case f.Partition != ours[i].Partition:
			return nil, fmt.Errorf("antientropy: the root of partition %d in place of %d", f.Partition, ours[i].Partition)
		case f.Verdict == verdictEqual:
			e.complete[f.Partition] = true
		case f.Verdict == verdictDiffers && len(f.Inner) == InnerCount:
			differing = append(differing, *f)
		}
	}
	return differing, nil
}

// settle finds the keys that differ and has both sides hold both sides' objects.
func (e *exchange) settle(ctx context.Context, differing []finding) error {
	differing = slices.DeleteFunc(differing, func(f finding) bool { return e.yields(f.Partition) })
	if len(differing) == 0 {
		return nil
	}
	var inners []innerRef
	for i := range differing {
		f := &differing[i]
		ours := e.x.trees.Inner(f.Partition)
		for n := range ours {
			if ours[n] != f.Inner[n] {
				inners = append(inners, innerRef{f.Partition, uint8(n)})
			}
		}
	}
	var leaves []Leaf
	for part := range slices.Chunk(inners, innersPerMessage) {
		found, err := e.differingLeaves(ctx, part)
		if err != nil {
			return err
		}
		leaves = append(leaves, found...)
	}
	yielded, err := e.settleLeaves(ctx, leaves)
	if err != nil {
		return err
	}
	for i := range differing {
		if p := differing[i].Partition; !e.failed[p] && !yielded[p] {
			e.complete[p] = true
		}
	}
	return nil
}

func (e *exchange) differingLeaves(ctx context.Context, inners []innerRef) (leaves []Leaf, err error) {
	var w wire.Writer
	begin(&w, kindLeaves)
	listOf(&w, inners, func(w *wire.Writer, i *innerRef) { i.write(w) })
	r, err := e.call(ctx, w.Bytes(), kindLeaves)
	if err != nil {
		return nil, err
	}
	answers := readList(r, leavesMax, func(r *wire.Reader, s *[]uint64) { *s = readSums(r, LeavesPerInner) })
	if err := done(r); err != nil {
		return nil, err
	}
	if len(answers) != len(inners) {
		return nil, fmt.Errorf("antientropy: the leaves of %d nodes in an answer for %d", len(answers), len(inners))
	}
	for i, in := range inners {
		ours := e.x.trees.Leaves(in.Partition, int(in.Inner))
		for n := range ours {
			if len(answers[i]) == 0 || ours[n] != answers[i][n] {
				leaves = append(leaves, Leaf{in.Partition, uint16(int(in.Inner)*LeavesPerInner + n)})
			}
		}
	}
	return leaves, nil
}

// settleLeaves settles the keys of leaves, some at a time. Partitions of which the peer is moving the keys already are left to it.
func (e *exchange) settleLeaves(ctx context.Context, leaves []Leaf) (yielded map[ring.PartitionID]bool, err error) {
	yielded = make(map[ring.PartitionID]bool)
	for {
		for i := range leaves {
			if p := leaves[i].Partition; (i == 0 || p != leaves[i-1].Partition) && e.yields(p) {
				yielded[p] = true
			}
		}
		leaves = slices.DeleteFunc(leaves, func(l Leaf) bool { return yielded[l.Partition] })
		if len(leaves) == 0 {
			return yielded, nil
		}
		theirs, answered, err := e.theirKeys(ctx, leaves[:e.x.leavesAtOnce(leaves)])
		if err != nil {
			return nil, err
		}
		if err := e.settleAnswered(ctx, leaves[:answered], theirs); err != nil {
			return nil, err
		}
		leaves = leaves[answered:]
	}
}

// settleAnswered settles the keys of leaves of which the peer's keys are known.
func (e *exchange) settleAnswered(ctx context.Context, leaves []Leaf, theirs []keyEntry) error {
	d, err := e.x.compareKeys(ctx, leaves, theirs)
	if err != nil {
		return err
	}
	for _, p := range d.unreadable {
		e.fail(p)
	}
	e.x.noteUnreadable(d.unknown)
	moving, ctx := errgroup.WithContext(ctx)
	moving.SetLimit(batchesAtOnce)
	for keys := range slices.Chunk(d.keys, batchKeys) {
		moving.Go(func() error { return e.settleKeys(ctx, keys) })
	}
	return moving.Wait()
}

func (e *exchange) fail(p ring.PartitionID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed[p] = true
}

// theirKeys are the peer's keys in some leaves: in the first of them, as many as it has answered.
func (e *exchange) theirKeys(ctx context.Context, leaves []Leaf) (entries []keyEntry, answered int, err error) {
	var w wire.Writer
	begin(&w, kindKeys)
	listOf(&w, leaves, func(w *wire.Writer, l *Leaf) { l.write(w) })
	r, err := e.call(ctx, w.Bytes(), kindKeys)
	if err != nil {
		return nil, 0, err
	}
	answered = int(r.Uint(uint64(len(leaves))))
	entries = readList(r, keysMax, func(r *wire.Reader, k *keyEntry) { k.read(r) })
	if err := done(r); err != nil {
		return nil, 0, err
	}
	if answered == 0 {
		return nil, 0, errors.New("antientropy: an answer with the keys of no leaf")
	}
	for i := range entries {
		k := &entries[i]
		if k.Leaf >= answered {
			return nil, 0, errors.New("antientropy: a key of a leaf that was not asked for")
		}
		k.Key = slices.Clone(k.Key)
	}
	return entries, answered, nil
}

// settleKeys has both sides hold the join of what both hold of some keys. That a side holds nothing is part of it: it has seen what is
// stable, which may have superseded what the other one was brought too late.
func (e *exchange) settleKeys(ctx context.Context, keys [][]byte) error {
	theirs := make(map[string]causal.Object)
	for ask := keys; len(ask) > 0; {
		items, answered, err := e.fetch(ctx, ask)
		if err != nil {
			return err
		}
		if err := e.store(ctx, items); err != nil {
			return fmt.Errorf("antientropy: store what %s has: %w", e.peer, err)
		}
		for i := range items {
			theirs[string(items[i].Key)] = items[i].Object
		}
		e.x.count.KeysFetched.Add(int64(len(items)))
		ask = ask[answered:]
	}
	return e.push(ctx, keys, theirs)
}

// store stores what the peer has. Keys that cannot be read here, which no scan may list where nobody knows what was lost, hold up their
// partitions only: they are to be healed.
func (e *exchange) store(ctx context.Context, items []Item) error {
	err := e.x.replica.Store(ctx, items)
	if !errors.Is(err, ErrUnreadable) {
		return err
	}
	for i := range items {
		err := e.x.replica.Store(ctx, items[i:i+1])
		switch {
		case errors.Is(err, ErrUnreadable):
			e.failed[e.x.partition(items[i].Key)] = true
			e.x.noteUnreadable([][]byte{items[i].Key})
		case err != nil:
			return err
		}
	}
	return nil
}

// fetch asks for objects. Those that the peer cannot read are not among the items.
func (e *exchange) fetch(ctx context.Context, keys [][]byte) (items []Item, answered int, err error) {
	var w wire.Writer
	begin(&w, kindFetch)
	listOf(&w, keys, writeKey)
	r, err := e.call(ctx, w.Bytes(), kindFetch)
	if err != nil {
		return nil, 0, err
	}
	known := readList(r, keysMax, readBool)
	items = readList(r, keysMax, readItem)
	if err := done(r); err != nil {
		return nil, 0, err
	}
	if len(known) == 0 || len(known) > len(keys) {
		return nil, 0, fmt.Errorf("antientropy: %d objects in an answer for %d keys", len(known), len(keys))
	}
	n := 0
	for i, k := range known {
		if !k {
			e.fail(e.x.partition(keys[i]))
			continue
		}
		if n >= len(items) || string(items[n].Key) != string(keys[i]) {
			return nil, 0, errors.New("antientropy: objects of other keys than were asked for")
		}
		n++
	}
	if n != len(items) {
		return nil, 0, errors.New("antientropy: more objects than were asked for")
	}
	return items, len(known), nil
}

// push stores on the peer what it lacks: theirs is what it holds.
func (e *exchange) push(ctx context.Context, keys [][]byte, theirs map[string]causal.Object) error {
	for all := keys; len(all) > 0; {
		held, known := e.x.replica.Held(all, batchBytes)
		if len(known) == 0 {
			return errors.New("antientropy: nothing could be read")
		}
		for i, k := range known {
			if !k {
				e.fail(e.x.partition(all[i]))
			}
		}
		held = slices.DeleteFunc(held, func(item Item) bool {
			their, known := theirs[string(item.Key)]
			return !known || causal.Join(item.Object, their).SameHeads(their)
		})
		all = all[len(known):]
		if len(held) == 0 {
			continue
		}
		var w wire.Writer
		begin(&w, kindStore)
		listOf(&w, held, writeItem)
		r, err := e.call(ctx, w.Bytes(), kindStore)
		if err != nil {
			return err
		}
		if err := done(r); err != nil {
			return err
		}
		e.x.count.KeysPushed.Add(int64(len(held)))
	}
	return nil
}

// call sends a request and waits for its answer, of which the head is read already.
func (e *exchange) call(ctx context.Context, request []byte, kind uint64) (*wire.Reader, error) {
	if err := e.x.limit.WaitN(ctx, min(len(request), e.x.limit.Burst())); err != nil {
		return nil, err
	}
	type result struct {
		answer []byte
		err    error
	}
	answered := make(chan result, 1)
	e.link.Exchange(time.Now().Add(e.x.opt.Timeout), request, func(answer []byte, err error) { answered <- result{answer, err} })
	var got result
	select {
	case got = <-answered:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if got.err != nil {
		return nil, fmt.Errorf("antientropy: %s: %w", e.peer, got.err)
	}
	e.x.count.Requests.Add(1)
	e.x.count.BytesSent.Add(int64(len(request)))
	e.x.count.BytesReceived.Add(int64(len(got.answer)))
	if err := e.x.limit.WaitN(ctx, min(len(got.answer), e.x.limit.Burst())); err != nil {
		return nil, err
	}
	r := wire.NewReader(got.answer)
	answerTo(&r, kind)
	return &r, r.Err()
}
