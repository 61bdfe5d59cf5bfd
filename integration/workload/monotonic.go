package workload

import (
	"context"
	"strconv"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

// monotonicUses is how far a key counts before another takes its place.
const monotonicUses = 1000

// monotonic lets each worker count up a key of its own, 1, 2, 3 …, which all others read.
//
// Violations: "stale", a strict read showed less than what was acknowledged before it began; "went back", it showed less than an earlier read
// of the same client or of any other; "lost", the last number is not there in the end; "appeared" and "invented" as for set.
//
// A number whose put was not answered, or was retried, may show at any time: the node that took it may have been cut off, with a clock that is ahead.
type monotonic struct {
	written names
}

func (m *monotonic) Name() string { return "monotonic" }

func (m *monotonic) Run(ctx context.Context, e Env) error {
	return work(ctx, e, m.Name(), func(ctx context.Context, w *worker) {
		if w.chance(0.4) {
			m.count(ctx, w)
		} else if key, ok := m.written.at(w.rand.IntN(2 * len(e.Clients))); ok {
			w.get(ctx, key, false)
		} else {
			pause(ctx, idlePause)
		}
	})
}

// count writes a worker's next number.
func (m *monotonic) count(ctx context.Context, w *worker) {
	key := "m/" + strconv.Itoa(w.number) + "." + strconv.Itoa(w.values/monotonicUses)
	if w.values%monotonicUses == 0 {
		m.written.add(key)
	}
	w.values++
	w.put(ctx, key, strconv.Itoa((w.values-1)%monotonicUses+1), client.PutOptions{})
}

func (m *monotonic) Settle(ctx context.Context, e Env) error {
	return settle(ctx, e, m.Name(), m.written.all(), false)
}

func (m *monotonic) Check(ops []history.Operation) Result {
	v := newVerdict(m.Name(), ops)
	v.judgeKeys(timelines(ops), missingIsStale)
	return v.r
}
