package devcluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// StopGrace is how long Stop waits after SIGTERM before it kills; with what killing takes, it stays under 5 s.
	StopGrace = 4 * time.Second
	// readyPoll is the time between two questions whether a node is ready.
	readyPoll = 25 * time.Millisecond
	// tailLines is how much of a node's log an error quotes.
	tailLines = 8
)

// Cluster is a set of running nodes.
type Cluster struct {
	processes []*process
	waiting   sync.WaitGroup
	stopping  sync.Once
	killed    []string
	exits     chan Exit
}

// Exit tells of a node that ended.
type Exit struct {
	Node Node
	// How is a clause such as "ended: signal: killed".
	How string
}

// Start starts the nodes. environ is their whole environment. When one cannot be started, those that were are stopped.
func Start(nodes []Node, environ []string) (*Cluster, error) {
	c := &Cluster{exits: make(chan Exit, len(nodes))}
	for _, node := range nodes {
		p, err := start(node, environ)
		if err != nil {
			c.Stop()
			return nil, fmt.Errorf("start node %s: %w", node.ID, err)
		}
		c.processes = append(c.processes, p)
		c.waiting.Go(func() {
			p.wait()
			c.exits <- Exit{p.node, p.outcome()}
		})
	}
	return c, nil
}

// Nodes are the nodes with their process ids.
func (c *Cluster) Nodes() []Node {
	nodes := make([]Node, len(c.processes))
	for i, p := range c.processes {
		nodes[i] = p.node
	}
	return nodes
}

// Exits gets every node that ends, once each.
func (c *Cluster) Exits() <-chan Exit { return c.exits }

// WaitReady waits until every node says that it serves. It fails as soon as a node ends, with the last lines of its
// log, and when ctx ends, with the nodes that are not ready.
func (c *Cluster) WaitReady(ctx context.Context) error {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	var last error
	for _, p := range c.processes {
		for {
			if err := c.firstFailure(); err != nil {
				return err
			}
			if last = ready(ctx, client, p.node); last == nil {
				break
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("node %s is not ready: %w\nIts log, %s, ends with:\n%s",
					p.node.ID, errors.Join(context.Cause(ctx), last), p.node.LogFile(), p.logTail(tailLines))
			}
		}
	}
	return nil
}

// firstFailure tells of a node that ended.
func (c *Cluster) firstFailure() error {
	for _, p := range c.processes {
		if p.ended() {
			return fmt.Errorf("node %s did not start: it %s\nIts log, %s, ends with:\n%s",
				p.node.ID, p.outcome(), p.node.LogFile(), p.logTail(tailLines))
		}
	}
	return nil
}

// ready asks a node once.
func ready(ctx context.Context, client *http.Client, node Node) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+node.HTTP+"/ready", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /ready: %s", resp.Status)
	}
	return nil
}

// Stop ends every node and returns when all have ended, the names of those that had to be killed. It is idempotent.
func (c *Cluster) Stop() (killed []string) {
	c.stopping.Do(c.stop)
	return c.killed
}

func (c *Cluster) stop() {
	c.signal(syscall.SIGTERM)
	grace := time.NewTimer(StopGrace)
	defer grace.Stop()
	for _, p := range c.processes {
		select {
		case <-p.done:
		case <-grace.C:
			c.killed = c.signal(os.Kill)
			<-p.done
		}
	}
	c.waiting.Wait()
}

// signal sends sig to every node that has not ended, and returns their names.
func (c *Cluster) signal(sig os.Signal) (names []string) {
	for _, p := range c.processes {
		if !p.ended() {
			// An error means that it has ended meanwhile, which is what a signal is for.
			_ = p.cmd.Process.Signal(sig)
			names = append(names, p.node.ID)
		}
	}
	return names
}
