package peer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ringcask/ringcask/coordinator"
)

// errBusy: the requests under way to a peer are at a bound of Options.
var errBusy = errors.New("too many requests under way")

// call is one request that waits for its answer. Exactly one of the functions is set. Values, not pointers, stand in
// the table: a call costs no allocation.
type call struct {
	// deadline and sent are by Peers.elapsed.
	deadline, sent time.Duration
	bytes          int
	// count is how many results a read or a write must bring.
	count      int
	store      func(coordinator.StoreAck, error)
	read       func([]coordinator.ReadItem, error)
	scan       func(*coordinator.ScanPage, error)
	coordinate func([]coordinator.Outcome, error)
	exchange   func([]byte, error)
	ping       func(pong, error)
}

// fail ends the call with an error.
func (c *call) fail(err error) {
	switch {
	case c.store != nil:
		c.store(coordinator.StoreAck{}, err)
	case c.read != nil:
		c.read(nil, err)
	case c.scan != nil:
		c.scan(nil, err)
	case c.coordinate != nil:
		c.coordinate(nil, err)
	case c.exchange != nil:
		c.exchange(nil, err)
	case c.ping != nil:
		c.ping(pong{}, err)
	}
}

// never is the deadline of a call that only the end of its link ends.
const never = time.Duration(1<<63 - 1)

// calls is the table of the requests of one link that are not answered. Who takes a call out of it ends it: so each
// ends exactly once.
//
// Deadlines need no timer each: the table knows a moment before which nothing expires, and only then looks through all
// its calls. Calls mostly are answered long before, and deadlines mostly grow, so one pass serves thousands of calls.
type calls struct {
	countMax int
	bytesMax int64
	// sooner is told when the earliest deadline has moved towards now, or a request was added to a quiet table.
	sooner chan struct{}
	// expired is told of each call that expires; may be nil.
	expired func(c *call, waited time.Duration)

	mu      sync.Mutex
	waiting map[uint32]call
	last    uint32
	// count and bytes are of the requests in waiting: pings are not bounded.
	count int
	bytes int64
	// earliest is no later than any deadline in waiting.
	earliest time.Duration
	// since is when the oldest uninterrupted time began in which some request waited.
	since time.Duration
	// quiet says that nobody watches the table until a request is added.
	quiet  bool
	closed error
}

func newCalls(countMax int, bytesMax int64) *calls {
	return &calls{
		countMax: countMax, bytesMax: bytesMax, sooner: make(chan struct{}, 1),
		waiting: make(map[uint32]call), earliest: never,
	}
}

// add enters a call and returns its id. Ids count up and return only after four billion calls, so that no answer,
// however late, is taken for another's. Errors: errBusy, or what the table was closed with; the call is then the
// caller's to end.
func (t *calls) add(c call) (uint32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed != nil {
		return 0, t.closed
	}
	if c.ping == nil {
		if t.count >= t.countMax || t.count > 0 && t.bytes+int64(c.bytes) > t.bytesMax {
			return 0, errBusy
		}
		if t.count == 0 {
			t.since = c.sent
		}
		t.count++
		t.bytes += int64(c.bytes)
	}
	t.last++
	for _, taken := t.waiting[t.last]; taken; _, taken = t.waiting[t.last] {
		t.last++
	}
	t.waiting[t.last] = c
	if c.deadline < t.earliest || t.quiet && c.ping == nil {
		t.earliest = min(t.earliest, c.deadline)
		t.quiet = false
		select {
		case t.sooner <- struct{}{}:
		default:
		}
	}
	return t.last, nil
}

// silence is for how long requests have waited without a word from the peer, which was last heard at the given moment. due
// says whether that is to be looked at again soon; else whoever waits on sooner is told when a request is added.
func (t *calls) silence(now, heard time.Duration) (silence time.Duration, due bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		// A table that was busy a moment ago is looked at once more: waking somebody for each request would cost more.
		busy := now-heard < 2*watchInterval
		t.quiet = !busy
		return 0, busy
	}
	return now - max(t.since, heard), true
}

// take removes a call, which is then the caller's to end.
func (t *calls) take(id uint32) (call, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, ok := t.waiting[id]
	if ok {
		t.removeLocked(id, &c)
	}
	return c, ok
}

func (t *calls) removeLocked(id uint32, c *call) {
	delete(t.waiting, id)
	if c.ping == nil {
		t.count--
		t.bytes -= int64(c.bytes)
	}
}

// next is a moment before which nothing expires.
func (t *calls) next() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.earliest
}

// expire ends all calls whose deadline is not after now with context.DeadlineExceeded. It returns the longest time that
// one of them had waited.
func (t *calls) expire(now time.Duration) (waited time.Duration) {
	for _, c := range t.takeExpired(now) {
		waited = max(waited, now-c.sent)
		if t.expired != nil {
			t.expired(&c, now-c.sent)
		}
		c.fail(context.DeadlineExceeded)
	}
	return waited
}

func (t *calls) takeExpired(now time.Duration) (ended []call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now < t.earliest {
		return nil
	}
	t.earliest = never
	for id, c := range t.waiting {
		if c.deadline > now {
			t.earliest = min(t.earliest, c.deadline)
			continue
		}
		t.removeLocked(id, &c)
		ended = append(ended, c)
	}
	return ended
}

// close ends all calls with err and refuses new ones with refusal.
func (t *calls) close(err, refusal error) {
	t.mu.Lock()
	waiting := t.waiting
	t.waiting, t.count, t.bytes = nil, 0, 0
	if t.closed == nil {
		t.closed = refusal
	}
	t.mu.Unlock()
	for _, c := range waiting {
		c.fail(err)
	}
}

// load is how many requests wait, and their bytes.
func (t *calls) load() (count int, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count, t.bytes
}
