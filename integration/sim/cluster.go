package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/node"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// Cluster is nodes on a network. It must be made, used and stopped in one bubble.
type Cluster struct {
	seed    uint64
	net     *Network
	servers []*server
	port    *Port
	opened  []*client.Client
}

// NewCluster makes a cluster that does not run yet. settle completes each node's configuration.
func NewCluster(seed uint64, nodes int, network *Network, log *slog.Logger, settle func(*node.Config)) *Cluster {
	c := &Cluster{seed: seed, net: network, port: network.Attach(clients)}
	for i := range nodes {
		s := &server{
			number: i, cfg: config(i, nodes), net: network, log: log.With("node", nodeID(i)), disk: vfstest.New(), random: newRandom(seed, uint64(i)),
			turn: make(chan struct{}, 1),
		}
		settle(&s.cfg)
		c.servers = append(c.servers, s)
	}
	return c
}

// Start starts all nodes and waits until they are ready.
func (c *Cluster) Start(ctx context.Context) error {
	for _, s := range c.servers {
		if err := s.start(); err != nil {
			return err
		}
	}
	return poll(ctx, 50*time.Millisecond, c.ready)
}

// ready is why not all nodes serve.
func (c *Cluster) ready() error {
	for _, s := range c.servers {
		p := s.process()
		if p == nil {
			return fmt.Errorf("%s does not run", s.cfg.ID)
		}
		if err := p.node.Ready(); err != nil {
			return fmt.Errorf("%s: %w", s.cfg.ID, err)
		}
	}
	return nil
}

// poll looks, each interval, until what is looked for is there (nil) or ctx is done; then the error is the last one.
func poll(ctx context.Context, interval time.Duration, look func() error) error {
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// Client is a new client of all nodes. Stop closes it.
func (c *Cluster) Client() (*client.Client, error) {
	o := client.Options{Dial: c.port.Dial, ConnectionsPerNode: 1, Random: newRandom(c.seed, uint64(1000+len(c.opened))).float}
	for i := range c.servers {
		o.Addrs = append(o.Addrs, net.JoinHostPort(hostOf(i), rpcPort))
	}
	cl, err := client.New(o)
	if err == nil {
		c.opened = append(c.opened, cl)
	}
	return cl, err
}

// gossipEnd is how long memberlist's goroutines may need to notice that they have nothing to do any more. A bubble's time stands still once its
// first goroutine has ended.
const gossipEnd = 10 * time.Second

// Stop closes all clients, shuts all nodes down in order, and waits until nothing of the cluster runs.
func (c *Cluster) Stop() error {
	var errs []error
	for _, cl := range c.opened {
		errs = append(errs, cl.Close())
	}
	for _, s := range c.servers {
		errs = append(errs, s.shutDown())
		s.processes.Wait()
	}
	c.port.Close(false)
	time.Sleep(gossipEnd)
	return errors.Join(errs...)
}
