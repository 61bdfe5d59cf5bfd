package storage

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/ringcask/ringcask/storage/vfs"
)

// finish has the run take the place of what it was made of.
func (m *merge) finish(path string) (err error) {
	e, p := m.e, &m.plan
	e.merger.finishing.Lock()
	defer e.merger.finishing.Unlock()
	if err := e.raiseFormat(); err != nil {
		return errors.Join(err, e.removeFile(path+vfs.TempSuffix))
	}
	if err := holdReplaced(p.runs, path); err != nil {
		return errors.Join(err, e.removeFile(path+vfs.TempSuffix))
	}
	if m.out, err = e.nameRun(p, path); err != nil {
		return err
	}
	m.out.counted = true
	m.out.shadowed.Store(m.shadowed)
	for i, y := range p.under {
		if y.counted {
			y.shadowed.Add(-m.unshadowed[i])
		}
	}
	if len(p.under) > 0 {
		m.out.room = p.runs[0].room // no more is to be had until more is written
		m.out.room.bytes = m.out.reader.Size()
	}
	m.install()
	m.noteFailed()
	e.strays = slices.DeleteFunc(e.strays, func(stray string) bool { return stray == path })
	if n := len(p.segments); n > 0 {
		e.index.sweep(p.segments[0].id, p.segments[n-1].id, m.rest)
	} else {
		e.index.sweep(1, 0, m.rest)
	}
	return m.retire()
}

// holdReplaced has a run whose path is about to be that of another one stay open: it is not found by it any more.
func holdReplaced(runs []*runFile, path string) error {
	for _, r := range runs {
		if r.path != path {
			continue
		}
		if err := r.file.Hold(); err != nil {
			return &IOError{"open", path, err}
		}
		r.replaced.Store(true)
	}
	return nil
}

// nameRun gives a run its name, durably, and opens it. Unless it becomes part of the store the file must go before another run is
// written, whose segments may be others: two runs that overlap are no store. One that has taken the name of its only source has
// to stay.
func (e *Engine) nameRun(p *plan, path string) (*runFile, error) {
	if !slices.ContainsFunc(p.runs, func(r *runFile) bool { return r.path == path }) {
		e.strays = append(e.strays, path)
	}
	if err := e.fs.Rename(path+vfs.TempSuffix, path); err != nil {
		return nil, &IOError{"rename", path, errors.Join(err, e.removeFile(path+vfs.TempSuffix))}
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return nil, &IOError{"sync", e.dir, err}
	}
	return e.openRun(path)
}

// removeStrays removes runs that got their names but did not become part of the store.
func (e *Engine) removeStrays() error {
	e.merger.finishing.Lock()
	defer e.merger.finishing.Unlock()
	if len(e.strays) == 0 {
		return nil
	}
	for _, path := range e.strays {
		if err := e.removeFile(path); err != nil {
			return err
		}
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return &IOError{"sync", e.dir, err}
	}
	e.strays = nil
	return nil
}

// retire removes what the run took the place of. It is found by nobody any more, but may be under the eyes of some who found
// it before.
func (m *merge) retire() error {
	e := m.e
	first, last := m.plan.span()
	// No hint file is made of what goes.
	e.hintFiles.pause()
	defer e.maintenance.Unlock()
	// Whoever has looked a place up in the index finds its segment in the log until he is done, and who has found a segment in there finds it open.
	e.readers.wait()
	e.log.remove(m.plan.segments)
	e.readers.wait()
	held := e.holdPinned(m.plan)
	e.pins.retire(func() {
		for _, s := range m.plan.segments {
			e.logClosed(s.close())
		}
		for _, r := range m.plan.runs {
			e.logClosed(r.close())
			e.cache.Drop(r.fileID)
		}
		if held != nil {
			e.logClosed(e.removeMerged(m.plan, first, last))
		}
	})
	if held != nil {
		e.opts.Logger.Info("storage: merged files keep their names until they are read no more", "dir", e.dir, "error", held)
		return nil
	}
	return e.removeMerged(m.plan, first, last)
}

// errHeld says that there would be more than Options.OpenFilesMax files that are open for who reads what was merged.
var errHeld = errors.New("storage: too many merged files are being read")

// holdPinned has the files that are about to lose their names stay open for those who found them before. Others than the merge
// have pins then: everybody else was among the readers. An error says that they have to keep their names, to be opened by.
func (e *Engine) holdPinned(p plan) error {
	if !e.pins.any() {
		return nil
	}
	if most := e.opts.OpenFilesMax; most >= 0 && e.files.Held()+len(p.segments)+len(p.runs) > most {
		return errHeld
	}
	for _, s := range p.segments {
		if err := s.file.Hold(); err != nil {
			return &IOError{"open", s.path, err}
		}
	}
	for _, r := range p.runs {
		if err := r.file.Hold(); err != nil {
			return &IOError{"open", r.path, err}
		}
	}
	return nil
}

// logClosed logs what a file that is no longer needed says when it is closed.
func (e *Engine) logClosed(err error) {
	if err != nil {
		e.opts.Logger.Warn("storage: merged file not closed", "error", err)
	}
}

// removeMerged removes the files of what was merged. Those that a crash, or a Close before their last reader is done, leaves are
// removed by the next Open: a run's name says which they are.
func (e *Engine) removeMerged(p plan, first, last SegmentID) error {
	e.naming.Lock()
	defer e.naming.Unlock()
	if e.closed.Load() {
		return ErrClosed // the directory may be another engine's
	}
	var errs []error
	for _, s := range p.segments {
		for _, path := range []string{s.hintFilePath(), s.suspectPath(), s.path} {
			errs = append(errs, e.removeFile(path))
		}
	}
	for _, r := range p.runs {
		if r.path != runPath(e.dir, first, last) {
			errs = append(errs, e.removeFile(r.path))
		}
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		errs = append(errs, &IOError{"sync", e.dir, err})
	}
	return errors.Join(errs...)
}

func (e *Engine) removeFile(path string) error {
	if err := e.fs.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return &IOError{"remove", path, err}
	}
	return nil
}
