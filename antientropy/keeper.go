package antientropy

import (
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Keeper keeps the trees of a forest under the rules that are wanted of them: it builds anew, in the background, those that cannot just take
// the rule over, all that are wanted by one scan. On the way it finds out whose events the keys have seen. It is safe for concurrent use.
type Keeper struct {
	*Forest
	scanner Scanner
	log     *slog.Logger
	wake    chan struct{}

	mu     sync.Mutex
	wanted map[ring.PartitionID]Rule
	seen   map[ring.PartitionID][]causal.Actor
}

// keeperPause is the time between two scans: rules come in flocks.
const keeperPause = 500 * time.Millisecond

// NewKeeper makes a keeper; Run does the work. A nil logger discards what it has to say.
func NewKeeper(f *Forest, s Scanner, log *slog.Logger) *Keeper {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{
		Forest: f, scanner: s, log: log, wake: make(chan struct{}, 1),
		wanted: make(map[ring.PartitionID]Rule), seen: make(map[ring.PartitionID][]causal.Actor),
	}
}

// Want implements Trees.
func (k *Keeper) Want(p ring.PartitionID, rule Rule) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, waits := k.wanted[p]; !waits && k.takesOver(p, rule) {
		return
	}
	k.wanted[p] = rule
	k.poke()
}

// takesOver has the partition's tree take a rule over, if it is as good under that as a new one would be. One with spoiled leaves is not under any.
func (k *Keeper) takesOver(p ring.PartitionID, rule Rule) bool {
	s := k.Stats(p)
	return s.Stands && s.SpoiledLeaves == 0 && k.Advance(p, rule)
}

func (k *Keeper) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Seen are the actors that keys of a partition had seen events of when its tree was built last.
func (k *Keeper) Seen(p ring.PartitionID) []causal.Actor {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.seen[p]
}

// Run builds what is wanted until ctx is done. It returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.wake:
		}
		if err := k.build(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("cannot build trees", "error", err)
			k.poke()
		}
		if sleep(ctx, keeperPause) != nil {
			return nil
		}
	}
}

// build builds what is wanted now. After an error it is wanted again.
func (k *Keeper) build(ctx context.Context) error {
	k.mu.Lock()
	wanted := k.wanted
	k.wanted = make(map[ring.PartitionID]Rule)
	k.mu.Unlock()
	maps.DeleteFunc(wanted, func(p ring.PartitionID, rule Rule) bool { return k.takesOver(p, rule) })
	if len(wanted) == 0 {
		return nil
	}
	g := &gathering{k: k, actors: make(map[ring.PartitionID][]causal.Actor)}
	ps := slices.Sorted(maps.Keys(wanted))
	err := k.Rebuild(ctx, g, ps, func(p ring.PartitionID) Rule { return wanted[p] })
	k.mu.Lock()
	defer k.mu.Unlock()
	for p, rule := range wanted {
		switch _, newer := k.wanted[p]; {
		case err == nil:
			k.seen[p] = g.actors[p]
		case !newer:
			k.wanted[p] = rule
		}
	}
	return err
}

// gathering is a scanner that gathers, for its scan, the actors that the keys have seen events of.
type gathering struct {
	k      *Keeper
	actors map[ring.PartitionID][]causal.Actor
}

func (g *gathering) ScanObserved(r storage.Range, began func()) iter.Seq2[storage.Record, error] {
	return func(yield func(storage.Record, error) bool) {
		var o causal.Object
		for rec, err := range g.k.scanner.ScanObserved(r, began) {
			if err == nil {
				g.gather(&o, rec.Key, rec.Meta)
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}

func (g *gathering) gather(o *causal.Object, key, meta []byte) {
	complete, err := causal.DecodeMeta(o, meta)
	if err != nil || !complete {
		return
	}
	p, _ := g.k.LeafOf(key)
	for _, e := range o.Vector {
		if !slices.Contains(g.actors[p], e.Actor) {
			g.actors[p] = append(g.actors[p], e.Actor)
		}
	}
}
