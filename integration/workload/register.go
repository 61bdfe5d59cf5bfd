package workload

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

const (
	// registerSlots is how many keys with one writer at a time are in use at once, registerShared how many that all write: few, so that their operations overlap.
	registerSlots, registerShared = 8, 2
	// registerUses is how often a key is used before another takes its place. It bounds what there is to search for an order of a key's operations.
	registerUses = 50
	// ClocksApart is how long a put comes after the one before it in a sequence that relies on time alone: longer than the clocks of two nodes are apart
	// (DESIGN §1.7), of which faults have each wrong by up to 2 s.
	ClocksApart = 5 * time.Second
	// registerWaits is how often a worker looks for something else to do than to read a key whose next put has to wait.
	registerWaits = 4
	// sequencePrefix begins the keys with one writer at a time, concurrentPrefix the others.
	sequencePrefix, concurrentPrefix = "g/one/", "g/all/"
)

// register reads and overwrites keys. Some have one writer at a time, and the next one relies on what DESIGN §1.7 says of two puts one after the other: it is the same client,
// or its put is ordered, or carries the context that the last one returned, or begins ClocksApart after its end. Those are linearizable. Such a key is left alone after a put that was not
// answered or was retried: a node that was cut off may still show it, more than once, beside later ones.
//
// Others are overwritten by all workers at once, plainly. Nothing says that those are linearizable, and it is measured how far they are: how many keys
// are, and how many reads show a value that is behind one that was acknowledged or shown before they began.
//
// Violations: "not linearizable", the operations on a key with one writer at a time have no order that explains what was read; "nothing proven", the search for
// such an order took too long for every one of these keys.
type register struct {
	written    names
	concurrent pool
	// searchSteps bounds the search for an order of one key's operations.
	searchSteps int

	mu    sync.Mutex
	slots [registerSlots]sequence
	next  int
}

func newRegister() *register {
	return &register{searchSteps: searchStepsMax, concurrent: pool{prefix: concurrentPrefix, size: registerShared, uses: registerUses}}
}

// relation is what makes the next put of a sequence win over the last one.
type relation int

const (
	sameClient relation = iota
	ordered
	withContext
	later
	relations
)

// sequence is a key that has one writer at a time. The zero value is none yet.
type sequence struct {
	key      string
	relation relation
	left     int
	// busy says that a put is under way.
	busy bool
	// writer is the only one, of a sequence of one client; cc what the last put returned; due when the next one may begin, of a sequence that relies on time.
	writer int
	cc     []byte
	due    time.Duration
}

func (r *register) Name() string { return "register" }

func (r *register) Run(ctx context.Context, e Env) error { return work(ctx, e, r.Name(), r.step) }

func (r *register) step(ctx context.Context, w *worker) {
	if w.chance(0.3) {
		key, first, _ := r.concurrent.use(w)
		if first {
			r.written.add(key)
		}
		if w.chance(0.5) {
			w.put(ctx, key, w.value(), client.PutOptions{})
		} else {
			w.get(ctx, key, false)
		}
		return
	}
	s, key, write := r.take(w)
	if !write {
		w.get(ctx, key, false)
		return
	}
	o := client.PutOptions{Ordered: s.relation == ordered}
	if s.relation == withContext {
		o.Context = s.cc
	}
	receipt, outcome := w.put(ctx, key, w.value(), o)
	r.give(s, receipt, outcome, w.env.History.Now())
}

// take is a sequence's key to read, or to write if it is this worker's turn: then give must follow.
func (r *register) take(w *worker) (s *sequence, key string, write bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := w.env.History.Now()
	for try := 0; ; try++ {
		s = &r.slots[w.rand.IntN(registerSlots)]
		if s.due <= now || try == registerWaits {
			break
		}
	}
	if s.left <= 0 && !s.busy {
		*s = sequence{
			key: sequencePrefix + strconv.FormatInt(int64(r.next), 36), relation: relation(w.rand.IntN(int(relations))), left: registerUses, writer: w.number,
		}
		r.next++
		r.written.add(s.key)
	}
	s.left--
	write = !s.busy && w.chance(0.5) && (s.relation != sameClient || s.writer == w.number) && s.due <= now
	s.busy = s.busy || write
	return s, s.key, write
}

// give ends a put of a sequence.
func (r *register) give(s *sequence, receipt *client.Receipt, outcome history.Outcome, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.busy = false
	if s.relation == later {
		s.due = now + ClocksApart
	}
	switch {
	case outcome == history.Failed:
	case outcome == history.Ok && !receipt.Retried:
		s.cc = receipt.Context
	default:
		s.left = 0
	}
}

func (r *register) Settle(ctx context.Context, e Env) error {
	return settle(ctx, e, r.Name(), r.written.all(), false)
}

func (r *register) Check(ops []history.Operation) Result {
	v := newVerdict(r.Name(), ops)
	judged, undecideds := 0, 0
	for _, k := range timelines(ops) {
		if k.unreadInTheEnd() {
			v.violate("unread", "key %s could not be read in the end", k.key)
		}
		found := linearizable(k, r.searchSteps)
		if found == undecided {
			v.count("keys undecided", 1)
		}
		if strings.HasPrefix(k.key, concurrentPrefix) {
			v.measureConcurrent(k, found)
			continue
		}
		v.judgeSequence(k, found)
		if k.strict() {
			if judged++; found == undecided {
				undecideds++
			}
		}
	}
	if judged > 0 && undecideds == judged {
		v.violate("nothing proven", "for none of %d keys with one writer an order was found, or ruled out, within %d steps", judged, r.searchSteps)
	}
	return v.r
}

// judgeSequence judges a key with one writer at a time.
func (v *verdict) judgeSequence(k *timeline, found answer) {
	v.count("keys with one writer", 1)
	if found != no {
		return
	}
	v.count("keys with one writer not linearizable", 1)
	if k.strict() {
		v.violate("not linearizable", "key %s: %s", k.key, k.summary())
	}
}

// measureConcurrent measures a key with many writers. That a read is behind is judged as if every put were ordered.
func (v *verdict) measureConcurrent(k *timeline, found answer) {
	v.count("keys with many writers", 1)
	if found == yes {
		v.count("keys with many writers linearizable", 1)
	}
	for i := range k.writes {
		k.writes[i].sees = k.writes[i].start
	}
	v.count("reads with many writers", len(k.reads))
	k.judge(func(f finding) {
		if f.behind() {
			v.count("reads behind with many writers", 1)
			v.longest("longest behind with many writers ms", f.read.start-f.since)
		}
	})
}
