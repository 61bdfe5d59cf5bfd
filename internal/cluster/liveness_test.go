package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/internal/testport"
	"github.com/ringcask/ringcask/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// swarm is some Livenesses of one member list.
type swarm struct {
	t       *testing.T
	members []Peer
	nodes   []*runningNode
}

type runningNode struct {
	*Liveness
	stop func()

	mu   sync.Mutex
	seen []Member // what Changed was told
	log  strings.Builder
}

func newSwarm(t *testing.T, n int) *swarm {
	s := &swarm{t: t}
	for i, addr := range testport.Addrs(t, n) {
		s.members = append(s.members, Peer{ID: ring.NodeID(fmt.Sprintf("n%d", i+1)), Addr: addr})
	}
	return s
}

func (s *swarm) options(i int) Options {
	return Options{Self: s.members[i].ID, Members: s.members, Fingerprint: 1, Incarnation: uint64(i + 1)}
}

// start runs a node; it is stopped when the test ends, if not before.
func (s *swarm) start(o Options) *runningNode {
	s.t.Helper()
	n := &runningNode{}
	o.Changed = func(m Member) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.seen = append(n.seen, m)
	}
	o.Logger = slog.New(slog.NewTextHandler(lockedLog{n}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	if n.Liveness, err = New(o); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("%s: Run: %v", o.Self, err)
		}
	})
	s.t.Cleanup(n.stop)
	s.nodes = append(s.nodes, n)
	return n
}

type lockedLog struct{ n *runningNode }

func (l lockedLog) Write(b []byte) (int, error) {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	return l.n.log.Write(b)
}

func (n *runningNode) logged() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

func (n *runningNode) state(id ring.NodeID) State {
	m, _ := n.Member(id)
	return m.State
}

// await waits until check holds.
func await(t *testing.T, limit time.Duration, what string, check func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(limit)
	for !check() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// awaitAll waits until everybody sees everybody alive.
func (s *swarm) awaitAll() {
	s.t.Helper()
	for _, n := range s.nodes {
		await(s.t, 10*time.Second, string(n.opt.Self)+" sees all", func() bool {
			for _, m := range n.Members() {
				if m.State != Alive {
					return false
				}
			}
			return true
		})
	}
}

func TestMembersFindEachOtherAndLearnHowTheyAre(t *testing.T) {
	s := newSwarm(t, 3)
	for i := range s.members {
		s.start(s.options(i))
	}
	s.awaitAll()
	s.nodes[2].SetCondition(ReadOnly)
	for _, n := range s.nodes[:2] {
		await(t, 5*time.Second, "the others learn that n3 is read-only", func() bool {
			m, ok := n.Member("n3")
			return ok && m.Condition == ReadOnly && m.Incarnation == 3
		})
		n.mu.Lock()
		if len(n.seen) == 0 || n.seen[len(n.seen)-1].Condition != ReadOnly {
			t.Errorf("%s was told %+v", n.opt.Self, n.seen)
		}
		n.mu.Unlock()
	}
	if _, ok := s.nodes[0].Member("n1"); ok || !s.nodes[0].Alive("n1") {
		t.Error("a node is no member to itself, and alive")
	}
}

func TestAMemberThatLeavesIsDeadAndOneThatComesBackAtAnotherAddressIsAlive(t *testing.T) {
	s := newSwarm(t, 4)
	spare := s.members[3].Addr
	s.members = s.members[:3]
	for i := range s.members {
		s.start(s.options(i))
	}
	s.awaitAll()
	gone := s.nodes[2]
	gone.stop()
	await(t, 5*time.Second, "n3 is dead", func() bool { return s.nodes[0].state("n3") == Dead && s.nodes[1].state("n3") == Dead })
	if s.nodes[0].Alive("n3") {
		t.Error("dead and alive")
	}
	moved := s.options(2)
	moved.Incarnation = 9
	moved.Members = append([]Peer{}, s.members...)
	moved.Members[2].Addr = spare
	s.nodes = s.nodes[:2]
	s.start(moved)
	s.awaitAll()
	if m, _ := s.nodes[0].Member("n3"); m.Incarnation != 9 {
		t.Errorf("%+v", m)
	}
}

func TestOthersAreIgnoredAndNamedOnce(t *testing.T) {
	s := newSwarm(t, 4)
	stranger, foreigner := s.members[2], s.members[3]
	all := s.members
	s.members = all[:2]
	a, b := s.start(s.options(0)), s.start(s.options(1))
	s.awaitAll()

	// One whose name nobody knows, and one of another table.
	o := Options{Self: stranger.ID, Members: []Peer{all[0], all[1], stranger}, Fingerprint: 1, RejoinInterval: 20 * time.Millisecond}
	s.start(o)
	await(t, 10*time.Second, "the stranger is named", func() bool { return strings.Contains(a.logged()+b.logged(), "is not a member") })
	o = Options{Self: foreigner.ID, Members: []Peer{all[0], foreigner}, Fingerprint: 2, RejoinInterval: 20 * time.Millisecond}
	f := s.start(o)
	await(t, 10*time.Second, "the foreigner is named", func() bool { return strings.Contains(a.logged(), "label") })
	if _, known := a.Member(stranger.ID); known || f.state("n1") != Unseen || a.state("n2") != Alive {
		t.Errorf("the stranger is known: %v; the foreigner sees n1 %v; n1 sees n2 %v", known, f.state("n1"), a.state("n2"))
	}
	if n := strings.Count(a.logged(), "is not a member"); n > 2 {
		t.Errorf("the stranger was named %d times:\n%s", n, a.logged())
	}
}

func TestATakenPortIsSaid(t *testing.T) {
	s := newSwarm(t, 1)
	ln, err := net.Listen("tcp", s.members[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	l, err := New(s.options(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), s.members[0].Addr) {
		t.Errorf("Run: %v", err)
	}
}

func TestEveryBadOptionIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*Options){
		"is not a member": func(o *Options) { o.Self = "n9" },
		"listed twice":    func(o *Options) { o.Members = append(o.Members, o.Members[0]) },
		"want host:port":  func(o *Options) { o.Members[0].Addr = "nowhere" },
		"secret key":      func(o *Options) { o.SecretKey = []byte("short") },
		"times must be":   func(o *Options) { o.ProbeTimeout = time.Minute },
	} {
		o := Options{Self: "n1", Members: []Peer{{ID: "n1", Addr: "127.0.0.1:8084"}}}
		spoil(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestWhoIsHeldForAliveAndUnheardOfIsSuspect(t *testing.T) {
	now := time.Now()
	r := &record{}
	const silence = time.Second
	for _, step := range []struct {
		held  bool
		heard time.Duration // ago
		want  State
	}{
		{false, 0, Unseen}, {true, 0, Alive}, {true, silence + 1, Suspect}, {true, 0, Alive}, {false, 0, Dead}, {true, silence + 1, Suspect}, {false, 0, Dead},
	} {
		r.held, r.heard = step.held, now.Add(-step.heard)
		r.judge(now, silence)
		if r.State != step.want {
			t.Errorf("%+v: %v", step, r.State)
		}
	}
}

func TestMemberlistsLinesKeepTheirMeaning(t *testing.T) {
	for line, want := range map[string]slog.Level{
		"2026/01/02 15:04:05 [DEBUG] memberlist: Stream connection from=x\n": slog.LevelDebug,
		"2026/01/02 15:04:05 [ERR] memberlist: no\n":                         slog.LevelWarn,
		"2026/01/02 15:04:05 [WARN] memberlist: no\n":                        slog.LevelWarn,
		"nothing of the kind":                                                slog.LevelDebug,
	} {
		if level, text := parseLine([]byte(line)); level != want || text == "" || strings.Contains(text, "memberlist:") {
			t.Errorf("%q: %v, %q", line, level, text)
		}
	}
}
