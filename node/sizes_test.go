package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringcask/ringcask/ring"
)

func TestWhatIsStoredIsCountedForWhoAsksButNotEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts := 0
		var broken error
		s := newSizes(func(chunk int, pause func() error, fn func([]byte, int)) error {
			if counts++; broken != nil {
				return broken
			}
			fn([]byte{0}, 10)
			fn([]byte{1}, 20)
			fn([]byte{1}, counts)
			return pause()
		}, func(key []byte) ring.PartitionID { return ring.PartitionID(key[0]) }, 2, time.Now)
		ctx, stop := context.WithCancel(t.Context())
		ran := make(chan struct{})
		go func() { defer close(ran); s.run(ctx, slog.New(slog.DiscardHandler)) }()

		first := s.get(ctx)
		if first.parts == nil || first.parts[1] != (partitionSize{keys: 2, bytes: 21}) || first.parts[0].keys != 1 {
			t.Fatalf("%+v", first)
		}
		time.Sleep(sizesAge / 2)
		if s.get(ctx); counts != 1 {
			t.Errorf("%d counts", counts)
		}
		time.Sleep(sizesAge)
		if got := s.get(ctx); !got.at.Equal(first.at) {
			t.Error("who asks waits, though there is a count")
		}
		synctest.Wait()
		if got := s.get(ctx); counts != 2 || got.parts[1].bytes != 22 {
			t.Errorf("%d counts, %+v", counts, got)
		}
		broken = errors.New("broken")
		time.Sleep(2 * sizesAge)
		s.get(ctx)
		synctest.Wait()
		if got := s.get(ctx); got.parts[1].bytes != 22 {
			t.Errorf("after a failure: %+v", got)
		}
		stop()
		<-ran
	})
}

func TestWhoAsksBeforeTheFirstCountIsNotHeldForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSizes(nil, nil, 1, time.Now)
		began := time.Now()
		if got := s.get(t.Context()); got.parts != nil || time.Since(began) != sizesWait {
			t.Errorf("%+v after %v", got, time.Since(began))
		}
	})
}
