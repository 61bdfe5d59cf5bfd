package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
)

const (
	failoverWriters = 32
	// failoverRamp is how long the writers run before a node fails, so that everybody knows how long answers usually take.
	failoverRamp = 2 * time.Second
	// failoverCalm is for how long they are then watched while nothing fails: what the machine does to them by itself.
	failoverCalm = 3 * time.Second
	// failoverNotice is how long after a failure it is surely noticed: what stalls later has other causes.
	failoverNotice = time.Second
	// failoverPause is how long a paused node stays so.
	failoverPause = 10 * time.Second
)

// ackLog knows the longest time without any acknowledgement, over all writers, since it was last reset.
type ackLog struct {
	mu      sync.Mutex
	begun   time.Time
	last    time.Time
	longest time.Duration
	// from is when the longest time began, counted from the reset.
	from time.Duration
	acks int
}

// begin comes before all else.
func (l *ackLog) begin() {
	l.begun = time.Now()
	l.last = l.begun
}

// note takes an acknowledgement, or the end of the time that is looked at, into account.
func (l *ackLog) note(ack bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if gap := now.Sub(l.last); gap > l.longest {
		l.longest, l.from = gap, l.last.Sub(l.begun)
	}
	l.last = now
	if ack {
		l.acks++
	}
}

// reset begins anew and returns what was seen.
func (l *ackLog) reset() (longest, from time.Duration, acks int) {
	l.note(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	longest, from, acks = l.longest, l.from, l.acks
	l.begun, l.longest, l.from, l.acks = l.last, 0, 0, 0
	return longest, from, acks
}

// writers put random keys at W=2, each with a client of its own, until stop is called.
type writers struct {
	log    ackLog
	failed atomic.Int64
	// failure is the last error.
	failure atomic.Pointer[error]
	// worst is the longest that one put took.
	worst atomic.Int64
	stop  func()
}

func (c *cluster) startWriters() *writers {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	w := &writers{}
	w.log.begin()
	var running sync.WaitGroup
	for i := range failoverWriters {
		cl := c.routed()
		running.Go(func() {
			r := rand.New(rand.NewPCG(3, uint64(i)))
			for ctx.Err() == nil {
				w.put(ctx, cl, benchKey(r.IntN(benchKeys)), benchValue(r))
			}
			cl.Close()
		})
	}
	w.stop = func() {
		cancel()
		running.Wait()
	}
	return w
}

func (w *writers) put(ctx context.Context, cl *client.Client, key, value []byte) {
	began := time.Now()
	_, err := cl.Put(ctx, key, value, &client.PutOptions{W: 2})
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		w.failed.Add(1)
		w.failure.Store(&err)
		return
	}
	w.log.note(true)
	for took := int64(time.Since(began)); ; {
		if worst := w.worst.Load(); took <= worst || w.worst.CompareAndSwap(worst, took) {
			return
		}
	}
}

// outage is what one failure of a node did to the writers.
type outage struct {
	// calm is the longest time without an acknowledgement before the failure; first that in the second after it; gap that
	// from the failure on, which began at from.
	calm, first, gap, from time.Duration
	worst                  time.Duration
	failed                 int64
	acks                   int
}

// measureOutage runs writers, has a node fail for a while, and brings it back.
func (c *cluster) measureOutage(fail func(), outlast time.Duration, recover func()) outage {
	c.t.Helper()
	w := c.startWriters()
	defer w.stop()
	wait(c.t, failoverRamp)
	w.log.reset()
	wait(c.t, failoverCalm)
	var o outage
	o.calm, _, _ = w.log.reset()
	w.worst.Store(0)
	w.failed.Store(0)
	fail()
	wait(c.t, failoverNotice)
	first, from, acks := w.log.reset()
	wait(c.t, outlast-failoverNotice)
	recover()
	o.gap, o.from, o.acks = w.log.reset()
	o.first, o.from, o.acks = first, o.from+failoverNotice, o.acks+acks
	if first >= o.gap {
		o.gap, o.from = first, from
	}
	o.worst, o.failed = time.Duration(w.worst.Load()), w.failed.Load()
	if err := w.failure.Load(); o.failed > 0 {
		c.t.Logf("the last of %d failures: %v", o.failed, *err)
	}
	return o
}

// wait lets the writers run for a while: it is the time that is measured, not a condition that is waited for.
func wait(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test ended")
	}
}

// BenchmarkOutage reports the longest time without any acknowledgement over 32 writers at W=2 when one of three nodes is killed, when it
// is paused for ten seconds, and when the first two do not reach each other for as long: the median and the worst of so many rounds as b.N
// says (-benchtime=5x).
func BenchmarkOutage(b *testing.B) {
	for _, how := range []string{"kill", "pause", "cut"} {
		b.Run(how, func(b *testing.B) {
			c := startCluster(b, clusterOptions{stopped: true})
			var links []*link
			if how == "cut" {
				links = c.linkPair()
			}
			c.start()
			var calms, firsts, gaps, worsts []time.Duration
			failed := int64(0)
			b.ResetTimer()
			for i := range b.N {
				o := c.outage(how, c.nodes[i%len(c.nodes)], links)
				b.Logf("%s of %s: no acknowledgement for %v from %v on, %v in the first second, %v before; slowest put %v, %d failed, %d acknowledged",
					how, c.nodes[i%len(c.nodes)].id, o.gap, o.from, o.first, o.calm, o.worst, o.failed, o.acks)
				calms, firsts = append(calms, o.calm), append(firsts, o.first)
				gaps, worsts = append(gaps, o.gap), append(worsts, o.worst)
				failed += o.failed
			}
			millis := func(of []time.Duration, rank int) float64 {
				slices.Sort(of)
				return float64(of[rank].Microseconds()) / 1e3
			}
			b.ReportMetric(millis(calms, len(calms)/2), "calm-gap-median-ms")
			b.ReportMetric(millis(firsts, len(firsts)/2), "first-second-median-ms")
			b.ReportMetric(millis(gaps, len(gaps)/2), "gap-median-ms")
			b.ReportMetric(millis(gaps, len(gaps)-1), "gap-worst-ms")
			b.ReportMetric(millis(worsts, len(worsts)/2), "put-worst-median-ms")
			b.ReportMetric(float64(failed), "failed")
		})
	}
}

// outage has a node fail in one of two ways, or the links be cut, and returns when all is well again.
func (c *cluster) outage(how string, n *testNode, links []*link) (o outage) {
	c.t.Helper()
	switch how {
	case "kill":
		o = c.measureOutage(n.kill, 3*time.Second, func() {})
		c.restart(n)
	case "pause":
		o = c.measureOutage(func() { n.signal(syscall.SIGSTOP) }, failoverPause, func() { n.signal(syscall.SIGCONT) })
		c.waitReady(n)
	case "cut":
		o = c.measureOutage(func() { each(links, (*link).hush) }, failoverPause, func() { each(links, (*link).restore) })
	}
	c.waitReachable()
	return o
}

// waitReachable waits until every node reaches every other.
func (c *cluster) waitReachable() {
	c.t.Helper()
	for _, n := range c.nodes {
		cl := c.direct(n)
		eventually(c.t, 15*time.Second, n.id+" reaches all", func() error {
			s, err := cl.Status(c.t.Context(), n.rpc)
			if err != nil {
				return err
			}
			for _, m := range s.Members {
				if !m.Reachable {
					return fmt.Errorf("%s: %s", m.ID, m.Reason)
				}
			}
			return nil
		})
	}
}
