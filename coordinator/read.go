package coordinator

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
)

// Read gets each key as R replicas hold it together. Where any two sets of R replicas meet (2R > N), a result is on R
// replicas before Read returns, so that no later quorum read of the key shows an older state. Results are in the order
// of req.Keys; their objects share memory with the replicas' answers and must not be changed. The keys belong to the
// coordinator from now on.
//
// Errors of the request: *RequestError; context.DeadlineExceeded when the deadline had passed at the start. Of a key:
// *QuorumError; *RequestError (ErrTooLarge) where the keys before it left no room within ReadBytesMax: it can be asked
// for again. The first key always has room. Reads have no effect, but for repairs of what is already there.
func (c *Coordinator) Read(ctx context.Context, req *ReadRequest) ([]ReadResult, error) {
	if err := c.checkRead(req); err != nil {
		return nil, err
	}
	table := c.opt.Table()
	need, err := resolveLevel("r", req.R, c.opt.R, table.N())
	if err != nil {
		return nil, err
	}
	mode := readPlain
	if 2*need > table.N() {
		mode = readRepair
	}
	now := time.Now()
	deadline := c.deadline(now, earliest(ctx, req.Deadline))
	if !now.Before(deadline) {
		return nil, context.DeadlineExceeded
	}
	op := c.newReadOp(table, req.Keys, need, mode, deadline)
	op.run(ctx)
	return c.bounded(op.results()), nil
}

// bounded leaves out the results that ReadBytesMax has no room for.
func (c *Coordinator) bounded(results []ReadResult) []ReadResult {
	bytes := 0
	for i := range results {
		if bytes >= c.opt.ReadBytesMax {
			results[i] = ReadResult{Err: errOmitted}
			continue
		}
		bytes += results[i].Object.ValueBytes()
	}
	return results
}

// earliest is the earlier one of two deadlines, where either may be missing.
func earliest(ctx context.Context, asked time.Time) time.Time {
	if d, ok := ctx.Deadline(); ok && (asked.IsZero() || d.Before(asked)) {
		return d
	}
	return asked
}

// readOp carries out the reads of some keys: it turns what their readQuorums ask into requests, one for each replica
// and kind, and their answers into events. All of its state but what is fixed at the start is guarded by mu, which is
// never held while a replica is called.
type readOp struct {
	c        *Coordinator
	keys     [][]byte
	targets  targetSet
	deadline time.Time
	// ended is called once, when every key is settled.
	ended func()
	// background: keys found divergent are handed to background repair.
	background bool

	mu      sync.Mutex
	quorums []readQuorum
	asks    []readAsk
	hedgeAt time.Time
	over    bool
	err     error // why it was cut short

	one struct { // what the slices above begin in, for a read of one key: one allocation instead of many
		targets [3]target
		quorums [1]readQuorum
		asks    [3]readAsk
		nodes   [3]readNode
	}
}

func (c *Coordinator) newReadOp(table Topology, keys [][]byte, need int, mode readMode, deadline time.Time) *readOp {
	n := table.N()
	op := &readOp{c: c, keys: keys, deadline: deadline, background: mode != readVectors}
	nodes := op.one.nodes[:0]
	op.targets, op.quorums, op.asks = op.one.targets[:0], op.one.quorums[:], op.one.asks[:0]
	if len(keys) > 1 || n > len(op.one.nodes) {
		op.targets = make(targetSet, 0, n)
		op.quorums = make([]readQuorum, len(keys))
		op.asks = make([]readAsk, 0, len(keys)*need)
		nodes = make([]readNode, 0, n*len(keys))
	}
	for k, key := range keys {
		from := len(nodes)
		for _, id := range table.Replicas(table.Partition(key)) {
			nodes = append(nodes, readNode{target: op.targets.index(c, id)})
		}
		mine := nodes[from:len(nodes):len(nodes)]
		op.prefer(mine)
		op.quorums[k] = readQuorum{key: k, need: need, mode: mode, nodes: mine, op: "get"}
	}
	return op
}

// prefer puts the replicas of a key in the order in which they are asked: this node, those that are well, those that are
// slow, the rest. Where this node is a replica the others follow from its place in the table on, so that the nodes do not all
// ask the same second one.
func (op *readOp) prefer(nodes []readNode) {
	self := op.c.opt.Self
	for i := range nodes {
		if op.targets[nodes[i].target].id == self {
			rotate(nodes, i)
			break
		}
	}
	slices.SortStableFunc(nodes, func(a, b readNode) int {
		return op.distance(a.target) - op.distance(b.target)
	})
}

func (op *readOp) distance(t int) int { return op.targets[t].far(false) }

// rotate makes the i-th element the first.
func rotate[T any](s []T, i int) {
	slices.Reverse(s[:i])
	slices.Reverse(s[i:])
	slices.Reverse(s)
}

// run reads and returns when every key is settled.
func (op *readOp) run(ctx context.Context) {
	w := op.c.waiters.Get().(*waiter)
	op.ended = w.done
	op.start()
	w.await(ctx, op)
	op.c.waiters.Put(w)
}

func (op *readOp) start() {
	op.mu.Lock()
	for k := range op.quorums {
		op.asks = op.quorums[k].step(op.asks)
	}
	op.proceed()
}

// tick is process's: it hedges and, at the deadline, ends.
func (op *readOp) tick(now time.Time) time.Time {
	op.mu.Lock()
	if op.over {
		op.mu.Unlock()
		return time.Time{}
	}
	if !now.Before(op.deadline) {
		op.mu.Unlock()
		op.abandon(context.DeadlineExceeded)
		return time.Time{}
	}
	delay := op.hedgeDelay()
	switch {
	case delay < 0:
		op.mu.Unlock()
		return op.deadline
	case op.hedgeAt.IsZero():
		op.hedgeAt = now.Add(delay)
		defer op.mu.Unlock()
	case !now.Before(op.hedgeAt):
		op.hedgeAt = op.deadline
		if op.hedge() {
			op.hedgeAt = now.Add(delay)
		}
		defer op.proceed()
	default:
		defer op.mu.Unlock()
	}
	if op.hedgeAt.Before(op.deadline) {
		return op.hedgeAt
	}
	return op.deadline
}

// hedgeDelay is how long the replicas that were asked may take before one more is: twice what the slowest of them takes
// at most, usually, within the bounds of the options. What is not known counts as the longest, and so does a request for
// many keys, for which there is no usual. The caller holds mu.
func (op *readOp) hedgeDelay() time.Duration {
	most := op.c.opt.HedgeDelay
	if most < 0 || len(op.keys) > hedgeKeysMax {
		return most
	}
	tail := time.Duration(0)
	for k := range op.quorums {
		for _, n := range op.quorums[k].nodes {
			t := &op.targets[n.target]
			if t.peer == nil || n.state != nodeAsked {
				continue
			}
			if t.health.Tail == 0 {
				return most
			}
			tail = max(tail, t.health.Tail)
		}
	}
	if tail == 0 { // it is this node's own disk that is waited for, or a repair
		return most
	}
	return min(max(hedgeTails*tail, op.c.opt.HedgeDelayMin), most)
}

const (
	// hedgeKeysMax is the most keys of a read whose time is compared with what reads usually take.
	hedgeKeysMax = 16
	// hedgeTails is how many times the usual tail a read waits before it hedges.
	hedgeTails = 2
)

// hedge has every key that is not settled ask one more replica. The caller holds mu.
func (op *readOp) hedge() (any bool) {
	for k := range op.quorums {
		asks, ok := op.quorums[k].hedge(op.asks)
		op.asks = asks
		if ok {
			any = true
			op.c.metrics.Hedges.Add(1)
		}
	}
	return any
}

// abandon is process's.
func (op *readOp) abandon(err error) {
	op.mu.Lock()
	if op.over {
		op.mu.Unlock()
		return
	}
	op.over, op.err = true, err
	op.mu.Unlock()
	op.ended()
}

// proceed is how every event ends: it sends what the keys have come to ask, and ends the read when all are settled. It
// is called with mu held and releases it.
func (op *readOp) proceed() {
	for {
		asks := op.asks
		op.asks = nil
		if op.over {
			op.mu.Unlock()
			return
		}
		settled := true
		for k := range op.quorums {
			settled = settled && op.quorums[k].settled()
		}
		var acks []readAsk
		if settled {
			acks = op.unverified()
		}
		if settled && len(acks) == 0 {
			op.over = true
			divergent := op.divergent()
			op.mu.Unlock()
			op.c.repairs.add(divergent, op.c.metrics)
			op.ended()
			return
		}
		op.mu.Unlock()
		op.dispatch(asks)
		if !settled {
			return
		}
		actors := make([]causal.Actor, len(acks))
		for i, a := range acks {
			actors[i] = op.actor(a.target)
		}
		op.mu.Lock()
		op.verify(acks, actors)
	}
}

// unverified are the repairs acknowledged of which it is to be checked, now that all is settled, whether the word
// still holds. The caller holds mu.
func (op *readOp) unverified() (acks []readAsk) {
	for k := range op.quorums {
		q := &op.quorums[k]
		for i := range q.nodes {
			if n := &q.nodes[i]; q.phase == phaseDone && n.repair == repairDone && !n.verified {
				acks = append(acks, readAsk{key: k, node: i, target: n.target})
			}
		}
	}
	return acks
}

// verify voids the word of replicas that have another actor by now. The caller holds mu.
func (op *readOp) verify(acks []readAsk, actors []causal.Actor) {
	for i, a := range acks {
		q := &op.quorums[a.key]
		q.nodes[a.node].verified = true
		if q.void(a.node, actors[i]) {
			op.c.metrics.VoidedAcks.Add(1)
			op.asks = q.step(op.asks)
		}
	}
}

func (op *readOp) actor(t int) causal.Actor {
	if p := op.targets[t].peer; p != nil {
		return p.Actor()
	}
	return op.c.opt.Local.Actor()
}

// divergent takes the keys that background repair is to look at. The caller holds mu.
func (op *readOp) divergent() (keys [][]byte) {
	for k := range op.quorums {
		if q := &op.quorums[k]; q.divergent {
			q.divergent = false
			if op.background {
				keys = append(keys, op.keys[k])
			}
		}
	}
	return keys
}

// dispatch sends the asks, those for one replica and of one kind together; to this node's own replica last, for its
// answer may come before the call returns, and the others' are to be under way by then.
func (op *readOp) dispatch(asks []readAsk) {
	if len(asks) > 1 {
		slices.SortFunc(asks, func(a, b readAsk) int {
			return cmp.Or(op.turn(a.target)-op.turn(b.target), a.target-b.target, int(a.kind)-int(b.kind), a.key-b.key)
		})
	}
	for len(asks) > 0 {
		n := 1
		for n < len(asks) && asks[n].target == asks[0].target && asks[n].kind == asks[0].kind {
			n++
		}
		if asks[0].kind == askStore {
			op.store(asks[:n:n])
		} else {
			op.ask(asks[:n:n])
		}
		asks = asks[n:]
	}
}

func (op *readOp) turn(t int) int {
	if op.targets[t].peer == nil {
		return 1
	}
	return 0
}

// ask sends one request for the keys of the asks.
func (op *readOp) ask(asks []readAsk) {
	t := &op.targets[asks[0].target]
	if t.replica == nil {
		op.answered(asks, nil, &UnreachableError{Node: t.id, Err: errNotMember})
		return
	}
	want := WantHeads
	if asks[0].kind == askValues {
		want = WantValues
	}
	t.replica.Read(op.deadline, op.keysOf(asks), want, func(items []ReadItem, err error) { op.answered(asks, items, err) })
}

func (op *readOp) keysOf(asks []readAsk) [][]byte {
	if len(asks) == 1 {
		k := asks[0].key
		return op.keys[k : k+1 : k+1]
	}
	if len(asks) == len(op.keys) {
		return op.keys // each key asks a replica for one thing at a time, and asks are sorted
	}
	keys := make([][]byte, len(asks))
	for i, a := range asks {
		keys[i] = op.keys[a.key]
	}
	return keys
}

func (op *readOp) answered(asks []readAsk, items []ReadItem, err error) {
	if err == nil && len(items) != len(asks) {
		err = errAnswerLength
	}
	op.mu.Lock()
	for i, a := range asks {
		q := &op.quorums[a.key]
		if err != nil {
			q.fail(a.node, err)
		} else {
			q.answer(a.node, items[i], a.kind == askValues)
		}
		if !op.over {
			op.asks = q.step(op.asks)
		}
	}
	if !op.over {
		op.proceed()
		return
	}
	late := op.divergent()
	op.mu.Unlock()
	op.c.repairs.add(late, op.c.metrics)
}

// store sends the joins of the asks' keys.
func (op *readOp) store(asks []readAsk) {
	t := &op.targets[asks[0].target]
	if t.replica == nil {
		op.stored(asks, StoreAck{}, &UnreachableError{Node: t.id, Err: errNotMember})
		return
	}
	items := make([]Item, len(asks))
	op.mu.Lock()
	for i, a := range asks {
		items[i] = Item{Key: op.keys[a.key], Object: op.quorums[a.key].joined}
	}
	op.mu.Unlock()
	op.c.metrics.Repairs.Add(int64(len(items)))
	t.replica.Store(op.deadline, items, func(ack StoreAck, err error) { op.stored(asks, ack, err) })
}

func (op *readOp) stored(asks []readAsk, ack StoreAck, err error) {
	op.mu.Lock()
	for _, a := range asks {
		q := &op.quorums[a.key]
		if err != nil {
			q.storeFailed(a.node, err)
		} else {
			q.stored(a.node, ack.Actor)
		}
		if !op.over {
			op.asks = q.step(op.asks)
		}
	}
	op.proceed()
}

// results are what became of each key, once ended was called.
func (op *readOp) results() []ReadResult {
	op.mu.Lock()
	defer op.mu.Unlock()
	out := make([]ReadResult, len(op.quorums))
	for k := range op.quorums {
		q := &op.quorums[k]
		if q.phase == phaseDone {
			out[k].Object = q.joined
			continue
		}
		if q.omitted {
			out[k].Err = errOmitted
			continue
		}
		out[k].Err = q.failure(op.err, func(t int) Cause { return Cause{Node: op.targets[t].id} })
		op.c.metrics.QuorumFailures.Add(1)
	}
	return out
}
