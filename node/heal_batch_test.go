package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
)

// fakeHolder answers reads: as many keys as it has room for, but for those it cannot read. Nothing else is asked of it.
type fakeHolder struct {
	coordinator.Peer
	room    int
	unknown map[string]bool
	down    bool
	reads   int
}

func (f *fakeHolder) Read(_ time.Time, keys [][]byte, _ coordinator.ReadWant, done func([]coordinator.ReadItem, error)) {
	f.reads++
	if f.down {
		done(nil, errors.New("down"))
		return
	}
	items := make([]coordinator.ReadItem, len(keys))
	for i, key := range keys {
		switch {
		case i >= f.room:
			items[i].State = coordinator.ReadOmitted
		case f.unknown[string(key)]:
			items[i].State = coordinator.ReadUnknown
		default:
			dot := causal.Dot{Actor: 7, Time: 9}
			items[i].Object = causal.Put(causal.Object{}, nil, false, causal.Sibling{Dot: dot, Value: key})
		}
	}
	done(items, nil)
}

func healBatchOf(n int, others ...coordinator.Peer) *healBatch {
	b := &healBatch{others: others}
	for i := range n {
		b.keys = append(b.keys, fmt.Append(nil, "key", i))
	}
	b.begin()
	return b
}

// storing keeps all stores waiting until there are as many as are expected, and then lets them all end.
type storing struct {
	expect int
	ended  []func(coordinator.StoreAck, error)
}

func (s *storing) store(_ time.Time, _ coordinator.Item, done func(coordinator.StoreAck, error)) {
	if s.ended = append(s.ended, done); len(s.ended) == s.expect {
		for _, done := range s.ended {
			done(coordinator.StoreAck{}, nil)
		}
	}
}

func TestABatchOfKeysIsHealedByOneReadFromEach(t *testing.T) {
	a, b := &fakeHolder{room: 500}, &fakeHolder{room: 500, unknown: map[string]bool{"key7": true}}
	batch := healBatchOf(300, a, b)
	for _, peer := range batch.others {
		batch.ask(context.Background(), time.Now().Add(time.Second), peer)
	}
	if a.reads != 1 || b.reads != 1 {
		t.Errorf("%d and %d reads", a.reads, b.reads)
	}
	s := &storing{expect: 299} // would wait for ever if one store waited for another
	if stored := batch.restore(time.Time{}, 2, s.store); len(stored) != 299 {
		t.Errorf("%d keys healed, one cannot be read by one of the two that are needed", len(stored))
	}
}

func TestKeysThatAnAnswerHadNoRoomForAreAskedForAgain(t *testing.T) {
	small, full, down := &fakeHolder{room: 100}, &fakeHolder{}, &fakeHolder{down: true}
	batch := healBatchOf(250, small, full, down)
	for _, peer := range batch.others {
		batch.ask(context.Background(), time.Now().Add(time.Second), peer)
	}
	if small.reads != 3 || full.reads != 1 || down.reads != 1 {
		t.Errorf("%d, %d and %d reads", small.reads, full.reads, down.reads)
	}
	for i, known := range batch.known {
		if known != 1 || len(batch.joined[i].Siblings) != 1 {
			t.Fatalf("key %d is known by %d: %v", i, known, batch.joined[i])
		}
	}
}
