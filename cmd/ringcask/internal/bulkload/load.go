package bulkload

import (
	"cmp"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"sync"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

// Store takes batches of records. It is used from several goroutines at once.
type Store interface {
	// WriteBatch writes records, whose keys are all different, and returns an error or nil for each. The context is
	// never cancelled by an interruption: a batch that was sent should be answered.
	WriteBatch(ctx context.Context, batch []records.Record) []error
}

// Source gives the records in order: *records.Reader is one.
type Source interface {
	// Record returns io.EOF at the end and a *records.LineError for a line that can be passed over.
	Record() (records.Record, error)
	// Line is the number of the line that Record returned last.
	Line() int
}

// Options are the settings of a load. A zero is the default.
type Options struct {
	// BatchLen and BatchBytes bound the records of a batch (defaults 100 and 1 MiB of keys and values); a record that
	// is larger goes alone.
	BatchLen, BatchBytes int
	// Concurrency is how many batches are under way at once (default 16).
	Concurrency int
	// Strict stops at the first bad line or failed write.
	Strict bool
	// BadLine is told of each bad line, Failed of each record that was not written, from one goroutine at a time. Nil
	// tells nobody.
	BadLine func(*records.LineError)
	Failed  func(line int, key []byte, err error)
}

func (o Options) withDefaults() Options {
	if o.BatchLen <= 0 {
		o.BatchLen = 100
	}
	if o.BatchBytes <= 0 {
		o.BatchBytes = 1 << 20
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 16
	}
	return o
}

// Summary is what became of a load. Records that were read and, because the load was stopped, never sent are in no
// count.
type Summary struct {
	// Written and Failed count records, BadLines lines that were none.
	Written, Failed, BadLines int64
	// Bytes are the keys and values that were written.
	Bytes int64
	// Lines is the number of the last line that was read.
	Lines int
}

// errStopped ends a strict load.
var errStopped = errors.New("stopped at the first error")

// Loader is one load. Make one with New.
type Loader struct {
	store Store
	opts  Options
	seed  maphash.Seed

	mu      sync.Mutex // guards summary and the calls of Options' functions
	summary Summary
}

// New returns a loader that writes to store. It starts nothing.
func New(store Store, opts Options) *Loader {
	return &Loader{store: store, opts: opts.withDefaults(), seed: maphash.MakeSeed()}
}

// Summary is what became of the load so far.
func (l *Loader) Summary() Summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.summary
}

// Run loads every record of src and returns when all are answered. The error is nil at the end of src, whatever the
// counts; otherwise it is why not everything was tried: the context's, that of src, or, with Options.Strict, the first.
func (l *Loader) Run(ctx context.Context, src Source) error {
	reading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	workers := make([]*worker, l.opts.Concurrency)
	var wg sync.WaitGroup
	for i := range workers {
		w := &worker{loader: l, stop: stop, keys: map[string]struct{}{}, queue: make(chan batch, 1)}
		workers[i] = w
		wg.Go(func() { w.run(context.WithoutCancel(ctx), reading) })
	}
	err := l.read(reading, src, workers)
	for _, w := range workers {
		if reading.Err() == nil { // even after a bad line or a broken source: what came before it is good
			err = cmp.Or(err, w.flush(reading))
		}
		close(w.queue)
	}
	wg.Wait()
	if cause := context.Cause(reading); cause != nil {
		return cause
	}
	return err
}

// read hands the records of src to the workers.
func (l *Loader) read(ctx context.Context, src Source, workers []*worker) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		record, err := src.Record()
		l.count(func(s *Summary) { s.Lines = src.Line() })
		var bad *records.LineError
		switch {
		case err == nil:
			w := workers[l.workerOf(record.Key)]
			if err := w.add(ctx, record, src.Line()); err != nil {
				return err
			}
		case errors.As(err, &bad):
			l.badLine(bad)
			if l.opts.Strict {
				return bad
			}
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		default:
			return err
		}
	}
}

// workerOf is the number of the worker that writes a key, so that two writes of one key stay in their order.
func (l *Loader) workerOf(key []byte) int {
	return int(maphash.Bytes(l.seed, key) % uint64(l.opts.Concurrency))
}

func (l *Loader) count(change func(*Summary)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.summary)
}

func (l *Loader) badLine(bad *records.LineError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.summary.BadLines++
	if l.opts.BadLine != nil {
		l.opts.BadLine(bad)
	}
}

// done counts the answers to a batch and returns the first error among them.
func (l *Loader) done(b batch, errs []error) (first error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, record := range b.records {
		if errs[i] == nil {
			l.summary.Written++
			l.summary.Bytes += int64(len(record.Key) + len(record.Value))
			continue
		}
		l.summary.Failed++
		if l.opts.Failed != nil {
			l.opts.Failed(b.lines[i], record.Key, errs[i])
		}
		if first == nil {
			first = errs[i]
		}
	}
	return first
}
