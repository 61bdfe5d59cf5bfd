package coordinator

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// Range returns one page of the keys in order, each as the join of what R replicas hold. No key that was there during
// the whole range is missed by going from page to page, and none comes twice. Keys that R replicas disagree about are
// read again as Read does it: so where 2R > N ranges and reads together never go back; elsewhere they go to background
// repair. The page shares memory with the replicas' answers and must not be changed.
//
// A page may be short, even empty, and have More: it also ends at RangePassedMax and RangeRoundsMax, before a key that
// cannot be read again, and where after some keys the deadline passes or too few replicas are left.
//
// Errors: *RequestError; *RangeError; context.DeadlineExceeded when the deadline had passed at the start; the cause of
// ctx.
func (c *Coordinator) Range(ctx context.Context, req *RangeRequest) (*RangePage, error) {
	if err := c.checkRange(req); err != nil {
		return nil, err
	}
	table := c.rangeTable()
	need, err := resolveLevel("r", req.R, c.opt.R, table.table.N())
	if err != nil {
		return nil, err
	}
	now := time.Now()
	deadline := c.deadline(now, earliest(ctx, req.Deadline))
	if !now.Before(deadline) {
		return nil, context.DeadlineExceeded
	}
	if len(req.Start) > 0 && len(req.End) > 0 && !before(req.Start, req.End, false) {
		return &RangePage{}, nil
	}
	page, err := newRangeOp(c, table, req, need, deadline).run(ctx)
	if err != nil {
		c.metrics.QuorumFailures.Add(1)
	}
	return page, err
}

// rangeOp carries out one range. It belongs to the request's goroutine, but for arrivals.
type rangeOp struct {
	c               *Coordinator
	req             *RangeRequest
	need            int
	deadline        time.Time
	limit, bytesMax int
	plan            *rangePlan
	targets         []target // by the plan's node numbers
	causes          []Cause
	join            rangeJoin
	page            RangePage
	bytes, passed   int
	rounds          int
	// passedAny: some key was handed out; cut: the page ends after the last one, for some partition is not answered
	// for beyond.
	passedAny, cut bool
	divergent      [][]byte // for background repair
	// again are the keys that are to be read once more, for some replica cannot vouch for them or, where mode repairs, they
	// differ; places are their indexes in the page.
	again  [][]byte
	places []int
	mode   readMode

	mu       sync.Mutex
	arrivals []rangeArrival
	arrived  chan struct{} // has a token while there may be arrivals
}

type rangeArrival struct {
	stream *rangeStream
	page   *ScanPage
	err    error
}

func newRangeOp(c *Coordinator, table *rangeTable, req *RangeRequest, need int, deadline time.Time) *rangeOp {
	op := &rangeOp{c: c, req: req, need: need, deadline: deadline, arrived: make(chan struct{}, 1)}
	op.limit, op.bytesMax = c.opt.RangeItemsMax, c.opt.RangeBytesMax
	if req.Limit > 0 {
		op.limit = min(op.limit, req.Limit)
	}
	if req.BytesMax > 0 {
		op.bytesMax = min(op.bytesMax, req.BytesMax)
	}
	if op.mode = readPlain; 2*need > table.table.N() {
		op.mode = readRepair
	}
	op.join = rangeJoin{reverse: req.Reverse, start: req.Start, end: req.End}
	op.targets = make([]target, len(table.nodes))
	reachable := make([]bool, len(table.nodes))
	for n, id := range table.nodes {
		op.targets[n] = c.target(id)
		reachable[n] = op.targets[n].reachable
	}
	op.plan = newRangePlan(table, need, reachable)
	return op
}

func (op *rangeOp) run(ctx context.Context) (*RangePage, error) {
	defer func() { op.c.repairs.add(op.divergent, op.c.metrics) }()
	began := op.join.position()
	if err := op.replan(); err != nil {
		return nil, err
	}
	timer := time.NewTimer(time.Until(op.deadline))
	defer timer.Stop()
	for !op.full() {
		if k, ok := op.join.next(); ok {
			op.passedAny = true
			op.take(k)
			continue
		}
		if op.join.done() || !op.ask() {
			break
		}
		if err := op.wait(ctx, timer); err != nil {
			if errors.Is(err, context.Canceled) {
				return nil, err
			}
			if !bytes.Equal(op.join.reach(), began) {
				break // what was passed so far is a page, if a short one
			}
			return nil, op.silent(err)
		}
		if err := op.receive(); err != nil {
			if !op.passedAny {
				return nil, err
			}
			op.cut = true // the next page will say so, if it is still true then
			break
		}
	}
	if err := op.resolve(ctx); err != nil {
		return nil, err
	}
	return op.finish(), nil
}

func (op *rangeOp) full() bool {
	return len(op.page.Items) >= op.limit || op.bytes >= op.bytesMax || op.passed >= op.c.opt.RangePassedMax
}

// replan has nodes answer for the partitions that have too few.
func (op *rangeOp) replan() error {
	shares, lost := op.plan.cover()
	if len(lost) > 0 && !op.req.Partial {
		return &RangeError{Partitions: lost, Need: op.need, Got: op.plan.live(lost[0]), Causes: op.leftOut()}
	}
	for node, share := range shares {
		if len(share) > 0 {
			op.join.open(node, share)
		}
	}
	return nil
}

// leftOut are the nodes that failed, and those that are not reachable.
func (op *rangeOp) leftOut() []Cause {
	causes := slices.Clone(op.causes)
	for n := range op.targets {
		if op.plan.spare[n] {
			causes = append(causes, Cause{Node: op.targets[n].id, Err: &UnreachableError{Node: op.targets[n].id}})
		}
	}
	return causes
}

// ask asks every stream that is short for its next page. It is false when the page has gone back to the replicas often
// enough.
func (op *rangeOp) ask() bool {
	asked := false
	var own *rangeStream
	for _, s := range op.join.streams {
		if !s.short() || s.asked {
			continue
		}
		if !asked && op.rounds >= op.c.opt.RangeRoundsMax {
			return false
		}
		asked = true
		s.asked = true
		if own == nil && op.targets[s.target].id == op.c.opt.Self {
			own = s // last: it may scan before the call returns, and the others are to be under way by then
			continue
		}
		op.scan(s)
	}
	if own != nil {
		op.scan(own)
	}
	if asked {
		op.rounds++
	}
	return true
}

// scan asks for a page as large as the range needs of this replica, if its partitions are like all others; for more
// with every round.
func (op *rangeOp) scan(s *rangeStream) {
	o := &op.c.opt
	partitions := len(op.plan.table.replicas)
	left := op.limit - len(op.page.Items)
	want := left
	if len(s.partitions) < partitions {
		want = left*len(s.partitions)/partitions*5/4 + 8
	}
	req := ScanRequest{
		Start: op.join.start, End: op.join.end, Reverse: op.req.Reverse,
		Partitions: s.partitions, HeadsOnly: op.req.KeysOnly,
		ItemsMax:   max(1, min(o.ScanItemsMax, want<<min(op.rounds, 4))),
		BytesMax:   max(1, min(o.ScanBytesMax, op.bytesMax, o.ScanBufferBytesMax/len(op.join.streams))),
		ScannedMax: o.ScanRecordsMax,
	}
	if op.req.Reverse {
		req.End = s.bound
	} else {
		req.Start = s.bound
	}
	t := &op.targets[s.target]
	if t.replica == nil {
		op.arrive(rangeArrival{stream: s, err: &UnreachableError{Node: t.id, Err: errNotMember}})
		return
	}
	// Half of what is left: a replica that hangs is to leave time for another one.
	deadline := op.deadline.Add(-time.Until(op.deadline) / 2)
	t.replica.Scan(deadline, req, func(p *ScanPage, err error) {
		op.arrive(rangeArrival{stream: s, page: p, err: err})
	})
}

func (op *rangeOp) arrive(a rangeArrival) {
	op.mu.Lock()
	op.arrivals = append(op.arrivals, a)
	op.mu.Unlock()
	select {
	case op.arrived <- struct{}{}:
	default:
	}
}

func (op *rangeOp) wait(ctx context.Context, timer *time.Timer) error {
	select {
	case <-op.arrived:
		return nil
	case <-timer.C:
		return context.DeadlineExceeded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// receive takes in what has arrived, and replaces the replicas that failed.
func (op *rangeOp) receive() error {
	op.mu.Lock()
	arrivals := op.arrivals
	op.arrivals = nil
	op.mu.Unlock()
	failed := false
	for _, a := range arrivals {
		switch {
		case a.stream.gone:
		case a.err == nil && op.sound(a.stream, a.page):
			op.join.page(a.stream, a.page)
		default:
			if a.err == nil {
				a.err = errScanPage
			}
			op.lose(a.stream.target, a.err)
			failed = true
		}
	}
	if failed {
		return op.replan()
	}
	return nil
}

// sound says whether a page that was cut short gets anywhere: else the range would ask for it for ever.
func (op *rangeOp) sound(s *rangeStream, p *ScanPage) bool {
	if p == nil {
		return false
	}
	return !p.More || len(p.Resume) > 0 && op.join.sooner(s.bound, p.Resume)
}

// lose takes a node and all of its streams out of the range.
func (op *rangeOp) lose(node int, err error) {
	op.c.metrics.RangeReplans.Add(1)
	op.causes = append(op.causes, Cause{Node: op.targets[node].id, Err: err})
	op.plan.fail(node)
	for _, s := range slices.Clone(op.join.streams) {
		if s.target == node {
			op.join.lose(s)
		}
	}
}

// take adds a key to the page if it shows anything.
func (op *rangeOp) take(k rangeKey) {
	table := op.plan.table.table
	if op.req.Partial && op.plan.missing[table.Partition(k.key)] {
		op.passed++
		return
	}
	if k.unknown {
		op.readAgain(RangeItem{Key: k.key})
		return
	}
	object := k.objects[0].Object
	same := len(k.objects) == op.need
	for _, o := range k.objects[1:] {
		same = same && sameSiblings(o.Object, object)
		object = causal.Join(object, o.Object)
	}
	switch {
	case same:
	case op.mode == readRepair:
		// Even where it shows nothing: a stale replica may show what was deleted.
		op.readAgain(RangeItem{Key: k.key, Object: object})
		return
	default:
		op.divergent = append(op.divergent, k.key)
	}
	if w, ok := object.Winner(); !ok || !w.Visible(op.c.opt.Now()) {
		op.passed++
		return
	}
	op.add(RangeItem{Key: k.key, Object: object})
}

func (op *rangeOp) add(item RangeItem) {
	op.page.Items = append(op.page.Items, item)
	op.bytes += len(item.Key) + item.Object.ValueBytes()
}

// readAgain adds a key of which it stands only after another read what it shows.
func (op *rangeOp) readAgain(item RangeItem) {
	op.places = append(op.places, len(op.page.Items))
	op.again = append(op.again, item.Key)
	op.add(item)
}

// resolve reads once more, from R replicas that can vouch for them, the keys that some replica could not vouch for or
// that differ. The page is cut before the first that cannot be read.
func (op *rangeOp) resolve(ctx context.Context) error {
	if len(op.again) == 0 {
		return nil
	}
	read := op.c.newReadOp(op.plan.table.table, op.again, op.need, op.mode, op.deadline)
	read.run(ctx)
	results := op.c.bounded(read.results())
	for i := range results {
		item := &op.page.Items[op.places[i]]
		if results[i].Err == nil {
			if item.Object = results[i].Object; op.req.KeysOnly {
				item.Object = item.Object.Heads()
			}
			continue
		}
		if err := op.unresolved(op.again[i], results[i].Err); err != nil {
			if op.places[i] == 0 {
				return err
			}
			op.cutBefore(op.places[i])
			break
		}
		item.Object = causal.Object{}
	}
	now := op.c.opt.Now()
	op.page.Items = slices.DeleteFunc(op.page.Items, func(item RangeItem) bool {
		w, ok := item.Object.Winner()
		return !ok || !w.Visible(now)
	})
	return nil
}

// unresolved is the error of a range with a key that could not be read again. It is nil where the key's partition may be
// missing.
func (op *rangeOp) unresolved(key []byte, err error) error {
	p := op.plan.table.table.Partition(key)
	switch {
	case errors.Is(err, errOmitted):
		return err
	case op.req.Partial:
		op.plan.missing[p] = true
		return nil
	}
	return &RangeError{Partitions: []ring.PartitionID{p}, Need: op.need, Got: gotOf(err), Causes: causesOf(err)}
}

// cutBefore ends the page before one of its items.
func (op *rangeOp) cutBefore(place int) {
	key := op.page.Items[place].Key
	op.page.Items = op.page.Items[:place]
	op.page.More, op.page.Resume = true, key
	if op.req.Reverse {
		op.page.Resume = justBeyond(key)
	}
}

func (op *rangeOp) finish() *RangePage {
	switch {
	case op.page.More: // resolve has cut it
	case op.cut:
		op.page.More, op.page.Resume = true, op.join.position()
	case !op.join.done():
		op.page.More, op.page.Resume = true, op.join.reach()
	}
	for p, missing := range op.plan.missing {
		if missing {
			op.page.Missing = append(op.page.Missing, ring.PartitionID(p))
		}
	}
	return &op.page
}

// silent is the error of a range that waits no longer for replicas that have not answered.
func (op *rangeOp) silent(err error) error {
	e := &RangeError{Need: op.need, Causes: op.leftOut()}
	for _, s := range op.join.streams {
		if s.asked {
			e.Partitions = append(e.Partitions, s.partitions...)
			e.Causes = append(e.Causes, Cause{Node: op.targets[s.target].id, Err: err})
		}
	}
	slices.Sort(e.Partitions)
	e.Partitions = slices.Compact(e.Partitions)
	if len(e.Partitions) > 0 {
		e.Got = op.answered(e.Partitions[0])
	}
	return e
}

// answered is how many nodes are not waited for among those that answer for a partition.
func (op *rangeOp) answered(p ring.PartitionID) (n int) {
	for _, s := range op.join.streams {
		if _, has := slices.BinarySearch(s.partitions, p); has && !s.asked {
			n++
		}
	}
	return n
}
