package hintedhandoff

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/ringcask/ringcask/internal/yield"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// sweepInterval is how often hints that are too old are looked for.
func (o Options) sweepInterval() time.Duration {
	return max(o.AgeMax/64, time.Second)
}

// sweepAges drops the uncounted hints that are too old. The book says whose those may be: other targets' hints are not looked at.
func (s *Store) sweepAges(ctx context.Context) {
	for sleep(ctx, s.opts.sweepInterval(), nil) {
		limit := millis(s.opts.Now().Add(-s.opts.AgeMax))
		for _, target := range s.book.agedTargets(limit) {
			err := s.sweep(ctx, target, removeAged, func(h head) bool { return !h.counted && h.noted < limit })
			if err != nil && ctx.Err() == nil {
				s.opts.Logger.Warn("hintedhandoff: drop old hints", "target", target, "error", err)
			}
		}
	}
}

// sweep removes the hints of a target that match. It reads the index only. Errors: those of Engine.Scan and Submit, and the cause of
// ctx's end.
func (s *Store) sweep(ctx context.Context, target ring.NodeID, why reason, match func(head) bool) error {
	from := appendHintKey(nil, target, nil)
	for from != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r, next, err := s.matching(target, from, why, match)
		if err != nil {
			return err
		}
		if err := r.run(); err != nil {
			return fmt.Errorf("hintedhandoff: remove hints: %w", err)
		}
		from = next
	}
	return nil
}

// matching is the removal of the first hints from a key on that match, and the key where the next ones begin; nil at the end.
func (s *Store) matching(target ring.NodeID, from []byte, why reason, match func(head) bool) (*removal, []byte, error) {
	r := &removal{s: s, target: target, reason: why}
	var yielder yield.Yielder
	seen := 0
	rng := storage.Range{Start: from, End: prefixEnd(appendHintKey(nil, target, nil)), KeysOnly: true}
	for rec, err := range s.engine.Scan(rng) {
		if isCorrupt(err) {
			continue // a replay, or the next open, gives it up
		}
		if err != nil {
			return nil, nil, fmt.Errorf("hintedhandoff: scan hints: %w", err)
		}
		if len(r.keys) == removalItemsMax {
			return r, bytes.Clone(rec.Key), nil
		}
		if seen++; seen%yield.Records == 0 {
			yielder.Rest()
		}
		if h, _, err := parseMeta(rec.Meta); err == nil && match(h) {
			r.add(bytes.Clone(rec.Key), h.revision)
		}
	}
	return r, nil, nil
}

// Forget drops all that the store has for a target that is no member any more: hints and needs. Without force it refuses with a
// *CountedError, and changes nothing, where some of the hints are copies that a write counted; those that come in between stay, and are reported
// alike. It may read much of the index, and ends early with the cause of ctx's end. Hints that are added meanwhile may stay. Other errors are those of the engine.
func (s *Store) Forget(ctx context.Context, target ring.NodeID, force bool) error {
	if err := s.countedError(target); err != nil && !force {
		return err
	}
	if err := s.sweep(ctx, target, removeForgotten, func(h head) bool { return force || !h.counted }); err != nil {
		return err
	}
	s.needs.clearTarget(target)
	if err := s.writeNeeds(); err != nil {
		return fmt.Errorf("hintedhandoff: forget needs: %w", err)
	}
	if force {
		return nil
	}
	return s.countedError(target)
}

func (s *Store) countedError(target ring.NodeID) error {
	if _, counted := s.book.counts(target); counted > 0 {
		return &CountedError{Target: target, Counted: counted}
	}
	return nil
}
