package antientropy

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ringcask/ringcask/internal/yield"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Scanner is the storage engine, as far as a Rebuild needs it.
type Scanner interface {
	// ScanObserved visits the records of a range as they are at one moment, at which it calls began: what the observer was told before
	// is in what the scan shows, and nothing of what it is told afterwards is. A *storage.CorruptError stands beside a Record that has only
	// the key of what cannot be read, or, if it is Ranged, for keys that are not known. Any other error ends the scan.
	ScanObserved(r storage.Range, began func()) iter.Seq2[storage.Record, error]
}

var errNotBegun = errors.New("the scan has not begun")

// Rebuild builds the trees of these partitions from one scan, each under the rule that want gives it, while changes go on being
// observed. They stand, all together, when it returns nil; after an error what stood before still does. Keys that the scan cannot read are
// poisoned either way. A rule that does not cover the one before is taken, too; then what merges have dropped meanwhile is missed.
//
// A tree that is dropped while it is in the making does not stand. It scans no more than ForestOptions.RebuildKeysPerSecond. One Rebuild runs at a time, and others wait for it. Errors are those of the
// scan, or the cause of ctx's end.
func (f *Forest) Rebuild(ctx context.Context, s Scanner, partitions []ring.PartitionID, want func(ring.PartitionID) Rule) error {
	select {
	case f.rebuilding <- struct{}{}:
		defer func() { <-f.rebuilding }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b := build{f: f, trees: make([]*tree, len(f.partitions))}
	for _, p := range partitions {
		if int(p) >= len(f.partitions) {
			return fmt.Errorf("antientropy: build trees: there is no partition %d", p)
		}
		b.trees[p] = newTree(want(p))
	}
	err := b.scan(ctx, s)
	b.end(err == nil)
	if err != nil {
		return fmt.Errorf("antientropy: build trees: %w", err)
	}
	return nil
}

// build is a Rebuild under way: trees has those in the making, by partition.
type build struct {
	f     *Forest
	trees []*tree
	begun bool
}

// each calls do for every partition that is built anew, under the lock.
func (b *build) each(do func(p *partition, t *tree)) {
	for id, t := range b.trees {
		if t != nil {
			p := &b.f.partitions[id]
			b.f.mu.Lock()
			do(p, t)
			b.f.mu.Unlock()
		}
	}
}

// begin has the trees take changes from now on.
func (b *build) begin() {
	b.begun = true
	b.each(func(p *partition, t *tree) { p.making = t })
}

// end has the trees stand, if they are done, and take no more changes if they are not.
func (b *build) end(done bool) {
	b.each(func(p *partition, t *tree) {
		if p.making != t {
			return // it was dropped
		}
		if done {
			p.standing = t
		}
		p.making, p.unpoisoned = nil, nil
	})
}

func (b *build) scan(ctx context.Context, s Scanner) error {
	pace := pace{perSecond: b.f.opts.RebuildKeysPerSecond}
	for rec, err := range s.ScanObserved(storage.Range{KeysOnly: true}, b.begin) {
		if err == nil {
			b.add(rec.Key, rec.Meta)
		} else if err := b.damaged(rec.Key, err); err != nil {
			return err
		}
		if err := pace.step(ctx); err != nil {
			return err
		}
	}
	if !b.begun {
		return errNotBegun
	}
	return nil
}

// add enters a key of the scan's view.
func (b *build) add(key, meta []byte) {
	hash := xxhash.Sum64(key)
	id, leaf := b.f.place(hash)
	t := b.trees[id]
	if t == nil {
		return
	}
	if meta == nil {
		meta = []byte{} // the key is there, and its meta is none
	}
	var state keyState
	if err := state.look(hash, meta); err != nil {
		b.poison(id, key, leaf)
		return
	}
	b.f.mu.Lock()
	t.count(leaf, &state, +1)
	b.f.mu.Unlock()
}

// damaged takes what cannot be read into account, or returns the error that ends the scan.
func (b *build) damaged(key []byte, err error) error {
	var corrupt *storage.CorruptError
	switch {
	case !errors.As(err, &corrupt) || key == nil && !corrupt.Ranged:
		return err
	case corrupt.Ranged:
		b.each(func(_ *partition, t *tree) { t.incomplete = true })
	default:
		if id, leaf := b.f.LeafOf(key); b.trees[id] != nil {
			b.poison(id, key, leaf)
		}
	}
	return nil
}

// poison is Poison of a key that could not be read at the moment of the view, unless it has been healed since.
func (b *build) poison(id ring.PartitionID, key []byte, leaf int) {
	p := &b.f.partitions[id]
	b.f.mu.Lock()
	defer b.f.mu.Unlock()
	if _, healed := p.unpoisoned[string(key)]; !healed {
		b.f.poisonLocked(p, key, leaf)
	}
}

// paceStep is how many keys are scanned between two looks at the clock.
const paceStep = yield.Records

// pace holds a scan to a rate, and lets others run. One goroutine uses it.
type pace struct {
	// perSecond is the rate; zero or less is no bound.
	perSecond int
	steps     int
	next      time.Time
	yielder   yield.Yielder
}

// step returns when one more key is within the rate, or with the cause of ctx's end.
func (p *pace) step(ctx context.Context) error {
	if p.steps++; p.steps%paceStep != 0 {
		return nil
	}
	if p.perSecond > 0 {
		p.wait(ctx)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.yielder.Rest()
	return nil
}

func (p *pace) wait(ctx context.Context) {
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(paceStep * time.Second / time.Duration(p.perSecond))
	// Timers are no finer than this.
	if wait := p.next.Sub(now); wait > time.Millisecond {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}
