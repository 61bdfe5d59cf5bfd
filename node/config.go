package node

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

// Member is one node of a static member list.
type Member struct {
	ID   string `yaml:"id"`
	Zone string `yaml:"zone"`
	// Peer is the address that the other nodes reach it at, host:port.
	Peer string `yaml:"peer"`
	// Gossip is the address that the other nodes reach its gossip port at, host:port. Empty is the host of Peer and the port
	// after its.
	Gossip string `yaml:"gossip"`
}

// gossipAddr is Gossip, or what it defaults to; empty where Peer is no address.
func (m Member) gossipAddr() string {
	if m.Gossip != "" {
		return m.Gossip
	}
	return nextPort(m.Peer)
}

// nextPort is an address with the port after its own; empty if there is none.
func nextPort(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	n, bad := strconv.Atoi(port)
	if err != nil || bad != nil || n < 1 || n > 65534 {
		return ""
	}
	return net.JoinHostPort(host, strconv.Itoa(n+1))
}

// Config is everything that a node can be told. The zero value of a field is its default where one is named.
type Config struct {
	// ID names the node; it must be one of Members.
	ID string
	// Dir is the data directory; it is created if it is missing.
	Dir string
	// HTTPAddr, RPCAddr and PeerAddr are the addresses to listen on (defaults 127.0.0.1:8080, :8081 and :8083). Port 0 picks a free port.
	HTTPAddr, RPCAddr, PeerAddr string
	// GossipAddr is the address to listen on for gossip, by UDP and TCP (default: the host of PeerAddr and the port of this
	// node's gossip address among Members, which is the one after its peer port unless it is given).
	GossipAddr string
	// Members are all nodes of the cluster, this one among them, in any order.
	Members []Member
	// Replicas is N (default 3, or the number of members if that is less); Partitions the partition count (default 256).
	Replicas, Partitions int
	// R and W are the default levels: a number, one, quorum (the default) or all.
	R, W string
	// Ordered makes every put ordered unless a request says otherwise.
	Ordered bool
	// Sloppy lets other nodes keep copies for replicas that cannot be reached, unless a request says otherwise.
	Sloppy bool
	// Sync is always (the default), interval or never; SyncInterval is the period of interval (default 100 ms).
	Sync         string
	SyncInterval time.Duration
	// SegmentBytesMax is the size of a log segment (default 256 MiB).
	SegmentBytesMax int64
	// Compression is how merges compress what they write: none (the default), s2, lz4, gzip or zstd.
	Compression string
	// MergeBytesPerSecond is storage.Options.MergeBytesPerSecond (default 64 MiB).
	MergeBytesPerSecond int64
	// ReserveBytes are left free on the disk: with less, writes are refused (default 256 MiB).
	ReserveBytes int64
	// ScrubInterval is the time between two scrubs, which read and check all that is stored (default 7 days), ScrubBytesPerSecond what
	// they read at most (default 4 MiB).
	ScrubInterval       time.Duration
	ScrubBytesPerSecond int64
	// ExchangePeriod is the time in which every partition is compared with every other replica of it (default 10 min),
	// ExchangeBytesPerSecond what that may move (default 32 MiB).
	ExchangePeriod         time.Duration
	ExchangeBytesPerSecond int64
	// HintBytesMax bounds the hints for replicas that cannot be reached (default 1 GiB), HintAgeMax how long they are kept (default 3 h), and
	// HintBytesPerSecond what is replayed of them in a second (default 16 MiB).
	HintBytesMax       int64
	HintAgeMax         time.Duration
	HintBytesPerSecond int64
	// KeyBytesMax (default 4 KiB), ValueBytesMax (default 4 MiB) and SiblingsMax (default 64) bound what a client may store under a key.
	KeyBytesMax, ValueBytesMax, SiblingsMax int
	// Timeout is a request's time limit when it names none (default 2 s), TimeoutMax the most that it may ask for (default 60 s).
	Timeout, TimeoutMax time.Duration
	// HedgeDelay is the longest that a read waits for a replica before it asks a spare one (default 25 ms), HedgeDelayMin the
	// shortest (default 5 ms, or HedgeDelay if that is less): in between it follows how long the replica's answers take.
	HedgeDelay, HedgeDelayMin time.Duration
	// InFlightMax and InFlightBytesMax bound the client requests admitted at once (defaults 8,192 and 256 MiB).
	InFlightMax      int
	InFlightBytesMax int64
	// ConnectionsMax bounds the client connections of each port (default 10,000).
	ConnectionsMax int
	// IdleTimeout closes a client connection that sent nothing for so long (default 10 min), MessageTimeout one whose message does
	// not arrive in full in that time (default 30 s).
	IdleTimeout, MessageTimeout time.Duration
	// ClockOffsetWarn (default 500 ms) and ClockOffsetMax (default 60 s) bound this node's clock against the median of its peers': past
	// the first it warns, past the second it stops coordinating.
	ClockOffsetWarn, ClockOffsetMax time.Duration
	// DrainTimeout is how long a shutdown waits for requests under way (default 5 s).
	DrainTimeout time.Duration
	// LogLevel is debug, info (the default), warn or error.
	LogLevel string
	// TestClockOffset is added to the node's physical clock: for tests of skewed clocks only.
	TestClockOffset time.Duration
	// TestRoutes are where other nodes are dialled in place of their addresses among Members, for peers and gossip: for tests that have
	// proxies in between only. Who is not listed is dialled at its address.
	TestRoutes []Member
	// TestDiskControl is a file that says when the data directory's file system fails (package vfscontrol): for tests of bad disks only.
	TestDiskControl string
	// Insecure allows listening on addresses other than loopback, without encryption or authentication.
	Insecure bool
}

// WithDefaults returns the configuration with every unset field at its default.
func (c Config) WithDefaults() Config {
	def(&c.HTTPAddr, "127.0.0.1:8080")
	def(&c.RPCAddr, "127.0.0.1:8081")
	def(&c.PeerAddr, "127.0.0.1:8083")
	def(&c.GossipAddr, c.defaultGossipAddr())
	def(&c.Replicas, min(3, max(1, len(c.Members))))
	def(&c.Partitions, 256)
	def(&c.R, "quorum")
	def(&c.W, "quorum")
	def(&c.Sync, "always")
	def(&c.SyncInterval, 100*time.Millisecond)
	def(&c.SegmentBytesMax, 256<<20)
	def(&c.Compression, "none")
	def(&c.MergeBytesPerSecond, 64<<20)
	def(&c.ReserveBytes, 256<<20)
	def(&c.ScrubInterval, 7*24*time.Hour)
	def(&c.ScrubBytesPerSecond, 4<<20)
	def(&c.ExchangePeriod, 10*time.Minute)
	def(&c.ExchangeBytesPerSecond, 32<<20)
	def(&c.HintBytesMax, 1<<30)
	def(&c.HintAgeMax, 3*time.Hour)
	def(&c.HintBytesPerSecond, 16<<20)
	def(&c.KeyBytesMax, 4<<10)
	def(&c.ValueBytesMax, 4<<20)
	def(&c.SiblingsMax, 64)
	def(&c.Timeout, 2*time.Second)
	def(&c.TimeoutMax, 60*time.Second)
	def(&c.HedgeDelay, 25*time.Millisecond)
	def(&c.HedgeDelayMin, min(5*time.Millisecond, c.HedgeDelay))
	def(&c.InFlightMax, 8192)
	def(&c.InFlightBytesMax, 256<<20)
	def(&c.ConnectionsMax, 10_000)
	def(&c.IdleTimeout, 10*time.Minute)
	def(&c.MessageTimeout, 30*time.Second)
	def(&c.ClockOffsetWarn, 500*time.Millisecond)
	def(&c.ClockOffsetMax, 60*time.Second)
	def(&c.DrainTimeout, 5*time.Second)
	def(&c.LogLevel, "info")
	return c
}

// defaultGossipAddr is where a node listens for gossip that is not told where.
func (c Config) defaultGossipAddr() string {
	host, _, err := net.SplitHostPort(c.PeerAddr)
	if err != nil {
		return ""
	}
	for _, m := range c.Members {
		if _, port, err := net.SplitHostPort(m.gossipAddr()); m.ID == c.ID && err == nil {
			return net.JoinHostPort(host, port)
		}
	}
	return nextPort(c.PeerAddr)
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate says everything that is wrong with a configuration that went through WithDefaults.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Dir == "" {
		bad("dir is required: where the node keeps its data")
	}
	errs = append(errs, c.validateMembers())
	for _, a := range []struct{ name, addr string }{{"http-addr", c.HTTPAddr}, {"rpc-addr", c.RPCAddr}, {"peer-addr", c.PeerAddr}, {"gossip-addr", c.GossipAddr}} {
		if err := validateListen(a.addr, c.Insecure); err != nil {
			bad("%s: %w", a.name, err)
		}
	}
	if c.Replicas < 1 || c.Replicas > max(1, len(c.Members)) {
		bad("replicas is %d, must be between 1 and the number of members, %d", c.Replicas, len(c.Members))
	}
	if c.Partitions < 1 || c.Partitions > ring.PartitionsMax {
		bad("partitions is %d, must be between 1 and %d", c.Partitions, ring.PartitionsMax)
	}
	for name, level := range map[string]string{"r": c.R, "w": c.W} {
		if _, err := parseLevel(level, c.Replicas); err != nil {
			bad("%s: %w", name, err)
		}
	}
	if _, err := parseSync(c.Sync); err != nil {
		errs = append(errs, err)
	}
	if _, err := storage.ParseCompression(c.Compression); err != nil {
		bad("compression is %q, must be none, s2, lz4, gzip or zstd", c.Compression)
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		bad("log-level is %q, must be debug, info, warn or error", c.LogLevel)
	}
	errs = append(errs, c.validateBounds())
	return errors.Join(errs...)
}

func (c Config) validateMembers() error {
	if c.ID == "" {
		return errors.New("id is required: the name of this node among members")
	}
	if len(c.Members) == 0 {
		return errors.New("members is required: every node of the cluster as id=host:port, this one among them")
	}
	seen := map[string]string{}
	for _, m := range c.Members {
		if err := ring.NodeID(m.ID).Validate(); err != nil {
			return fmt.Errorf("members: %w", err)
		}
		if _, dup := seen[m.ID]; dup {
			return fmt.Errorf("members: %s is listed twice", m.ID)
		}
		if _, port, err := net.SplitHostPort(m.Peer); err != nil || port == "0" {
			return fmt.Errorf("members: %s has the peer address %q, want host:port", m.ID, m.Peer)
		}
		for id, peer := range seen {
			if peer == m.Peer {
				return fmt.Errorf("members: %s and %s both have the peer address %s", id, m.ID, peer)
			}
		}
		seen[m.ID] = m.Peer
	}
	if _, ok := seen[c.ID]; !ok {
		return fmt.Errorf("id is %s, which is not in members", c.ID)
	}
	for _, m := range c.TestRoutes {
		if _, ok := seen[m.ID]; !ok || m.gossipAddr() == "" {
			return fmt.Errorf("test-routes: %s at %q is not a member with an address", m.ID, m.Peer)
		}
	}
	return c.validateGossip()
}

// validateGossip checks that every member has a gossip address that is nobody else's address.
func (c Config) validateGossip() error {
	owner := map[string]string{}
	for _, m := range c.Members {
		owner[m.Peer] = "the peer address of " + m.ID
	}
	for _, m := range c.Members {
		addr := m.gossipAddr()
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "0" {
			return fmt.Errorf("members: %s has the gossip address %q, want host:port", m.ID, addr)
		}
		if other, taken := owner[addr]; taken {
			return fmt.Errorf("members: the gossip address of %s, %s, is %s: give it another one", m.ID, addr, other)
		}
		owner[addr] = "the gossip address of " + m.ID
	}
	return nil
}

// validateBounds checks that what must be positive is.
func (c Config) validateBounds() error {
	var errs []error
	for _, f := range []struct {
		name string
		is   int64
		max  int64
	}{
		{"segment-bytes-max", c.SegmentBytesMax, 4 << 30},
		{"merge-bytes-per-second", c.MergeBytesPerSecond, 1 << 40},
		{"reserve-bytes", c.ReserveBytes, 1 << 50},
		{"scrub-interval", int64(c.ScrubInterval), int64(10 * 365 * 24 * time.Hour)},
		{"scrub-bytes-per-second", c.ScrubBytesPerSecond, 1 << 40},
		{"exchange-period", int64(c.ExchangePeriod), int64(365 * 24 * time.Hour)},
		{"exchange-bytes-per-second", c.ExchangeBytesPerSecond, 1 << 40},
		{"hint-bytes-max", c.HintBytesMax, 1 << 50},
		{"hint-age-max", int64(c.HintAgeMax), int64(365 * 24 * time.Hour)},
		{"hint-bytes-per-second", c.HintBytesPerSecond, 1 << 40},
		{"key-bytes-max", int64(c.KeyBytesMax), 64 << 10},
		{"value-bytes-max", int64(c.ValueBytesMax), 16 << 20},
		{"siblings-max", int64(c.SiblingsMax), 1 << 16},
		{"in-flight-max", int64(c.InFlightMax), 1 << 20},
		{"in-flight-bytes-max", c.InFlightBytesMax, 1 << 40},
		{"connections-max", int64(c.ConnectionsMax), 1 << 20},
		{"sync-interval", int64(c.SyncInterval), int64(time.Minute)},
		{"timeout", int64(c.Timeout), int64(c.TimeoutMax)},
		{"timeout-max", int64(c.TimeoutMax), int64(time.Hour)},
		{"hedge-delay", int64(c.HedgeDelay), int64(time.Minute)},
		{"hedge-delay-min", int64(c.HedgeDelayMin), int64(c.HedgeDelay)},
		{"idle-timeout", int64(c.IdleTimeout), int64(24 * time.Hour)},
		{"message-timeout", int64(c.MessageTimeout), int64(time.Hour)},
		{"clock-offset-warn", int64(c.ClockOffsetWarn), int64(c.ClockOffsetMax)},
		{"clock-offset-max", int64(c.ClockOffsetMax), int64(time.Hour)},
		{"drain-timeout", int64(c.DrainTimeout), int64(10 * time.Minute)},
	} {
		if f.is < 1 || f.is > f.max {
			errs = append(errs, fmt.Errorf("%s is out of bounds: it must be positive and at most %d (durations in nanoseconds)", f.name, f.max))
		}
	}
	return errors.Join(errs...)
}

// validateListen refuses an address that others could reach: there is no encryption and no authentication yet.
func validateListen(addr string, insecure bool) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port: %w", addr, err)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("%q has no valid port", addr)
	}
	ip := net.ParseIP(host)
	if loopback := host == "localhost" || ip != nil && ip.IsLoopback(); !loopback && !insecure {
		return fmt.Errorf("%s is not a loopback address: without encryption and authentication that needs --insecure", addr)
	}
	return nil
}

// parseLevel is the level of a name or number, checked against n replicas.
func parseLevel(s string, n int) (coordinator.Level, error) {
	level, err := wire.ParseLevel(strings.ToLower(s))
	if err != nil || level == coordinator.LevelDefault || int(level) > n {
		return 0, fmt.Errorf("%q is no level: want one, quorum, all or a number from 1 to %d", s, n)
	}
	return level, nil
}

func parseSync(s string) (storage.SyncPolicy, error) {
	switch s {
	case "always":
		return storage.SyncAlways, nil
	case "interval":
		return storage.SyncInterval, nil
	case "never":
		return storage.SyncNever, nil
	}
	return 0, fmt.Errorf("sync is %q, must be always, interval or never", s)
}
