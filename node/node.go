package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/antientropy"
	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/cluster"
	"github.com/ringcask/ringcask/internal/gateway"
	httpgw "github.com/ringcask/ringcask/internal/gateway/http"
	"github.com/ringcask/ringcask/internal/gateway/rpc"
	"github.com/ringcask/ringcask/internal/peer"
	"github.com/ringcask/ringcask/internal/replica"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfscontrol"
)

// Version is what status says of the program.
const Version = "0.1.0"

// Options are a node's collaborators.
type Options struct {
	// Logger takes what the node has to say; nil discards it.
	Logger *slog.Logger
	// FS is the file system that the data directory is in; nil is the operating system's.
	FS vfs.FS
	// Now is the node's physical clock, to which Config.TestClockOffset is added; nil is time.Now. Timers and deadlines never go by it.
	Now func() time.Time
	// Random is where actors and boot ids are drawn from; nil is crypto/rand.Reader.
	Random io.Reader
	// Listen binds the ports of clients and peers; nil is TCP.
	Listen func(addr string) (net.Listener, error)
	// Dial opens a connection to a peer; nil is TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Gossip makes what carries the gossip, once, when the node runs; nil binds the gossip port by UDP and TCP.
	Gossip func() (memberlist.Transport, error)
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = vfs.OS{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Listen == nil {
		o.Listen = listenTCP
	}
	return o
}

// Node is one member of a cluster, with its data directory open and its ports bound.
type Node struct {
	cfg Config
	opt Options
	log *slog.Logger
	now func() time.Time
	// ownClock says that now is not time.Now.
	ownClock  bool
	startedAt time.Time

	table       *ring.Table
	replica     *replica.Replica
	forest      *antientropy.Forest
	keeper      *antientropy.Keeper
	exchanger   *antientropy.Exchanger
	healer      *healer
	handoff     *handoff
	sizes       *sizes
	peers       *peer.Peers
	liveness    *cluster.Liveness
	coordinator *coordinator.Coordinator
	metrics     *coordinator.Metrics
	admission   *gateway.Admission
	http        *httpgw.Gateway
	rpc         *rpc.Server
	ports       ports

	// offset is the last measured offset of this node's clock, in nanoseconds.
	offset atomic.Int64
	phase  atomic.Int32
	// turned says that phase has changed.
	turned chan struct{}
	// verdict is that of a peer that this node must not run; refused is closed once it stands.
	verdict atomic.Pointer[error]
	refused chan struct{}
	// outdated has the run that a peer remembers and the data directory does not know; behind says that there was one since the
	// node last began anew.
	outdated chan replica.Run
	behind   atomic.Bool
}

// Open validates the configuration, opens and recovers the data directory, and binds the ports. It starts nothing but the engine.
//
// Errors: what is wrong with the configuration; *replica.MismatchError for the data directory of another node or cluster; those of
// replica.Open; a port that is taken. After an error nothing is left open.
func Open(cfg Config, o Options) (*Node, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	ownClock := o.Now != nil || cfg.TestClockOffset != 0
	o = o.withDefaults()
	n := &Node{
		cfg: cfg, opt: o, log: o.Logger, now: o.Now, ownClock: ownClock, metrics: new(coordinator.Metrics),
		turned: make(chan struct{}, 1), refused: make(chan struct{}), outdated: make(chan replica.Run, 1),
	}
	if cfg.TestDiskControl != "" {
		n.opt.FS = vfscontrol.New(o.FS, cfg.TestDiskControl)
	}
	if cfg.TestClockOffset != 0 {
		n.now = func() time.Time { return o.Now().Add(cfg.TestClockOffset) }
	}
	n.startedAt = n.now()
	if err := n.openReplica(); err != nil {
		return nil, err
	}
	if err := n.assemble(); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), cfg.DrainTimeout)
		defer cancel()
		return nil, errors.Join(err, n.ports.close(), n.handoff.close(), n.replica.Close(ctx))
	}
	return n, nil
}

// openReplica plans the table, which is the same on every member, and opens the data directory.
func (n *Node) openReplica() error {
	members := make([]ring.Member, len(n.cfg.Members))
	for i, m := range n.cfg.Members {
		members[i] = ring.Member{ID: ring.NodeID(m.ID), Zone: m.Zone}
	}
	var err error
	n.table, err = ring.Plan(nil, members, ring.Config{Partitions: n.cfg.Partitions, Replicas: n.cfg.Replicas})
	if err != nil {
		return err
	}
	sync, err := parseSync(n.cfg.Sync)
	if err != nil {
		return err
	}
	compression, err := storage.ParseCompression(n.cfg.Compression)
	if err != nil {
		return err
	}
	engine := storage.Options{
		FS: n.opt.FS, Sync: sync, SyncInterval: n.cfg.SyncInterval, SegmentBytesMax: n.cfg.SegmentBytesMax, KeyBytesMax: n.cfg.KeyBytesMax,
		Compression: compression, MergeBytesPerSecond: n.cfg.MergeBytesPerSecond, ReserveBytes: n.cfg.ReserveBytes,
		ScrubInterval: n.cfg.ScrubInterval, ScrubBytesPerSecond: n.cfg.ScrubBytesPerSecond,
	}
	if err := n.growTrees(&engine); err != nil {
		return err
	}
	n.replica, err = replica.Open(n.cfg.Dir, replica.Options{
		Node:          ring.NodeID(n.cfg.ID),
		Table:         n.table,
		SiblingsMax:   n.cfg.SiblingsMax,
		ValueBytesMax: n.cfg.ValueBytesMax,
		Storage:       engine,
		Now:           n.now,
		Random:        n.opt.Random,
		Clock:         causal.ClockOptions{ClientAheadMax: n.cfg.ClockOffsetMax},
		Logger:        n.log,
	})
	if err != nil {
		return err
	}
	n.replica.SetServing(n.mayCoordinate)
	n.sizes = newSizes(n.replica.EachStored, n.table.Partition, n.cfg.Partitions, n.now)
	return nil
}

// assemble makes the rooms above the replica and binds the ports.
func (n *Node) assemble() error {
	var err error
	if n.ports, err = openPorts(n.cfg, n.opt.Listen); err != nil {
		return err
	}
	if n.peers, err = peer.New(n.peerOptions()); err != nil {
		return err
	}
	if n.liveness, err = cluster.New(n.livenessOptions()); err != nil {
		return err
	}
	r, err := parseLevel(n.cfg.R, n.cfg.Replicas)
	if err != nil {
		return err
	}
	w, err := parseLevel(n.cfg.W, n.cfg.Replicas)
	if err != nil {
		return err
	}
	if err := n.openExchange(); err != nil {
		return err
	}
	if err := n.openHandoff(); err != nil {
		return err
	}
	n.coordinator, err = coordinator.New(coordinator.Options{
		Self:  ring.NodeID(n.cfg.ID),
		Local: n.replica,
		Peers: n.peers.Peer,
		Hints: n.handoff,
		Table: func() coordinator.Topology { return n.table },
		Now:   n.now, Logger: n.log, Metrics: n.metrics,
		R: r, W: w, Ordered: n.cfg.Ordered, Sloppy: n.cfg.Sloppy,
		Timeout: n.cfg.Timeout, TimeoutMax: n.cfg.TimeoutMax,
		HedgeDelay: n.cfg.HedgeDelay, HedgeDelayMin: n.cfg.HedgeDelayMin,
		KeyBytesMax: n.cfg.KeyBytesMax, ValueBytesMax: n.cfg.ValueBytesMax,
	})
	if err != nil {
		return err
	}
	return n.openFaces()
}

func (n *Node) openFaces() error {
	registry := prometheus.NewRegistry()
	if err := n.registerMetrics(registry); err != nil {
		return err
	}
	n.admission = gateway.NewAdmission(n.cfg.InFlightMax, n.cfg.InFlightBytesMax, retryAfter)
	var err error
	n.http, err = httpgw.New(httpgw.Options{
		Store: n.coordinator, Clock: n.replica.Clock(), Inspector: n, Admin: n, Admission: n.admission, Registry: registry,
		Logger: n.log, Now: n.now, Timeout: n.cfg.Timeout, TimeoutMax: n.cfg.TimeoutMax,
		KeyBytesMax: n.cfg.KeyBytesMax, ValueBytesMax: n.cfg.ValueBytesMax, ConnectionsMax: n.cfg.ConnectionsMax,
		IdleTimeout: n.cfg.IdleTimeout, MessageTimeout: n.cfg.MessageTimeout, DrainTimeout: n.cfg.DrainTimeout,
	})
	if err != nil {
		return err
	}
	n.rpc, err = rpc.New(rpc.Options{
		Store: n.coordinator, Clock: n.replica.Clock(), Inspector: n, Admission: n.admission,
		Logger: n.log, Now: n.now, Timeout: n.cfg.Timeout, TimeoutMax: n.cfg.TimeoutMax, ConnectionsMax: n.cfg.ConnectionsMax,
		IdleTimeout: n.cfg.IdleTimeout, MessageTimeout: n.cfg.MessageTimeout, DrainTimeout: n.cfg.DrainTimeout,
	})
	return err
}

// retryAfter is what callers are told that the node has no room for.
const retryAfter = 50 * time.Millisecond

func (n *Node) peerOptions() peer.Options {
	members := make([]peer.Member, len(n.cfg.Members))
	for i, m := range n.cfg.Members {
		members[i] = peer.Member{ID: ring.NodeID(m.ID), Addr: m.Peer, Zone: m.Zone}
	}
	var now func() time.Time // time.Now, which takes the peers half as long to ask as a clock of our own
	if n.ownClock {
		now = n.now
	}
	return peer.Options{
		Self: peer.Self{
			ID:       ring.NodeID(n.cfg.ID),
			PeerAddr: n.member(n.cfg.ID).Peer, RPCAddr: n.announced(n.ports.rpc), HTTPAddr: n.announced(n.ports.http),
		},
		Members: members,
		Table: peer.Table{
			Fingerprint: uint64(n.table.Fingerprint()), Replicas: n.table.N(), Partitions: n.table.PartitionCount(),
		},
		Clock: n.replica.Clock(),
		Local: n.replica,
		Runs:  n.runs,
		Coordinate: func(deadline time.Time, req *coordinator.WriteRequest, done func([]coordinator.Outcome, error)) {
			n.coordinator.CoordinateForPeer(deadline, req, done)
		},
		Hint: func(deadline time.Time, target ring.NodeID, items []coordinator.Item, done func(error)) {
			n.handoff.keep(deadline, target, items, done)
		},
		Exchange: func(ctx context.Context, from ring.NodeID, request []byte) ([]byte, error) {
			return n.exchanger.Serve(ctx, from, request)
		},
		FS: n.opt.FS, Dir: n.cfg.Dir, Dial: n.dialPeer(),
		Refused: n.refuse, Outdated: n.outdate,
		Logger: n.log, Now: now,
		Seed: n.replica.BootID().Number(),
	}
}

// runs are what the peers are told of the data directory.
func (n *Node) runs() (now peer.Run, earlier []peer.Run) {
	last, before := n.replica.Runs()
	for _, r := range before {
		earlier = append(earlier, peer.Run(r))
	}
	return peer.Run(last), earlier
}

func (n *Node) member(id string) Member {
	for _, m := range n.cfg.Members {
		if m.ID == id {
			return m
		}
	}
	return Member{}
}

// announced is the address that others are told to use. Where a port is bound on all interfaces, it is the host of the peer address.
func (n *Node) announced(ln net.Listener) string {
	host, port, err := net.SplitHostPort(ln.Addr().String())
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return ln.Addr().String()
	}
	if host, _, err = net.SplitHostPort(n.member(n.cfg.ID).Peer); err != nil {
		return ln.Addr().String()
	}
	return net.JoinHostPort(host, port)
}

// Addrs are the addresses that the node listens on, host:port.
func (n *Node) Addrs() (http, rpc, peer string) {
	return n.ports.http.Addr().String(), n.ports.rpc.Addr().String(), n.ports.peer.Addr().String()
}
