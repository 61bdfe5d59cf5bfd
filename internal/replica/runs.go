package replica

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

// Run is one opening of a data directory, as peers remember it.
type Run struct {
	Incarnation uint64
	// Boot is BootID.Number of the run.
	Boot uint64
}

// Number is the boot id as peers know it; never zero.
func (b BootID) Number() uint64 { return binary.BigEndian.Uint64(b[:]) | 1 }

// runsMax bounds the earlier runs that a directory knows: those of so many restarts.
const runsMax = 32

// withRun is a list of earlier runs, in the order of their incarnations, with one more. The eldest are forgotten.
func withRun(runs []Run, r Run) []Run {
	at, _ := slices.BinarySearchFunc(runs, r, func(a, b Run) int { return cmp.Compare(a.Incarnation, b.Incarnation+1) })
	runs = slices.Insert(slices.Clone(runs), at, r)
	return runs[max(0, len(runs)-runsMax):]
}

// run is the one that the identity was written in.
func (id *identity) run() Run { return Run{Incarnation: id.incarnation, Boot: id.boot.Number()} }

// Runs are this run and the earlier ones that the directory remembers, in the order of their incarnations: its own, and those that BeginAnew
// was told of. The list is without gaps from its first incarnation on: a run that peers remember since and that is not in it was another directory's,
// or a later state's of this one.
func (r *Replica) Runs() (now Run, earlier []Run) {
	r.marking.Lock()
	defer r.marking.Unlock()
	return r.id.run(), r.id.earlier
}

// BeginAnew is for a data directory that peers know to be an older state of the node's, or not that which the node had: lost is the run that
// they remember and that it knows nothing of. The replica goes on, durably, as one that has forgotten everything: all of its partitions
// are to be filled again, its actor is new, and its incarnation is greater than that of the lost run, which it knows from now on.
// With a replication factor of one nobody could fill it, and it keeps what it has.
// It does nothing if the run is known already. Errors: the file system's, and it may be called again; ErrClosing after Close was called.
func (r *Replica) BeginAnew(lost Run) error {
	r.marking.Lock()
	defer r.marking.Unlock()
	if r.closing.Load() {
		return ErrClosing
	}
	now := r.id
	if lost.Boot == now.run().Boot || slices.Contains(now.earlier, lost) {
		return nil
	}
	var err error
	if now.actor, err = causal.NewActor(r.opts.Random); err != nil {
		return err
	}
	now.incarnation = max(now.incarnation, lost.Incarnation) + 1
	now.earlier = withRun(now.earlier, lost)
	// A crash between the two files leaves a directory that is refused once more, and is not filled.
	if r.opts.Table.N() > 1 {
		if err := r.Refill(r.held()...); err != nil {
			return err
		}
	}
	if err := r.dir.saveIdentity(&now); err != nil {
		return err
	}
	r.id = now
	r.actor.Store(uint64(now.actor))
	r.opts.Logger.Warn("replica begins anew: all that it held is to be filled again", "dir", r.dir.path,
		"lost_incarnation", lost.Incarnation, "incarnation", now.incarnation, "actor", now.actor.String())
	return nil
}

// held are the partitions that the node holds.
func (r *Replica) held() (ids []ring.PartitionID) {
	for i := range r.share.parts {
		if r.share.parts[i].held {
			ids = append(ids, ring.PartitionID(i))
		}
	}
	return ids
}
