package workload

import (
	"context"
	"errors"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

// codeCancelled is the error of an operation that the end of the run has cut off; it is nobody's failure.
const codeCancelled = "cancelled"

// idlePause is how long a worker waits that finds nothing to do yet.
const idlePause = time.Millisecond

// worker does one operation after the other with its own client, and records them.
type worker struct {
	env      Env
	workload string
	number   int
	c        *client.Client
	rand     *rand.Rand
	pace     *rate.Limiter
	// values counts those that were written, last is the end of the last operation.
	values int
	last   time.Duration
}

// work runs a worker for each client until ctx ends. step does a few operations at most.
func work(ctx context.Context, e Env, workload string, step func(context.Context, *worker)) error {
	if len(e.Clients) == 0 {
		return errors.New("workload: no clients")
	}
	var all sync.WaitGroup
	for _, w := range workers(e, workload) {
		all.Go(func() {
			for ctx.Err() == nil {
				step(ctx, w)
			}
		})
	}
	all.Wait()
	return nil
}

// workers are one for each client. They share the bound on their rate.
func workers(e Env, workload string) (all []*worker) {
	pace := rate.NewLimiter(rate.Inf, 1)
	if e.Rate > 0 {
		pace = rate.NewLimiter(rate.Limit(e.Rate), 1)
	}
	for i, c := range e.Clients {
		name := fnv.New32a()
		name.Write([]byte(workload))
		source := rand.NewPCG(e.Seed, uint64(i)<<32|uint64(name.Sum32()))
		all = append(all, &worker{env: e, workload: workload, number: i, c: c, rand: rand.New(source), pace: pace, last: -1})
	}
	return all
}

// value is one that this workload has never written before.
func (w *worker) value() string {
	w.values++
	return strconv.FormatInt(int64(w.number), 36) + "." + strconv.FormatInt(int64(w.values), 36)
}

// chance is true so often.
func (w *worker) chance(share float64) bool { return w.rand.Float64() < share }

// begin waits until the next operation may begin; ok is false if the run ends before. Two operations of a worker never share an instant, not even
// where time is simulated: so checkers can tell by their times alone that one came after the other.
func (w *worker) begin(ctx context.Context, kind history.Kind) (op history.Operation, ok bool) {
	if w.pace.Wait(ctx) != nil {
		<-ctx.Done() // the run ends before the next operation is due
		return op, false
	}
	for ctx.Err() == nil && w.env.History.Now() <= w.last {
		pause(ctx, time.Microsecond)
	}
	if ctx.Err() != nil {
		return op, false
	}
	return history.Operation{
		Client: w.number, Kind: kind, Workload: w.workload, R: int(w.env.R), W: int(w.env.W), Strict: !w.env.Weak, Start: w.env.History.Now(),
	}, true
}

// pause waits so long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// end records an operation that has one outcome for all of its items.
func (w *worker) end(ctx context.Context, op history.Operation, err error) history.Outcome {
	op.Outcome, op.Error = outcomeOf(ctx, op.Kind, err)
	for i := range op.Items {
		op.Items[i].Outcome = op.Outcome
	}
	w.add(op)
	return op.Outcome
}

func (w *worker) add(op history.Operation) {
	op.End = w.env.History.Now()
	w.last = op.End
	w.env.History.Add(op)
}

// outcomeOf is what an error says of an operation. A read has no effect; what surely had none has Failed.
func outcomeOf(ctx context.Context, kind history.Kind, err error) (history.Outcome, string) {
	if err == nil {
		return history.Ok, ""
	}
	outcome, code := history.Unknown, client.CodeInternal.String()
	var e *client.Error
	if errors.As(err, &e) {
		code = e.Code.String()
	}
	if ctx.Err() != nil {
		code = codeCancelled
	}
	switch kind {
	case history.Put, history.Delete, history.Batch:
		if e != nil && e.Effect == client.EffectNone {
			outcome = history.Failed
		}
	default:
		outcome = history.Failed
	}
	return outcome, code
}

// put writes a value. The outcome is zero if the run ended before it began.
func (w *worker) put(ctx context.Context, key, value string, o client.PutOptions) (r *client.Receipt, outcome history.Outcome) {
	op, ok := w.begin(ctx, history.Put)
	if !ok {
		return nil, 0
	}
	o.R, o.W, o.Timeout = w.env.R, w.env.W, w.env.Timeout
	op.Ordered = o.Ordered
	r, err := w.c.Put(ctx, []byte(key), []byte(value), &o)
	op.Items = []history.Item{written(history.Item{Key: key, Value: value, TTL: o.TTL, Before: history.Context(o.Context)}, r)}
	return r, w.end(ctx, op, err)
}

// remove deletes a key.
func (w *worker) remove(ctx context.Context, key string, cc history.Context) history.Outcome {
	op, ok := w.begin(ctx, history.Delete)
	if !ok {
		return 0
	}
	r, err := w.c.Delete(ctx, []byte(key), &client.DeleteOptions{Context: []byte(cc), R: w.env.R, W: w.env.W, Timeout: w.env.Timeout})
	op.Items = []history.Item{written(history.Item{Key: key, Absent: true, Before: cc}, r)}
	return w.end(ctx, op, err)
}

// written adds to an item what its receipt says, if there is one.
func written(item history.Item, r *client.Receipt) history.Item {
	if r != nil {
		item.Time, item.Retried = r.Time, r.Retried
	}
	return item
}

// get reads a key. The context is recorded only if it is asked for, to be written with.
func (w *worker) get(ctx context.Context, key string, withContext bool) (item history.Item, ok bool) {
	op, ok := w.begin(ctx, history.Read)
	if !ok {
		return item, false
	}
	v, err := w.c.Get(ctx, []byte(key), &client.GetOptions{R: w.env.R, Timeout: w.env.Timeout})
	item, err = readItem(key, v, err)
	if v != nil && withContext {
		item.After = history.Context(v.Context)
	}
	op.Items = []history.Item{item}
	return item, w.end(ctx, op, err) == history.Ok
}

// getSiblings reads all siblings of a key, and the context that covers them.
func (w *worker) getSiblings(ctx context.Context, key string) (item history.Item, cc []byte, ok bool) {
	op, ok := w.begin(ctx, history.Read)
	if !ok {
		return item, nil, false
	}
	v, err := w.c.Get(ctx, []byte(key), &client.GetOptions{R: w.env.R, Timeout: w.env.Timeout, Siblings: true})
	item, err = readItem(key, v, err)
	if v != nil {
		cc = v.Context
		addSiblings(&item, v)
	}
	op.Items = []history.Item{item}
	return item, cc, w.end(ctx, op, err) == history.Ok
}

// readItem is what was read under a key. Nothing to be seen is no error.
func readItem(key string, v *client.Value, err error) (history.Item, error) {
	item := history.Item{Key: key, Outcome: history.Failed}
	switch {
	case errors.Is(err, client.ErrNotFound):
		item.Absent, err = true, nil
	case err == nil:
		item.Value = string(v.Value)
	}
	if err == nil {
		item.Outcome = history.Ok
	}
	return item, err
}

// getMany reads keys at once, and returns those that could not be read; then it has Failed as a whole.
func (w *worker) getMany(ctx context.Context, keys []string, final, siblings bool) (unread []string) {
	op, ok := w.begin(ctx, history.MultiRead)
	if !ok {
		return keys
	}
	op.Final = final
	raw := make([][]byte, len(keys))
	for i, key := range keys {
		raw[i] = []byte(key)
	}
	results, err := w.c.GetMany(ctx, raw, &client.GetOptions{R: w.env.R, Timeout: w.env.Timeout, Siblings: siblings})
	if err != nil {
		for _, key := range keys {
			op.Items = append(op.Items, history.Item{Key: key})
		}
		w.end(ctx, op, err)
		return keys
	}
	op.Outcome = history.Ok
	for i, r := range results {
		item, err := readItem(keys[i], r.Value, r.Err)
		if err != nil {
			op.Outcome, op.Error = outcomeOf(ctx, op.Kind, err)
			unread = append(unread, keys[i])
		} else if siblings {
			addSiblings(&item, r.Value)
		}
		op.Items = append(op.Items, item)
	}
	w.add(op)
	return unread
}

// addSiblings records all that a key has at once.
func addSiblings(item *history.Item, v *client.Value) {
	for _, s := range v.All {
		if s.Deleted {
			item.Tombstones++
		} else {
			item.Siblings = append(item.Siblings, string(s.Value))
		}
	}
}

// batch writes several keys at once. Its outcome is the gravest of its items'.
func (w *worker) batch(ctx context.Context, ops []client.Op, ordered bool) history.Outcome {
	op, ok := w.begin(ctx, history.Batch)
	if !ok {
		return 0
	}
	op.Ordered = ordered
	results, err := w.c.Batch(ctx, ops, &client.BatchOptions{R: w.env.R, W: w.env.W, Timeout: w.env.Timeout, Ordered: ordered})
	for i := range ops {
		op.Items = append(op.Items, history.Item{Key: string(ops[i].Key), Value: string(ops[i].Value), Absent: ops[i].Delete})
	}
	if err != nil {
		return w.end(ctx, op, err)
	}
	op.Outcome = history.Ok
	for i := range op.Items {
		outcome, code := outcomeOf(ctx, op.Kind, results[i].Err)
		op.Items[i] = written(op.Items[i], results[i].Receipt)
		op.Items[i].Outcome = outcome
		if outcome > op.Outcome {
			op.Outcome, op.Error = outcome, code
		}
	}
	w.add(op)
	return op.Outcome
}
