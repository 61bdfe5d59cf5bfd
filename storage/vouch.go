package storage

import "context"

// Vouch ends what damage has made Unknown without saying which keys: the caller has other copies of the store, and has written from them
// whatever this one may have lost. From now on a key that is not shown is absent, and a merge of everything leaves what
// cannot be read behind. It returns when that is done; a crash before leaves the store as unknown as it was. Keys that are known to be
// unreadable stay so until they are written.
//
// An older record of a key that was lost may show again, which only its lost one had superseded: the caller must have a way to find
// out, as it has other copies.
//
// Errors are those of Merge. After one of them the store is vouched for until it is closed, and not after.
func (e *Engine) Vouch(ctx context.Context) error {
	if err := e.forgetUnopened(); err != nil {
		return err
	}
	e.index.lock()
	e.lostSeq.Store(0)
	e.index.keepTombstones = false
	e.index.unlock()
	e.vouched.Store(true)
	defer e.vouched.Store(false)
	if err := e.merger.full(ctx); err != nil {
		return err
	}
	e.damaged.Store(0)
	return nil
}

// forgetUnopened removes the runs that could not be opened: nothing of them can be read.
func (e *Engine) forgetUnopened() error {
	defer e.merger.hold()()
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
