package storage

import (
	"context"
	"errors"
)

// ErrMoreDamage: more damage has been found than was vouched for.
var ErrMoreDamage = errors.New("storage: more damage was found meanwhile")

// Vouch ends what damage has made Unknown without saying which keys: the caller has other copies of the store, and has written from them
// whatever this one may have lost. damage is what Stats.Damage was before the caller looked what that is; what was found later is not
// vouched for. From now on a key that is not shown is absent, and a merge of everything leaves what
// cannot be read behind. It returns when that is done; a crash before leaves the store as unknown as it was. Keys that are known to be
// unreadable stay so until they are written.
//
// An older record of a key that was lost may show again, which only its lost one had superseded: the caller must have a way to find
// out, as it has other copies.
//
// Errors: ErrMoreDamage, and nothing has changed; those of Merge, *CorruptError for damage that only the merge has come upon and *SpaceError where the
// disk has no room for it among them: then absent keys are taken for absent all the same, until the engine is closed, but for those in
// the damaged place, and Vouch is to be called again.
func (e *Engine) Vouch(ctx context.Context, damage int64) error {
	known := e.knownDamage() // first: what is noted from here on is not among it
	if e.damaged.Load() > damage {
		return ErrMoreDamage
	}
	if err := e.forgetUnopened(ctx); err != nil {
		return err
	}
	e.index.lock()
	e.lostSeq.Store(0)
	e.deadLeft.Store(0) // what had to be left may go now
	e.index.keepTombstones = false
	e.index.unlock()
	e.vouched.Store(&known)
	defer e.vouched.Store(nil)
	if err := e.merger.full(ctx); err != nil {
		return err
	}
	e.damaged.Add(-damage)
	return nil
}

// damagedPlace is a damaged block of a run.
type damagedPlace struct {
	run    *runFile
	offset int64
}

// knownDamage are the damaged blocks that were noted.
func (e *Engine) knownDamage() map[damagedPlace]bool {
	known := make(map[damagedPlace]bool)
	for _, r := range e.index.runs() {
		r.damaged.Range(func(offset, _ any) bool {
			known[damagedPlace{r, offset.(int64)}] = true
			return true
		})
	}
	return known
}

// vouchedFor says whether a merge may leave out a damaged block.
func (e *Engine) vouchedFor(r *runFile, offset int64) bool {
	known := e.vouched.Load()
	return known != nil && (*known)[damagedPlace{r, offset}]
}

// forgetUnopened removes the runs that could not be opened: nothing of them can be read.
func (e *Engine) forgetUnopened(ctx context.Context) error {
	release, err := e.merger.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if e.merger.stop.Err() != nil { // the directory may be another's by now
		return ErrClosed
	}
	e.naming.Lock()
	defer e.naming.Unlock()
	unopened := *e.unopened.Load()
	if len(unopened) == 0 {
		return nil
	}
	for _, u := range unopened {
		if err := e.removeFile(runPath(e.dir, u.first, u.last)); err != nil {
			return err
		}
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return &IOError{"sync", e.dir, err}
	}
	e.unopened.Store(new([]runSpan))
	return nil
}
