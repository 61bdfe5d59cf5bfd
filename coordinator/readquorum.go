package coordinator

import (
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

// readMode is what the read of a key is for.
type readMode uint8

const (
	// readVectors: what is wanted is the join of the vectors; values are neither asked for nor repaired.
	readVectors readMode = iota
	// readPlain: what is wanted is the join, with values.
	readPlain
	// readRepair: besides, as many replicas as are needed must hold the join before the read is done.
	readRepair
)

// readPhase is how far the read of a key has come.
type readPhase uint8

const (
	phaseAsking    readPhase = iota // fewer replicas than needed have answered
	phaseFetching                   // enough have; values of the join are missing
	phaseRepairing                  // the join stands and will not change; too few replicas are known to hold it
	phaseDone
	phaseFailed
)

type nodeState uint8

const (
	nodeIdle   nodeState = iota // not asked yet
	nodeAsked                   // asked, silent so far
	nodeKnown                   // its object is known
	nodeFailed                  // it has no answer for this key
)

type repairState uint8

const (
	repairNone repairState = iota
	repairAsked
	repairDone
	repairFailed
)

// readNode is one replica of the key, as the read sees it.
type readNode struct {
	target int
	state  nodeState
	// fetching: it was asked for values after its heads were known.
	fetching bool
	// wanted and valued: it was asked for, and gave, values.
	wanted, valued bool
	repair         repairState
	object         causal.Object
	// actor is who acknowledged the repair; verified says that this was still so when the read was settled.
	actor    causal.Actor
	verified bool
	err      error
}

// askKind is what is asked of a replica.
type askKind uint8

const (
	askHeads askKind = iota
	askValues
	askStore // of the join
)

// readAsk is a request that a readQuorum wants sent.
type readAsk struct {
	key, node, target int
	kind              askKind
}

// readQuorum decides the read of one key. It is pure: answers, failures and ticks go in, asks come out.
//
//	asking ──need answered──> fetching ──all values there──> repairing ──need hold the join──> done
//	  ^ └── too few left ──> failed │                            └────── too few left ──────> failed
//	  └── a fetch failed ───────────┘
//
// While it repairs the join stands: what arrives late does not change it. That is enough for the rule that reads never
// go back: the join was that of `need` replicas, and once `need` replicas hold it, every later quorum meets one of
// them.
type readQuorum struct {
	key   int // index among the keys of the request
	need  int
	mode  readMode
	phase readPhase
	// nodes are the replicas in the order in which they are asked.
	nodes  []readNode
	joined causal.Object
	// divergent: some replica is known to hold something else than the join, and was not repaired.
	divergent bool
	// omitted: a replica's answer had no room for the key, which is why it failed.
	omitted bool
	// op is what a QuorumError calls it.
	op string
}

func (q *readQuorum) settled() bool { return q.phase >= phaseDone }

// step goes as far as what is known allows, and adds what it wants sent to asks.
func (q *readQuorum) step(asks []readAsk) []readAsk {
	for {
		before := q.phase
		switch q.phase {
		case phaseAsking:
			asks = q.stepAsking(asks)
		case phaseFetching:
			asks = q.stepFetching(asks)
		case phaseRepairing:
			asks = q.stepRepairing(asks)
		}
		if q.phase == before {
			return asks
		}
	}
}

func (q *readQuorum) count(is nodeState) (n int) {
	for i := range q.nodes {
		if q.nodes[i].state == is {
			n++
		}
	}
	return n
}

func (q *readQuorum) stepAsking(asks []readAsk) []readAsk {
	known := q.count(nodeKnown)
	if known >= q.need {
		q.phase = phaseFetching
		return asks
	}
	for known+q.count(nodeAsked) < q.need {
		ok := false
		if asks, ok = q.askIdle(asks); !ok {
			q.phase = phaseFailed
			return asks
		}
	}
	return asks
}

// askIdle asks the next replica that was not asked yet; for values if no answer with values is there or under way.
func (q *readQuorum) askIdle(asks []readAsk) ([]readAsk, bool) {
	kind := askValues
	if q.mode == readVectors {
		kind = askHeads
	}
	for i := range q.nodes {
		if n := &q.nodes[i]; n.wanted && (n.state == nodeAsked || n.state == nodeKnown) {
			kind = askHeads
		}
	}
	return q.askIdleFor(asks, kind)
}

func (q *readQuorum) askIdleFor(asks []readAsk, kind askKind) ([]readAsk, bool) {
	for i := range q.nodes {
		if n := &q.nodes[i]; n.state == nodeIdle && n.repair == repairNone {
			n.state, n.wanted = nodeAsked, kind == askValues
			return append(asks, readAsk{q.key, i, n.target, kind}), true
		}
	}
	return asks, false
}

func (q *readQuorum) stepFetching(asks []readAsk) []readAsk {
	if q.count(nodeKnown) < q.need {
		q.phase = phaseAsking
		return asks
	}
	q.join()
	if q.mode == readVectors {
		q.phase = phaseDone
		return asks
	}
	complete := true
	for _, s := range q.joined.Siblings {
		if !q.lacks(s) {
			continue
		}
		complete = false
		if q.fetchUnderWay(s.Dot) {
			continue
		}
		asks, _ = q.fetch(asks, s.Dot)
	}
	switch {
	case !complete:
	case q.mode == readRepair:
		q.phase = phaseRepairing
	default:
		q.finish()
	}
	return asks
}

// join joins what is known. Where all replicas hold the same it costs comparisons only.
func (q *readQuorum) join() {
	first := true
	for i := range q.nodes {
		n := &q.nodes[i]
		switch {
		case n.state != nodeKnown:
		case first:
			q.joined, first = n.object, false
		default:
			q.joined = causal.Join(q.joined, n.object)
		}
	}
}

// lacks says whether the value of a sibling of the join is still to be had. An empty one may be all there is.
func (q *readQuorum) lacks(s causal.Sibling) bool {
	if s.Tombstone || len(s.Value) > 0 {
		return false
	}
	for i := range q.nodes {
		if n := &q.nodes[i]; n.state == nodeKnown && n.valued && holds(n.object, s.Dot) {
			return false
		}
	}
	return true
}

func (q *readQuorum) fetchUnderWay(d causal.Dot) bool {
	for i := range q.nodes {
		if n := &q.nodes[i]; n.fetching && holds(n.object, d) {
			return true
		}
	}
	return false
}

// fetch asks the first replica that holds the dot, and was not asked for its values, for them.
func (q *readQuorum) fetch(asks []readAsk, d causal.Dot) ([]readAsk, bool) {
	for i := range q.nodes {
		if n := &q.nodes[i]; n.state == nodeKnown && !n.valued && !n.fetching && holds(n.object, d) {
			n.fetching, n.wanted = true, true
			return append(asks, readAsk{q.key, i, n.target, askValues}), true
		}
	}
	return asks, false
}

func (q *readQuorum) stepRepairing(asks []readAsk) []readAsk {
	for i := range q.nodes { // every stale one that answered
		if n := &q.nodes[i]; n.state == nodeKnown && n.repair == repairNone && !q.current(n) {
			asks = q.repair(asks, i)
		}
	}
	for {
		holders, underWay := 0, 0
		for i := range q.nodes {
			switch n := &q.nodes[i]; {
			case q.current(n):
				holders++
			case n.repair == repairAsked:
				underWay++
			}
		}
		if holders >= q.need {
			q.finish()
			return asks
		}
		if holders+underWay >= q.need {
			return asks
		}
		ok := false
		if asks, ok = q.replace(asks); !ok {
			q.phase = phaseFailed
			return asks
		}
	}
}

// current says whether a replica is known to hold the join.
func (q *readQuorum) current(n *readNode) bool {
	return n.repair == repairDone || n.state == nodeKnown && sameSiblings(n.object, q.joined)
}

// replace repairs a replica that was not needed, or has been silent, in place of one that could not be repaired. There
// is no need to read it first: see readQuorum.
func (q *readQuorum) replace(asks []readAsk) ([]readAsk, bool) {
	for i := range q.nodes {
		if n := &q.nodes[i]; n.repair == repairNone && (n.state == nodeIdle || n.state == nodeAsked) {
			return q.repair(asks, i), true
		}
	}
	return asks, false
}

func (q *readQuorum) repair(asks []readAsk, i int) []readAsk {
	q.nodes[i].repair = repairAsked
	return append(asks, readAsk{q.key, i, q.nodes[i].target, askStore})
}

func (q *readQuorum) finish() {
	q.phase = phaseDone
	for i := range q.nodes {
		n := &q.nodes[i]
		q.divergent = q.divergent || n.state == nodeKnown && !q.current(n) && n.repair != repairAsked
	}
}

// answer is what a replica said to askHeads or askValues.
func (q *readQuorum) answer(i int, item ReadItem, valued bool) {
	n := &q.nodes[i]
	switch {
	case n.state != nodeAsked && !n.fetching:
		return // an answer to what is no longer asked
	case item.State == ReadUnknown:
		q.fail(i, ErrUnknownKey)
		return
	case item.State == ReadOmitted:
		q.omit()
		return
	case n.fetching && !valued:
		return
	}
	n.fetching = false
	if q.settled() {
		q.divergent = q.phase == phaseDone && n.repair == repairNone && !sameSiblings(item.Object, q.joined)
		n.state = nodeKnown
		return
	}
	n.state, n.object, n.valued = nodeKnown, item.Object, n.valued || valued
}

// omit ends the read of a key that a replica's answer had no room for: another's would have none, either.
func (q *readQuorum) omit() {
	if q.phase < phaseRepairing {
		q.phase, q.omitted = phaseFailed, true
	}
}

// fail says that a replica has no answer to askHeads or askValues. One whose values cannot be had does not count at
// all.
func (q *readQuorum) fail(i int, err error) {
	n := &q.nodes[i]
	if n.state != nodeAsked && !n.fetching || q.settled() {
		return
	}
	n.state, n.fetching, n.err = nodeFailed, false, err
}

// stored is a replica's word that it holds the join.
func (q *readQuorum) stored(i int, actor causal.Actor) {
	if n := &q.nodes[i]; n.repair == repairAsked {
		n.repair, n.actor = repairDone, actor
	}
}

// storeFailed says that a replica will not give it.
func (q *readQuorum) storeFailed(i int, err error) {
	if n := &q.nodes[i]; n.repair == repairAsked {
		n.repair, n.err = repairFailed, err
	}
}

// void takes back the word of a replica that has another actor by now, and has the read go on without it.
func (q *readQuorum) void(i int, now causal.Actor) bool {
	n := &q.nodes[i]
	if n.repair != repairDone || now == 0 || now == n.actor {
		return false
	}
	n.repair, n.state, n.err = repairFailed, nodeFailed, errVoid{had: n.actor, has: now}
	if q.phase == phaseDone {
		q.phase = phaseRepairing
	}
	return true
}

// hedge asks one more replica, because those that were asked are slow.
func (q *readQuorum) hedge(asks []readAsk) ([]readAsk, bool) {
	switch q.phase {
	case phaseAsking:
		kind := askValues
		for i := range q.nodes {
			if n := &q.nodes[i]; n.state == nodeKnown && n.valued || q.mode == readVectors {
				kind = askHeads
			}
		}
		return q.askIdleFor(asks, kind)
	case phaseFetching:
		for _, s := range q.joined.Siblings {
			if q.lacks(s) {
				if more, ok := q.fetch(asks, s.Dot); ok {
					return more, true
				}
			}
		}
		return q.askIdleFor(asks, askValues)
	case phaseRepairing:
		return q.replace(asks)
	}
	return asks, false
}

// failure is the error of a read that failed, or ended with the cause late before it was done.
func (q *readQuorum) failure(late error, name func(target int) Cause) error {
	e := &QuorumError{Op: q.op, Need: q.need, Effect: wire.EffectNone}
	if q.phase == phaseRepairing || q.joinStands() {
		e.Op = "repair"
	}
	for i := range q.nodes {
		n := &q.nodes[i]
		if e.Op == "repair" && q.current(n) || e.Op != "repair" && n.state == nodeKnown && !n.fetching {
			e.Got++
			continue
		}
		err := n.err
		if err == nil && (n.state == nodeAsked || n.fetching || n.repair == repairAsked) {
			err = late
		}
		if err != nil {
			c := name(n.target)
			c.Err = err
			e.Causes = append(e.Causes, c)
		}
	}
	return e
}

// joinStands says whether a failed read had come to repairing.
func (q *readQuorum) joinStands() bool {
	return slices.ContainsFunc(q.nodes, func(n readNode) bool { return n.repair != repairNone })
}

// holds says whether a sibling with the dot is there.
func holds(o causal.Object, d causal.Dot) bool {
	for i := range o.Siblings {
		if o.Siblings[i].Dot == d {
			return true
		}
	}
	return false
}

// sameSiblings says whether two replicas hold the same values of a key. Their vectors may differ even so: in what a
// stable vector implies on one of them and not yet on the other. That is no divergence.
func sameSiblings(a, b causal.Object) bool {
	return slices.EqualFunc(a.Siblings, b.Siblings, func(x, y causal.Sibling) bool { return x.Dot == y.Dot })
}
