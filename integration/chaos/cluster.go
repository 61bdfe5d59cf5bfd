package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/fault"
)

// What the nodes are told, so that within a minute everything happens that otherwise takes days: segments are finished, scrubs find what
// was flipped, and every partition is compared with its replicas. All else is as an operator gets it.
const (
	partitions      = 64
	segmentBytesMax = "64KiB"
	scrubInterval   = "1s"
	scrubRate       = "64MiB"
	exchangePeriod  = "20s"
	reserveBytes    = "16MiB"
	drainTimeout    = "3s"
)

// cluster is the nodes' processes and the network between them.
type cluster struct {
	nodes   []*process
	network network
}

// newCluster lays out the nodes in a directory. It starts nothing but the network.
func newCluster(o Options, died func(p *process, how string)) (*cluster, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	network, err := openNetwork(o)
	if err != nil {
		return nil, err
	}
	c := &cluster{network: network}
	var members []string
	for i := range o.Plan.Nodes {
		p := network.place(i)
		members = append(members, fmt.Sprintf("%s=%s+%s", nodeName(i), p.peer, p.gossip))
	}
	for i := range o.Plan.Nodes {
		node := &process{
			id: nodeName(i), dir: filepath.Join(o.Dir, nodeName(i)), log: filepath.Join(o.Dir, nodeName(i)+".log"),
			place: network.place(i), binary: o.Binary, died: died,
		}
		node.args = []string{
			"serve", "--id", node.id, "--dir", node.dir, "--http-addr", node.http, "--rpc-addr", node.rpc, "--peer-addr", node.peer,
			"--members", strings.Join(members, ","), "--partitions", fmt.Sprint(partitions), "--segment-bytes-max", segmentBytesMax,
			"--scrub-interval", scrubInterval, "--scrub-bytes-per-second", scrubRate, "--exchange-period", exchangePeriod,
			"--reserve-bytes", reserveBytes, "--drain-timeout", drainTimeout,
		}
		if len(node.routes) > 0 {
			node.args = append(node.args, "--test-routes", strings.Join(node.routes, ","))
		}
		if node.namespace != nil {
			node.args = append(node.args, "--insecure") // nobody else is on its network
		}
		if strikesDisk(o.Plan) {
			node.control = filepath.Join(o.Dir, nodeName(i)+".disk")
			node.args = append(node.args, "--test-disk-control", node.control)
		}
		c.nodes = append(c.nodes, node)
	}
	return c, nil
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

func strikesDisk(p fault.Plan) bool {
	for _, f := range p.Faults {
		switch f.Kind {
		case fault.DiskFull, fault.DiskError, fault.DiskSlow:
			return true
		}
	}
	return false
}

// start starts all nodes and waits until they serve.
func (c *cluster) start(ctx context.Context, within time.Duration) error {
	for _, p := range c.nodes {
		if err := p.start(); err != nil {
			return err
		}
	}
	return c.awaitReady(ctx, within, c.nodes...)
}

// readyInterval is the time between two looks at a node that is to be ready.
const readyInterval = 20 * time.Millisecond

// awaitReady waits until nodes serve. It does not wait for one whose process has ended.
func (c *cluster) awaitReady(ctx context.Context, within time.Duration, nodes ...*process) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for _, p := range nodes {
		why := errors.New("it was not asked")
		for {
			err := p.ready(ctx)
			if err == nil {
				break
			}
			if !p.runs() {
				return fmt.Errorf("%s ended before it was ready; see %s", p.id, p.log)
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s was not ready within %v: %w", p.id, within, why)
			}
			why = err
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	}
	return nil
}

// stop ends all nodes in order, all at once.
func (c *cluster) stop() error {
	errs := make([]error, len(c.nodes))
	var stopping sync.WaitGroup
	for i, p := range c.nodes {
		stopping.Go(func() { errs[i] = p.stop() })
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// close ends what is left of it.
func (c *cluster) close() error {
	for _, p := range c.nodes {
		p.kill()
	}
	return c.network.close()
}

// client is a client of all nodes, as clients reach them.
func (c *cluster) client() (*client.Client, error) {
	return client.New(client.Options{Addrs: c.clientAddrs(), Dial: c.network.dial, Timeout: clientTimeout, TopologyInterval: topologyInterval})
}

const (
	// clientTimeout is how long an operation may take.
	clientTimeout = 3 * time.Second
	// topologyInterval is how often a client asks who is there.
	topologyInterval = 5 * time.Second
)

func (c *cluster) clientAddrs() (addrs []string) {
	for _, p := range c.nodes {
		addrs = append(addrs, p.rpc)
	}
	return addrs
}
