package hintedhandoff

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Store keeps the hints of one node.
type Store struct {
	opts   Options
	engine *storage.Engine
	book   *book
	needs  *needs
	replay *replay
	// revision is the last that a hint was given.
	revision atomic.Uint64
	totals   totals
	// unnamed says that the engine has lost records without knowing which, so that it takes keys for unknown that never were there.
	unnamed atomic.Bool
	// adds are pooled: an Add in steady state allocates nothing of its own.
	adds sync.Pool
}

// Open opens the store in the directory dir, making it if it is missing, and counts what is in it, which reads no values. What
// needs repair from before is in Needs; Options.Repair is not told of it again. Open starts nothing but the engine; Run does the work. Errors are those of storage.Open, and storage.ErrFormat for hints that a later version wrote.
func Open(dir string, o Options) (*Store, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	engine, err := storage.Open(dir, o.engine())
	if err != nil {
		return nil, fmt.Errorf("hintedhandoff: %w", err)
	}
	s := &Store{opts: o, engine: engine, book: newBook(o), needs: newNeeds()}
	s.replay = newReplay(s)
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("hintedhandoff: open %s: %w", dir, err), engine.Close())
	}
	return s, nil
}

// load fills the book and the needs from the index, and gives up what cannot be read.
func (s *Store) load() error {
	var lost [][]byte
	if s.engine.Stats().UnknownAll {
		s.loseUnnamed()
	}
	for rec, err := range s.engine.Scan(storage.Range{KeysOnly: true}) {
		switch {
		case err == nil:
			err = s.loadRecord(rec.Key, rec.Meta)
		case !isCorrupt(err):
		case rec.Key == nil:
			s.loseUnnamed()
			err = nil
		default:
			lost, err = append(lost, append([]byte(nil), rec.Key...)), nil
		}
		if err != nil {
			return err
		}
	}
	for _, key := range lost {
		s.lose(key, nil)
	}
	return nil
}

func (s *Store) loadRecord(key, meta []byte) error {
	kind, target, rest, err := parseKey(key)
	if err != nil {
		return err
	}
	if kind == kindNeed {
		since, err := parseNeedMeta(meta)
		if err == nil {
			s.needs.load(needOf(target, rest), since)
		}
		return err
	}
	h, _, err := parseMeta(meta)
	if err != nil {
		return err
	}
	s.revision.Store(max(s.revision.Load(), h.revision))
	s.book.change(target, s.opts.Partition(rest), entry{}, h.entry(len(key), len(meta)))
	return nil
}

// lose gives up a record that cannot be read. meta is nil, or that of a hint whose value is none. A need that is lost is made anew.
func (s *Store) lose(key, meta []byte) {
	kind, target, rest, err := parseKey(key)
	if err != nil {
		return // not even its name can be read
	}
	if kind == kindNeed {
		s.need(needOf(target, rest))
		return
	}
	s.totals.lost.Add(1)
	s.opts.Logger.Error("hintedhandoff: a hint cannot be read, its partition needs repair", "target", target, "key", string(rest))
	r := &removal{s: s, target: target, reason: removeLost}
	r.add(key, revisionOf(meta))
	if err := r.run(); err != nil {
		s.opts.Logger.Warn("hintedhandoff: remove a hint that cannot be read", "error", err)
	}
}

func revisionOf(meta []byte) uint64 {
	h, _, _ := parseMeta(meta)
	return h.revision
}

// loseUnnamed makes a need of all that there may have been hints of, once.
func (s *Store) loseUnnamed() {
	if s.unnamed.Swap(true) {
		return
	}
	pairs := s.opts.Shared()
	s.opts.Logger.Error("hintedhandoff: hints were lost, and the damage does not say which: all partitions need repair", "partitions", len(pairs))
	for _, p := range pairs {
		s.need(p)
	}
}

// Run replays hints, drops those that are too old and keeps the record of needs, until ctx is done. It returns nil then, when its
// goroutines have ended; answers to what was sent and is not answered yet are ignored. It is called once.
func (s *Store) Run(ctx context.Context) error {
	var children sync.WaitGroup
	children.Go(func() { s.keepNeeds(ctx) })
	children.Go(func() { s.sweepAges(ctx) })
	s.replay.run(ctx)
	children.Wait()
	return nil
}

// Close closes the engine, after Run has returned. It returns nil, or why not all that was acknowledged is known to be durable.
func (s *Store) Close() error {
	if err := s.writeNeeds(); err != nil {
		s.opts.Logger.Warn("hintedhandoff: needs are lost that could not be written", "error", err)
	}
	return s.engine.Close()
}

// HasHints says whether there are hints for a partition, for any target, the ones that are being added among them. It may be true without cause for a
// while: see the package comment.
func (s *Store) HasHints(p ring.PartitionID) bool { return s.book.hasHints(p) }

// HintInfo is one hint as it is kept.
type HintInfo struct {
	Target ring.NodeID
	// Since is when the target first missed the key.
	Since   time.Time
	Counted bool
	// Bytes are what the hint counts for in the store's bound.
	Bytes int64
	// Heads is the object, without its values.
	Heads causal.Object
}

// For returns the hints for a key, sorted by target. Errors are those of the engine; a hint that cannot be read is an error, too.
func (s *Store) For(key []byte) (infos []HintInfo, err error) {
	for _, target := range s.book.targets() {
		stored := appendHintKey(nil, target, key)
		rec, err := s.engine.Read(stored, nil)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("hintedhandoff: read a hint for %s: %w", target, err)
		}
		var o causal.Object
		h, err := decodeHint(&o, rec.Meta, rec.Value)
		if err != nil {
			return nil, err
		}
		infos = append(infos, HintInfo{
			Target: target, Since: time.UnixMilli(h.noted), Counted: h.counted, Bytes: h.entry(len(stored), len(rec.Meta)).bytes, Heads: o.Heads(),
		})
	}
	return infos, nil
}

// TargetUp has the hints for a target replayed now, also those that it has refused. Options.Up must say that it is up.
func (s *Store) TargetUp(target ring.NodeID) { s.replay.targetUp(target) }
