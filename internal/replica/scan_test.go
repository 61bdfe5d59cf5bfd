package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func (r *Replica) scanPage(req coordinator.ScanRequest) (page *coordinator.ScanPage, err error) {
	r.Scan(time.Time{}, req, func(p *coordinator.ScanPage, e error) { page, err = p, e })
	return page, err
}

// scanAll pages through a request to its end and returns the keys.
func (r *Replica) scanAll(t *rapid.T, req coordinator.ScanRequest) (keys []string) {
	for range 1000 {
		page, err := r.scanPage(req)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) > req.ItemsMax {
			t.Fatalf("%d items, at most %d", len(page.Items), req.ItemsMax)
		}
		size := 0
		for i, it := range page.Items {
			if size >= req.BytesMax {
				t.Fatalf("item %d is past %d bytes", i, req.BytesMax)
			}
			size += len(it.Key)
			for _, s := range it.Object.Siblings {
				size += len(s.Value)
				if req.HeadsOnly != (s.Value == nil) && !s.Tombstone {
					t.Fatalf("%s: heads only is %v, value %q", it.Key, req.HeadsOnly, s.Value)
				}
			}
			keys = append(keys, string(it.Key))
		}
		if !page.More {
			return keys
		}
		if req.Reverse {
			req.End = page.Resume
		} else {
			req.Start = page.Resume
		}
	}
	t.Fatal("the scan does not end")
	return nil
}

// filled is a replica of a few hundred keys of all shapes, and the sorted keys.
func filled(t *testing.T) (*Replica, []string) {
	t.Helper()
	opts := options(t, vfstest.New())
	r := mustOpen(t, opts)
	var ds []coordinator.Decision
	var keys []string
	for i := range 200 {
		key := fmt.Sprintf("key/%03d", i*7%200)
		keys = append(keys, key)
		d := put(key, fmt.Sprint("value ", i))
		d.Tombstone = i%11 == 0
		ds = append(ds, d)
	}
	if _, _, err := r.writeNow(ds...); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{2, 20} {
		key := fmt.Sprintf("key/crowd %d", n)
		keys = append(keys, key)
		r.mustStore(t, item(key, crowd(n)))
	}
	slices.Sort(keys)
	return r, keys
}

func TestPagesOfAScanAreTogetherWhatIsThere(t *testing.T) {
	r, keys := filled(t)
	partitionOf := r.opts.Table.Partition
	rapid.Check(t, func(t *rapid.T) {
		req := coordinator.ScanRequest{
			Reverse: rapid.Bool().Draw(t, "reverse"), HeadsOnly: rapid.Bool().Draw(t, "heads"),
			ItemsMax:   rapid.IntRange(1, 60).Draw(t, "items"),
			BytesMax:   rapid.IntRange(1, 2000).Draw(t, "bytes"),
			ScannedMax: rapid.IntRange(1, 80).Draw(t, "scanned"),
		}
		bound := rapid.SampledFrom(append([]string{"", "a", "key/1", "z"}, keys...))
		start, end := bound.Draw(t, "start"), bound.Draw(t, "end")
		req.Start, req.End = []byte(start), []byte(end)
		if rapid.Bool().Draw(t, "some partitions") {
			req.Partitions = rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 20), func(n int) ring.PartitionID {
				return ring.PartitionID(n)
			}), 0, 8).Draw(t, "partitions")
		}
		var want []string
		for _, k := range keys {
			in := k >= start && (end == "" || k < end)
			if in && (req.Partitions == nil || slices.Contains(req.Partitions, partitionOf([]byte(k)))) {
				want = append(want, k)
			}
		}
		if req.Reverse {
			slices.Reverse(want)
		}
		if got := r.scanAll(t, req); !slices.Equal(got, want) {
			t.Fatalf("got  %q\nwant %q", got, want)
		}
	})
}

func TestScanLooksAtNoMoreRecordsThanItMay(t *testing.T) {
	r, keys := filled(t)
	nobody := []ring.PartitionID{}
	req := coordinator.ScanRequest{Partitions: nobody, ItemsMax: 9, BytesMax: 9, ScannedMax: 50}
	pages := 0
	for {
		page, err := r.scanPage(req)
		if err != nil || len(page.Items) > 0 {
			t.Fatalf("got %v, %v", page, err)
		}
		pages++
		if !page.More {
			break
		}
		req.Start = page.Resume
	}
	if want := len(keys)/50 + 1; pages != want {
		t.Fatalf("%d pages for %d records, want %d", pages, len(keys), want)
	}
}

func TestScanOfHeadsReadsNoValueThatIsNotNeeded(t *testing.T) {
	disk := vfstest.New()
	r := mustOpen(t, options(t, disk))
	for i := range 10 {
		r.mustWrite(t, put(fmt.Sprint(i), "v"))
	}
	disk.ResetEvents()
	page, err := r.scanPage(coordinator.ScanRequest{HeadsOnly: true, ItemsMax: 99, BytesMax: 1 << 20, ScannedMax: 99})
	if err != nil || len(page.Items) != 10 || page.More {
		t.Fatalf("got %v, %v", page, err)
	}
	if items, err := r.readKeys(coordinator.WantHeads, "3", "none", "4"); err != nil || len(items) != 3 ||
		len(items[0].Object.Siblings) != 1 || !items[1].Object.IsZero() || items[2].Object.Siblings[0].Value != nil {
		t.Fatalf("got %v, %v", items, err)
	}
	if reads := disk.Events(vfstest.OpRead); len(reads) != 0 {
		t.Fatalf("read %v", reads)
	}
}

func TestReadsAndScansWhoseDeadlineHasPassedFail(t *testing.T) {
	r, _ := filled(t)
	late := time.Now().Add(-time.Second)
	r.Scan(late, coordinator.ScanRequest{ItemsMax: 1, BytesMax: 1, ScannedMax: 1}, func(_ *coordinator.ScanPage, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("scan: %v", err)
		}
	})
	r.Read(late, [][]byte{[]byte("k")}, coordinator.WantValues, func(_ []coordinator.ReadItem, err error) {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
	})
}

func TestAReadIsBoundedInBytesButNeverEmpty(t *testing.T) {
	opts := options(t, vfstest.New())
	opts.ReadBytesMax = 3
	r := mustOpen(t, opts)
	for _, k := range []string{"a", "b", "c"} {
		r.mustWrite(t, put(k, "12"))
	}
	for want, states := range map[coordinator.ReadWant][]coordinator.ReadState{
		coordinator.WantValues: {coordinator.ReadKnown, coordinator.ReadKnown, coordinator.ReadOmitted},
		coordinator.WantHeads:  {coordinator.ReadKnown, coordinator.ReadKnown, coordinator.ReadKnown},
	} {
		items, err := r.readKeys(want, "a", "b", "c")
		if err != nil {
			t.Fatal(err)
		}
		for i, state := range states {
			if items[i].State != state {
				t.Errorf("want %v, key %d: state %v, not %v", want, i, items[i].State, state)
			}
		}
	}
}

// TestAPageThatLostARangeOfKeysFails damages a merged file, in which what stood in a damaged block is known by its range only.
func TestAPageThatLostARangeOfKeysFails(t *testing.T) {
	r, keys := filled(t)
	if err := r.engine.Merge(t.Context()); err != nil {
		t.Fatal(err)
	}
	disk := r.opts.Storage.FS.(*vfstest.FS)
	names, err := disk.List(r.dir.engine())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, ".run") })
	if i < 0 {
		t.Fatalf("no merged file among %q", names)
	}
	if err := disk.Damage(r.dir.engine()+"/"+names[i], 6000, 2); err != nil {
		t.Fatal(err)
	}
	all := coordinator.ScanRequest{ItemsMax: 1000, BytesMax: 1 << 20, ScannedMax: 1000}
	nobody := all
	nobody.Partitions = []ring.PartitionID{}
	reversed := all
	reversed.Reverse = true
	for name, req := range map[string]coordinator.ScanRequest{"all": all, "reversed": reversed, "nobody's partitions": nobody} {
		if page, err := r.scanPage(req); !errors.Is(err, coordinator.ErrUnknownKey) {
			t.Errorf("%s: %v, %v", name, page, err)
		}
	}
	// Away from the damage nothing is in doubt.
	first := all
	first.End = []byte(keys[5])
	if page, err := r.scanPage(first); err != nil || len(page.Items) != 5 || len(page.Unknown) > 0 {
		t.Errorf("before the damage: %v, %v", page, err)
	}
}
