package antientropy

import (
	"bytes"
	"context"
	"fmt"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// Serve answers a request of a peer's exchange, on the caller's goroutine. request is not kept.
// Errors: a request that makes no sense; ctx's; those of the replica.
func (x *Exchanger) Serve(ctx context.Context, peer ring.NodeID, request []byte) (answer []byte, err error) {
	x.count.Served.Add(1)
	r := wire.NewReader(request)
	kind := open(&r)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("antientropy: malformed message: %w", err)
	}
	var w wire.Writer
	begin(&w, kind)
	switch kind {
	case kindStates:
		err = x.serveStates(peer, &r, &w)
	case kindRoots:
		err = x.serveRoots(&r, &w)
	case kindLeaves:
		err = x.serveLeaves(peer, &r, &w)
	case kindKeys:
		err = x.serveKeys(ctx, peer, &r, &w)
	case kindFetch:
		err = x.serveFetch(peer, &r, &w)
	case kindStore:
		err = x.serveStore(ctx, peer, &r)
	case kindHints:
		err = x.serveHints(&r, &w)
	}
	if err != nil {
		return nil, err
	}
	return w.Bytes(), nil
}

func (x *Exchanger) serveStates(peer ring.NodeID, r *wire.Reader, w *wire.Writer) error {
	theirs := readList(r, partitionsMax, func(r *wire.Reader, s *state) { s.read(r) })
	if err := done(r); err != nil {
		return err
	}
	ps := make([]ring.PartitionID, len(theirs))
	for i := range theirs {
		ps[i] = theirs[i].Partition
		if int(ps[i]) >= x.opt.Table.PartitionCount() {
			return fmt.Errorf("antientropy: partition %d of %d", ps[i], x.opt.Table.PartitionCount())
		}
	}
	if err := x.take(peer, theirs); err != nil {
		return err
	}
	ours := x.states(ps)
	for i := range ours {
		ours[i].Told = ours[i].Digest != theirs[i].Digest
	}
	listOf(w, ours, func(w *wire.Writer, s *state) { s.write(w) })
	return nil
}

func (x *Exchanger) serveRoots(r *wire.Reader, w *wire.Writer) error {
	theirs := readList(r, partitionsMax, func(r *wire.Reader, c *comparison) { c.read(r) })
	if err := done(r); err != nil {
		return err
	}
	found := make([]finding, len(theirs))
	for i := range theirs {
		p := theirs[i].Partition
		found[i] = finding{Partition: p, Verdict: verdictNone}
		if int(p) >= x.opt.Table.PartitionCount() || !x.trees.Stands(p) || x.trees.Rule(p).Digest() != theirs[i].Rule {
			continue
		}
		inner := x.trees.Inner(p) // before the root: a change between them must not look like none
		if found[i].Verdict = verdictEqual; x.trees.Root(p) != theirs[i].Root || x.trees.Poisoned(p) {
			found[i].Verdict, found[i].Inner = verdictDiffers, inner[:]
		}
	}
	listOf(w, found, func(w *wire.Writer, f *finding) { f.write(w) })
	return nil
}

func (x *Exchanger) serveLeaves(peer ring.NodeID, r *wire.Reader, w *wire.Writer) error {
	inners := readList(r, leavesMax, func(r *wire.Reader, i *innerRef) { i.read(r) })
	if err := done(r); err != nil {
		return err
	}
	noteMoved(x, peer, inners, func(i innerRef) ring.PartitionID { return i.Partition })
	listOf(w, inners, func(w *wire.Writer, i *innerRef) {
		if int(i.Partition) >= x.opt.Table.PartitionCount() || !x.trees.Stands(i.Partition) {
			writeSums(w, nil)
			return
		}
		sums := x.trees.Leaves(i.Partition, int(i.Inner))
		writeSums(w, sums[:])
	})
	return nil
}

// serveKeys answers with the keys of as many leaves as there is room for, one at least.
func (x *Exchanger) serveKeys(ctx context.Context, peer ring.NodeID, r *wire.Reader, w *wire.Writer) error {
	leaves := readList(r, leavesMax, func(r *wire.Reader, l *Leaf) { l.read(r) })
	if err := done(r); err != nil {
		return err
	}
	for _, l := range leaves {
		if int(l.Partition) >= x.opt.Table.PartitionCount() {
			return fmt.Errorf("antientropy: partition %d of %d", l.Partition, x.opt.Table.PartitionCount())
		}
	}
	leaves = leaves[:x.leavesAtOnce(leaves)]
	noteMoved(x, peer, leaves, func(l Leaf) ring.PartitionID { return l.Partition })
	entries := make([][]keyEntry, len(leaves))
	places := make(map[Leaf]int, len(leaves))
	for i, l := range leaves {
		places[l] = i
	}
	err := x.replica.Keys(ctx, leaves, func(leaf Leaf, key []byte, hash uint64, unknown bool) {
		if at, asked := places[leaf]; asked {
			entries[at] = append(entries[at], keyEntry{Leaf: at, Key: bytes.Clone(key), Hash: hash, Unknown: unknown})
		}
	})
	if err != nil {
		return err
	}
	var answer []keyEntry
	answered, size := 0, 0
	for ; answered < len(leaves); answered++ {
		for i := range entries[answered] {
			size += len(entries[answered][i].Key) + keyEntryBytes
		}
		if answered > 0 && (size > keysBytes || len(answer)+len(entries[answered]) > keysMax) {
			break
		}
		answer = append(answer, entries[answered]...)
	}
	w.Uint(uint64(answered))
	listOf(w, answer, func(w *wire.Writer, k *keyEntry) { k.write(w) })
	return nil
}

// keyEntryBytes is what an entry takes besides its key, at most.
const keyEntryBytes = 20

func (x *Exchanger) serveFetch(peer ring.NodeID, r *wire.Reader, w *wire.Writer) error {
	keys := readList(r, keysMax, readKey)
	if err := done(r); err != nil {
		return err
	}
	noteMoved(x, peer, keys, x.partition)
	items, known := x.replica.Held(keys, batchBytes)
	listOf(w, known, writeBool)
	listOf(w, items, writeItem)
	return nil
}

func (x *Exchanger) serveStore(ctx context.Context, peer ring.NodeID, r *wire.Reader) error {
	items := readList(r, keysMax, readItem)
	if err := done(r); err != nil {
		return err
	}
	noteMoved(x, peer, items, func(item Item) ring.PartitionID { return x.partition(item.Key) })
	for i := range items {
		items[i].Key, items[i].Object = bytes.Clone(items[i].Key), items[i].Object.Clone()
	}
	return x.replica.Store(ctx, items)
}

// serveHints says for some partitions whether this node has hints for them.
func (x *Exchanger) serveHints(r *wire.Reader, w *wire.Writer) error {
	ps := readList(r, partitionsMax, func(r *wire.Reader, p *ring.PartitionID) { *p = readPartition(r) })
	if err := done(r); err != nil {
		return err
	}
	listOf(w, ps, func(w *wire.Writer, p *ring.PartitionID) { w.Bool(x.opt.HasHints(*p)) })
	return nil
}

// states is what this side says of some partitions, where the peer is not to be told the stable vectors. Those that it does not hold are not filled.
func (x *Exchanger) states(ps []ring.PartitionID) []state {
	states := make([]state, len(ps))
	for i, p := range ps {
		rule := x.wanted(p)
		states[i] = state{
			Partition: p, Filled: x.replica.Filled(p), Poisoned: x.trees.Stands(p) && x.trees.Poisoned(p),
			Digest: Rule{Stable: rule.Stable}.Digest(), Stable: rule.Stable, Expired: rule.Expired, Retiring: x.retiringOf(p),
		}
	}
	return states
}

// take joins what a peer says of partitions into what this side knows, and has the trees be built under it.
func (x *Exchanger) take(peer ring.NodeID, theirs []state) error {
	vectors := make(map[ring.PartitionID]causal.Vector)
	for i := range theirs {
		s := &theirs[i]
		if s.Told && !x.replica.KnownStable(s.Partition).CoversAll(s.Stable) {
			vectors[s.Partition] = s.Stable
		}
		x.raiseExpired(s.Partition, s.Expired)
	}
	if len(vectors) > 0 {
		if err := x.replica.Learn(vectors); err != nil {
			return err
		}
	}
	for i := range theirs {
		if err := x.noteRetiring(peer, &theirs[i]); err != nil {
			return err
		}
		x.trees.Want(theirs[i].Partition, x.wanted(theirs[i].Partition))
	}
	return nil
}
