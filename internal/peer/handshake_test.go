package peer

import (
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

func pureHello(id, to ring.NodeID) *hello {
	return &hello{
		protocolMin: 1, protocolMax: 3, to: to,
		identity: identity{id: id, incarnation: 4, boot: uint64(id[1]), actor: 0},
		table:    Table{Fingerprint: 0xabc, Replicas: 3, Partitions: 64},
		members:  []place{{"n1", "a"}, {"n2", "b"}, {"n3", ""}},
	}
}

func TestRefusalNamesWhatDiffersFromBothEnds(t *testing.T) {
	cases := map[string]struct {
		change func(ours, theirs *hello)
		reason Reason
		// detail is in our words, reverse in theirs.
		detail, reverse string
	}{
		"nothing": {func(_, _ *hello) {}, 0, "", ""},
		"versions": {func(_, h *hello) { h.protocolMin, h.protocolMax = 4, 5 }, ReasonProtocol,
			"ours 1 to 3, theirs 4 to 5", "ours 4 to 5, theirs 1 to 3"},
		"versions that overlap": {func(_, h *hello) { h.protocolMin, h.protocolMax = 3, 5 }, 0, "", ""},
		"partitions": {func(_, h *hello) { h.table.Partitions = 128 }, ReasonPartitions,
			"ours 64, theirs 128", "ours 128, theirs 64"},
		"replicas": {func(_, h *hello) { h.table.Replicas = 2 }, ReasonReplicas, "ours 3, theirs 2", "ours 2, theirs 3"},
		"fingerprint": {func(_, h *hello) { h.table.Fingerprint = 0xdef }, ReasonTable,
			"ours 0000000000000abc, theirs 0000000000000def; the members and their zones are equal",
			"ours 0000000000000def, theirs 0000000000000abc"},
		"members": {func(_, h *hello) {
			h.table.Fingerprint = 1
			h.members = []place{{"n1", "a"}, {"n2", "x"}, {"n4", ""}}
		}, ReasonTable,
			`members only in ours: n3; members only in theirs: n4; zones that differ: n2 (ours "b", theirs "x")`,
			`members only in ours: n4; members only in theirs: n3; zones that differ: n2 (ours "x", theirs "b")`},
		"they are no member of ours": {func(ours, _ *hello) { ours.members = []place{{"n1", "a"}, {"n3", ""}} }, ReasonNotMember,
			"n2 is not among our members; members only in theirs: n2", "n2 is not among their members"},
		"another node answers": {func(ours, _ *hello) { ours.to = "n3" }, ReasonWrongNode,
			"member n3 was expected there, node n2 answers", "they expected member n3 here, this is n2"},
		"our own address": {func(ours, h *hello) { h.identity = ours.identity }, ReasonWrongNode, "this node, n1, itself", "itself"},
		"our own id":      {func(ours, h *hello) { h.identity.id = "n1" }, ReasonConflict, "node id n1 is ours", "node id n1 is ours"},
		"our own actor": {func(ours, h *hello) { ours.identity.actor, h.identity.actor = 9, 9 }, ReasonConflict,
			"actor 000000000009 is ours (n1) and theirs (n2)", "actor 000000000009 is ours (n2) and theirs (n1)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			ours, theirs := pureHello("n1", "n2"), pureHello("n2", "n1")
			c.change(ours, theirs)
			for _, side := range []struct {
				got    *HandshakeError
				detail string
			}{{refusal(ours, theirs), c.detail}, {refusal(theirs, ours), c.reverse}} {
				switch {
				case c.reason == 0:
					if side.got != nil {
						t.Errorf("refused: %v", side.got)
					}
				case side.got == nil || side.got.Reason != c.reason || !strings.Contains(side.got.Detail, side.detail):
					t.Errorf("got %v, want %s: %q", side.got, c.reason, side.detail)
				}
			}
		})
	}
}

func TestLongMemberListsAreCutInDetails(t *testing.T) {
	var many []place
	for i := range MembersMax {
		many = append(many, place{id: ring.NodeID(strings.Repeat("x", 50) + string(rune('a'+i%26)) + string(rune('a'+i/26)))})
	}
	if d := membersDiff(many, nil); len(d) > 1000 || !strings.Contains(d, "and 1016 more") {
		t.Fatalf("%d bytes: %s", len(d), d)
	}
}

func TestJudgeByWhatIsRemembered(t *testing.T) {
	known := map[ring.NodeID]identity{
		"n2": {id: "n2", incarnation: 5, boot: 50, actor: 500},
		"n3": {id: "n3", incarnation: 7, boot: 70, actor: 700},
	}
	upTo := func(last uint64) (runs []Run) { // of n2, from incarnation 2 on
		for i := uint64(2); i <= last; i++ {
			runs = append(runs, Run{i, 10 * i})
		}
		return runs
	}
	cases := map[string]struct {
		newcomer identity
		earlier  []Run
		reason   Reason
	}{
		"never met":                                {identity{"n4", 1, 10, 100}, nil, 0},
		"the same boot":                            {identity{"n2", 5, 50, 500}, upTo(4), 0},
		"the same boot with another actor":         {identity{"n2", 5, 50, 501}, upTo(4), 0},
		"the same boot, after it began anew":       {identity{"n2", 9, 50, 501}, []Run{{8, 88}}, 0},
		"the same boot, from before it began anew": {identity{"n2", 4, 50, 500}, nil, ReasonOutdated},
		"the next run":                             {identity{"n2", 6, 60, 500}, upTo(5), 0},
		"a later run":                              {identity{"n2", 9, 90, 500}, upTo(8), 0},
		"a later run that knows no more than some": {identity{"n2", 9, 90, 500}, []Run{{7, 70}, {8, 80}}, 0},
		"an older incarnation":                     {identity{"n2", 4, 40, 500}, upTo(3), ReasonOutdated},
		"the same incarnation, another boot":       {identity{"n2", 5, 51, 500}, upTo(4), ReasonOutdated},
		"an older state that was started often":    {identity{"n2", 9, 99, 500}, append(upTo(4), Run{5, 55}, Run{6, 66}), ReasonOutdated},
		"a new directory":                          {identity{"n2", 1, 11, 555}, nil, ReasonOutdated},
		"a new directory that was started often":   {identity{"n2", 9, 99, 555}, []Run{{1, 11}, {2, 22}}, ReasonOutdated},
		"a new directory that has begun anew":      {identity{"n2", 6, 11, 556}, []Run{{5, 50}}, 0},
		"one that has begun anew for another":      {identity{"n2", 9, 11, 556}, []Run{{4, 40}, {8, 88}}, ReasonOutdated},
		"another node's actor":                     {identity{"n4", 1, 10, 700}, nil, ReasonDuplicateActor},
		"another node's actor, later":              {identity{"n2", 9, 90, 700}, upTo(8), ReasonDuplicateActor},
		"no actor":                                 {identity{"n4", 1, 10, 0}, nil, 0},
	}
	for name, c := range cases {
		got := judge(known, &hello{identity: c.newcomer, earlier: c.earlier})
		if c.reason == 0 && got != nil || c.reason != 0 && (got == nil || got.Reason != c.reason || got.Fatal() != (c.reason == ReasonDuplicateActor)) {
			t.Errorf("%s: got %v, want %v", name, got, c.reason)
		}
		if c.reason == ReasonOutdated && got != nil && got.Last != (Run{5, 50}) {
			t.Errorf("%s: told of %v", name, got.Last)
		}
	}
}

func TestNodesWithDifferentTablesRefuseEachOtherAndSayWhy(t *testing.T) {
	members, listeners := listen(t, 2)
	o1, o2 := testOptions(t, members, 0), testOptions(t, members, 1)
	o2.Table.Fingerprint = 8
	o2.Members = append(o2.Members[:2:2], Member{ID: "n3", Addr: "127.0.0.1:1"})
	a, b := start(t, o1, listeners[0]), start(t, o2, listeners[1])
	for n, want := range map[*testNode][]string{
		a: {"0000000000000007", "0000000000000008", "members only in", "n3"},
		b: {"0000000000000007", "0000000000000008", "members only in", "n3"},
	} {
		eventually(t, "the status names the difference", func() bool {
			s := n.Status()[0]
			for _, w := range want {
				if s.Reachable || !strings.Contains(s.Reason, w) {
					return false
				}
			}
			return true
		})
	}
	if len(a.refused)+len(b.refused) > 0 {
		t.Fatal("a difference of settings was reported as a lost identity")
	}
	if a.lastKnown("n2") != (identity{}) {
		t.Fatal("a refused node was remembered")
	}
}

func TestCopyOfARunningNodeIsRefusedAndLearnsIt(t *testing.T) {
	nodes := startCluster(t, 3, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	o := testOptions(t, nodes[0].opt.Members, 2)
	o.Runs = ran(Run{1, 1002}, Run{2, 9999}) // the copy was opened once more
	double := start(t, o, ln)
	refused := wait(t, double.refused)
	if refused.Reason != ReasonDuplicateNode || !refused.ByPeer || !strings.Contains(refused.Detail, "alive") ||
		!strings.Contains(refused.Detail, "boot 000000000000270f") || !strings.Contains(refused.Detail, "boot 00000000000003ea") {
		t.Fatalf("the copy was told %v", refused)
	}
	double.stop()
	for _, n := range nodes[:2] {
		if _, err := store(t, n.Peer("n3"), second, item("k", "v")); err != nil {
			t.Errorf("the original is served no more: %v", err)
		}
		if n.lastKnown("n3").boot != 1002 {
			t.Errorf("the copy was remembered: %v", n.lastKnown("n3"))
		}
	}
	if len(nodes[2].refused) > 0 {
		t.Error("the original was refused")
	}
}

func TestNodeWithAnotherNodesActorIsRefusedAndLearnsIt(t *testing.T) {
	members, listeners := listen(t, 3)
	a := start(t, testOptions(t, members, 0), listeners[0])
	start(t, testOptions(t, members, 1), listeners[1])
	awaitReachable(t, a, "n2")
	o := testOptions(t, members, 2)
	o.Local = newFakeLocal(101) // n2's
	c := start(t, o, listeners[2])
	if refused := wait(t, c.refused); refused.Reason != ReasonDuplicateActor || !strings.Contains(refused.Detail, "node n2") {
		t.Fatalf("told %v", refused)
	}
}

func TestRolledBackNodeIsLetInOnceItHasBegunAnew(t *testing.T) {
	members, listeners := listen(t, 2)
	o1, o2 := testOptions(t, members, 0), testOptions(t, members, 1)
	o2.Runs = ran(Run{6, 66}, Run{8, 88})
	a, b := start(t, o1, listeners[0]), start(t, o2, listeners[1])
	awaitReachable(t, a, "n2")
	a.stop()
	b.stop()

	o1.FS = o1.FS.(*vfstest.FS).Crash(vfstest.Nothing()) // what was synced is left
	o1.Runs = ran(Run{1, 1000}, Run{2, 11})
	var anew atomic.Bool
	o2.Runs = func() (Run, []Run) {
		if anew.Load() {
			return Run{9, 77}, []Run{{6, 66}, {8, 88}}
		}
		return Run{7, 77}, []Run{{6, 66}}
	}
	for i, o := range []Options{o1, o2} {
		ln, err := net.Listen("tcp", members[i].Addr)
		must(t, err)
		listeners[i] = ln
		if i == 0 {
			a = start(t, o, ln)
		} else {
			b = start(t, o, ln)
		}
	}
	told := wait(t, b.outdated)
	if told.Reason != ReasonOutdated || !told.ByPeer || told.Last != (Run{8, 88}) || !strings.Contains(told.Detail, "incarnation 8") ||
		!strings.Contains(told.Detail, "incarnation 7") {
		t.Fatalf("told %v", told)
	}
	if a.Peer("n2").Reachable() || len(b.refused) > 0 {
		t.Fatal("a rolled back node is reachable, or must stop")
	}
	anew.Store(true)
	awaitAll(t, []*testNode{a, b})
	if got := a.lastKnown("n2"); got.incarnation != 9 || got.boot != 77 {
		t.Fatalf("remembered %v", got)
	}
}

func TestLaterBootReplacesOneThatAnswersNoMore(t *testing.T) {
	n := lonely(t, 2, func(o *Options) { o.HandshakeTimeout = time.Second })
	silent := dialPuppet(t, n.addr)
	if _, verdict := silent.greet(helloOf(n, 1, 1, 10)); verdict != nil {
		t.Fatal(verdict)
	}
	later := dialPuppet(t, n.addr)
	if _, verdict := later.greet(helloOf(n, 1, 2, 20)); verdict != nil {
		t.Fatalf("refused for a holder that does not answer: %v", verdict)
	}
	wait(t, silent.ended)
	// What was replaced is older now.
	back := dialPuppet(t, n.addr)
	if _, verdict := back.greet(helloOf(n, 1, 1, 10)); verdict == nil || verdict.Reason != ReasonOutdated {
		t.Fatalf("got %v", verdict)
	}
}

func TestLaterBootWaitsOnceForAllLinksOfTheEarlier(t *testing.T) {
	n := lonely(t, 2, func(o *Options) { o.HandshakeTimeout = 400 * time.Millisecond })
	for cls := range classCount {
		silent := dialPuppet(t, n.addr)
		h := helloOf(n, 1, 1, 10)
		h.class = cls
		if _, verdict := silent.greet(h); verdict != nil {
			t.Fatal(verdict)
		}
	}
	later := dialPuppet(t, n.addr)
	if _, verdict := later.greet(helloOf(n, 1, 2, 20)); verdict != nil {
		t.Fatal(verdict)
	}
}

func TestLaterBootIsRefusedWhileTheEarlierAnswers(t *testing.T) {
	n := lonely(t, 2, nil)
	holder := dialPuppet(t, n.addr)
	if _, verdict := holder.greet(helloOf(n, 1, 1, 10)); verdict != nil {
		t.Fatal(verdict)
	}
	holder.answerPings()
	later := dialPuppet(t, n.addr)
	if _, verdict := later.greet(helloOf(n, 1, 2, 20)); verdict == nil || verdict.Reason != ReasonDuplicateNode {
		t.Fatalf("got %v", verdict)
	}
	wait(t, later.ended)
	if n.lastKnown("n2").incarnation != 1 {
		t.Fatalf("remembered %v", n.lastKnown("n2"))
	}
}

func TestAnOlderStateIsACopyWhileTheLaterAnswers(t *testing.T) {
	n := lonely(t, 2, nil)
	holder := dialPuppet(t, n.addr)
	if _, verdict := holder.greet(helloOf(n, 1, 3, 30)); verdict != nil {
		t.Fatal(verdict)
	}
	holder.answerPings()
	older := dialPuppet(t, n.addr)
	if _, verdict := older.greet(helloOf(n, 1, 2, 22)); verdict == nil || verdict.Reason != ReasonDuplicateNode {
		t.Fatalf("got %v", verdict)
	}
}

func TestAnOlderStateDoesNotReplaceALaterThatIsSilent(t *testing.T) {
	n := lonely(t, 2, func(o *Options) { o.HandshakeTimeout = time.Second })
	silent := dialPuppet(t, n.addr)
	if _, verdict := silent.greet(helloOf(n, 1, 3, 30)); verdict != nil {
		t.Fatal(verdict)
	}
	older := dialPuppet(t, n.addr)
	if _, verdict := older.greet(helloOf(n, 1, 2, 22)); verdict == nil || verdict.Reason != ReasonOutdated || verdict.Last != (Run{3, 30}) {
		t.Fatalf("got %v", verdict)
	}
	wait(t, older.ended)
	if len(silent.ended) > 0 || n.lastKnown("n2").boot != 30 {
		t.Fatal("the later one was put out")
	}
}

func TestAPeerOfTheFirstProtocolIsToldSoInItsWords(t *testing.T) {
	n := lonely(t, 2, nil)
	p := dialPuppet(t, n.addr)
	h := helloOf(n, 1, 1, 10)
	h.first, h.protocolMin, h.protocolMax = true, 1, 1
	theirs, verdict := p.greet(h)
	if !theirs.first || verdict == nil || verdict.Reason != ReasonProtocol || !strings.Contains(verdict.Detail, "ours 3 to 3, theirs 1 to 1") {
		t.Fatalf("got %v", verdict)
	}
}

func TestOnlyOneOfManySimultaneousBootsGetsIn(t *testing.T) {
	n := lonely(t, 2, func(o *Options) { o.HandshakeTimeout = time.Second })
	const boots = 8
	var newcomers []*puppet
	for i := range boots {
		p := dialPuppet(t, n.addr)
		p.hello(helloOf(n, 1, 3, uint64(100+i)))
		newcomers = append(newcomers, p)
	}
	in := 0
	for _, p := range newcomers {
		if _, v := p.verdict(); v == nil {
			in++
		} else if v.Reason != ReasonOutdated {
			t.Errorf("got %v", v)
		}
	}
	if in != 1 {
		t.Fatalf("%d boots of one incarnation were let in", in)
	}
}

func TestNobodyIsLetInWhoCannotBeRemembered(t *testing.T) {
	n := lonely(t, 2, nil)
	disk := n.opt.FS.(*vfstest.FS)
	repair := disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Err: errors.New("sync failed")})
	p := dialPuppet(t, n.addr)
	if _, verdict := p.greet(helloOf(n, 1, 1, 10)); verdict == nil || verdict.Reason != ReasonInternal || verdict.Fatal() {
		t.Fatalf("got %v", verdict)
	}
	repair()
	p = dialPuppet(t, n.addr)
	if _, verdict := p.greet(helloOf(n, 1, 1, 10)); verdict != nil {
		t.Fatalf("got %v", verdict)
	}
	if n.lastKnown("n2").boot != 10 {
		t.Fatalf("remembered %v", n.lastKnown("n2"))
	}
}

func TestNewActorOfARunningPeerIsHeardAndRemembered(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	nodes[1].local.actor.Store(4711)
	eventually(t, "n1 hears of the new actor", func() bool { return nodes[0].Peer("n2").Actor() == 4711 })
	eventually(t, "n1 remembers the new actor", func() bool { return nodes[0].lastKnown("n2").actor == 4711 })
}

func TestLatestActorOfTheBootIsTheOneThatCounts(t *testing.T) {
	members, listeners := listen(t, 2)
	for _, ln := range listeners {
		must(t, ln.Close())
	}
	link := func(r *remote, boot uint64, actor causal.Actor) *conn {
		id := identity{id: "n2", incarnation: boot, boot: boot, actor: actor}
		return &conn{p: r.p, remote: r, theirs: &hello{identity: id}, stop: func(error) {}}
	}
	for name, c := range map[string]struct {
		happens func(r *remote)
		want    causal.Actor
	}{
		"a ping that its reader had in hand when its link was replaced by one of a later boot": {func(r *remote) {
			before := link(r, 1, 10)
			r.enter(before)
			r.enter(link(r, 2, 20))
			r.changeActor(before, named{11, 2})
		}, 20},
		"a hello from before a ping": {func(r *remote) {
			first := link(r, 2, 20)
			r.enter(first)
			r.changeActor(first, named{21, 2})
			r.enter(link(r, 2, 20))
		}, 21},
		"a ping that came before its link was let in": {func(r *remote) {
			l := link(r, 2, 21)
			r.changeActor(l, named{22, 2})
			r.enter(l)
		}, 22},
		"pings that overtook each other on the way to their link": {func(r *remote) {
			l := link(r, 2, 20)
			r.enter(l)
			r.changeActor(l, named{22, 3})
			r.changeActor(l, named{21, 2})
		}, 22},
		"the last two actors on one link, and both, later, on a slower one": {func(r *remote) {
			slow, quick := link(r, 2, 20), link(r, 2, 20)
			slow.class = bulk
			r.enter(slow)
			r.enter(quick)
			r.changeActor(quick, named{22, 3})
			r.changeActor(slow, named{21, 2})
			r.changeActor(slow, named{22, 3})
		}, 22},
		"the last actor in a hello, and both, later, on an older link": {func(r *remote) {
			slow := link(r, 2, 20)
			slow.class = bulk
			r.enter(slow)
			r.enter(link(r, 2, 22))
			r.changeActor(slow, named{21, 2})
			r.changeActor(slow, named{22, 3})
		}, 22},
		"another boot counts anew": {func(r *remote) {
			before := link(r, 1, 10)
			r.enter(before)
			r.changeActor(before, named{17, 8})
			after := link(r, 2, 20)
			r.enter(after)
			r.changeActor(after, named{21, 2})
		}, 21},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := New(testOptions(t, members, 0))
			must(t, err)
			r := p.remotes["n2"]
			if c.happens(r); r.Actor() != c.want {
				t.Fatalf("actor %v, want %v", r.Actor(), c.want)
			}
		})
	}
}

func TestNodeCountsItsActors(t *testing.T) {
	members, listeners := listen(t, 2)
	for _, ln := range listeners {
		must(t, ln.Close())
	}
	o := testOptions(t, members, 0)
	p, err := New(o)
	must(t, err)
	local := o.Local.(*fakeLocal)
	for _, want := range []named{{0, 1}, {0, 1}, {9, 2}, {8, 3}, {8, 3}, {7, 4}} {
		local.actor.Store(uint64(want.actor))
		if got := p.name(); got != want {
			t.Fatalf("named %v, want %v", got, want)
		}
	}
}

// Answers wait until the link is entered: the ping that names the acceptor's actor goes ahead of them.
func TestAcceptorNamesItsActorBeforeItAnswers(t *testing.T) {
	n := lonely(t, 2, nil)
	n.naming.Lock() // the ping cannot be made yet
	p := dialPuppet(t, n.addr)
	if _, verdict := p.greet(helloOf(n, 1, 1, 10)); verdict != nil {
		t.Fatal(verdict)
	}
	r := n.remotes["n2"]
	var c *conn
	eventually(t, "the link is being entered", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for c = range r.conns {
		}
		return c != nil
	})
	before := c.heard.Load()
	p.ping()
	eventually(t, "a ping has come", func() bool { return c.heard.Load() > before })
	n.naming.Unlock()
	msg := wire.NewReader(wait(t, p.msgs))
	exactly(&msg, 4, "a request")
	kind, _, method := msg.Uint(kindNotice), msg.Uint64(), msg.Str()
	exactly(&msg, 1+pingFields, "a ping")
	msg.Uint64()
	if ping := decodePing(&msg); msg.Done() != nil || kind != kindRequest || method != methodPing || ping.named != (named{n.local.Actor(), 1}) {
		t.Fatalf("message of kind %d, %q, %v: %v", kind, method, ping.named, msg.Err())
	}
}

// An acceptor that is through with its check pings at once, and the dialler may be in any phase of its own.
func TestDiallerIsPingedWhileItJudges(t *testing.T) {
	members, listeners := listen(t, 2)
	o := testOptions(t, members, 0)
	n := start(t, o, listeners[0])
	n.admission.mu.Lock()
	links := acceptPuppet(t, n, listeners[1])
	must(t, listeners[1].Close())
	const pings = 1000
	for i := range pings {
		if i == pings/10 {
			n.admission.mu.Unlock()
		}
		for _, p := range links {
			p.ping()
		}
	}
	for _, p := range links {
		for pongs := 0; pongs < pings; {
			msg := wire.NewReader(wait(t, p.msgs))
			exactly(&msg, 4, "a message")
			if msg.Uint(kindNotice) == kindAnswer {
				pongs++
			}
		}
	}
}

func TestWhoIsAskedKnowsTheActorOfWhoAsks(t *testing.T) {
	nodes := startCluster(t, 2, func(_ int, o *Options) { o.PingInterval, o.LinkTimeout = time.Minute, 2*time.Minute })
	n1, n2 := nodes[0], nodes[1]
	for actor := causal.Actor(4000); actor < 4200; actor++ {
		n2.local.actor.Store(uint64(actor))
		n2.TellActor()
		known := make(chan causal.Actor, 1)
		n1.local.mu.Lock()
		n1.local.onRead = func(_ time.Time, keys [][]byte, _ coordinator.ReadWant, done func([]coordinator.ReadItem, error)) {
			known <- n1.Peer("n2").Actor()
			done(make([]coordinator.ReadItem, len(keys)), nil)
		}
		n1.local.mu.Unlock()
		answered := make(chan error, 1)
		n2.Peer("n1").Read(time.Now().Add(10*time.Second), [][]byte{[]byte("k")}, coordinator.WantValues,
			func(_ []coordinator.ReadItem, err error) { answered <- err })
		must(t, wait(t, answered))
		if got := <-known; got != actor {
			t.Fatalf("n1 answered n2, whose actor is %v, for %v", actor, got)
		}
	}
}

func TestAnnouncementsReachTheStatus(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	s := nodes[0].Status()
	if len(s) != 1 || s[0].ID != "n2" || s[0].RPCAddr != "rpc-1" || s[0].HTTPAddr != "http-1" || s[0].Zone != "z1" ||
		s[0].Incarnation != 1 || s[0].Actor != 101 || !s[0].Reachable || s[0].Reason != "" || s[0].PeerAddr != nodes[1].addr {
		t.Fatalf("%+v", s)
	}
}

func TestRequestsBeforeTheHandshakeEndTheConnection(t *testing.T) {
	n := lonely(t, 2, nil)
	p := dialPuppet(t, n.addr)
	p.send(func(w *wire.Writer) {
		encodeRequest(w, 1, methodStore, 3)
		w.Uint(1)
		w.Int(time.Now().Add(second).UnixNano())
		encodeItems(w, []coordinator.Item{item("k", "v")})
	})
	wait(t, p.ended)
	if n.local.stores != 0 {
		t.Fatal("a stranger's store was done")
	}
}

func TestPeerOfAnotherFrameVersionIsNamed(t *testing.T) {
	members, listeners := listen(t, 2)
	n := start(t, testOptions(t, members, 0), listeners[0])
	nc, err := listeners[1].Accept()
	must(t, err)
	_, err = nc.Write([]byte("RCPEER\x00\x09"))
	must(t, err)
	must(t, listeners[1].Close())
	eventually(t, "the refusal is known", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		for cause := range n.said {
			if strings.Contains(cause, "version 9") && strings.Contains(cause, "version 1") && strings.HasPrefix(cause, "n2\x00protocol") {
				return true
			}
		}
		return false
	})
	must(t, nc.Close())
}

func TestAnswerWithTooFewResultsIsAnError(t *testing.T) {
	nodes := startCluster(t, 2, nil)
	nodes[1].local.hook(func(l *fakeLocal) {
		l.onRead = func(_ time.Time, _ [][]byte, _ coordinator.ReadWant, done func([]coordinator.ReadItem, error)) {
			done(make([]coordinator.ReadItem, 1), nil)
		}
	})
	if items, err := read(t, nodes[0].Peer("n2"), second, coordinator.WantValues, "k", "l"); err == nil {
		t.Fatalf("got %v", items)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	members, listeners := listen(t, 2)
	for _, ln := range listeners {
		must(t, ln.Close())
	}
	for name, c := range map[string]struct {
		change func(o *Options)
		want   string
	}{
		"not a member":      {func(o *Options) { o.Self.ID = "n9" }, "n9, is not a member"},
		"listed twice":      {func(o *Options) { o.Members = append(o.Members[:2:2], o.Members[0]) }, "listed twice"},
		"no address":        {func(o *Options) { o.Members = []Member{o.Members[0], {ID: "n2"}} }, "n2 has no address"},
		"no incarnation":    {func(o *Options) { o.Runs = ran(Run{0, 1}) }, "incarnation"},
		"no runs":           {func(o *Options) { o.Runs = nil }, "runs"},
		"no local replica":  {func(o *Options) { o.Local = nil }, "required"},
		"rare pings":        {func(o *Options) { o.PingInterval = time.Minute }, "two ping intervals"},
		"backoff backwards": {func(o *Options) { o.BackoffMax = time.Nanosecond }, "backoff"},
	} {
		o := testOptions(t, members, 0)
		c.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}
