package replica

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
)

// Held is what the replica holds for keys, whether or not it vouches for what it does not hold, in the order of keys: of as many as there
// is room for until their values fill bytesMax, one at least. known is false for a key of which the record cannot be read; it has no
// item. Errors: storage.ErrClosed, *storage.IOError.
func (r *Replica) Held(keys [][]byte, bytesMax int) (items []coordinator.Item, known []bool, err error) {
	bytes := 0
	for _, key := range keys {
		if bytes >= bytesMax {
			break
		}
		o, meta, err := r.Stored(key)
		part := r.partition(key)
		switch {
		case err == nil:
			o = o.Expand(part.impliedBy(meta), nil)
		case errors.Is(err, storage.ErrNotFound): // while the partition is not filled it may have been here: it has seen nothing
			o = o.Expand(part.implied(), nil)
		case isUnreadable(err):
			known = append(known, false)
			continue
		default:
			return nil, nil, err
		}
		items, known = append(items, coordinator.Item{Key: key, Object: o}), append(known, true)
		bytes += o.ValueBytes()
	}
	return items, known, nil
}

func isUnreadable(err error) bool {
	var corrupt *storage.CorruptError
	return errors.As(err, &corrupt) || errors.Is(err, causal.ErrMalformed)
}

// Restore stores what other replicas hold of a key of which the record cannot be read here: together they must hold all that was ever
// acknowledged. With that the key can be read again. A key that can be read is joined as by StoreExchanged.
// Errors are those of Store.
func (r *Replica) Restore(deadline time.Time, item coordinator.Item, done func(coordinator.StoreAck, error)) {
	r.store(deadline, []coordinator.Item{item}, storeRestored, done)
}

// ScanBuckets visits the keys of some buckets with their metas (see storage.Options.Bucket), and with an error in place of the meta
// where a record cannot be read. What fn is handed is valid in the call. Errors: ctx's; those of the engine that are not about one key.
func (r *Replica) ScanBuckets(ctx context.Context, buckets []uint32, fn func(key, meta []byte, err error)) error {
	n := 0
	for rec, err := range r.engine.ScanBuckets(buckets, true) {
		var corrupt *storage.CorruptError
		switch {
		case err == nil:
		case !errors.As(err, &corrupt):
			return fmt.Errorf("replica: scan buckets: %w", err)
		case rec.Key == nil:
			continue // nobody knows which keys: their partitions are being filled again
		}
		if n++; n%deadlineEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fn(rec.Key, rec.Meta, err)
	}
	return nil
}

// Damage is how much damage is known.
func (r *Replica) Damage() int64 { return r.engine.Stats().Damage }

// HasFree says whether the disk has so much room, as far as that is known.
func (r *Replica) HasFree(bytes int64) bool {
	if bytes == 0 {
		return true
	}
	free := r.engine.Stats().DiskFreeBytes
	return free < 0 || free >= bytes
}

// Vouch ends what damage has made unknown without saying which keys, once all partitions are filled again: damage is what Damage was before
// the trees were built that exchanges filled them by. It may take long. Errors: those of storage.Engine.Vouch.
func (r *Replica) Vouch(ctx context.Context, damage int64) error {
	if len(r.Unfilled()) > 0 {
		return errUnfilled
	}
	err := r.engine.Vouch(ctx, damage)
	r.unknownAll.Store(r.engine.Stats().UnknownAll) // it may be over, though damage is still there
	if err != nil {
		return fmt.Errorf("replica: %w", err)
	}
	return nil
}

// UnknownAll says that the engine has lost keys without knowing which, when it was opened.
func (r *Replica) UnknownAll() bool { return r.unknownAll.Load() }

// ScanObserved is the engine's.
func (r *Replica) ScanObserved(rng storage.Range, began func()) iter.Seq2[storage.Record, error] {
	return r.engine.ScanObserved(rng, began)
}
