package main

import (
	"context"
	"errors"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
)

// batchStore writes batches through a client: it is the store of a bulk load.
type batchStore struct {
	client  *client.Client
	options client.BatchOptions
}

// WriteBatch implements bulkload.Store. A node refuses a batch as a whole if one of its records is over a limit: the
// halves are then sent by themselves, until the culprit stands alone.
func (s *batchStore) WriteBatch(ctx context.Context, batch []records.Record) []error {
	ops := make([]client.Op, len(batch))
	for i, r := range batch {
		ops[i] = client.Op{Key: r.Key, Value: r.Value}
	}
	errs := make([]error, len(batch))
	s.write(ctx, ops, errs)
	return errs
}

// write writes ops and puts what became of each into errs.
func (s *batchStore) write(ctx context.Context, ops []client.Op, errs []error) {
	results, err := s.client.Batch(ctx, ops, &s.options)
	if half := len(ops) / 2; half > 0 && refused(err) {
		s.write(ctx, ops[:half], errs[:half])
		s.write(ctx, ops[half:], errs[half:])
		return
	}
	for i := range ops {
		if errs[i] = err; err == nil {
			errs[i] = results[i].Err
		}
	}
}

// refused says whether a request was turned down for what it contains, with no effect.
func refused(err error) bool {
	var failed *client.Error
	return errors.As(err, &failed) && failed.Effect == client.EffectNone &&
		(failed.Code == client.CodeTooLarge || failed.Code == client.CodeBadRequest)
}
