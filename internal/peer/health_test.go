package peer

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/ring"
)

func TestAHungPeerIsPassedOverBeforeItCountsAsUnreachable(t *testing.T) {
	members, listeners := listen(t, 2)
	o := testOptions(t, members, 0)
	o.PingInterval, o.LinkTimeout = time.Hour, 2*time.Hour
	n := start(t, o, listeners[0])
	acceptPuppet(t, n, listeners[1])
	defer listeners[1].Close()
	awaitLinks(t, n)
	p := n.Peer("n2")
	p.Store(time.Now().Add(time.Minute), []coordinator.Item{item("k", "v")}, func(coordinator.StoreAck, error) {})
	eventually(t, "the peer is slow", func() bool { return p.Health().Slow })
	if s := n.Status()[0]; !s.Slow || !s.Reachable {
		t.Errorf("%+v", s)
	}
}

func TestAPeerThatAnswersPingsOnlyIsNotHung(t *testing.T) {
	nodes := startCluster(t, 2, func(_ int, o *Options) { o.PingInterval, o.LinkTimeout = time.Hour, 2*time.Hour })
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onStore = func(time.Time, []coordinator.Item, func(coordinator.StoreAck, error)) {}
	})
	r := nodes[0].remotes["n2"]
	before := r.links[foreground].Load().answered.Load()
	r.Store(time.Now().Add(time.Minute), []coordinator.Item{item("k", "v")}, func(coordinator.StoreAck, error) {})
	eventually(t, "it is pinged out of turn, again and again", func() bool {
		c := r.links[foreground].Load()
		return c.answered.Load() > before+int64(3*c.p.opt.ProbeAfter)
	})
	if !r.Reachable() {
		t.Error("it counts as unreachable")
	}
}

func TestAPeerMuchSlowerThanAnotherIsSlowUntilItIsNot(t *testing.T) {
	nodes := startCluster(t, 3, func(_ int, o *Options) { o.SlowAfter = time.Millisecond })
	var late atomic.Int64
	late.Store(int64(30 * time.Millisecond))
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onStore = func(_ time.Time, _ []coordinator.Item, done func(coordinator.StoreAck, error)) {
			time.AfterFunc(time.Duration(late.Load()), func() { done(coordinator.StoreAck{Actor: l.Actor()}, nil) })
		}
	})
	both := func() {
		for _, p := range []coordinator.Peer{nodes[0].Peer("n2"), nodes[0].Peer("n3")} {
			for range meanSamplesMin {
				p.Store(time.Now().Add(time.Minute), []coordinator.Item{item("k", "v")}, func(coordinator.StoreAck, error) {})
			}
		}
	}
	// Health calls slow also who is late with a ping, as anybody may be on a busy machine.
	slow := func(id ring.NodeID) bool { return nodes[0].remotes[id].health.slow.Load() }
	eventually(t, "n2 is slow", func() bool { both(); return slow("n2") })
	if slow("n3") {
		t.Error("n3 is slow, too")
	}
	late.Store(0)
	eventually(t, "n2 is slow no more", func() bool { return !slow("n2") })
}

func TestTheTailOfReadsIsMeasured(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	p := nodes[0].Peer("n2")
	eventually(t, "the tail is known", func() bool {
		if _, err := read(t, p, time.Minute, coordinator.WantValues, "k"); err != nil {
			t.Fatal(err)
		}
		return p.Health().Tail > 0
	})
}

func TestAPeerIsAvoidedForAsLongAsItIsSaid(t *testing.T) {
	members, _ := listen(t, 2)
	p, err := New(testOptions(t, members, 0))
	must(t, err)
	p.Avoid("n2", true)
	if h := p.Peer("n2").Health(); !h.Reluctant || h.Slow {
		t.Errorf("%+v", h)
	}
	p.Avoid("n2", false)
	p.Avoid("nobody", true)
	if p.Peer("n2").Health().Reluctant {
		t.Error("avoided for ever")
	}
}

func TestAQuietTableTellsOfTheNextRequestAndABusyOneIsLookedAtAgain(t *testing.T) {
	table := newCalls(10, 1000)
	if silence, due := table.silence(time.Second, 0); silence != 0 || due {
		t.Errorf("an idle table: %v, %v", silence, due)
	}
	id, err := table.add(call{deadline: never, sent: 2 * time.Second, store: func(coordinator.StoreAck, error) {}})
	must(t, err)
	select {
	case <-table.sooner:
	default:
		t.Error("nobody was told of the request")
	}
	if silence, due := table.silence(5*time.Second, time.Second); silence != 3*time.Second || !due {
		t.Errorf("since the request: %v, %v", silence, due)
	}
	if silence, _ := table.silence(5*time.Second, 4*time.Second); silence != time.Second {
		t.Errorf("since the last word: %v", silence)
	}
	table.take(id)
	if _, due := table.silence(5*time.Second, 5*time.Second); !due {
		t.Error("a table that was busy a moment ago is not looked at again")
	}
}

func TestABulkLinkIsPingedHalfAsOften(t *testing.T) {
	for _, c := range []struct{ ping, link, foreground, bulk time.Duration }{
		{time.Second, 10 * time.Second, time.Second, 2 * time.Second},
		{time.Second, 3 * time.Second, time.Second, 1500 * time.Millisecond},
		{time.Second, 2 * time.Second, time.Second, time.Second},
	} {
		p := &Peers{opt: Options{PingInterval: c.ping, LinkTimeout: c.link}}
		for class, want := range map[class]time.Duration{foreground: c.foreground, bulk: c.bulk} {
			if have := (&conn{p: p, class: class}).pingInterval(); have != want {
				t.Errorf("ping each %v, close after %v: %v links are pinged each %v, want %v", c.ping, c.link, class, have, want)
			}
		}
	}
}
