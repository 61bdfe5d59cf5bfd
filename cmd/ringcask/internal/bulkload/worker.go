package bulkload

import (
	"context"
	"fmt"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

// batch is what one call of Store.WriteBatch takes, and the lines that its records came from.
type batch struct {
	records []records.Record
	lines   []int
	bytes   int
}

// worker owns the keys of one hash class. Its pending batch belongs to the goroutine that reads, its queue's batches
// to run.
type worker struct {
	loader  *Loader
	stop    context.CancelCauseFunc
	pending batch
	keys    map[string]struct{} // of pending
	queue   chan batch
}

// add puts a record into the pending batch, and sends that first if the record does not fit or its key is in it.
func (w *worker) add(ctx context.Context, record records.Record, line int) error {
	size := len(record.Key) + len(record.Value)
	_, twice := w.keys[string(record.Key)]
	if twice || w.pending.bytes+size > w.loader.opts.BatchBytes {
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	w.pending.records = append(w.pending.records, record)
	w.pending.lines = append(w.pending.lines, line)
	w.pending.bytes += size
	w.keys[string(record.Key)] = struct{}{}
	if len(w.pending.records) >= w.loader.opts.BatchLen {
		return w.flush(ctx)
	}
	return nil
}

// flush queues the pending batch, waiting for room.
func (w *worker) flush(ctx context.Context) error {
	if len(w.pending.records) == 0 {
		return nil
	}
	select {
	case w.queue <- w.pending:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	w.pending = batch{}
	clear(w.keys)
	return nil
}

// run sends what is queued until the queue is closed. Once reading is cancelled, what is still queued is dropped.
func (w *worker) run(ctx, reading context.Context) {
	for b := range w.queue {
		if reading.Err() != nil {
			continue
		}
		errs := w.loader.store.WriteBatch(ctx, b.records)
		if err := w.loader.done(b, errs); err != nil && w.loader.opts.Strict {
			w.stop(fmt.Errorf("%w: %w", errStopped, err))
		}
	}
}
