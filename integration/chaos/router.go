package chaos

import (
	"bytes"
	"container/heap"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

// router passes on IPv4 packets between its ends, in user space, so that all that can become of a packet on its way becomes of it here.
type router struct {
	// ends give a packet for each Read and take one with each Write. Their addresses are those of namespaceAddr.
	ends    []io.ReadWriteCloser
	running sync.WaitGroup
	closing chan struct{}
	// sooner has a token when a packet is held back that is due before all others.
	sooner chan struct{}

	mu   sync.Mutex
	hops map[[2]int]*hop
	late lateHeap
	// resetAt is when the connections of each end were last broken, and flows when each connection was made.
	resetAt []time.Time
	flows   map[flow]time.Time
	err     error
}

const (
	// heldBackMax bounds the packets that are held back; more are lost.
	heldBackMax = 1 << 14
	// flowsMax bounds the connections that are known. When there are more, resets spare all that were made before.
	flowsMax = 1 << 16
	// queueMax is how long a packet may wait for a way whose bandwidth is bounded; one that would wait longer is lost.
	queueMax = 300 * time.Millisecond
	// overtakenMax is how long a packet is held back so that others overtake it.
	overtakenMax = 20 * time.Millisecond
)

// newRouter takes the ends and closes them in close.
func newRouter(ends []io.ReadWriteCloser) *router {
	r := &router{
		ends: ends, closing: make(chan struct{}), sooner: make(chan struct{}, 1), hops: map[[2]int]*hop{}, resetAt: make([]time.Time, len(ends)),
		flows: map[flow]time.Time{},
	}
	for _, way := range everywhere(len(ends)) {
		r.hops[way] = &hop{imposed: map[string]condition{}}
	}
	for from := range ends {
		r.running.Go(func() { r.carry(from) })
	}
	r.running.Go(r.carryLate)
	return r
}

func (r *router) close() error {
	close(r.closing)
	var errs []error
	for _, end := range r.ends {
		errs = append(errs, end.Close())
	}
	r.running.Wait()
	return errors.Join(append(errs, r.err)...)
}

// impose has a condition hold on ways until lift with the same id.
func (r *router) impose(id string, ways [][2]int, c condition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, way := range ways {
		r.hops[way].imposed[id] = c
	}
}

func (r *router) lift(id string, ways [][2]int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, way := range ways {
		h := r.hops[way]
		delete(h.imposed, id)
		h.freeAt, h.lastAt = time.Time{}, time.Time{} // nothing that comes now waits for what was held back
	}
}

// reset breaks the connections that an end has now, each when something is next sent on it, if that is within resetInterval.
func (r *router) reset(end int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resetAt[end] = time.Now()
}

// carry passes on what one end sends until that is closed.
func (r *router) carry(from int) {
	buf := make([]byte, packetBytesMax)
	for {
		n, err := r.ends[from].Read(buf)
		if err != nil {
			if !errors.Is(err, os.ErrClosed) {
				r.fail(err)
			}
			return
		}
		if p, ok := parsePacket(buf[:n]); ok {
			r.pass(from, p)
		}
	}
}

func (r *router) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
}

// pass decides what becomes of a packet that an end has sent. The packet is the caller's again afterwards. Resets of connections pass
// whatever is imposed, as those of the proxies do.
func (r *router) pass(from int, p ipPacket) {
	to := namespaceOf(p.to())
	way, now := [2]int{from, to}, time.Now()
	r.mu.Lock()
	h := r.hops[way]
	if h == nil { // to nobody, or everybody
		r.mu.Unlock()
		return
	}
	if p.isTCP() && r.breaks(way, p, now) {
		r.mu.Unlock()
		there, back := p.resets()
		r.send(to, there)
		r.send(from, back)
		return
	}
	atOnce := 0
	for _, at := range h.arrivals(now, len(p.all)) {
		if h.waiting == 0 && !at.After(now) {
			atOnce++
		} else {
			r.holdBack(at, way, bytes.Clone(p.all))
		}
	}
	r.mu.Unlock()
	for range atOnce {
		r.send(to, p.all)
	}
}

// send hands a packet to an end. One that the end does not take is lost, as on any network.
func (r *router) send(to int, packet []byte) { _, _ = r.ends[to].Write(packet) }

// breaks notes which connections there are, and says whether a segment is of one that was reset. The caller holds r.mu.
func (r *router) breaks(way [2]int, p ipPacket, now time.Time) bool {
	f := p.flow()
	if p.has(flagSYN) {
		if len(r.flows) >= flowsMax {
			clear(r.flows)
		}
		r.flows[f] = now
		return false
	}
	made, known := r.flows[f]
	if p.has(flagRST) {
		delete(r.flows, f)
		return false
	}
	resetAt := later(r.resetAt[way[0]], r.resetAt[way[1]])
	return known && made.Before(resetAt) && now.Sub(resetAt) < resetInterval
}

// hop is one way from an end to another.
type hop struct {
	imposed map[string]condition
	// freeAt is when everything that has passed a bound of the bandwidth has left, and lastAt when the last packet that was not overtaken
	// arrives.
	freeAt, lastAt time.Time
	// waiting is how many packets are held back.
	waiting int
}

// arrivals are the times at which a packet that is sent now arrives: none if it is lost, two if it is duplicated.
func (h *hop) arrivals(now time.Time, size int) []time.Time {
	var (
		delay              time.Duration
		bytesPerSecond     int64
		twice, isOvertaken bool
	)
	for _, c := range h.imposed {
		if c.cut || rand.Float64() < c.loss {
			return nil
		}
		if c.delay > 0 {
			delay += c.delay/2 + rand.N(c.delay)
		}
		if c.bytesPerSecond > 0 && (bytesPerSecond == 0 || c.bytesPerSecond < bytesPerSecond) {
			bytesPerSecond = c.bytesPerSecond
		}
		twice = twice || rand.Float64() < c.duplicate
		isOvertaken = isOvertaken || rand.Float64() < c.reorder
	}
	at := now
	if bytesPerSecond > 0 {
		if at = later(now, h.freeAt); at.Sub(now) > queueMax {
			return nil
		}
		at = at.Add(time.Duration(size) * time.Second / time.Duration(bytesPerSecond))
		h.freeAt = at
	}
	at = at.Add(delay)
	if isOvertaken {
		at = at.Add(rand.N(overtakenMax))
	} else {
		at = later(at, h.lastAt)
		h.lastAt = at
	}
	if twice {
		return []time.Time{at, at.Add(rand.N(overtakenMax))}
	}
	return []time.Time{at}
}

func (h *hop) isCut() bool {
	for _, c := range h.imposed {
		if c.cut {
			return true
		}
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// heldBack is a packet that arrives later than it was sent; order is its number among all of them.
type heldBack struct {
	at     time.Time
	order  int
	way    [2]int
	packet []byte
}

// holdBack has a packet arrive later. The caller holds r.mu.
func (r *router) holdBack(at time.Time, way [2]int, packet []byte) {
	if len(r.late.packets) >= heldBackMax {
		return
	}
	r.late.orders++
	r.hops[way].waiting++
	heap.Push(&r.late, heldBack{at, r.late.orders, way, packet})
	if r.late.packets[0].order == r.late.orders {
		select {
		case r.sooner <- struct{}{}:
		default:
		}
	}
}

// carryLate has packets that were held back arrive, until close.
func (r *router) carryLate() {
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-due.C:
		case <-r.sooner:
		case <-r.closing:
			return
		}
		if next := r.sendDue(); !next.IsZero() {
			due.Reset(time.Until(next))
		}
	}
}

// sendDue sends what is due, unless its way was cut meanwhile, and says when something is next; the zero time if nothing is held back.
func (r *router) sendDue() (next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for len(r.late.packets) > 0 {
		if first := r.late.packets[0]; first.at.After(now) {
			return first.at
		}
		p := heap.Pop(&r.late).(heldBack)
		h := r.hops[p.way]
		h.waiting--
		if !h.isCut() {
			r.send(p.way[1], p.packet)
		}
	}
	return time.Time{}
}

// lateHeap has the packet that is due first on top, of several the one that was sent first.
type lateHeap struct {
	packets []heldBack
	// orders counts all packets that there have been.
	orders int
}

func (h *lateHeap) Len() int { return len(h.packets) }
func (h *lateHeap) Less(i, j int) bool {
	a, b := &h.packets[i], &h.packets[j]
	return a.at.Before(b.at) || a.at.Equal(b.at) && a.order < b.order
}
func (h *lateHeap) Swap(i, j int) { h.packets[i], h.packets[j] = h.packets[j], h.packets[i] }
func (h *lateHeap) Push(p any)    { h.packets = append(h.packets, p.(heldBack)) }
func (h *lateHeap) Pop() any {
	last := len(h.packets) - 1
	p := h.packets[last]
	h.packets[last] = heldBack{}
	h.packets = h.packets[:last]
	return p
}
