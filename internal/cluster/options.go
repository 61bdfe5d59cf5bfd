package cluster

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringcask/ringcask/ring"
)

// Peer is one node of the static member list.
type Peer struct {
	ID ring.NodeID
	// Addr is where the others reach its gossip port, host:port.
	Addr string
}

// Options are the settings of a Liveness. Fields without a default are required.
type Options struct {
	// Self is this node, one of Members; Members are all nodes of the cluster, at most MembersMax.
	Self    ring.NodeID
	Members []Peer
	// BindAddr is the address to listen on, host:port, by UDP and TCP. Empty is this node's address among Members.
	BindAddr string
	// Fingerprint is the partition table's. Nodes with another one are not heard.
	Fingerprint uint64
	// Incarnation is how often this node's data directory was opened.
	Incarnation uint64
	// Transport makes what carries the gossip, which Run closes; nil binds BindAddr by UDP and TCP.
	Transport func() (memberlist.Transport, error)
	// SecretKey, of 16, 24 or 32 bytes, encrypts and authenticates the gossip. Empty is neither.
	SecretKey []byte
	// Changed is told what became of a member, each time that its state, condition or incarnation has changed, by one
	// goroutine. Nil is nobody.
	Changed func(Member)
	// Logger takes what memberlist has to say; nil discards it.
	Logger *slog.Logger

	// ProbeInterval is the time between two probes, each of one member. Zero is 200 ms. ProbeTimeout is how long a probe
	// waits before others are asked to try. Zero is half of ProbeInterval.
	ProbeInterval, ProbeTimeout time.Duration
	// GossipInterval is the time between two rounds of gossip. Zero is a quarter of ProbeInterval.
	GossipInterval time.Duration
	// RejoinInterval is the time between two attempts to join the members that are not alive. Zero is 1 s.
	RejoinInterval time.Duration
	// ReclaimAfter is for how long a member must have been dead before it may come back at another address. Zero is 1 s.
	ReclaimAfter time.Duration
	// LeaveTimeout is how long the word that this node leaves may take to be sent. Zero is 200 ms.
	LeaveTimeout time.Duration
}

// MembersMax bounds the member list.
const MembersMax = 1024

const (
	// suspicionMult is memberlist's: how many probe intervals, times the logarithm of the members, a suspicion stands
	// before it is a death.
	suspicionMult = 3
	// suspectRounds is for how many rounds of probes a member may have left them unanswered before it is suspect.
	suspectRounds = 2
)

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func(Member) {}
	}
	if o.BindAddr == "" {
		o.BindAddr = o.self().Addr
	}
	orDefault(&o.ProbeInterval, 200*time.Millisecond)
	orDefault(&o.ProbeTimeout, o.ProbeInterval/2)
	orDefault(&o.GossipInterval, o.ProbeInterval/4)
	orDefault(&o.RejoinInterval, time.Second)
	orDefault(&o.ReclaimAfter, time.Second)
	orDefault(&o.LeaveTimeout, 200*time.Millisecond)
	return o
}

func orDefault(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

func (o *Options) self() Peer {
	for _, p := range o.Members {
		if p.ID == o.Self {
			return p
		}
	}
	return Peer{}
}

// validate says what is wrong with the options, all at once.
func (o *Options) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("cluster: "+format, args...)) }
	seen := make(map[ring.NodeID]bool, len(o.Members))
	for _, p := range o.Members {
		if seen[p.ID] || p.ID == "" {
			fail("member %q is listed twice or has no name", p.ID)
		}
		seen[p.ID] = true
		if _, _, err := net.SplitHostPort(p.Addr); err != nil {
			fail("member %s has the gossip address %q, want host:port", p.ID, p.Addr)
		}
	}
	if !seen[o.Self] {
		fail("this node, %q, is not a member", o.Self)
	}
	if len(o.Members) > MembersMax {
		fail("%d members are more than %d", len(o.Members), MembersMax)
	}
	if _, _, err := net.SplitHostPort(o.BindAddr); err != nil {
		fail("bind address %q is not host:port", o.BindAddr)
	}
	switch len(o.SecretKey) {
	case 0, 16, 24, 32:
	default:
		fail("the secret key has %d bytes, must have 16, 24 or 32", len(o.SecretKey))
	}
	if min(o.ProbeInterval, o.ProbeTimeout, o.GossipInterval, o.RejoinInterval, o.ReclaimAfter, o.LeaveTimeout) < 0 ||
		o.ProbeTimeout > o.ProbeInterval {
		fail("times must be positive, and a probe's timeout at most its interval")
	}
	return errors.Join(errs...)
}
