package main

import (
	"time"

	"github.com/ringcask/ringcask/client"
)

// addresses say which nodes a command talks to.
type addresses struct {
	Addr []string `env:"RINGCASK_ADDR" default:"127.0.0.1:8081" placeholder:"HOST:PORT" group:"connection" help:"MessagePack-RPC addresses of nodes (default: 127.0.0.1:8081). With one, the command goes through that node; with several, to the nodes that hold its keys."`
}

// dialFor returns a client that bounds each request. A direct one talks to the addresses only.
func (a *addresses) dialFor(direct bool, timeout time.Duration) (*client.Client, error) {
	if timeout <= 0 {
		return nil, usagef("--timeout must be positive")
	}
	cl, err := client.New(client.Options{Addrs: a.Addr, Direct: direct, Timeout: timeout})
	if err != nil {
		return nil, usagef("--addr: %w", err)
	}
	return cl, nil
}

// connection says which nodes a command talks to, and for how long.
type connection struct {
	addresses
	Timeout time.Duration `default:"5s" placeholder:"DURATION" group:"connection" help:"Time limit of each request, tries on other nodes included (default: 5s)."`
}

// open returns a client that goes through the one address, or routes by the topology if there are several.
func (c *connection) open() (*client.Client, error) { return c.dial(len(c.Addr) == 1) }

// dial returns a client. A direct one talks to the addresses only.
func (c *connection) dial(direct bool) (*client.Client, error) { return c.dialFor(direct, c.Timeout) }

// readLevel is for commands that read.
type readLevel struct {
	R level `placeholder:"LEVEL" help:"Replicas that must answer: a number, one, quorum or all (default: the cluster's setting)."`
}

// writeLevel is for commands that write.
type writeLevel struct {
	W level `placeholder:"LEVEL" help:"Replicas that must hold the write: a number, one, quorum or all (default: the cluster's setting)."`
}

// level is a client.Level that the command line parser can read.
type level client.Level

// UnmarshalText reads the level's number or name.
func (l *level) UnmarshalText(text []byte) error {
	parsed, err := client.ParseLevel(string(text))
	*l = level(parsed)
	return err
}
