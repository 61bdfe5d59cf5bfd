package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// injector carries out a plan of faults on a cluster. What is to come: members that join and leave would be faults of their own kind here.
type injector struct {
	cluster *Cluster
	rng     *random

	// destroying has a token while no fault that destroys data is under way.
	destroying chan struct{}

	mu sync.Mutex
	// lost are the nodes that lost data, or may have, and since when they have to have looked for it, by clocks that may be ahead by skew.
	lost map[*server]time.Time
	skew time.Duration
	// struck counts the faults that were carried out, skipped those that were not because there was no time left until data was whole again.
	struck  map[fault.Kind]int
	skipped int
	errs    []error
	// autopsies says that the disks of nodes that have crashed are looked into, and left is what was found there while no node had
	// lost anything: see tornBatches. losses says that one has, or may have.
	autopsies, losses bool
	left              []remains
}

func newInjector(c *Cluster, seed uint64) *injector {
	i := &injector{
		cluster: c, rng: newRandom(seed, 0x1213), destroying: make(chan struct{}, 1), lost: make(map[*server]time.Time), struck: make(map[fault.Kind]int),
	}
	i.destroying <- struct{}{}
	return i
}

// run carries out a plan from now on, and returns when the last fault has ended.
func (i *injector) run(ctx context.Context, plan fault.Plan) {
	began := time.Now()
	i.note(func() { i.skew = plan.GreatestSkew() })
	var all sync.WaitGroup
	for _, f := range plan.Faults {
		all.Go(func() {
			if sleepUntil(ctx, began.Add(f.At)) {
				i.carryOut(ctx, f, began.Add(f.End()))
			}
		})
	}
	all.Wait()
}

// sleepUntil says whether the moment came before the end of ctx.
func sleepUntil(ctx context.Context, at time.Time) bool {
	select {
	case <-time.After(time.Until(at)):
		return true
	case <-ctx.Done():
		return false
	}
}

func (i *injector) carryOut(ctx context.Context, f fault.Fault, end time.Time) {
	if f.Kind.Destroys() {
		if !i.mayDestroy(ctx, end) {
			i.note(func() { i.skipped++ })
			return
		}
		defer func() { i.destroying <- struct{}{} }()
	}
	i.note(func() { i.struck[f.Kind]++ })
	undo, err := i.strike(ctx, f, end)
	if undo != nil {
		sleepUntil(ctx, end)
		err = errors.Join(err, undo())
	}
	if err != nil {
		i.note(func() { i.errs = append(i.errs, fmt.Errorf("%v: %w", f, err)) })
	}
}

func (i *injector) note(what func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	what()
}

// wholeInterval is how often it is looked whether all that was lost is there again.
const wholeInterval = 250 * time.Millisecond

// mayDestroy waits until everything that was destroyed before is filled again, and takes the token for destroying; false if it is too late then.
func (i *injector) mayDestroy(ctx context.Context, end time.Time) bool {
	ctx, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	select {
	case <-i.destroying:
	case <-ctx.Done():
		return false
	}
	if poll(ctx, wholeInterval, i.whole) == nil {
		return true
	}
	i.destroying <- struct{}{}
	return false
}

// whole is what keeps everything that was ever acknowledged from being on as many nodes as it should be.
func (i *injector) whole() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for s, since := range i.lost {
		if err := s.recovered(since); err != nil {
			return err
		}
		delete(i.lost, s)
	}
	return i.cluster.noCopies()
}

// loses notes that a node has lost data, or may have.
func (i *injector) loses(s *server) {
	i.note(func() { i.lost[s], i.losses = time.Now().Add(i.skew), true })
}

// dyingSync is how long a sync of a log takes while its node is about to crash. Otherwise syncs take no time, and no crash would ever come between
// a write and its sync.
const dyingSync = 200 * time.Millisecond

// crash ends a node's process, most likely while its log is being synced, and keeps what is left on its disk.
func (i *injector) crash(ctx context.Context, s *server, silent bool, left func(*vfstest.FS) *vfstest.FS) {
	p := s.process()
	if p == nil {
		return
	}
	defer p.disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: segmentSuffix, Delay: dyingSync})()
	sleepUntil(ctx, time.Now().Add(time.Duration(i.rng.float()*float64(dyingSync))))
	actor := p.node.Status().Actor
	s.crash(silent, left)
	i.mu.Lock()
	looks := i.autopsies && !i.losses
	i.mu.Unlock()
	if !looks {
		return
	}
	s.mu.Lock()
	disk := s.disk
	s.mu.Unlock()
	held, err := readDisk(disk)
	i.note(func() {
		if err != nil {
			i.errs = append(i.errs, fmt.Errorf("read what is left of %s: %w", s.cfg.ID, err))
		} else {
			i.left = append(i.left, remains{node: s.cfg.ID, actor: actor, held: held})
		}
	})
}

// strike begins a fault. What ends it is nil if it is over already.
func (i *injector) strike(ctx context.Context, f fault.Fault, end time.Time) (undo func() error, err error) {
	var s *server
	if len(f.Nodes) > 0 {
		s = i.cluster.servers[f.Nodes[0]]
	}
	switch f.Kind {
	case fault.Kill:
		i.crash(ctx, s, false, (*vfstest.FS).Restart)
		return s.start, nil
	case fault.PowerLoss:
		keep := vfstest.Random(i.rng.uint64())
		i.crash(ctx, s, true, func(d *vfstest.FS) *vfstest.FS { return d.Crash(keep) })
		return s.start, nil
	case fault.Restart:
		err := s.shutDown()
		return s.start, err
	case fault.Wipe:
		s.crash(false, func(*vfstest.FS) *vfstest.FS { return vfstest.New() })
		i.loses(s)
		return s.start, nil
	case fault.Flip:
		return i.flip(s, f.Count)
	case fault.DiskFull, fault.DiskError, fault.DiskSlow:
		return i.trouble(s, f)
	case fault.Skew:
		s.clock.set(f.Delay)
		return func() error { s.clock.set(0); return nil }, nil
	case fault.Reset:
		return nil, i.reset(ctx, f.Nodes[0], end)
	}
	stop := i.cluster.net.Begin(f)
	return func() error { stop(); return nil }, nil
}

// resetPauseMax is the longest between two resets of a node's connections.
const resetPauseMax = 2 * time.Second

// reset breaks a node's connections now and then until the end.
func (i *injector) reset(ctx context.Context, number int, end time.Time) error {
	for time.Now().Before(end) {
		i.cluster.net.Reset(number)
		at := time.Now().Add(time.Duration(i.rng.float() * float64(resetPauseMax)))
		if at.After(end) || !sleepUntil(ctx, at) {
			return nil
		}
	}
	return nil
}

// flip stops a node, damages what it has stored, and has it started again at the end.
func (i *injector) flip(s *server, count int) (undo func() error, err error) {
	if err := s.shutDown(); err != nil {
		return s.start, err
	}
	s.mu.Lock()
	disk := s.disk
	s.mu.Unlock()
	err = flipBytes(disk, count, rand.New(rand.NewPCG(i.rng.uint64(), 0)))
	return func() error {
		i.loses(s)
		return s.start()
	}, err
}

var errIO = errors.New("input/output error")

// trouble makes a node's disk full, faulty or slow. A node that has turned read-only for it is restarted at the end, as an operator does.
func (i *injector) trouble(s *server, f fault.Fault) (undo func() error, err error) {
	p := s.process()
	if p == nil {
		return nil, nil
	}
	disk := p.disk
	var end func()
	switch f.Kind {
	case fault.DiskFull:
		disk.SetCapacity(used(disk) + int64(i.rng.float()*2*reserveBytes))
		end = func() { disk.SetCapacity(0) }
	case fault.DiskSlow:
		end = disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Path: segmentSuffix, Delay: f.Delay})
	default:
		i.loses(s)
		end = disk.Inject(vfstest.Fault{
			Ops: vfstest.OpRead | vfstest.OpWrite | vfstest.OpSync, Chance: func() bool { return i.rng.float() < f.Share }, Err: errIO,
		})
	}
	return func() error {
		end()
		if f.Kind == fault.DiskError {
			defer i.loses(s)
		}
		if st := p.node.Status(); s.process() != p || st.Storage.ReadOnly+st.Hints.ReadOnly == "" {
			return nil
		}
		s.crash(false, (*vfstest.FS).Restart)
		return s.start()
	}, nil
}
