package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// diary is what a run was told, over any number of crashes.
type diary struct {
	// acked are the objects that were acknowledged, by key; handed all that were handed out.
	acked map[string][]causal.Object
	last  causal.Timestamp
	dots  map[causal.Dot]bool
}

func newDiary() *diary {
	return &diary{acked: map[string][]causal.Object{}, dots: map[causal.Dot]bool{}}
}

// write writes one batch and keeps account of it. It fails the test where a dot is issued twice or not in order.
func (d *diary) write(t *testing.T, r *Replica, ds ...coordinator.Decision) {
	t.Helper()
	out, handed, err := r.writeNow(ds...)
	if !handed {
		return
	}
	for i, o := range out {
		if d.dots[o.Dot] || o.Dot.Time <= d.last {
			t.Fatalf("dot %v was issued before, or is not above %v", o.Dot, d.last)
		}
		d.dots[o.Dot], d.last = true, o.Dot.Time
		if err == nil {
			d.acked[string(ds[i].Key)] = append(d.acked[string(ds[i].Key)], o.Object)
		}
	}
}

func (d *diary) store(r *Replica, key string, o causal.Object) {
	if _, err := r.storeNow(item(key, o)); err == nil {
		d.acked[key] = append(d.acked[key], o)
	}
}

// missing says which acknowledged object is not part of what the replica holds, if any.
func (d *diary) missing(t *testing.T, r *Replica) error {
	t.Helper()
	for key, objects := range d.acked {
		held := r.mustRead(t, key)
		for _, o := range objects {
			if !causal.Join(held, o).Equal(held) {
				return fmt.Errorf("%s holds %v, but %v was acknowledged", key, held.Heads(), o.Heads())
			}
		}
	}
	return nil
}

// work is a run of a node: opened, written to, closed, opened again and written to. It ends where the power fails.
func (d *diary) work(t *testing.T, opts Options) {
	for run := range 2 {
		r, err := Open(testDir, opts)
		if err != nil {
			return
		}
		for i := range 4 {
			key, other := fmt.Sprint("key ", i%2), causal.Actor(i+1)
			d.write(t, r, put(key, "blind"), put(fmt.Sprint("batch ", i), strings.Repeat("b", 300)))
			d.store(r, key, foreign(other, causal.Timestamp(run+1), "foreign"))
			d.write(t, r, putAfter(key, "after", causal.Vector{{Actor: other, Time: 1}}))
		}
		if r.Close(context.Background()) != nil {
			return
		}
	}
}

func TestAcknowledgedWritesSurviveACrashAtEveryPoint(t *testing.T) {
	finished := false
	every := 1
	if testing.Short() {
		every = 5
	}
	for n := 0; !finished; n += every {
		disk := vfstest.New()
		now := noon
		opts := options(t, disk)
		opts.Now = func() time.Time { return now }
		opts.Storage.SegmentBytesMax = 4 << 10
		d := newDiary()
		disk.CrashAfter(n)
		d.work(t, opts)
		finished = !disk.Crashed()

		opts.Storage.FS = disk.Crash(vfstest.Random(uint64(n)))
		now = noon.Add(-time.Hour)
		r, err := Open(testDir, opts)
		if err != nil {
			t.Fatalf("crash after %d changes: %v", n, err)
		}
		before := d.missing(t, r)
		d.write(t, r, put("key 0", "afterwards"), put("key 1", "afterwards"))
		if err := errors.Join(before, d.missing(t, r)); err != nil {
			t.Fatalf("crash after %d changes: %v", n, err)
		}
		if damage := r.Recovery().Damage; len(damage) > 0 {
			t.Fatalf("crash after %d changes: damage %v", n, damage)
		}
		mustClose(t, r)
		if t.Failed() {
			return
		}
	}
}

// TestCrashTestCatchesAcknowledgementsBeforeTheSync plants a bug: the engine does not sync. The diary must notice.
func TestCrashTestCatchesAcknowledgementsBeforeTheSync(t *testing.T) {
	disk := vfstest.New()
	opts := options(t, disk)
	opts.Storage.Sync = storage.SyncNever
	d := newDiary()
	r := mustOpen(t, opts)
	d.write(t, r, put("k", "v"))
	opts.Storage.FS = disk.Crash(vfstest.Nothing())
	if err := d.missing(t, mustOpen(t, opts)); err == nil {
		t.Fatal("a write that was acknowledged and lost goes unnoticed")
	}
}

func TestUnreadableRecordIsUnknownAndTakesNoWriteAndNoJoin(t *testing.T) {
	disk := vfstest.New()
	opts := options(t, disk)
	opts.Storage.SegmentBytesMax = 4 << 10
	r := mustOpen(t, opts)
	lost := strings.Repeat("x", 5000)
	r.mustWrite(t, put("good", "v"))
	r.mustWrite(t, put("bad", lost))
	r.mustWrite(t, put("fine", "v")) // in the next segment: that of the others is sealed and has a hint file
	mustClose(t, r)
	damageValue(t, disk, lost)

	r = mustOpen(t, opts)
	items, err := r.readKeys(coordinator.WantValues, "good", "bad", "fine")
	if err != nil || items[0].State != coordinator.ReadKnown || items[1].State != coordinator.ReadUnknown ||
		items[2].State != coordinator.ReadKnown || !items[1].Object.IsZero() {
		t.Fatalf("states %v %v %v, %v, recovery %+v", items[0].State, items[1].State, items[2].State, err, r.Recovery())
	}
	if r.UnknownAnswers() == 0 || r.Status().Damage == 0 {
		t.Fatalf("%d unknown answers, damage %d", r.UnknownAnswers(), r.Status().Damage)
	}
	out, handed, err := r.writeNow(put("good", "w"), put("bad", "w"))
	if err != nil || !handed || out[0].Err != nil || !errors.Is(out[1].Err, coordinator.ErrUnknownKey) {
		t.Fatalf("write: %v, %v", out, err)
	}
	if _, err := r.storeNow(item("good", foreign(1, 1, "v")), item("bad", foreign(1, 1, "v"))); !errors.Is(err, coordinator.ErrUnknownKey) {
		t.Fatalf("store: %v", err)
	}
	page, err := r.scanPage(coordinator.ScanRequest{ItemsMax: 9, BytesMax: 1 << 20, ScannedMax: 9})
	if err != nil || len(page.Items) != 2 || len(page.Unknown) != 1 || string(page.Unknown[0]) != "bad" {
		t.Fatalf("scan: %d items, unknown %q, %v", len(page.Items), page.Unknown, err)
	}
	mustClose(t, r)
	if again := mustOpen(t, opts); again.Actor() == r.Actor() {
		t.Fatal("the actor was kept although a record was lost")
	}
}

func TestWhatMayHaveBeenLostIsUnknownWhereTheKeysAreNot(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	lost := strings.Repeat("x", 5000)
	r.mustWrite(t, put("before", "v"))
	r.mustWrite(t, put("bad", lost))
	r.mustWrite(t, put("after", "v"))
	mustClose(t, r)
	damageValue(t, disk, lost) // in the active segment: nothing else says whose record it was

	again := mustOpen(t, options(t, disk))
	if again.Actor() == r.Actor() {
		t.Fatal("the actor was kept")
	}
	for _, want := range []coordinator.ReadWant{coordinator.WantValues, coordinator.WantHeads} {
		items, err := again.readKeys(want, "before", "bad", "absent", "after")
		if err != nil {
			t.Fatal(err)
		}
		for i, state := range []coordinator.ReadState{
			coordinator.ReadUnknown, coordinator.ReadUnknown, coordinator.ReadUnknown, coordinator.ReadUnknown,
		} {
			if items[i].State != state {
				t.Errorf("want %v, key %d: state %v", want, i, items[i].State)
			}
		}
	}
	if _, err := again.scanPage(coordinator.ScanRequest{ItemsMax: 9, BytesMax: 1 << 20, ScannedMax: 9}); !errors.Is(err, coordinator.ErrUnknownKey) {
		t.Errorf("scan: %v", err)
	}
	out, _, err := again.writeNow(put("absent", "w"), put("after", "w"))
	if err != nil || !errors.Is(out[0].Err, coordinator.ErrUnknownKey) || !errors.Is(out[1].Err, coordinator.ErrUnknownKey) {
		t.Errorf("write: %v, %v", out, err)
	}
	if len(again.Unfilled()) != 16 {
		t.Errorf("only the partitions %v are being filled again", again.Unfilled())
	}
	again.mustStore(t, item("bad", foreign(1, 1, "v"))) // what other replicas have
}

// damageValue flips a byte in the middle of the only place in the log where value stands.
func damageValue(t *testing.T, disk *vfstest.FS, value string) {
	t.Helper()
	names, err := disk.List(testDir + "/engine")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := testDir + "/engine/" + name
		if info, err := disk.Stat(path); err != nil || info.Dir {
			continue
		}
		data, err := disk.Content(path)
		if err != nil {
			continue
		}
		if at := strings.Index(string(data), value); at >= 0 {
			if err := disk.Damage(path, int64(at+len(value)/2), 1); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the value is in no file")
}
