package coordinator

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// writePhase is how far a coordinated write has come.
type writePhase uint8

const (
	writeJoining   writePhase = iota // the vectors of R replicas are being read; nothing is decided
	writeDeciding                    // the local replica has it; whether dots were issued is not known
	writeSpreading                   // decided, and sent to every other replica
	writeOver                        // answered; the other replicas go on receiving
)

// writeOp coordinates the write of some keys, all of which this node is a replica of.
//
//	joining ──> deciding ──decided──> spreading ──durable here, and W-1 acks for each key──> over
//	   └── nothing is written ──> over    └── too few left, the log failed, or the deadline ──> over
//
// It is carried on by callbacks. Its state is guarded by mu, which is never held while a replica is called.
type writeOp struct {
	c     *Coordinator
	table Topology
	req   *WriteRequest
	keys  []int // indexes into req.Ops: a key's position in this slice is its number in all that follows
	// replicas are those of each key.
	replicas [][]ring.NodeID
	w, r     int
	ordered  bool
	sloppy   bool
	deadline time.Time
	ended    func() // called once, when the outcomes stand
	join     *readOp

	mu       sync.Mutex
	phase    writePhase
	targets  targetSet
	outcomes []Outcome
	// seen is what a key's write has seen, in so far as it was joined from R replicas; nil without such a join.
	seen []causal.Vector
	// deciding are the numbers of the keys that the local replica was given, in its order.
	deciding []int
	tally    tally
	// shipments are the items that each giver is sent.
	shipments [][]Item
	localErr  error
	gone      error // why nobody waits any longer, before anything was decided

	one struct { // what the slices above begin in, for a write of one key: one allocation instead of many
		deciding  [1]int
		outcomes  [1]Outcome
		ds        [1]Decision
		counts    [2]int16
		skip      [1]bool
		givers    [2]giver
		targets   [3]target
		keys      [1]int
		replicas  [1][]ring.NodeID
		items     [1]Item
		shipments [2][]Item
	}
}

// newWriteOp makes the write of the given ops of a request, by their indexes in rising order; w and r are its levels.
func (c *Coordinator) newWriteOp(table Topology, req *WriteRequest, keys []int, w, r int, deadline time.Time) *writeOp {
	op := &writeOp{c: c, table: table, req: req, keys: keys, w: w, r: r, deadline: deadline}
	op.ordered, op.sloppy = req.Ordered.Or(c.opt.Ordered), req.Sloppy.Or(c.opt.Sloppy)
	n := len(keys)
	if n == 1 {
		op.outcomes, op.tally.skip = op.one.outcomes[:], op.one.skip[:]
		op.tally.acked, op.tally.silent = op.one.counts[:1:1], op.one.counts[1:]
		op.deciding, op.replicas = op.one.deciding[:0], op.one.replicas[:]
	} else {
		op.outcomes, op.tally.skip = make([]Outcome, n), make([]bool, n)
		op.tally.acked, op.tally.silent = make([]int16, n), make([]int16, n)
		op.deciding, op.replicas = make([]int, 0, n), make([][]ring.NodeID, n)
	}
	for i := range keys {
		op.replicas[i] = table.Replicas(table.Partition(op.op(i).Key))
	}
	op.targets = op.one.targets[:0]
	op.tally.givers = op.one.givers[:0]
	return op
}

func (op *writeOp) op(i int) *Op { return &op.req.Ops[op.keys[i]] }

func (o *Op) name() string {
	if o.Kind == OpDelete {
		return "delete"
	}
	return "put"
}

// start begins with what needs no lock: nobody else knows the op yet.
func (op *writeOp) start() {
	op.tally.need = op.w - 1
	var join []int
	for i := range op.keys {
		if err := op.outOfReach(i); err != nil {
			op.refuse(i, err)
			continue
		}
		if o := op.op(i); !o.HasContext && (o.Kind == OpDelete || op.ordered) {
			join = append(join, i)
		}
	}
	if len(join) == 0 {
		op.decide()
		return
	}
	keys := make([][]byte, len(join))
	for j, i := range join {
		keys[j] = op.op(i).Key
	}
	op.join = op.c.newReadOp(op.table, keys, op.r, readVectors, op.deadline)
	for j := range op.join.quorums {
		op.join.quorums[j].op = "join"
	}
	op.join.ended = func() { op.joined(join) }
	op.join.start()
}

// outOfReach refuses a key for which fewer than W replicas, or who may stand in for them, are reachable, before anything is
// written.
func (op *writeOp) outOfReach(i int) error {
	replicas := op.replicas[i]
	reachable := 0
	for _, id := range replicas {
		if op.targets[op.targets.index(op.c, id)].reachable {
			reachable++
		}
	}
	if reachable < op.w && op.sloppy {
		reachable += op.fallbacksInReach(i)
	}
	if reachable >= op.w {
		return nil
	}
	op.c.metrics.EarlyRefusals.Add(1)
	q := &QuorumError{Op: op.op(i).name(), Need: op.w, Got: reachable, Effect: wire.EffectNone}
	for _, id := range replicas {
		if t := op.targets[op.targets.index(op.c, id)]; !t.reachable {
			q.Causes = append(q.Causes, Cause{Node: id, Err: &UnreachableError{Node: id}})
		}
	}
	return q
}

// refuse settles a key for which nothing was decided.
func (op *writeOp) refuse(i int, err error) {
	op.outcomes[i].Err = err
	op.tally.skip[i] = true
}

// joined goes on once the vectors of R replicas are known.
func (op *writeOp) joined(join []int) {
	results := op.join.results()
	op.mu.Lock()
	op.seen = make([]causal.Vector, len(op.keys))
	for j, i := range join {
		if results[j].Err != nil {
			op.refuse(i, results[j].Err)
			continue
		}
		op.seen[i] = results[j].Object.Vector
	}
	op.mu.Unlock()
	op.decide()
}

// decide hands the keys that were not refused to the local replica.
func (op *writeOp) decide() {
	op.mu.Lock()
	late := op.gone
	if late == nil && time.Until(op.deadline) <= 0 {
		late = context.DeadlineExceeded
	}
	ds := op.one.ds[:0]
	if len(op.keys) > 1 {
		ds = make([]Decision, 0, len(op.keys))
	}
	for i := range op.keys {
		switch {
		case op.tally.skip[i]:
		case late != nil:
			op.refuse(i, &WriteError{Effect: wire.EffectNone, Err: late})
		default:
			op.deciding = append(op.deciding, i)
			ds = append(ds, op.decision(i))
		}
	}
	if len(ds) == 0 {
		op.phase = writeOver
		op.mu.Unlock()
		op.ended()
		return
	}
	op.phase = writeDeciding
	op.mu.Unlock()
	op.c.opt.Local.Write(op.deadline, ds, op.decided, op.durable)
}

func (op *writeOp) decision(i int) Decision {
	o := op.op(i)
	d := Decision{
		Key: o.Key, Tombstone: o.Kind == OpDelete, Value: o.Value, ExpiresAt: o.ExpiresAt,
		Context: o.Context, HasContext: o.HasContext,
	}
	if !o.HasContext && (d.Tombstone || op.ordered) {
		d.Context, d.HasContext = op.seen[i], true
	}
	return d
}

// decided is the local replica's: the dots are issued, and what was decided goes out while the local log syncs.
func (op *writeOp) decided(results []Decided) {
	op.mu.Lock()
	if op.phase == writeDeciding { // else nobody waits any longer, but the write is made all the same
		op.phase = writeSpreading
		for j, i := range op.deciding {
			if r := &results[j]; r.Err != nil {
				op.refuse(i, r.Err)
			} else {
				op.outcomes[i].Receipt = Receipt{Dot: r.Dot, Retried: op.req.Retried}
				op.outcomes[i].Context = op.contextAfter(i, r)
			}
		}
	}
	op.ship(results)
	if op.sloppy {
		op.giveUpUnreachable()
		op.standIn()
	}
	givers := len(op.tally.givers)
	op.mu.Unlock()
	for g := range givers {
		op.send(g)
	}
}

// contextAfter is the causal context that covers a write and what it superseded, and nothing else. Where a sibling is
// left that the new dot's entry would cover, too (an earlier one of the same actor), the context does without that
// entry: the writer has not seen that sibling.
func (op *writeOp) contextAfter(i int, r *Decided) causal.Vector {
	o := op.op(i)
	if len(r.Object.Siblings) == 1 {
		return r.Object.Vector
	}
	seen := o.Context
	if !o.HasContext && op.seen != nil {
		seen = op.seen[i]
	}
	with := seen.With(r.Dot)
	for _, s := range r.Object.Siblings {
		if s.Dot != r.Dot && with.Covers(s.Dot) {
			return seen
		}
	}
	return with
}

// ship says what each of the other replicas is sent: all keys that it replicates, as one frame. The caller holds mu.
func (op *writeOp) ship(results []Decided) {
	keys, items := op.one.keys[:0], op.one.items[:0]
	if len(results) > 1 {
		keys, items = make([]int, 0, len(results)), make([]Item, 0, len(results))
	}
	for j, i := range op.deciding {
		if results[j].Err == nil {
			keys = append(keys, i)
			items = append(items, Item{Key: op.op(i).Key, Object: results[j].Object})
		}
	}
	op.shipments = op.one.shipments[:0]
	for n, i := range keys {
		for _, id := range op.replicas[i] {
			if t := op.targets.index(op.c, id); id != op.c.opt.Self && !op.shipsTo(t) {
				op.shipTo(t, keys[n:], items[n:])
			}
		}
	}
}

// shipsTo says whether a target has its share already.
func (op *writeOp) shipsTo(t int) bool {
	return slices.ContainsFunc(op.tally.givers, func(v giver) bool { return v.target == t })
}

// shipTo gives a target those of the keys and items that it replicates. In a cluster of N nodes these are all, and all
// are sent the same.
func (op *writeOp) shipTo(t int, keys []int, items []Item) {
	id := op.targets[t].id
	foreign := 0
	for _, i := range keys {
		if !slices.Contains(op.replicas[i], id) {
			foreign++
		}
	}
	if foreign > 0 {
		mine, theirs := make([]int, 0, len(keys)-foreign), make([]Item, 0, len(keys)-foreign)
		for n, i := range keys {
			if slices.Contains(op.replicas[i], id) {
				mine, theirs = append(mine, i), append(theirs, items[n])
			}
		}
		keys, items = mine, theirs
	}
	op.tally.sent(t, keys)
	op.shipments = append(op.shipments, items)
}

// send sends a giver its share, unless it was given up already.
func (op *writeOp) send(g int) {
	op.mu.Lock()
	v := &op.tally.givers[g]
	t, items := op.targets[v.target], op.shipments[g]
	silent, standsFor := v.state == giverSilent, v.standsFor
	op.mu.Unlock()
	acked := func(ack StoreAck, err error) { op.acked(g, ack, err) }
	switch {
	case !silent:
	case t.peer == nil:
		op.acked(g, StoreAck{}, &UnreachableError{Node: t.id, Err: errNotMember})
	case standsFor != "":
		t.peer.Hint(op.deadline, standsFor, items, acked)
	default:
		t.peer.Store(op.c.spreadDeadline(op.deadline), items, acked)
	}
}

func (op *writeOp) acked(g int, ack StoreAck, err error) {
	op.mu.Lock()
	if err != nil {
		op.tally.fail(g, err)
	} else {
		op.tally.ack(g, ack.Actor)
	}
	op.proceed()
}

// durable is the local replica's last word.
func (op *writeOp) durable(err error) {
	closed := err != nil && op.c.opt.Local.Serving() != nil // the log takes nothing more: another replica's may
	op.mu.Lock()
	switch {
	case op.phase == writeDeciding: // decided never came
		effect := wire.EffectNone
		switch {
		case err == nil:
			err, effect = errNeverDecided, wire.EffectUnknown
		case closed:
			err = notServing(err)
		}
		for _, i := range op.deciding {
			op.refuse(i, &WriteError{Effect: effect, Err: err})
		}
		op.tally.local = localDurable // of nothing
	case err != nil:
		op.tally.local, op.localErr = localFailed, err
	case op.tally.local == localPending:
		op.tally.local = localDurable
	}
	op.proceed()
}

// proceed ends the write when all keys are settled and no word that counts is void. It is called with mu held and
// releases it.
func (op *writeOp) proceed() {
	peers, have := make([]Peer, 0, 8), make([]causal.Actor, 0, 8)
	ended := false
	more := op.standInMeanwhile()
	for op.phase != writeOver && op.tally.settled() {
		peers, have = peers[:0], have[:0]
		for g := range op.tally.givers {
			peers = append(peers, op.targets[op.tally.givers[g].target].peer)
		}
		op.mu.Unlock()
		for _, p := range peers {
			actor := causal.Actor(0)
			if p != nil {
				actor = p.Actor()
			}
			have = append(have, actor)
		}
		own := op.c.opt.Local.Actor()
		op.mu.Lock()
		if op.phase == writeOver {
			break
		}
		if !op.void(have, own) {
			op.end(nil)
			ended = true
			break
		}
		more = append(more, op.standInMeanwhile()...)
	}
	missed := op.missed()
	op.mu.Unlock()
	if ended {
		op.ended()
	}
	for _, g := range more {
		op.send(g)
	}
	op.hint(missed)
}

// void takes back the words of replicas that have another actor by now, this node's own among them. The caller holds
// mu.
func (op *writeOp) void(have []causal.Actor, own causal.Actor) (any bool) {
	for g, actor := range have {
		if op.tally.void(g, actor) {
			op.c.metrics.VoidedAcks.Add(1)
			any = true
		}
	}
	for i := range op.outcomes {
		if op.tally.local != localDurable || op.tally.skip[i] || own == 0 {
			continue
		}
		if issuer := op.outcomes[i].Receipt.Dot.Actor; issuer != own {
			op.tally.local, op.localErr = localFailed, errVoid{had: issuer, has: own}
			any = true
		}
	}
	return any
}

// tick is process's.
func (op *writeOp) tick(now time.Time) time.Time {
	op.mu.Lock()
	phase := op.phase
	op.mu.Unlock()
	switch {
	case phase == writeOver:
		return time.Time{}
	case phase == writeJoining && op.join != nil:
		if next := op.join.tick(now); !next.IsZero() {
			return next
		}
	}
	if !now.Before(op.deadline) {
		op.abandon(context.DeadlineExceeded)
		return time.Time{}
	}
	return op.deadline
}

// abandon is process's. While the vectors are being read it ends that, and nothing is decided.
func (op *writeOp) abandon(err error) {
	op.mu.Lock()
	switch op.phase {
	case writeOver:
		op.mu.Unlock()
	case writeJoining:
		op.gone = err
		op.mu.Unlock()
		op.join.abandon(err)
	default:
		op.end(err)
		op.mu.Unlock()
		op.ended()
	}
}
