package hintedhandoff

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testDir        = "hints"
	testPartitions = 8
)

// world is the other nodes: what they hold, and how they behave.
type world struct {
	mu    sync.Mutex
	down  map[ring.NodeID]bool
	held  map[ring.NodeID]map[string]causal.Object
	sends []sending
	// onSend, unless nil, is asked first: an error refuses the batch; held back it is answered by nobody else.
	onSend func(target ring.NodeID, items []Item, done func(error)) (handled bool)
	// repairs are what Options.Repair was told.
	repairs []Pair
}

// sending is one batch as it came.
type sending struct {
	target ring.NodeID
	at     time.Time
	keys   []string
	bytes  int
}

func newWorld() *world {
	return &world{down: make(map[ring.NodeID]bool), held: make(map[ring.NodeID]map[string]causal.Object)}
}

func (w *world) send(_ time.Time, target ring.NodeID, items []Item, done func(error)) {
	w.mu.Lock()
	s := sending{target: target, at: time.Now()}
	for _, it := range items {
		s.keys = append(s.keys, string(it.Key))
		s.bytes += len(it.Key) + it.Object.ValueBytes()
	}
	w.sends = append(w.sends, s)
	down, onSend := w.down[target], w.onSend
	w.mu.Unlock()
	switch {
	case down:
		done(errors.New("down"))
	case onSend != nil && onSend(target, items, done):
	default:
		w.store(target, items)
		done(nil)
	}
}

// store has a target join items.
func (w *world) store(target ring.NodeID, items []Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held[target] == nil {
		w.held[target] = make(map[string]causal.Object)
	}
	for _, it := range items {
		w.held[target][string(it.Key)] = causal.Join(w.held[target][string(it.Key)], it.Object.Clone())
	}
}

func (w *world) up(target ring.NodeID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.down[target]
}

func (w *world) setDown(target ring.NodeID, down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down[target] = down
}

func (w *world) object(target ring.NodeID, key string) causal.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.held[target][key]
}

func (w *world) holds(target ring.NodeID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.held[target])
}

func (w *world) sent() []sending {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sending(nil), w.sends...)
}

func (w *world) repair(target ring.NodeID, p ring.PartitionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.repairs = append(w.repairs, Pair{target, p})
}

func partition(key []byte) ring.PartitionID { return ring.PartitionOf(key, testPartitions) }

func (w *world) options(fs vfs.FS) Options {
	return Options{
		Partition: partition, Send: w.send, Up: w.up, Repair: w.repair,
		Storage: storage.Options{FS: fs, SegmentBytesMax: 1 << 20, ScrubInterval: -1, ReserveBytes: -1},
	}
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(testDir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// start has s run until the test, or stop, ends it.
func start(t testing.TB, s *Store) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (s *Store) addNow(target ring.NodeID, counted bool, items ...Item) error {
	done := make(chan error, 1)
	s.Add(time.Time{}, target, items, counted, func(err error) { done <- err })
	return <-done
}

func (s *Store) mustAdd(t testing.TB, target ring.NodeID, counted bool, items ...Item) {
	t.Helper()
	if err := s.addNow(target, counted, items...); err != nil {
		t.Fatal(err)
	}
}

// written is an object with one sibling.
func written(actor causal.Actor, at causal.Timestamp, value string) causal.Object {
	d := causal.Dot{Actor: actor, Time: at}
	return causal.Object{Vector: causal.Vector{d}, Siblings: []causal.Sibling{{Dot: d, Value: []byte(value)}}}
}

func item(key string, o causal.Object) Item { return Item{Key: []byte(key), Object: o} }

func hintOf(key string) Item { return item(key, written(1, 1, "value of "+key)) }

// stored is the object of a hint as it is in the engine; false if there is none.
func (s *Store) stored(t testing.TB, target ring.NodeID, key string) (head, causal.Object, bool) {
	t.Helper()
	rec, err := s.engine.Read(appendHintKey(nil, target, []byte(key)), nil)
	if errors.Is(err, storage.ErrNotFound) {
		return head{}, causal.Object{}, false
	}
	if err != nil {
		t.Fatal(err)
	}
	var o causal.Object
	h, err := decodeHint(&o, rec.Meta, rec.Value)
	if err != nil {
		t.Fatal(err)
	}
	return h, o, true
}

func (s *Store) targetStats(target ring.NodeID) TargetStats {
	for _, t := range s.Stats().Targets {
		if t.Target == target {
			return t
		}
	}
	return TargetStats{Target: target}
}

// checkBook compares the book with what is in the engine.
func (s *Store) checkBook(t testing.TB) {
	t.Helper()
	want := newBook(s.opts)
	for rec, err := range s.engine.Scan(storage.Range{KeysOnly: true}) {
		if err != nil {
			t.Fatal(err)
		}
		kind, target, key, err := parseKey(rec.Key)
		if err != nil {
			t.Fatal(err)
		}
		if kind == kindHint {
			h, _, err := parseMeta(rec.Meta)
			if err != nil {
				t.Fatal(err)
			}
			want.change(target, partition(key), entry{}, h.entry(len(rec.Key), len(rec.Meta)))
		}
	}
	if got, want := s.book.String(), want.String(); got != want {
		t.Errorf("the book says\n%s\nthe engine has\n%s", got, want)
	}
}

func (b *book) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := fmt.Sprintf("%d bytes, adding %d, %d, %v", b.bytes, b.addItems, b.addBytes, b.adding)
	for _, target := range []ring.NodeID{"n1", "n2", "n3"} {
		if a := b.accounts[target]; a != nil {
			s += fmt.Sprintf("\n%s: %+v", target, *a)
		}
	}
	return s
}

// bubble runs a test in fake time, on a disk in memory.
func bubble(t *testing.T, test func(t *testing.T, w *world, disk *vfstest.FS)) {
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(), vfstest.New()) })
}
