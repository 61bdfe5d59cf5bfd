package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs"
)

// Member is one node of the static member list.
type Member struct {
	ID ring.NodeID
	// Addr is where the member listens for its peers, host:port.
	Addr string
	// Zone is its failure domain; may be empty.
	Zone string
}

// Self is what this node says of itself.
type Self struct {
	ID ring.NodeID
	// PeerAddr, RPCAddr and HTTPAddr are the addresses, host:port, that clients and peers are to use.
	PeerAddr, RPCAddr, HTTPAddr string
}

// Table is what all members must agree on.
type Table struct {
	// Fingerprint identifies the partition table.
	Fingerprint uint64
	// Replicas is N; Partitions the partition count.
	Replicas, Partitions int
}

// Clock is the node's hybrid logical clock.
type Clock interface {
	// Last is the greatest timestamp issued or observed.
	Last() causal.Timestamp
	// Observe advances the clock past a peer's timestamp.
	Observe(causal.Timestamp)
}

// CoordinateFunc has the local coordinator coordinate a write that a peer forwarded. It returns at once, req.Deadline
// is set, and done is called exactly once and may be called before it returns.
type CoordinateFunc func(deadline time.Time, req *coordinator.WriteRequest, done func([]coordinator.Outcome, error))

// HintFunc keeps copies for a target durably, none of which is dropped before it has them. It returns at once; done is called
// exactly once and may be called before it returns.
type HintFunc func(deadline time.Time, target ring.NodeID, items []coordinator.Item, done func(error))

var errNoHints = &wire.Fault{Code: wire.CodeUnavailable, Effect: wire.EffectNone, Message: "this node keeps no hints"}

// Options are the settings of the links. Fields without a default are required.
type Options struct {
	Self Self
	// Members are all members, this node among them, at most MembersMax.
	Members []Member
	Table   Table
	Clock   Clock
	// Local answers store, read and scan, and names the actor.
	Local coordinator.Local
	// Runs are this run of the node and the earlier ones that its data directory knows, at most RunsMax, in the order of their incarnations
	// and without gaps. Its incarnation, at least 1, may rise while it runs; its boot stays. What is returned must not be changed after.
	Runs func() (now Run, earlier []Run)
	// Coordinate answers forwarded writes.
	Coordinate CoordinateFunc
	// Hint keeps copies for other members; nil refuses them.
	Hint HintFunc
	// Exchange answers exchanges; nil refuses them.
	Exchange ExchangeFunc
	// FS and Dir say where the memory of the peers' incarnations is kept: the file "peers" in Dir.
	FS  vfs.FS
	Dir string

	// Refused is told, at most once, that a peer refused this node as a copy of a member. The process
	// must stop: err says why. It must not block. Nil only logs.
	Refused func(err *HandshakeError)
	// Outdated is told, each time, that a peer refused this node because its data directory does not know the run err.Last. It is let
	// in once it does. It must not block. Nil only logs.
	Outdated func(err *HandshakeError)
	// Logger takes refusals, connects and losses; nil discards them.
	Logger *slog.Logger
	// Now is the node's physical clock, which offsets are measured by and deadlines are translated with on their way; nil
	// is time.Now, and takes half as long. Deadlines of callers, and of requests handed to Local and Coordinate, always are by time.Now.
	Now func() time.Time
	// Dial opens a connection; nil is TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Seed feeds the jitter of the backoff.
	Seed uint64

	// HandshakeTimeout bounds dialling and handshake, each. Zero is 2 s.
	HandshakeTimeout time.Duration
	// BackoffMin and BackoffMax bound the wait between two attempts to dial a member. Zero is 50 ms and 1 s.
	BackoffMin, BackoffMax time.Duration
	// PingInterval is the time between pings of a foreground link; a peer is unreachable when one was not answered in that time. A bulk
	// link is pinged half as often, but twice in LinkTimeout. Zero is 500 ms.
	PingInterval time.Duration
	// LinkTimeout is for how long a link may bring nothing, not even an answer to a ping, before it is closed and dialled anew. Zero is 5 s.
	LinkTimeout time.Duration
	// SuspectAfter is how long a request must have waited for its expiry to make the peer unreachable until it answers
	// a ping. Zero is 200 ms.
	SuspectAfter time.Duration
	// ProbeAfter is how long a link on which answers are due may be silent before it is pinged out of turn, and HungAfter
	// how long a ping may then stay unanswered before others are preferred to the peer. Zero is 10 ms and 40 ms.
	ProbeAfter, HungAfter time.Duration
	// SlowAfter is the mean latency from which on a peer may be held for slow: it is, where its mean is also several times
	// that of the quickest peer. Zero is 20 ms.
	SlowAfter time.Duration
	// WriteTimeout is how long a write to the socket may take; MessageTimeout how long a message may take to arrive
	// from its first byte. Zero is 10 s and 30 s.
	WriteTimeout, MessageTimeout time.Duration

	// InFlightMax and InFlightBytesMax bound the requests sent to one peer in one class and not answered, and the same
	// of a peer's requests to this node on one link. Zero is 16,384 and 64 MiB; one request is always allowed to pass
	// the bytes.
	InFlightMax      int
	InFlightBytesMax int64
	// MessageBytesMax bounds one message, SendBytesMax what waits to be written to one link. Zero is 128 MiB each.
	MessageBytesMax, SendBytesMax int
	// Workers run the peers' scans, as many more their reads of many keys, as many their exchanges, and as many hand over their
	// forwarded writes; WorkQueueMax bounds what waits for each of the four. Zero is 4 and 1,024.
	Workers, WorkQueueMax int
	// GreetingsMax bounds the accepted connections that are not through their handshake. Zero is 64 and 8 for each
	// member.
	GreetingsMax int
	// ReceiveBytesMax bounds what all links together hold in long messages that have not arrived whole. Zero is twice
	// MessageBytesMax.
	ReceiveBytesMax int64
}

// MembersMax is the greatest number of members in a hello.
const MembersMax = 1024

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Exchange == nil {
		o.Exchange = func(context.Context, ring.NodeID, []byte) ([]byte, error) { return nil, errNoExchanges }
	}
	if o.Hint == nil {
		o.Hint = func(_ time.Time, _ ring.NodeID, _ []coordinator.Item, done func(error)) { done(errNoHints) }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	orDefault(&o.HandshakeTimeout, 2*time.Second)
	orDefault(&o.BackoffMin, 50*time.Millisecond)
	orDefault(&o.BackoffMax, time.Second)
	orDefault(&o.PingInterval, 500*time.Millisecond)
	orDefault(&o.LinkTimeout, 5*time.Second)
	orDefault(&o.SuspectAfter, 200*time.Millisecond)
	orDefault(&o.ProbeAfter, 10*time.Millisecond)
	orDefault(&o.HungAfter, 40*time.Millisecond)
	orDefault(&o.SlowAfter, 20*time.Millisecond)
	orDefault(&o.WriteTimeout, 10*time.Second)
	orDefault(&o.MessageTimeout, 30*time.Second)
	orDefault(&o.InFlightMax, 16384)
	orDefault(&o.InFlightBytesMax, 64<<20)
	orDefault(&o.MessageBytesMax, 128<<20)
	orDefault(&o.SendBytesMax, 128<<20)
	orDefault(&o.Workers, 4)
	orDefault(&o.WorkQueueMax, 1024)
	orDefault(&o.GreetingsMax, 64+8*len(o.Members))
	orDefault(&o.ReceiveBytesMax, 2*int64(o.MessageBytesMax))
	return o
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate says what is wrong with the options, all at once.
func (o *Options) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("peer: "+format, args...)) }
	seen := make(map[ring.NodeID]bool, len(o.Members))
	for _, m := range o.Members {
		switch {
		case len(m.ID) == 0 || len(m.ID) > nodeIDBytesMax:
			fail("member id %q must have 1 to %d bytes", m.ID, nodeIDBytesMax)
		case seen[m.ID]:
			fail("member %s is listed twice", m.ID)
		case m.Addr == "":
			fail("member %s has no address", m.ID)
		case len(m.Zone) > textBytesMax:
			fail("zone of member %s is longer than %d bytes", m.ID, textBytesMax)
		}
		seen[m.ID] = true
	}
	if len(o.Members) > MembersMax {
		fail("%d members are more than %d", len(o.Members), MembersMax)
	}
	if !seen[o.Self.ID] {
		fail("this node, %s, is not a member", o.Self.ID)
	}
	if o.Runs == nil {
		fail("the node's runs are required")
	} else if now, _ := o.Runs(); now.Incarnation == 0 || now.Boot == 0 {
		fail("incarnation and boot must not be zero")
	}
	if o.LinkTimeout < 2*o.PingInterval {
		fail("link timeout %v must be at least two ping intervals of %v", o.LinkTimeout, o.PingInterval)
	}
	if o.BackoffMin <= 0 || o.BackoffMax < o.BackoffMin {
		fail("backoff from %v to %v", o.BackoffMin, o.BackoffMax)
	}
	if o.Clock == nil || o.Local == nil || o.Coordinate == nil || o.FS == nil {
		fail("clock, local replica, coordinate and file system are required")
	}
	return errors.Join(errs...)
}
