package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/peer"
	"github.com/ringcask/ringcask/internal/replica"
	"github.com/ringcask/ringcask/internal/testport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trio is three nodes in this process.
type trio struct {
	t     *testing.T
	cfgs  []Config
	nodes []*Node
	stop  context.CancelFunc
	ended chan error
}

// newTrio chooses addresses and directories for three nodes.
func newTrio(t *testing.T) *trio {
	t.Helper()
	tr := &trio{t: t}
	var members []Member
	addrs := testport.Addrs(t, 6)
	for i := range 3 {
		members = append(members, Member{ID: fmt.Sprintf("n%d", i+1), Peer: addrs[i], Gossip: addrs[3+i]})
	}
	for _, m := range members {
		tr.cfgs = append(tr.cfgs, Config{
			ID: m.ID, Dir: t.TempDir(), Members: members,
			HTTPAddr: "127.0.0.1:0", RPCAddr: "127.0.0.1:0", PeerAddr: m.Peer,
		})
	}
	return tr
}

// start opens and runs all three, and waits until they are ready.
func (tr *trio) start() {
	tr.t.Helper()
	tr.run()
	for _, n := range tr.nodes {
		tr.await(n.cfg.ID+" is ready", func() bool { return n.Ready() == nil })
	}
}

// await waits for a condition.
func (tr *trio) await(what string, holds func() bool) {
	tr.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tr.t.Fatalf("does not happen within 10 s: %s", what)
		}
	}
}

// run opens and runs all three.
func (tr *trio) run() {
	tr.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	tr.stop, tr.ended, tr.nodes = stop, make(chan error, 3), nil
	for _, cfg := range tr.cfgs {
		n, err := Open(cfg, Options{})
		if err != nil {
			tr.t.Fatal(err)
		}
		tr.nodes = append(tr.nodes, n)
		go func() { tr.ended <- n.Run(ctx) }()
	}
}

// end drains all three.
func (tr *trio) end() {
	tr.t.Helper()
	tr.stop()
	for range tr.nodes {
		if err := <-tr.ended; err != nil {
			tr.t.Errorf("Run: %v", err)
		}
	}
}

func (tr *trio) client() *client.Client {
	tr.t.Helper()
	_, rpc, _ := tr.nodes[0].Addrs()
	c, err := client.New(client.Options{Addrs: []string{rpc}})
	if err != nil {
		tr.t.Fatal(err)
	}
	return c
}

func TestThreeNodesServeDrainAndHaveTheirDataAgain(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	c := tr.client()
	ctx := t.Context()
	for i := range 100 {
		if _, err := c.Put(ctx, fmt.Appendf(nil, "key-%02d", i), fmt.Appendf(nil, "value %d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	actors := []string{tr.nodes[0].Status().Actor, tr.nodes[1].Status().Actor}
	c.Close()
	tr.end()

	tr.start()
	defer tr.end()
	c = tr.client()
	defer c.Close()
	n := 0
	for kv, err := range c.Range(ctx, client.RangeOptions{Prefix: []byte("key-")}) {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("key-%02d", n); string(kv.Key) != want {
			t.Fatalf("key %q, want %q", kv.Key, want)
		}
		n++
	}
	if n != 100 {
		t.Errorf("%d keys after the restart", n)
	}
	for i, actor := range actors {
		if now := tr.nodes[i].Status(); now.Actor != actor || now.Incarnation != 2 {
			t.Errorf("after a clean shutdown: actor %s, was %s; incarnation %d", now.Actor, actor, now.Incarnation)
		}
	}
}

func TestANodeCoordinatesNothingBeforeItsPeersHaveLetItIn(t *testing.T) {
	tr := newTrio(t)
	n, err := Open(tr.cfgs[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n.replica.Serving() == nil {
		t.Error("a node that no peer has checked coordinates writes: it may be a copy of one that runs")
	}
	if err := errors.Join(n.ports.close(), n.close()); err != nil {
		t.Error(err)
	}
}

func TestARefusedNodeCoordinatesNothingMore(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	n := tr.nodes[0]
	n.peerOptions().Refused(&peer.HandshakeError{Node: "n2", ByPeer: true, Reason: peer.ReasonDuplicateNode})
	if n.replica.Serving() == nil {
		t.Error("it coordinates writes")
	}
	if err := <-tr.ended; !errors.Is(err, errRefused) {
		t.Errorf("Run: %v", err)
	}
	tr.nodes = tr.nodes[1:]
	tr.end()
	n, err := Open(tr.cfgs[0], Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.replica.Incarnation(); got != 1 {
		t.Errorf("incarnation %d: it will be let in if it is only started often enough", got)
	}
	if err := errors.Join(n.ports.close(), n.close()); err != nil {
		t.Error(err)
	}
}

func TestWhoCannotBeReachedMayHaveAnotherActorByNow(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	n, gone := tr.nodes[0], tr.nodes[2]
	tr.await("it knows everyone's actor", func() bool { _, all := n.actors(); return all })
	if err := gone.replica.RenewActor("test"); err != nil {
		t.Fatal(err)
	}
	tr.await("it hears of the new one", func() bool { actors, all := n.actors(); return all && actors[gone.replica.Actor()] })
	gone.peerOptions().Refused(&peer.HandshakeError{Node: "n1", ByPeer: true, Reason: peer.ReasonDuplicateNode}) // it stops
	if err := <-tr.ended; !errors.Is(err, errRefused) {
		t.Errorf("Run: %v", err)
	}
	tr.await("it does not say whose actors there are", func() bool { _, all := n.actors(); return !all })
	tr.nodes = tr.nodes[:2]
	tr.end()
}

func TestANodeWhoseClockIsFarOffNeverCoordinates(t *testing.T) {
	tr := newTrio(t)
	tr.cfgs[2].TestClockOffset = time.Hour
	tr.run()
	defer tr.end()
	n := tr.nodes[2]
	tr.await("n3 has met its peers", func() bool { return n.phase.Load() == phaseServing })
	if n.replica.Serving() == nil {
		t.Error("n3 coordinates writes before its clock was compared")
	}
}

func TestTheTopologyNamesEveryMembersAddresses(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	defer tr.end()
	top := tr.nodes[1].Topology()
	if len(top.Members) != 3 || len(top.Table) != 256 || top.R != 2 || top.W != 2 {
		t.Fatalf("%+v", top)
	}
	for i, m := range top.Members {
		http, rpc, peer := tr.nodes[i].Addrs()
		if m.HTTP != http || m.RPC != rpc || m.Peer != peer {
			t.Errorf("%+v, want %s %s %s", m, http, rpc, peer)
		}
	}
}

func TestATakenPortLeavesTheDataDirectoryClosed(t *testing.T) {
	tr := newTrio(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := tr.cfgs[0]
	cfg.RPCAddr = ln.Addr().String()
	if _, err := Open(cfg, Options{}); err == nil || !strings.Contains(err.Error(), cfg.RPCAddr) {
		t.Errorf("Open: %v, want an error that names %s", err, cfg.RPCAddr)
	}
	ln.Close()
	n, err := Open(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.ports.close(), n.close()); err != nil {
		t.Error(err)
	}
}

func TestAnotherClustersDataDirectoryIsRefusedAndLeftAlone(t *testing.T) {
	tr := newTrio(t)
	tr.start()
	tr.end()
	cfg := tr.cfgs[0]
	cfg.Replicas = 2
	var mismatch *replica.MismatchError
	if _, err := Open(cfg, Options{}); !errors.As(err, &mismatch) {
		t.Errorf("Open: %v", err)
	}
	before, err := os.ReadFile(cfg.Dir + "/identity")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Replicas, cfg.Partitions = 3, 64
	if _, err := Open(cfg, Options{}); !errors.As(err, &mismatch) {
		t.Errorf("Open: %v", err)
	}
	if after, err := os.ReadFile(cfg.Dir + "/identity"); err != nil || string(after) != string(before) {
		t.Errorf("the identity was changed: %v", err)
	}
}
