package workload

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

const (
	// ttlShort and ttlLong are how long values are visible.
	ttlShort, ttlLong = time.Second, 15 * time.Second
	// ttlSlack is how much sooner or later a value may expire: the node that wrote it and the one that reads it may both have clocks that are wrong.
	ttlSlack = 5 * time.Second
	// ttlRecent is how many of the newest keys are read mostly.
	ttlRecent = 2000
)

// ttl puts values that expire, half of them over one that does not, and reads them before and after. A key is then left alone.
//
// Violations: "revived", a value is shown longer than ttlSlack after its time, or one that it had overwritten is shown; "lost", a value is gone longer than
// ttlSlack before its time; "appeared" and "invented" as for set. Values that were not answered, or were retried, may come late and are exempt.
type ttl struct {
	written names
	// last is when the last put ended: time.Duration since the beginning of the history.
	last atomic.Int64
}

func (t *ttl) Name() string { return "ttl" }

func (t *ttl) Run(ctx context.Context, e Env) error { return work(ctx, e, t.Name(), t.step) }

func (t *ttl) step(ctx context.Context, w *worker) {
	if n := t.written.count(); n > 0 && w.chance(0.6) {
		if key, ok := t.written.at(w.rand.IntN(min(n, ttlRecent))); ok {
			w.get(ctx, key, false)
		}
		return
	}
	key := "t/" + w.value()
	t.written.add(key)
	if w.chance(0.5) {
		w.put(ctx, key, w.value(), client.PutOptions{})
	}
	o := client.PutOptions{TTL: ttlShort}
	if w.chance(0.5) {
		o.TTL = ttlLong
	}
	w.put(ctx, key, w.value(), o)
	t.last.Store(int64(w.env.History.Now()))
}

// Settle waits until every value has expired, and reads all keys.
func (t *ttl) Settle(ctx context.Context, e Env) error {
	pause(ctx, time.Duration(t.last.Load())+ttlLong+ttlSlack+time.Second-e.History.Now())
	return settle(ctx, e, t.Name(), t.written.all(), false)
}

func (t *ttl) Check(ops []history.Operation) Result {
	v := newVerdict(t.Name(), ops)
	for _, k := range timelines(ops) {
		v.count("reads", len(k.reads))
		v.judgeExpiry(k)
		if k.unreadInTheEnd() {
			v.violate("unread", "key %s could not be read in the end", k.key)
		}
	}
	return v.r
}

// judgeExpiry judges the reads of a key that one client has written, value after value.
func (v *verdict) judgeExpiry(k *timeline) {
	k.resolve(func(f finding) { v.violate(faultNames[f.fault], "%v", f) })
	for i := range k.reads {
		r := &k.reads[i]
		if !r.strict && !r.final || r.shown == none && !r.absent {
			continue
		}
		if kind, w := k.expiryFault(r); kind != "" {
			v.violate(kind, "%v", finding{key: k.key, read: *r, by: *w, since: w.end})
			continue
		}
		if r.shown != none && k.writes[r.shown].ttl > 0 {
			v.longest("longest shown after expiry ms", max(0, r.start-k.writes[r.shown].end-k.writes[r.shown].ttl))
		}
	}
}

// expiryFault is what is wrong with a read, and the write that shows it; empty if nothing is.
func (k *timeline) expiryFault(r *read) (kind string, by *write) {
	var last *write
	for i := range k.writes {
		w := &k.writes[i]
		if w.stray && w.start < r.end {
			return "", nil
		}
		if w.outcome == history.Ok && w.end < r.start {
			last = w
		}
		if w.outcome == history.Ok && w.start < r.end && w.end >= r.start && w.ttl > 0 && r.absent {
			return "", nil // it may have taken effect, and expired, before the read did
		}
	}
	switch {
	case last == nil:
	case r.absent && (last.ttl == 0 || r.end < last.start+last.ttl-ttlSlack):
		return "lost", last
	case r.absent:
	case k.writes[r.shown].end < last.start:
		return "revived", last
	case last.ttl > 0 && &k.writes[r.shown] == last && r.start > last.end+last.ttl+ttlSlack:
		return "revived", last
	}
	return "", nil
}
