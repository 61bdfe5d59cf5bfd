package settings

import (
	"strings"

	"github.com/ringcask/ringcask/node"
)

// Unit says how a setting's value is written.
type Unit string

// The units. They are the words that the manual uses.
const (
	Text     Unit = "text"
	Count    Unit = "number"
	Bytes    Unit = "bytes"    // a whole number, with KiB, MiB, GiB or none
	Duration Unit = "duration" // as Go writes it: 250ms, 2s, 10m
	Switch   Unit = "true or false"
	Address  Unit = "host:port"
	Members  Unit = "id=host:port[+host:port][@zone],…"
)

// Setting is one thing that a node can be told.
type Setting struct {
	// Name is in kebab-case.
	Name string
	Unit Unit
	// Help is what the setting means, in one sentence without a full stop.
	Help string
	// DefaultNote replaces the default in the manual where it depends on other settings.
	DefaultNote string
	// PerNode settings differ from node to node: `ringcask dev` computes them.
	PerNode bool
	// ForTests settings are left out of the help text.
	ForTests bool
	// field is the address of the setting's field.
	field func(*node.Config) any
}

// Flag, Variable are the setting's names on the command line and in the environment.
func (s Setting) Flag() string { return "--" + s.Name }
func (s Setting) Variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

const variablePrefix = "RINGCASK_"

// Table returns every setting in the order of the manual. The slice is the caller's.
func Table() []Setting {
	return []Setting{
		{Name: "id", Unit: Text, PerNode: true, Help: "Name of this node: one of members",
			field: func(c *node.Config) any { return &c.ID }},
		{Name: "dir", Unit: Text, PerNode: true, Help: "Data directory, made if it is missing",
			field: func(c *node.Config) any { return &c.Dir }},
		{Name: "http-addr", Unit: Address, PerNode: true, Help: "Address that HTTP listens on; port 0 picks a free one",
			field: func(c *node.Config) any { return &c.HTTPAddr }},
		{Name: "rpc-addr", Unit: Address, PerNode: true, Help: "Address that MessagePack-RPC clients connect to; port 0 picks a free one",
			field: func(c *node.Config) any { return &c.RPCAddr }},
		{Name: "peer-addr", Unit: Address, PerNode: true, Help: "Address that the other nodes connect to; port 0 picks a free one",
			field: func(c *node.Config) any { return &c.PeerAddr }},
		{Name: "gossip-addr", Unit: Address, PerNode: true, Help: "Address that the other nodes send gossip about who is alive to, by UDP and TCP",
			DefaultNote: "the host of peer-addr and the port of this node's gossip address in members",
			field:       func(c *node.Config) any { return &c.GossipAddr }},
		{Name: "members", Unit: Members, PerNode: true,
			Help:  "Every node of the cluster, this one among them, each with the address of its peer port, that of its gossip port where it is not the next one, and the zone that it stands in",
			field: func(c *node.Config) any { return &c.Members }},
		{Name: "replicas", Unit: Count, Help: "N: how many nodes hold each key; fixed when the data directory is made",
			DefaultNote: "3, or the number of members if that is less",
			field:       func(c *node.Config) any { return &c.Replicas }},
		{Name: "partitions", Unit: Count, Help: "Partitions that the keys are divided into; fixed when the data directory is made",
			field: func(c *node.Config) any { return &c.Partitions }},
		{Name: "r", Unit: Text, Help: "Replicas that must answer a read that does not say: a number, one, quorum or all",
			field: func(c *node.Config) any { return &c.R }},
		{Name: "w", Unit: Text, Help: "Replicas that must hold a write that does not say: a number, one, quorum or all",
			field: func(c *node.Config) any { return &c.W }},
		{Name: "ordered", Unit: Switch, Help: "Make every put ordered, at the price of a round trip to r replicas",
			field: func(c *node.Config) any { return &c.Ordered }},
		{Name: "sloppy", Unit: Switch, Help: "Let other nodes keep copies for replicas that cannot be reached, where fewer than w can; reads may miss such writes until these are back",
			field: func(c *node.Config) any { return &c.Sloppy }},
		{Name: "sync", Unit: Text, Help: "When writes are made durable: always (before each is acknowledged), interval or never",
			field: func(c *node.Config) any { return &c.Sync }},
		{Name: "sync-interval", Unit: Duration, Help: "Time between syncs where sync is interval",
			field: func(c *node.Config) any { return &c.SyncInterval }},
		{Name: "segment-bytes-max", Unit: Bytes, Help: "Size at which a segment of the log is sealed",
			field: func(c *node.Config) any { return &c.SegmentBytesMax }},
		{Name: "compression", Unit: Text, Help: "How merges compress what they write: none, s2, lz4, gzip or zstd; what was written before is read under any setting",
			field: func(c *node.Config) any { return &c.Compression }},
		{Name: "merge-bytes-per-second", Unit: Bytes, Help: "What merges of each of the two kinds write in a second beside reads and writes; four times as much where there are none, more where writes outrun them",
			field: func(c *node.Config) any { return &c.MergeBytesPerSecond }},
		{Name: "reserve-bytes", Unit: Bytes, Help: "Free space of the disk below which writes are refused, so that merges can make room",
			field: func(c *node.Config) any { return &c.ReserveBytes }},
		{Name: "scrub-interval", Unit: Duration, Help: "Time between two scrubs, which read and check all that is stored",
			field: func(c *node.Config) any { return &c.ScrubInterval }},
		{Name: "scrub-bytes-per-second", Unit: Bytes, Help: "Most that a scrub reads in a second",
			field: func(c *node.Config) any { return &c.ScrubBytesPerSecond }},
		{Name: "exchange-period", Unit: Duration, Help: "Time in which every partition is compared with every other replica of it",
			field: func(c *node.Config) any { return &c.ExchangePeriod }},
		{Name: "exchange-bytes-per-second", Unit: Bytes, Help: "Most that such comparisons move in a second",
			field: func(c *node.Config) any { return &c.ExchangeBytesPerSecond }},
		{Name: "hint-bytes-max", Unit: Bytes, Help: "Most that hints for replicas out of reach may take",
			field: func(c *node.Config) any { return &c.HintBytesMax }},
		{Name: "hint-age-max", Unit: Duration, Help: "How long such hints are kept",
			field: func(c *node.Config) any { return &c.HintAgeMax }},
		{Name: "hint-bytes-per-second", Unit: Bytes, Help: "Most that is replayed of them in a second",
			field: func(c *node.Config) any { return &c.HintBytesPerSecond }},
		{Name: "key-bytes-max", Unit: Bytes, Help: "Longest key that a client may store",
			field: func(c *node.Config) any { return &c.KeyBytesMax }},
		{Name: "value-bytes-max", Unit: Bytes, Help: "Largest value that a client may store",
			field: func(c *node.Config) any { return &c.ValueBytesMax }},
		{Name: "siblings-max", Unit: Count, Help: "Values that a key may have at once before a put that would add one is refused",
			field: func(c *node.Config) any { return &c.SiblingsMax }},
		{Name: "timeout", Unit: Duration, Help: "Time limit of a request that does not say",
			field: func(c *node.Config) any { return &c.Timeout }},
		{Name: "timeout-max", Unit: Duration, Help: "Longest time limit that a request may ask for",
			field: func(c *node.Config) any { return &c.TimeoutMax }},
		{Name: "hedge-delay", Unit: Duration, Help: "Longest that a read waits for a replica before it asks a spare one",
			field: func(c *node.Config) any { return &c.HedgeDelay }},
		{Name: "hedge-delay-min", Unit: Duration,
			Help:        "Shortest that a read waits for a replica before it asks a spare one: between the two it follows how long answers take",
			DefaultNote: "5ms, or hedge-delay if that is less",
			field:       func(c *node.Config) any { return &c.HedgeDelayMin }},
		{Name: "in-flight-max", Unit: Count, Help: "Client requests that are admitted at once; more are refused as overloaded",
			field: func(c *node.Config) any { return &c.InFlightMax }},
		{Name: "in-flight-bytes-max", Unit: Bytes, Help: "Bytes of client requests that are admitted at once",
			field: func(c *node.Config) any { return &c.InFlightBytesMax }},
		{Name: "connections-max", Unit: Count, Help: "Client connections of each port",
			field: func(c *node.Config) any { return &c.ConnectionsMax }},
		{Name: "idle-timeout", Unit: Duration, Help: "Close a client connection that sent nothing for so long",
			field: func(c *node.Config) any { return &c.IdleTimeout }},
		{Name: "message-timeout", Unit: Duration, Help: "Close a client connection whose message does not arrive in full in that time",
			field: func(c *node.Config) any { return &c.MessageTimeout }},
		{Name: "clock-offset-warn", Unit: Duration, Help: "Warn when the clock is further from the median of the peers' clocks",
			field: func(c *node.Config) any { return &c.ClockOffsetWarn }},
		{Name: "clock-offset-max", Unit: Duration, Help: "Stop coordinating when the clock is further from the median of the peers' clocks",
			field: func(c *node.Config) any { return &c.ClockOffsetMax }},
		{Name: "drain-timeout", Unit: Duration, Help: "How long a shutdown waits for requests under way",
			field: func(c *node.Config) any { return &c.DrainTimeout }},
		{Name: "log-level", Unit: Text, Help: "Least level that is logged: debug, info, warn or error",
			field: func(c *node.Config) any { return &c.LogLevel }},
		{Name: "insecure", Unit: Switch, PerNode: true,
			Help:  "Allow listening on other addresses than loopback, without encryption or authentication",
			field: func(c *node.Config) any { return &c.Insecure }},
		{Name: "test-clock-offset", Unit: Duration, ForTests: true, Help: "Added to the clock: for tests of skewed clocks only",
			field: func(c *node.Config) any { return &c.TestClockOffset }},
		{Name: "test-disk-control", Unit: Text, PerNode: true, ForTests: true, Help: "File that says when the disk fails: for tests of bad disks only",
			field: func(c *node.Config) any { return &c.TestDiskControl }},
		{Name: "test-routes", Unit: Members, PerNode: true, ForTests: true, Help: "Where other nodes are dialled in place of their addresses: for tests with proxies only",
			field: func(c *node.Config) any { return &c.TestRoutes }},
	}
}

// Lookup returns the setting of that name.
func Lookup(name string) (Setting, bool) {
	for _, s := range Table() {
		if s.Name == name {
			return s, true
		}
	}
	return Setting{}, false
}

// Default is the setting's default as the manual writes it; empty where there is none.
func (s Setting) Default() string {
	if s.DefaultNote != "" {
		return s.DefaultNote
	}
	c := node.Config{}.WithDefaults()
	return s.Format(&c)
}

// Example is a value of the setting's kind, for the help text.
func (s Setting) Example() string {
	switch s.Unit {
	case Bytes:
		return "BYTES"
	case Duration:
		return "DURATION"
	case Count:
		return "N"
	case Address:
		return "HOST:PORT"
	case Members:
		return "ID=HOST:PORT,..."
	}
	switch s.Name {
	case "r", "w", "log-level":
		return "LEVEL"
	case "sync":
		return "POLICY"
	}
	return strings.ToUpper(s.Name)
}
