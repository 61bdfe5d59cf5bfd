package antientropy

import (
	"fmt"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// The kinds of requests, in the order in which an exchange sends them. docs/format/exchange.md draws them.
const (
	kindStates uint64 = iota + 1
	kindRoots
	kindLeaves
	kindKeys
	kindFetch
	kindStore
	kindHints
	kindLast = kindHints
)

// messageFormat is the first field of every request and answer.
const messageFormat = 3

// Bounds of what one message may hold. What goes into one is chosen well below them.
const (
	partitionsMax = 1 << 16
	leavesMax     = 1 << 16
	keysMax       = 1 << 16
	actorsMax     = 1 << 12
)

// Rule is what a tree is built under.
type Rule struct {
	// Stable is the stable vector: what shows nothing and has seen nothing else is not in the tree.
	Stable causal.Vector
	// Expired is the time, in milliseconds since the epoch, up to which what expires counts as deleted.
	Expired int64
}

// Equal says whether trees built under two rules can be compared.
func (r Rule) Equal(o Rule) bool { return r.Expired == o.Expired && r.Stable.Equal(o.Stable) }

// retiring is how far the retirement of an actor has come on one replica: it refuses the actor's events, at time At had seen none that is
// later, and is ready once it has completed an exchange, begun since, with each other replica.
type retiring struct {
	Actor causal.Actor
	At    causal.Timestamp
	Ready bool
}

// state is what a replica says of a partition at the beginning of an exchange.
type state struct {
	Partition ring.PartitionID
	Filled    bool
	// Poisoned says that some keys cannot be read.
	Poisoned bool
	// Digest is that of the stable vector. The vector itself is in Stable if Told is set: who has it need not be told.
	Digest uint64
	Told   bool
	Stable causal.Vector
	// Expired is that of the rule which the replica wants the tree to be built under.
	Expired  int64
	Retiring []retiring
}

// comparison is one tree's root, with the digest of its rule.
type comparison struct {
	Partition  ring.PartitionID
	Rule, Root uint64
}

// finding is what came of a comparison.
type finding struct {
	Partition ring.PartitionID
	Verdict   verdict
	// Inner are the answerer's inner nodes where the roots differ.
	Inner []uint64
}

// verdict is what came of the comparison of two trees.
type verdict uint8

const (
	// verdictNone: there is no tree, or one under another rule.
	verdictNone verdict = iota
	verdictEqual
	verdictDiffers
	verdictLast = verdictDiffers
)

// innerRef names the leaves under an inner node.
type innerRef struct {
	Partition ring.PartitionID
	Inner     uint8
}

// keyEntry is a key in a leaf.
type keyEntry struct {
	// Leaf is the place of its leaf in the request.
	Leaf    int
	Key     []byte
	Hash    uint64
	Unknown bool
}

func begin(w *wire.Writer, kind uint64) {
	w.Uint(messageFormat)
	w.Uint(kind)
}

// open reads the head of a message.
func open(r *wire.Reader) (kind uint64) {
	if f := r.Uint64(); r.Err() == nil && f != messageFormat {
		r.Fail("exchange format %d, this version speaks %d", f, messageFormat)
	}
	kind = r.Uint(kindLast)
	if r.Err() == nil && kind == 0 {
		r.Fail("an exchange message without a kind")
	}
	return kind
}

// answerTo reads the head of an answer, which must be of the kind.
func answerTo(r *wire.Reader, kind uint64) {
	if got := open(r); r.Err() == nil && got != kind {
		r.Fail("an answer of kind %d to a request of kind %d", got, kind)
	}
}

// listOf writes a list, and readList reads one of at most limit elements of at least so many bytes each.
func listOf[T any](w *wire.Writer, list []T, one func(*wire.Writer, *T)) {
	w.Uint(uint64(len(list)))
	for i := range list {
		one(w, &list[i])
	}
}

func readList[T any](r *wire.Reader, limit uint64, one func(*wire.Reader, *T)) []T {
	n := r.Uint(limit)
	if r.Err() != nil || n == 0 {
		return nil
	}
	list := make([]T, 0, min(n, uint64(r.Remaining()))) // each takes a byte at least
	for ; n > 0 && r.Err() == nil; n-- {
		var e T
		one(r, &e)
		list = append(list, e)
	}
	return list
}

func writeVector(w *wire.Writer, v causal.Vector) {
	listOf(w, v, func(w *wire.Writer, e *causal.Entry) { w.Uint(uint64(e.Actor)); w.Uint(uint64(e.Time)) })
}

func readVector(r *wire.Reader) causal.Vector {
	v := causal.Vector(readList(r, actorsMax, func(r *wire.Reader, e *causal.Entry) {
		e.Actor, e.Time = causal.Actor(r.Uint(1<<48-1)), causal.Timestamp(r.Uint64())
	}))
	if r.Err() == nil {
		if err := v.Validate(); err != nil {
			r.Fail("vector: %v", err)
		}
	}
	return v
}

func writePartition(w *wire.Writer, p ring.PartitionID) { w.Uint(uint64(p)) }

func readPartition(r *wire.Reader) ring.PartitionID {
	return ring.PartitionID(r.Uint(partitionsMax - 1))
}

func (s *state) write(w *wire.Writer) {
	writePartition(w, s.Partition)
	w.Bool(s.Filled)
	w.Bool(s.Poisoned)
	w.Uint(s.Digest)
	if w.Bool(s.Told); s.Told {
		writeVector(w, s.Stable)
	}
	w.Int(s.Expired)
	listOf(w, s.Retiring, func(w *wire.Writer, t *retiring) {
		w.Uint(uint64(t.Actor))
		w.Uint(uint64(t.At))
		w.Bool(t.Ready)
	})
}

func (s *state) read(r *wire.Reader) {
	s.Partition, s.Filled, s.Poisoned, s.Digest = readPartition(r), r.Bool(), r.Bool(), r.Uint64()
	if s.Told = r.Bool(); s.Told {
		s.Stable = readVector(r)
	}
	s.Expired = r.Int64()
	s.Retiring = readList(r, actorsMax, func(r *wire.Reader, t *retiring) {
		t.Actor, t.At, t.Ready = causal.Actor(r.Uint(1<<48-1)), causal.Timestamp(r.Uint64()), r.Bool()
	})
}

func (c *comparison) write(w *wire.Writer) {
	writePartition(w, c.Partition)
	w.Uint(c.Rule)
	w.Uint(c.Root)
}

func (c *comparison) read(r *wire.Reader) {
	c.Partition, c.Rule, c.Root = readPartition(r), r.Uint64(), r.Uint64()
}

func (f *finding) write(w *wire.Writer) {
	writePartition(w, f.Partition)
	w.Uint(uint64(f.Verdict))
	writeSums(w, f.Inner)
}

func (f *finding) read(r *wire.Reader) {
	f.Partition, f.Verdict, f.Inner = readPartition(r), verdict(r.Uint(uint64(verdictLast))), readSums(r, InnerCount)
}

func writeSums(w *wire.Writer, sums []uint64) {
	listOf(w, sums, func(w *wire.Writer, s *uint64) { w.Uint(*s) })
}

// readSums reads none, or so many sums.
func readSums(r *wire.Reader, count int) []uint64 {
	sums := readList(r, uint64(count), func(r *wire.Reader, s *uint64) { *s = r.Uint64() })
	if r.Err() == nil && len(sums) != 0 && len(sums) != count {
		r.Fail("%d sums, want %d", len(sums), count)
	}
	return sums
}

func (i *innerRef) write(w *wire.Writer) {
	writePartition(w, i.Partition)
	w.Uint(uint64(i.Inner))
}

func (i *innerRef) read(r *wire.Reader) {
	i.Partition, i.Inner = readPartition(r), uint8(r.Uint(InnerCount-1))
}

func (l *Leaf) write(w *wire.Writer) {
	writePartition(w, l.Partition)
	w.Uint(uint64(l.Number))
}

func (l *Leaf) read(r *wire.Reader) {
	l.Partition, l.Number = readPartition(r), uint16(r.Uint(LeafCount-1))
}

func (k *keyEntry) write(w *wire.Writer) {
	w.Uint(uint64(k.Leaf))
	w.Bin(k.Key)
	w.Uint(k.Hash)
	w.Bool(k.Unknown)
}

func (k *keyEntry) read(r *wire.Reader) {
	k.Leaf, k.Key, k.Hash, k.Unknown = int(r.Uint(leavesMax-1)), r.Bytes(), r.Uint64(), r.Bool()
}

func writeItem(w *wire.Writer, item *Item) {
	w.Bin(item.Key)
	w.Bin(causal.AppendObject(nil, item.Object))
}

func readItem(r *wire.Reader, item *Item) {
	item.Key = r.Bytes()
	b := r.Bytes()
	if r.Err() != nil {
		return
	}
	var err error
	if item.Object, err = causal.DecodeObject(b); err != nil {
		r.Fail("object: %v", err)
	}
}

func writeKey(w *wire.Writer, key *[]byte) { w.Bin(*key) }
func readKey(r *wire.Reader, key *[]byte)  { *key = r.Bytes() }

func writeBool(w *wire.Writer, b *bool) { w.Bool(*b) }
func readBool(r *wire.Reader, b *bool)  { *b = r.Bool() }

// done is the error of a message that was not understood.
func done(r *wire.Reader) error {
	if err := r.Done(); err != nil {
		return fmt.Errorf("antientropy: malformed message: %w", err)
	}
	return nil
}
