package workload

import (
	"context"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

// set writes ever new keys, and reads those that were written: mostly the newest, but old ones, too.
//
// Violations: "lost", an acknowledged element is not there in the end; "stale", a strict read did not see one that was acknowledged before it
// began; "revived", "went back" and "stale" where an element that was shown is not shown later; "appeared", an element that was
// answered to have failed is there; "invented", there is something that nobody wrote.
//
// Source: Jepsen's set-full.
type set struct{ written names }

func (s *set) Name() string { return "set" }

// Run puts elements and reads them, as many of one as of the other.
func (s *set) Run(ctx context.Context, e Env) error {
	return work(ctx, e, s.Name(), func(ctx context.Context, w *worker) {
		if w.chance(0.5) {
			key := "s/" + w.value()
			s.written.add(key)
			w.put(ctx, key, key, client.PutOptions{})
		} else if key, ok := s.some(w); ok {
			w.get(ctx, key, false)
		} else {
			pause(ctx, idlePause)
		}
	})
}

// some is a key that was written: half of the time one of the newest 100.
func (s *set) some(w *worker) (string, bool) {
	n := s.written.count()
	if n == 0 {
		return "", false
	}
	if w.chance(0.5) {
		n = min(n, 100)
	}
	return s.written.at(w.rand.IntN(n))
}

func (s *set) Settle(ctx context.Context, e Env) error {
	return settle(ctx, e, s.Name(), s.written.all(), false)
}

func (s *set) Check(ops []history.Operation) Result {
	v := newVerdict(s.Name(), ops)
	v.judgeKeys(timelines(ops), missingIsStale)
	return v.r
}
