package replica

import (
	"errors"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func TestWhatIsStoredCanBeLookedAtAsItIs(t *testing.T) {
	r := mustOpen(t, options(t, vfstest.New()))
	if _, _, err := r.Stored([]byte("k")); !errors.Is(err, storage.ErrNotFound) || Unreadable(err) {
		t.Errorf("absent: %v", err)
	}
	r.learn(t, "k", causal.Vector{{Actor: 7, Time: 5}})
	r.mustWrite(t, put("k", "value"))
	o, meta, err := r.Stored([]byte("k"))
	if err != nil || len(o.Vector) != 1 || o.Vector.Get(7) != 0 || string(o.Siblings[0].Value) != "value" || len(meta) == 0 {
		t.Errorf("%+v, %x, %v", o, meta, err)
	}
	r.mustWrite(t, put("l", "v"))
	sizes, pauses := map[string]int{}, 0
	must(t, r.EachStored(1, func() error { pauses++; return nil }, func(key []byte, bytes int) { sizes[string(key)] = bytes }))
	if len(sizes) != 2 || sizes["k"] < len("k")+len("value")+15 || pauses != 2 {
		t.Errorf("%v after %d pauses", sizes, pauses)
	}
	stopped := errors.New("stopped")
	if err := r.EachStored(1, func() error { return stopped }, func([]byte, int) {}); !errors.Is(err, stopped) {
		t.Errorf("%v", err)
	}
}

func TestAPartitionThatIsNotFilledSaysSinceWhen(t *testing.T) {
	opts := options(t, vfstest.New())
	now := time.UnixMilli(1_700_000_000_000)
	opts.Now = func() time.Time { return now }
	r := mustOpen(t, opts)
	if at := r.UnfilledSince(1); !at.IsZero() {
		t.Errorf("filled, and unfilled since %v", at)
	}
	lost := now
	must(t, r.Refill(1))
	now = now.Add(time.Minute)
	must(t, r.Refill(1, 2))
	if at := r.UnfilledSince(1); !at.Equal(lost) {
		t.Errorf("unfilled since %v, was lost at %v", at, lost)
	}
	must(t, r.Fill(1))
	if at := r.UnfilledSince(1); !at.IsZero() {
		t.Errorf("filled again, and unfilled since %v", at)
	}
}
