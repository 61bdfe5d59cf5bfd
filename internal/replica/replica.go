package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/storage"
)

// A meta of causal must fit into the engine's.
const _ uint = storage.MetaBytesMax - causal.MetaBytesMax

var (
	// ErrClosing: the replica is being closed and takes no more writes (effect: none).
	ErrClosing = errors.New("replica: closing")
	// ErrRetired: an object brings an event of a retired actor, which only an exchange may (effect: none).
	ErrRetired = fmt.Errorf("replica: %w", coordinator.ErrRetired)
	// ErrDisowned: Disown was called, and no more dots are issued (effect: none).
	ErrDisowned = errors.New("replica: the data directory is a copy of one in use")
)

// errUnfilled: what is absent here may have been lost.
var errUnfilled = fmt.Errorf("%w: its partition is being filled again", coordinator.ErrUnknownKey)

// Replica is a node's own copy of its share. See the package comment.
type Replica struct {
	opts Options
	dir  *dataDir
	id   identity
	// lastBoot is the run before this one.
	lastBoot BootID
	// actor is that of id, which changes when the memory breaks.
	actor  atomic.Uint64
	engine *storage.Engine
	clock  *causal.Clock
	share  *share

	// broken is why no more dots are issued, once a write failed after it was handed out, or the directory was disowned.
	broken atomic.Pointer[error]
	// gate is the node's own reason not to coordinate: see SetServing.
	gate    atomic.Pointer[func() error]
	closing atomic.Bool
	// marking is held while the identity file is replaced after the run has begun: for a new actor, as disowned, or as clean.
	marking sync.Mutex
	// unknownAll says that the engine has lost keys without knowing which, nor where.
	unknownAll atomic.Bool
	// unreadable counts the answers that said "unknown".
	unreadable atomic.Int64

	writing, storing      budget
	writes, stores, metas sync.Pool // of *write, *store and *metaBuffer

	closeOnce sync.Once
	closed    chan struct{}
	closeErr  error
}

var _ coordinator.Local = (*Replica)(nil)

// Open opens the replica in dir, which is made if it is missing, and locks it until Close. It starts no goroutine but the
// engine's; Run must be running for writes not to wait for the clock's ceiling now and then.
//
// Errors: *MismatchError for the directory of another node or of other settings; one that wraps storage.ErrLocked where
// another has it open; ErrIncomplete; those of storage.Open and of the file system. After any of them the directory is as
// it was, but for what recovery did to the engine's files.
func Open(dir string, opts Options) (*Replica, error) {
	opts = opts.withDefaults()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	d, err := lockDir(opts.Storage.FS, dir)
	if err != nil {
		return nil, err
	}
	r, err := openLocked(d, opts)
	if err != nil {
		return nil, errors.Join(err, d.unlock())
	}
	return r, nil
}

func openLocked(d *dataDir, opts Options) (*Replica, error) {
	found, ceiling, err := d.load()
	if err != nil {
		return nil, err
	}
	conf := clusterOf(opts)
	if found != nil {
		if diff := found.cluster.differences(conf); len(diff) > 0 {
			return nil, &MismatchError{Dir: d.path, Differences: diff}
		}
	}
	engine, err := openEngine(d, opts, found)
	if err != nil {
		return nil, err
	}
	r := &Replica{opts: opts, dir: d, engine: engine, closed: make(chan struct{})}
	r.unknownAll.Store(engine.Stats().UnknownAll)
	for _, b := range []*budget{&r.writing, &r.storing} {
		b.lenMax, b.bytesMax = int64(opts.QueueLenMax), opts.QueueBytesMax
	}
	if err := r.begin(found, conf, ceiling); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return r, nil
}

// openEngine opens the log, which must reach as far as the identity says.
func openEngine(d *dataDir, opts Options, found *identity) (*storage.Engine, error) {
	o := opts.engine()
	if found != nil {
		o.KnownSeq = found.logSeq
	}
	engine, err := storage.Open(d.engine(), o)
	var missing *storage.MissingError
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("%w: %s: %w", ErrIncomplete, d.engine(), err)
	case err != nil:
		return nil, fmt.Errorf("replica: open engine: %w", err)
	}
	return engine, nil
}

// begin makes this run durable: a ceiling above everything that earlier runs issued, then the identity with the next
// incarnation and without the mark of a clean shutdown. Only then may a dot be issued. A crash between the two leaves the
// old identity, under which nothing was issued since.
func (r *Replica) begin(found *identity, conf cluster, ceiling causal.Timestamp) error {
	before := found
	if found != nil {
		r.lastBoot = found.boot
	} else {
		if stats := r.engine.Stats(); stats.LastSeq > 0 || stats.Damage > 0 {
			return fmt.Errorf("%w: %s has data but no file \"identity\"", ErrIncomplete, r.dir.path)
		}
		found = &identity{}
	}
	if err := r.loadShare(before); err != nil {
		return err
	}
	kept, why := r.actorKept(found)
	r.id = identity{
		incarnation: found.incarnation + 1, earlier: found.earlier, actor: found.actor, logSeq: found.logSeq, cluster: conf,
	}
	if found.boot != (BootID{}) { // else there was none, or it was disowned
		r.id.earlier = withRun(found.earlier, found.run())
	}
	if stats := r.engine.Stats(); stats.Damage == 0 {
		r.id.logSeq = stats.LastSeq // behind damage it is a guess
	}
	if !kept {
		actor, err := causal.NewActor(r.opts.Random)
		if err != nil {
			return err
		}
		r.id.actor = actor
	}
	if _, err := io.ReadFull(r.opts.Random, r.id.boot[:]); err != nil {
		return fmt.Errorf("replica: draw a boot id: %w", err)
	}
	clock := r.opts.Clock
	clock.Now, clock.Ceiling, clock.Persist = r.opts.Now, ceiling, r.dir.saveCeiling
	r.clock = causal.NewClock(clock)
	if err := r.clock.Reserve(); err != nil {
		return err
	}
	if err := r.dir.saveIdentity(&r.id); err != nil {
		return err
	}
	r.actor.Store(uint64(r.id.actor))
	if kept {
		r.share.publishAll(ceiling) // all that the actor ever issued is durable, and none of it is later
	}
	r.opts.Logger.Info("replica opened", "dir", r.dir.path, "incarnation", r.id.incarnation,
		"actor", r.id.actor.String(), "actor_kept", kept, "reason", why, "keys", r.engine.Stats().Keys)
	return nil
}

// actorKept says whether the actor of the last run has forgotten nothing, and how that is known.
func (r *Replica) actorKept(found *identity) (kept bool, why string) {
	recovery := r.engine.Recovery()
	switch {
	case found.incarnation == 0:
		return false, "first open"
	case !found.clean:
		return false, "the last run did not end cleanly"
	case recovery.Created:
		return false, "the log is new"
	case recovery.TornBytes > 0:
		return false, "the log was cut"
	case len(recovery.Damage) > 0:
		return false, "the log is damaged"
	case r.engine.Stats().LastSeq != found.logSeq:
		return false, "the log is not as the clean shutdown left it"
	}
	return true, "clean shutdown"
}

// Run keeps the clock's ceiling ahead of need until ctx is done.
func (r *Replica) Run(ctx context.Context) error { return r.clock.Run(ctx) }

// Close refuses new writes, waits for those under way, closes the engine, and then, if nothing ever went wrong, marks the shutdown
// as clean. It returns early, with ctx's error, when ctx is done; what it began goes on. It may be called again.
func (r *Replica) Close(ctx context.Context) error {
	r.closeOnce.Do(func() {
		r.closing.Store(true)
		go func() {
			defer close(r.closed)
			r.closeErr = errors.Join(r.finish(), r.dir.unlock())
		}()
	})
	select {
	case <-r.closed:
		return r.closeErr
	case <-ctx.Done():
		return fmt.Errorf("replica: close: %w", ctx.Err())
	}
}

// finish ends the run. The mark comes last: before it, everything that was issued is durable or known to have failed.
func (r *Replica) finish() error {
	readOnly := r.engine.Err()
	err := r.engine.Close()
	if err != nil {
		err = fmt.Errorf("replica: close engine: %w", err)
	}
	// From here on nothing writes into the directory, not even a Run that goes on.
	if err = errors.Join(err, r.clock.Settle()); err != nil {
		return err
	}
	r.marking.Lock()
	defer r.marking.Unlock()
	if damage := r.engine.Stats().Damage; readOnly != nil || r.broken.Load() != nil || damage > 0 {
		r.opts.Logger.Warn("replica closed without the mark of a clean shutdown: the next open draws a new actor",
			"dir", r.dir.path, "read_only", readOnly, "damage", damage)
		return nil
	}
	clean := r.id
	clean.clean, clean.logSeq = true, r.engine.Stats().LastSeq
	return r.dir.saveIdentity(&clean)
}

// Disown is for a data directory that a peer knows to be a copy of one in use. No dot is issued any more, and this run is
// not counted, nor known to the next one, which has the same incarnation and a new actor.
// It returns when that is durable. Errors: the file system's; ErrClosing after Close was called.
func (r *Replica) Disown() error {
	r.stopIssuing(ErrDisowned)
	r.marking.Lock()
	defer r.marking.Unlock()
	if r.closing.Load() {
		return ErrClosing
	}
	before := r.id
	before.incarnation--
	before.boot = BootID{}
	return r.dir.saveIdentity(&before)
}

// Actor implements coordinator.Local: the actor that dots are issued under now.
func (r *Replica) Actor() causal.Actor { return causal.Actor(r.actor.Load()) }

// RenewActor draws a new actor, durably, because the replica has lost something that it held: what the old one issued may be forgotten.
// What is acknowledged under the old one counts no more. Errors: the file system's; ErrClosing after Close was called.
func (r *Replica) RenewActor(why string) error {
	r.marking.Lock()
	defer r.marking.Unlock()
	if r.closing.Load() {
		return ErrClosing
	}
	actor, err := causal.NewActor(r.opts.Random)
	if err != nil {
		return err
	}
	now := r.id
	now.actor = actor
	if err := r.dir.saveIdentity(&now); err != nil {
		return err
	}
	r.id = now
	r.actor.Store(uint64(actor))
	r.opts.Logger.Warn("replica has a new actor", "dir", r.dir.path, "actor", actor.String(), "reason", why)
	return nil
}

// Incarnation is greater by one than that of the last run in this data directory that was not disowned, and 1 in a new one. BeginAnew
// raises it.
func (r *Replica) Incarnation() uint64 {
	now, _ := r.Runs()
	return now.Incarnation
}

// BootID tells this run from all others.
func (r *Replica) BootID() BootID {
	r.marking.Lock()
	defer r.marking.Unlock()
	return r.id.boot
}

// LastBootID is that of the run before this one, zero if there was none.
func (r *Replica) LastBootID() BootID { return r.lastBoot }

// LastSeq is the number of the last record in the log.
func (r *Replica) LastSeq() uint64 { return r.engine.Stats().LastSeq }

// Clock is the node's clock. It must observe the timestamp of every message that arrives.
func (r *Replica) Clock() *causal.Clock { return r.clock }

// Recovery says what opening the engine found.
func (r *Replica) Recovery() storage.Recovery { return r.engine.Recovery() }

// SetServing sets a further condition of Serving, such as that the node's clock is within bounds. It must not block. Where
// it fails no dot is issued, not even for a write that was let in before.
func (r *Replica) SetServing(condition func() error) { r.gate.Store(&condition) }

// Serving implements coordinator.Local: nil, or why this replica must not coordinate, and issues no dots, now.
func (r *Replica) Serving() error {
	if r.closing.Load() {
		return ErrClosing
	}
	if err := r.broken.Load(); err != nil {
		return *err
	}
	if err := r.engine.Err(); err != nil {
		return err
	}
	if gate := r.gate.Load(); gate != nil {
		return (*gate)()
	}
	return nil
}

// breakOff ends the issuing of dots: what became of one that was handed out is not known.
func (r *Replica) breakOff(cause error) {
	err := fmt.Errorf("replica: an earlier write failed, and the node must be restarted before it coordinates again: %w", cause)
	r.stopIssuing(err)
}

func (r *Replica) stopIssuing(err error) {
	if r.broken.CompareAndSwap(nil, &err) {
		r.opts.Logger.Error("replica issues no more dots", "dir", r.dir.path, "cause", err)
	}
}

// Status is the state of the engine. Damage counts the unreadable places that the engine knows.
func (r *Replica) Status() wire.StorageStatus {
	s := r.engine.Stats()
	status := wire.StorageStatus{
		Keys: s.Keys, Segments: int64(s.Segments), DiskBytes: s.DiskBytes, LiveBytes: s.LiveBytes, DeadBytes: s.DeadBytes,
		ReadOnly: s.ReadOnly, Damage: s.Damage, DiskFull: s.DiskFull, DiskFree: s.DiskFreeBytes,
		IndexBytes: s.IndexBytes + s.RunIndexBytes, MappedBytes: s.MappedBytes, OpenFiles: int64(s.OpenFiles), Runs: int64(s.Runs), RunBytes: s.RunBytes,
		Merges: s.Merge.Merges, MergeBytes: s.Merge.BytesWritten, MergeDropped: s.Merge.Dropped, MergeDebtBytes: s.Merge.DebtBytes,
		MergeHeldWrites: s.Merge.HeldWrites, MergeHeldMicros: s.Merge.HeldTime.Microseconds(), MergeRunning: s.Merge.Running, MergeError: s.Merge.LastError,
		CacheBytes: s.Cache.Bytes, CacheHits: int64(s.Cache.Hits), CacheMisses: int64(s.Cache.Misses), ScrubBytes: s.ScrubBytes,
	}
	if !s.ScrubbedAt.IsZero() {
		status.ScrubbedAt = s.ScrubbedAt.UnixMilli()
	}
	return status
}

// UnknownAnswers is how many keys were answered with "unknown" since Open, because their records could not be read.
func (r *Replica) UnknownAnswers() int64 { return r.unreadable.Load() }
