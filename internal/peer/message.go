package peer

import (
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// The methods. Every request's parameters begin with the sender's clock; those of all but pings go on with the deadline. Every answer begins with the clock, too. docs/format/peer.md draws the messages.
const (
	methodHello      = "hello"
	methodRefuse     = "refuse" // a notice
	methodPing       = "ping"
	methodStore      = "store"
	methodHint       = "hint"
	methodRead       = "read"
	methodScan       = "scan"
	methodCoordinate = "coordinate"
	methodExchange   = "exchange"
)

// The kinds of the MessagePack-RPC envelope.
const (
	kindRequest = iota
	kindAnswer
	kindNotice
)

// What an element takes at least on the wire. Slices are made no longer than what is left of the message can hold.
const (
	itemBytesMin    = 1 + 2 + 3 // empty key, header and body of an empty object
	opBytesMin      = 5
	outcomeBytesMin = 8
)

func encodeRequest(w *wire.Writer, id uint32, method string, params int) {
	w.ArrayLen(4)
	w.Uint(kindRequest)
	w.Uint(uint64(id))
	w.Str(method)
	w.ArrayLen(params)
}

// encodeAnswer begins an answer without error, of so many fields.
func encodeAnswer(w *wire.Writer, id uint32, fields int) {
	w.ArrayLen(4)
	w.Uint(kindAnswer)
	w.Uint(uint64(id))
	w.Nil()
	w.ArrayLen(fields)
}

// encodeErrorAnswer is a whole answer with an error.
func encodeErrorAnswer(w *wire.Writer, id uint32, clock causal.Timestamp, err error) {
	w.ArrayLen(4)
	w.Uint(kindAnswer)
	w.Uint(uint64(id))
	w.ArrayLen(2)
	w.Uint(uint64(clock))
	encodeError(w, err)
	w.Nil()
}

// exactly demands an array of n elements.
func exactly(r *wire.Reader, n int, what string) {
	if got := r.ArrayLen(n); got != n {
		r.Fail("%d fields of %s, want %d", got, what, n)
	}
}

func nodeID(r *wire.Reader) ring.NodeID {
	b := r.StrBytes()
	if len(b) == 0 || len(b) > nodeIDBytesMax {
		r.Fail("a node id of %d bytes", len(b))
		return ""
	}
	return ring.NodeID(b)
}

// text is a string for people: of at most limit bytes, and UTF-8.
func text(r *wire.Reader, limit int) string {
	b := r.StrBytes()
	if len(b) > limit || !utf8.Valid(b) {
		r.Fail("a text of %d bytes is too long or not UTF-8", len(b))
		return ""
	}
	return string(b)
}

// writeText writes a string that text will take.
func writeText(w *wire.Writer, s string, limit int) {
	if len(s) > limit {
		s = s[:limit]
	}
	w.Str(strings.ToValidUTF8(s, "?"))
}

func encodeObject(w *wire.Writer, o causal.Object) {
	w.BinFrom(causal.ObjectLen(o), func(dst []byte) []byte { return causal.AppendObject(dst, o) })
}

func decodeObject(r *wire.Reader) causal.Object { return parseObject(r, r.Bytes(), new(causal.Arena)) }

// parseObject decodes what r has just read.
func parseObject(r *wire.Reader, b []byte, arena *causal.Arena) causal.Object {
	if r.Err() != nil {
		return causal.Object{}
	}
	o, err := arena.DecodeObject(b)
	if err != nil {
		r.Fail("object: %v", err)
	}
	return o
}

// A vector travels as an object without siblings: that form has no limit of entries, which a client's causal context
// has.
func encodeVector(w *wire.Writer, v causal.Vector) { encodeObject(w, causal.Object{Vector: v}) }

func decodeVector(r *wire.Reader) causal.Vector {
	o := decodeObject(r)
	if len(o.Siblings) > 0 {
		r.Fail("a vector with siblings")
	}
	return o.Vector
}

func encodeItems(w *wire.Writer, items []coordinator.Item) {
	w.ArrayLen(2 * len(items))
	for i := range items {
		w.Bin(items[i].Key)
		encodeObject(w, items[i].Object)
	}
}

func decodeItems(r *wire.Reader) []coordinator.Item {
	n := r.ArrayLen(2 * itemsMax)
	if n%2 != 0 {
		r.Fail("a key without an object")
	}
	items := make([]coordinator.Item, 0, min(n/2, r.Remaining()/itemBytesMin))
	arena := causal.NewArena(cap(items))
	for i := 0; i < n/2 && r.Err() == nil; i++ {
		items = append(items, coordinator.Item{Key: r.Bytes(), Object: parseObject(r, r.Bytes(), arena)})
	}
	return items
}

func encodeKeys(w *wire.Writer, keys [][]byte) {
	w.ArrayLen(len(keys))
	for _, k := range keys {
		w.Bin(k)
	}
}

func decodeKeys(r *wire.Reader) [][]byte {
	n := r.ArrayLen(itemsMax)
	if n == 0 {
		return nil
	}
	keys := make([][]byte, 0, n)
	for i := 0; i < n && r.Err() == nil; i++ {
		keys = append(keys, r.Bytes())
	}
	return keys
}

const hintFields = 2

// encodeHint and decodeHint are for whom, and what.
func encodeHint(w *wire.Writer, target ring.NodeID, items []coordinator.Item) {
	w.Str(string(target))
	encodeItems(w, items)
}

func decodeHint(r *wire.Reader) (target ring.NodeID, items []coordinator.Item) {
	target = nodeID(r)
	return target, decodeItems(r)
}

// encodeAck and decodeAck are the answer to a store, and to a hint.
func encodeAck(w *wire.Writer, ack coordinator.StoreAck) { w.Uint(uint64(ack.Actor)) }

func decodeAck(r *wire.Reader) coordinator.StoreAck {
	return coordinator.StoreAck{Actor: causal.Actor(r.Uint(1<<48 - 1))}
}

// A read's answer has nil for a key that the replica cannot vouch for.
func encodeReadItems(w *wire.Writer, items []coordinator.ReadItem) {
	w.ArrayLen(len(items))
	for i := range items {
		switch items[i].State {
		case coordinator.ReadUnknown:
			w.Nil()
		case coordinator.ReadOmitted:
			w.Bin(nil) // no object is empty
		default:
			encodeObject(w, items[i].Object)
		}
	}
}

func decodeReadItems(r *wire.Reader) []coordinator.ReadItem {
	n := r.ArrayLen(itemsMax)
	items := make([]coordinator.ReadItem, 0, n)
	arena := causal.NewArena(n)
	for i := 0; i < n && r.Err() == nil; i++ {
		if r.TryNil() {
			items = append(items, coordinator.ReadItem{State: coordinator.ReadUnknown})
			continue
		}
		b := r.Bytes()
		if r.Err() == nil && len(b) == 0 {
			items = append(items, coordinator.ReadItem{State: coordinator.ReadOmitted})
			continue
		}
		items = append(items, coordinator.ReadItem{Object: parseObject(r, b, arena)})
	}
	return items
}

const (
	scanFields     = 8
	scanPageFields = 4
)

func encodeScan(w *wire.Writer, req *coordinator.ScanRequest) {
	w.Bin(req.Start)
	w.Bin(req.End)
	w.Bool(req.Reverse)
	w.Bool(req.HeadsOnly)
	w.Uint(uint64(req.ItemsMax))
	w.Uint(uint64(req.BytesMax))
	w.Uint(uint64(req.ScannedMax))
	if req.Partitions == nil {
		w.Nil()
		return
	}
	w.ArrayLen(len(req.Partitions))
	for _, p := range req.Partitions {
		w.Uint(uint64(p))
	}
}

func decodeScan(r *wire.Reader) coordinator.ScanRequest {
	req := coordinator.ScanRequest{
		Start: r.Bytes(), End: r.Bytes(), Reverse: r.Bool(), HeadsOnly: r.Bool(),
		ItemsMax: positive(r), BytesMax: positive(r), ScannedMax: positive(r),
	}
	if r.TryNil() {
		return req
	}
	n := r.ArrayLen(partitionsMax)
	req.Partitions = make([]ring.PartitionID, 0, n)
	for i := 0; i < n && r.Err() == nil; i++ {
		req.Partitions = append(req.Partitions, ring.PartitionID(r.Uint(math.MaxUint32)))
	}
	return req
}

func positive(r *wire.Reader) int { return int(r.Int(1, math.MaxInt32)) }

func encodePage(w *wire.Writer, page *coordinator.ScanPage) {
	encodeItems(w, page.Items)
	encodeKeys(w, page.Unknown)
	w.Bool(page.More)
	w.Bin(page.Resume)
}

func decodePage(r *wire.Reader) *coordinator.ScanPage {
	return &coordinator.ScanPage{Items: decodeItems(r), Unknown: decodeKeys(r), More: r.Bool(), Resume: r.Bytes()}
}

const (
	writeFields = 6
	opFields    = 5
)

func encodeWrite(w *wire.Writer, req *coordinator.WriteRequest) {
	w.Int(int64(req.W))
	w.Int(int64(req.R))
	w.Bool(req.Ordered == wire.ChoiceYes)
	w.Bool(req.Sloppy == wire.ChoiceYes)
	w.Bool(req.Retried)
	w.ArrayLen(opFields * len(req.Ops))
	for i := range req.Ops {
		op := &req.Ops[i]
		w.Uint(uint64(op.Kind))
		w.Bin(op.Key)
		w.Bin(op.Value)
		w.Int(op.ExpiresAt)
		if op.HasContext {
			encodeVector(w, op.Context)
		} else {
			w.Nil()
		}
	}
}

// decodeWrite leaves the deadline to the caller.
func decodeWrite(r *wire.Reader) *coordinator.WriteRequest {
	req := &coordinator.WriteRequest{
		W: level(r), R: level(r), Ordered: wire.ChoiceOf(r.Bool()), Sloppy: wire.ChoiceOf(r.Bool()), Retried: r.Bool(),
	}
	n := r.ArrayLen(opFields * itemsMax)
	if n%opFields != 0 {
		r.Fail("an operation is cut short")
	}
	req.Ops = make([]coordinator.Op, 0, min(n/opFields, r.Remaining()/opBytesMin))
	for i := 0; i < n/opFields && r.Err() == nil; i++ {
		op := coordinator.Op{
			Kind: coordinator.OpKind(r.Uint(uint64(coordinator.OpDelete))),
			Key:  r.Bytes(), Value: r.Bytes(), ExpiresAt: r.Int64(),
		}
		if op.HasContext = !r.TryNil(); op.HasContext {
			op.Context = decodeVector(r)
		}
		req.Ops = append(req.Ops, op)
	}
	return req
}

func level(r *wire.Reader) coordinator.Level {
	return coordinator.Level(r.Int(math.MinInt8, math.MaxInt8))
}

const outcomeFields = 7

func encodeOutcomes(w *wire.Writer, outcomes []coordinator.Outcome) {
	w.ArrayLen(outcomeFields * len(outcomes))
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil {
			encodeError(w, o.Err)
		} else {
			w.Nil()
		}
		encodeVector(w, o.Context)
		w.Uint(uint64(o.Receipt.Dot.Actor))
		w.Uint(uint64(o.Receipt.Dot.Time))
		w.ArrayLen(len(o.Receipt.Replicas))
		for _, id := range o.Receipt.Replicas {
			w.Str(string(id))
		}
		w.ArrayLen(keptHintFields * len(o.Receipt.Hints))
		for _, h := range o.Receipt.Hints {
			w.Str(string(h.Target))
			w.Str(string(h.Node))
			w.Bool(h.Counted)
		}
		w.Bool(o.Receipt.Retried)
	}
}

func decodeOutcomes(r *wire.Reader) []coordinator.Outcome {
	n := r.ArrayLen(outcomeFields * itemsMax)
	if n%outcomeFields != 0 {
		r.Fail("an outcome is cut short")
	}
	outcomes := make([]coordinator.Outcome, 0, min(n/outcomeFields, r.Remaining()/outcomeBytesMin))
	for i := 0; i < n/outcomeFields && r.Err() == nil; i++ {
		var o coordinator.Outcome
		if !r.TryNil() {
			o.Err = decodeError(r)
		}
		o.Context = decodeVector(r)
		o.Receipt.Dot = causal.Dot{Actor: causal.Actor(r.Uint(1<<48 - 1)), Time: causal.Timestamp(r.Uint64())}
		for range r.ArrayLen(replicasMax) {
			o.Receipt.Replicas = append(o.Receipt.Replicas, nodeID(r))
		}
		o.Receipt.Hints = decodeKeptHints(r)
		o.Receipt.Retried = r.Bool()
		outcomes = append(outcomes, o)
	}
	return outcomes
}

const keptHintFields = 3

func decodeKeptHints(r *wire.Reader) (hints []coordinator.KeptHint) {
	n := r.ArrayLen(keptHintFields * replicasMax)
	if n%keptHintFields != 0 {
		r.Fail("a hint is cut short")
	}
	for range n / keptHintFields {
		hints = append(hints, coordinator.KeptHint{Target: nodeID(r), Node: nodeID(r), Counted: r.Bool()})
	}
	return hints
}

// named is an actor as a running node names it: count says how many it has had since it started, from 1 on. Links do not keep
// each other's order, so the count says which of two names is the later one.
type named struct {
	actor causal.Actor
	count uint64
}

func (n named) encode(w *wire.Writer) {
	w.ArrayLen(2)
	w.Uint(uint64(n.actor))
	w.Uint(n.count)
}

func decodeNamed(r *wire.Reader) named {
	exactly(r, 2, "an actor's name")
	n := named{actor: causal.Actor(r.Uint(1<<48 - 1)), count: r.Uint64()}
	if r.Err() == nil && n.count == 0 {
		r.Fail("an actor's count of 0")
	}
	return n
}

// ping is what a ping says besides the clock.
type ping struct {
	named named
	// offset is the receiver's physical clock less the sender's, as the sender measured it, where it has.
	offset    time.Duration
	hasOffset bool
}

// pong is the answer to a ping: when it arrived and was answered, by the other's physical clock, and, filled in by who
// asked, when it was back.
type pong struct {
	named             named
	arrived, answered time.Time
	back              time.Time
}

const (
	pingFields = 2
	pongFields = 3
	// offsetMax is the greatest offset that is believed: a hundred years.
	offsetMax = 100 * 365 * 24 * time.Hour
)

func (p *ping) encode(w *wire.Writer) {
	p.named.encode(w)
	if p.hasOffset {
		w.Int(int64(p.offset))
	} else {
		w.Nil()
	}
}

func decodePing(r *wire.Reader) ping {
	p := ping{named: decodeNamed(r)}
	if p.hasOffset = !r.TryNil(); p.hasOffset {
		p.offset = time.Duration(r.Int(-int64(offsetMax), int64(offsetMax)))
	}
	return p
}

func (p *pong) encode(w *wire.Writer) {
	p.named.encode(w)
	w.Int(p.arrived.UnixNano())
	w.Int(p.answered.UnixNano())
}

func decodePong(r *wire.Reader) pong {
	return pong{named: decodeNamed(r), arrived: time.Unix(0, r.Int64()), answered: time.Unix(0, r.Int64())}
}
