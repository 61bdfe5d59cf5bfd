package sim

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

// keep puts keys of its own and wants those that were acknowledged back.
type keep struct {
	mu   sync.Mutex
	keys map[string]bool // acknowledged
}

func (k *keep) Name() string { return "keep" }

func (k *keep) Run(ctx context.Context, e workload.Env) error {
	k.keys = map[string]bool{}
	var all sync.WaitGroup
	for c, cl := range e.Clients {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				key := fmt.Sprintf("k-%d-%d", c, i)
				op := history.Operation{Client: c, Kind: history.Put, Workload: k.Name(), Start: e.History.Now(), Outcome: history.Ok}
				_, err := cl.Put(ctx, []byte(key), []byte("value of "+key), nil)
				k.mu.Lock()
				k.keys[key] = err == nil
				k.mu.Unlock()
				op.End = e.History.Now()
				if err != nil {
					op.Outcome = history.Unknown
				}
				e.History.Add(op)
				time.Sleep(time.Duration(float64(time.Second) * float64(len(e.Clients)) / e.Rate))
			}
		})
	}
	all.Wait()
	return nil
}

func (k *keep) Settle(ctx context.Context, e workload.Env) error {
	for key, acked := range k.keys {
		_, err := e.Clients[0].Get(ctx, []byte(key), nil)
		op := history.Operation{Workload: k.Name(), Kind: history.Read, Outcome: history.Ok, Final: true}
		if err != nil && acked {
			op.Outcome = history.Failed
			op.Error = key + ": " + err.Error()
		}
		e.History.Add(op)
	}
	return nil
}

func (k *keep) Check(ops []history.Operation) workload.Result {
	r := workload.Result{Workload: k.Name(), Violations: map[string]int{}}
	for _, op := range ops {
		switch {
		case op.Final && op.Outcome == history.Failed:
			r.Violations["lost"]++
			r.Examples = append(r.Examples, op.Error)
		case op.Outcome == history.Ok:
			r.Ok++
		default:
			r.Unknown++
		}
	}
	return r
}
