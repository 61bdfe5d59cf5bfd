package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// Options are the settings of a Client. The zero value of each but Addrs is its default.
type Options struct {
	// Addrs are client addresses (host:port) of one or more nodes. The others are learnt from them.
	Addrs []string
	// Direct talks to Addrs only, in their order, and does not route by the topology.
	Direct bool
	// ConnectionsPerNode is how many connections a node gets. Zero is 2.
	ConnectionsPerNode int
	// Timeout is the time limit of a call whose context has no earlier deadline. Zero is 5 s.
	Timeout time.Duration
	// AttemptTimeout is how long the first attempt of a call that may be retried waits for its node, twice as long for batches,
	// multi-gets and ranges; each further one waits twice as long as the last. Zero is a quarter of the call's time, but not less than 100 ms;
	// and for a single key, once enough answers of the node were measured, twice as long as all but one in a hundred took, if
	// that is less, but not less than 50 ms and a second for each 16 MiB that are sent.
	AttemptTimeout time.Duration
	// DialTimeout bounds making a connection, and how long a node may take to tell its time. Zero is 1 s.
	DialTimeout time.Duration
	// RetriesMax is how often a call is tried again. Zero is 4; negative is never.
	RetriesMax int
	// NoUnknownRetries leaves writes alone of which it is not known whether they took effect.
	NoUnknownRetries bool
	// TopologyInterval is how often the topology is read again. Zero is 30 s. It is also read, at most once a second, after a node has failed.
	TopologyInterval time.Duration
	// Clock is where the client's clock begins: the Clock of a client that this one continues.
	Clock uint64
	// MessageBytesMax bounds a request and an answer. Zero is 64 MiB.
	MessageBytesMax int
	// BatchOpsMax and BatchBytesMax bound a batch (keys and values together); more is refused. Zero is 10,000 and 32 MiB.
	BatchOpsMax, BatchBytesMax int
	// Dial makes a connection; nil is TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Random is a source of numbers in [0, 1), for the jitter of pauses; it must be safe for concurrent use. Nil is math/rand's.
	Random func() float64
}

const (
	// topologyPauseMin is the least time between two readings of the topology.
	topologyPauseMin = time.Second
	// attemptTimeoutMin is the least that AttemptTimeout is by itself.
	attemptTimeoutMin = 100 * time.Millisecond
	// tailFactor and tailTimeoutMin are how AttemptTimeout follows the measured latencies; movingBytesPerSecond what a value is at
	// least expected to travel at.
	tailFactor           = 2
	tailTimeoutMin       = 50 * time.Millisecond
	movingBytesPerSecond = 16 << 20
	// sendBytesMax bounds what waits to be written to a connection, and so what a node that reads nothing can pile up.
	sendBytesMax = 128 << 20
)

func (o Options) withDefaults() Options {
	o.Addrs = slices.Clone(o.Addrs)
	orDefault(&o.ConnectionsPerNode, 2)
	orDefault(&o.Timeout, 5*time.Second)
	orDefault(&o.DialTimeout, time.Second)
	orDefault(&o.RetriesMax, 4)
	orDefault(&o.TopologyInterval, 30*time.Second)
	orDefault(&o.MessageBytesMax, 64<<20)
	orDefault(&o.BatchOpsMax, 10_000)
	orDefault(&o.BatchBytesMax, 32<<20)
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	return o
}

func orDefault[T ~int | ~int64](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

func (o *Options) validate() error {
	if len(o.Addrs) == 0 {
		return errors.New("client: no addresses")
	}
	for _, addr := range o.Addrs {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("client: address %q is not host:port: %w", addr, err)
		}
	}
	if min(o.ConnectionsPerNode, o.MessageBytesMax, o.BatchOpsMax, o.BatchBytesMax) < 1 ||
		min(o.Timeout, o.DialTimeout, o.TopologyInterval) < 1 || o.AttemptTimeout < 0 {
		return errors.New("client: limits and timeouts must be positive")
	}
	return nil
}

// Level is how many replicas must answer: a positive number, or one of the names below. Zero is the cluster's setting.
type Level = wire.Level

// The levels with names: 1, N/2+1 and N.
const (
	LevelDefault = wire.LevelDefault
	LevelOne     = wire.LevelOne
	LevelQuorum  = wire.LevelQuorum
	LevelAll     = wire.LevelAll
)

// ParseLevel is the level of a text: a number, "one", "quorum" or "all"; the empty text is LevelDefault.
func ParseLevel(text string) (Level, error) { return wire.ParseLevel(text) }

// Status is what a node says of itself; Topology the members and the partition table.
type (
	Status         = wire.Status
	MemberStatus   = wire.MemberStatus
	Topology       = wire.Topology
	TopologyMember = wire.TopologyMember
)
