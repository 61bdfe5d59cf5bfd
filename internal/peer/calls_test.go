package peer

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/coordinator"
)

// Whatever happens to a call, in whatever order, it ends exactly once.
func TestEveryCallEndsExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const countMax = 8
		table := newCalls(countMax, 100)
		ends := make(map[int]int)
		ids := make(map[uint32]int)
		now, calls, closed := time.Duration(0), 0, false
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := calls
				calls++
				c := call{
					deadline: now + time.Duration(rapid.IntRange(0, 20).Draw(t, "timeout")), sent: now,
					bytes: rapid.IntRange(0, 60).Draw(t, "bytes"),
					store: func(coordinator.StoreAck, error) { ends[n]++ },
				}
				id, err := table.add(c)
				if err != nil {
					c.fail(err)
					return
				}
				if _, taken := ids[id]; taken {
					t.Fatalf("id %d was given out before", id)
				}
				ids[id] = n
			},
			"answer": func(t *rapid.T) {
				id := uint32(rapid.IntRange(0, calls+1).Draw(t, "id"))
				if c, ok := table.take(id); ok {
					c.store(coordinator.StoreAck{}, nil)
				}
			},
			"expire": func(t *rapid.T) {
				now += time.Duration(rapid.IntRange(0, 10).Draw(t, "pass"))
				table.expire(now)
				if table.next() <= now {
					t.Fatalf("at %d the next expiry is %d", now, table.next())
				}
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "luck") == 0 {
					table.close(errors.New("lost"), errors.New("closed"))
					closed = true
				}
			},
			"": func(t *rapid.T) {
				count, bytes := table.load()
				waiting := 0
				for n := range calls {
					switch ends[n] {
					case 0:
						waiting++
					case 1:
					default:
						t.Fatalf("call %d ended %d times", n, ends[n])
					}
				}
				if waiting != count || count > countMax || bytes > 100 && count > 1 || closed && count > 0 {
					t.Fatalf("%d calls have not ended, the table says %d with %d bytes", waiting, count, bytes)
				}
			},
		})
	})
}

func TestEarlierDeadlineIsAnnounced(t *testing.T) {
	table := newCalls(10, 1000)
	ignore := func(coordinator.StoreAck, error) {}
	add := func(deadline time.Duration) (announced bool) {
		if _, err := table.add(call{deadline: deadline, store: ignore}); err != nil {
			t.Fatal(err)
		}
		select {
		case <-table.sooner:
			return true
		default:
			return false
		}
	}
	if !add(100) || add(200) || !add(50) || table.next() != 50 {
		t.Fatal("want the first deadline and the earlier one announced")
	}
	table.expire(50)
	if table.next() != 100 {
		t.Fatalf("next is %d", table.next())
	}
}

func TestPingsAreNotBounded(t *testing.T) {
	table := newCalls(1, 10)
	var err error
	done := func(_ coordinator.StoreAck, e error) { err = e }
	if _, err := table.add(call{deadline: 1, store: done}); err != nil {
		t.Fatal(err)
	}
	if _, err := table.add(call{deadline: never, ping: func(pong, error) {}}); err != nil {
		t.Fatal(err)
	}
	if _, err := table.add(call{deadline: 1, store: done}); !errors.Is(err, errBusy) {
		t.Fatalf("got %v", err)
	}
	table.expire(1)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

// BenchmarkCalls is one call in and out of a table of a thousand.
func BenchmarkCalls(b *testing.B) {
	table := newCalls(1<<20, 1<<40)
	done := func(coordinator.StoreAck, error) {}
	for range 1000 {
		if _, err := table.add(call{deadline: time.Hour, store: done}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for now := time.Duration(0); b.Loop(); now += time.Microsecond {
		id, err := table.add(call{deadline: now + time.Second, store: done})
		if err != nil {
			b.Fatal(err)
		}
		table.expire(now)
		table.take(id)
	}
}

// BenchmarkSweep is a look through a full table of a hung peer, in which one call has expired.
func BenchmarkSweep(b *testing.B) {
	const full = 16384
	table := newCalls(full, 1<<40)
	done := func(coordinator.StoreAck, error) {}
	for i := range time.Duration(full) {
		if _, err := table.add(call{deadline: i, store: done}); err != nil {
			b.Fatal(err)
		}
	}
	for now := time.Duration(0); b.Loop(); now++ {
		table.expire(now)
		if _, err := table.add(call{deadline: now + full, store: done}); err != nil {
			b.Fatal(err)
		}
	}
}
