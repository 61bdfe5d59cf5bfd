package node

import (
	"strings"
	"testing"
	"time"
)

func valid() Config {
	return Config{ID: "n1", Dir: "/data", Members: []Member{{ID: "n1", Peer: "127.0.0.1:8083"}}}.WithDefaults()
}

func TestTheDefaultsAreValid(t *testing.T) {
	if err := valid().Validate(); err != nil {
		t.Error(err)
	}
}

func TestEveryBadSettingIsNamed(t *testing.T) {
	for want, spoil := range map[string]func(*Config){
		"id is required":      func(c *Config) { c.ID = "" },
		"not in members":      func(c *Config) { c.ID = "n2" },
		"members is required": func(c *Config) { c.Members = nil },
		"listed twice":        func(c *Config) { c.Members = append(c.Members, c.Members[0]) },
		"want host:port":      func(c *Config) { c.Members[0].Peer = "nowhere" },
		"both have":           func(c *Config) { c.Members = append(c.Members, Member{ID: "n2", Peer: c.Members[0].Peer}) },
		"dir is required":     func(c *Config) { c.Dir = "" },
		"the peer address of n2": func(c *Config) {
			c.Members = append(c.Members, Member{ID: "n2", Peer: "127.0.0.1:8084"})
		},
		"the gossip address \"x\"": func(c *Config) { c.Members[0].Gossip = "x" },
		"gossip-addr: 0.0.0.0":     func(c *Config) { c.GossipAddr = "0.0.0.0:8084" },
		"hedge-delay-min is out":   func(c *Config) { c.HedgeDelayMin = 2 * c.HedgeDelay },
		"not a loopback address":   func(c *Config) { c.RPCAddr = "0.0.0.0:8081" },
		"is not host:port":         func(c *Config) { c.HTTPAddr = "8080" },
		"has no valid port":        func(c *Config) { c.PeerAddr = "127.0.0.1:99999" },
		"replicas is 2":            func(c *Config) { c.Replicas = 2 },
		"partitions is -1":         func(c *Config) { c.Partitions = -1 },
		"w: \"2\" is no level":     func(c *Config) { c.W = "2" },
		"sync is \"sometimes\"":    func(c *Config) { c.Sync = "sometimes" },
		"log-level is \"loud\"":    func(c *Config) { c.LogLevel = "loud" },
		"siblings-max":             func(c *Config) { c.SiblingsMax = -5 },
		"timeout is out":           func(c *Config) { c.Timeout = 2 * c.TimeoutMax },
		"drain-timeout is out of":  func(c *Config) { c.DrainTimeout = -time.Second },
	} {
		c := valid()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

func TestInsecureAllowsOtherAddresses(t *testing.T) {
	c := valid()
	c.RPCAddr, c.Insecure = "0.0.0.0:8081", true
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
