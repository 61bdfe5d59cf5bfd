package storage

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/storage/internal/blockcache"
	"github.com/ringcask/ringcask/storage/internal/handles"
	"github.com/ringcask/ringcask/storage/vfs"
)

// Engine is an open data directory. Its methods may be called from many goroutines at once.
type Engine struct {
	opts   Options
	fs     vfs.FS
	dir    string
	engine engineID
	lock   io.Closer
	files  *handles.Pool

	log       *segmentLog
	index     *index
	writer    *writer
	hintFiles *hintFileWriter
	merger    *merger
	cache     *blockcache.Cache
	pins      pins
	// maintenance is held while files are made of sealed segments, or take their place. telling is held while the observer is
	// told.
	maintenance, telling sync.Mutex
	// syncOne is held by who syncs a segment.
	syncOne sync.Mutex
	// naming is held while merged files lose their names, and while a snapshot gives files of one moment a second one.
	naming    sync.Mutex
	scrubber  *scrubber
	space     space
	blockings *sync.Pool

	// lostSeq is the greatest sequence number lost to damage that could not be attributed to keys, and lostError says
	// where; zero if there is none. See stateOf.
	lostSeq   atomic.Uint64
	lostError *CorruptError
	recovery  Recovery
	// attempt is what Open has found out so far.
	attempt *attempt
	// unopened are the runs that are damaged where they have to be read.
	unopened atomic.Pointer[[]runSpan]
	// vouched are the damaged blocks that a merge leaves out, nil outside of Vouch.
	vouched atomic.Pointer[map[damagedPlace]bool]

	// nextSeq is the number of the next record to be written. It and tell belong to the committer.
	nextSeq atomic.Uint64
	tell    teller

	failure atomic.Pointer[failure]

	// deadLeft is how much is dead in runs though they were merged for that.
	deadLeft atomic.Int64

	// readers are all who use the files, but for who has a pin or is waited for by Close.
	readers   *readers
	closed    atomic.Bool
	closing   sync.Once
	closeErr  error
	stopSyncs chan struct{}
	// behind wakes the syncer when much is unsynced.
	behind  chan struct{}
	syncing sync.WaitGroup

	// mapped counts the bytes of files in memory.
	mapped atomic.Int64
	// formatVersion is what the directory's FORMAT file says. It belongs to Open and then to the merger.
	formatVersion uint64
	// strays are the paths of runs that failed merges may have left, see nameRun. They are under the merger's finishing.
	strays []string
	// merges, mergeBytes and dropped count what merges did, mergeReads the part of reads that was theirs.
	merges, mergeBytes, mergeReads, dropped atomic.Int64
	// kept is how many droppable records there were said to be after the last merge that was due for them and dropped none.
	kept atomic.Int64

	reads, records, groups, syncs, bytesWritten, bytesZeroed, damaged atomic.Int64
}

// failure is why the engine is read-only.
type failure struct {
	err     error // what failed
	refusal error // what later writes are told
}

// Err is why the engine takes no more writes: the *IOError of the write or sync that failed, or nil. The way back is
// to open the directory again, once its cause is gone: what the failed write left is then found out.
func (e *Engine) Err() error {
	if f := e.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

// refusal is what a write is told for which nothing has been done.
func (e *Engine) refusal() error {
	if f := e.failure.Load(); f != nil {
		return f.refusal
	}
	return e.space.refusal(e)
}

// fail makes the engine read-only, once and for all: what a failed write or sync has left on the disk cannot be
// known, and a later sync that succeeds would prove nothing about it. It returns the first failure.
func (e *Engine) fail(err error) error {
	if e.failure.CompareAndSwap(nil, &failure{err, fmt.Errorf("%w: %w", ErrReadOnly, err)}) {
		e.opts.Logger.Error("storage: engine is read-only from now on", "dir", e.dir, "error", err)
		e.writer.wakeAll()
	}
	return e.failure.Load().err
}

// start starts the engine's goroutines. Close ends them.
func (e *Engine) start() {
	e.writer.start()
	e.hintFiles.start()
	e.merger.start()
	e.scrubber.start()
	if e.opts.Sync != SyncAlways {
		e.syncing.Go(e.syncLoop)
	}
}

// syncLoop syncs every SyncInterval, if that is the policy, and when much is unsynced. Writes go on meanwhile: what they add
// is for the next round.
func (e *Engine) syncLoop() {
	var due <-chan time.Time
	if e.opts.Sync == SyncInterval {
		tick := time.NewTicker(e.opts.SyncInterval)
		defer tick.Stop()
		due = tick.C
	}
	for {
		select {
		case <-e.stopSyncs:
			return
		case <-due:
		case <-e.behind:
		}
		if err := e.syncActive(); err != nil {
			e.fail(err)
		}
	}
}

func (e *Engine) syncActive() error {
	defer e.pins.unpin(e.pins.pin())
	if seg := e.log.active(); seg != nil && e.failure.Load() == nil {
		return e.syncSegment(seg)
	}
	return nil
}

// Close takes no more writes, makes durable and acknowledges those taken before, and returns when every goroutine of
// the engine has ended. Reads and scans under way end with ErrClosed. It may be called more than once; each call
// returns the same error: nil, or why not everything acknowledged is known to be durable.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		e.hintFiles.hurry()
		e.merger.close()
		e.scrubber.close()
		e.writer.close()
		e.space.aging.Stop()
		close(e.stopSyncs)
		e.syncing.Wait()
		err := e.Err()
		if seg := e.log.active(); seg != nil && err == nil {
			if err = e.mark(seg, false); err != nil {
				err = e.fail(err)
			}
		}
		e.hintFiles.close()
		e.refuse()
		e.readers.wait()
		e.files.Shut() // the directory may be another engine's before the last scan has ended
		e.closeErr = errors.Join(err, e.release())
	})
	return e.closeErr
}

// refuse has all else end with ErrClosed. Who is removing merged files has done so by then, or leaves them to the next Open.
func (e *Engine) refuse() {
	e.naming.Lock()
	defer e.naming.Unlock()
	e.closed.Store(true)
}

// release closes the files; while scans have some under their eyes, the last of them does, once it has seen that the engine
// is closed.
func (e *Engine) release() error {
	var closed error
	now := e.pins.retire(func() {
		closed = e.closeFiles()
		e.logClosed(closed)
		e.index.close()
	})
	if !now {
		return e.unlock()
	}
	return errors.Join(closed, e.unlock())
}

// closeFiles closes what an open, or a failed attempt at one, has opened.
func (e *Engine) closeFiles() error {
	var errs []error
	for _, s := range e.log.all() {
		errs = append(errs, s.close())
	}
	if e.index != nil {
		for _, r := range e.index.runs() {
			errs = append(errs, r.close())
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) unlock() error {
	if e.lock == nil {
		return nil
	}
	if err := e.lock.Close(); err != nil {
		return &IOError{"unlock", e.dir, err}
	}
	return nil
}

// Recovery says what Open found. It never changes.
func (e *Engine) Recovery() Recovery { return e.recovery }
