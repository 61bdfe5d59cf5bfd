package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/ringcask/ringcask/node"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// dataDir is where every node has its data, on a disk of its own.
const dataDir = "/data"

// server is a node of the cluster with its machine: a disk, a clock, and at most one process at a time that runs the node.
type server struct {
	number int
	cfg    node.Config
	net    *Network
	log    *slog.Logger
	clock  clock
	random *random
	// turn has a token while the process is being started or ended. A shutdown may outlast the fault that it is part of, and the next one on the
	// node begins meanwhile.
	turn chan struct{}

	mu      sync.Mutex
	disk    *vfstest.FS
	running *process
	// ended are the runs that came to an end by themselves.
	ended []error
	// processes are all that have not wound down yet.
	processes sync.WaitGroup
}

// process is one run of a node.
type process struct {
	node *node.Node
	port *Port
	disk *vfstest.FS
	stop context.CancelFunc
	done chan struct{}
	// err is set when done is closed.
	err error
}

// clock is a physical clock that can be wrong.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) set(offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}

// oneAtATime waits for the server's turn, and returns what ends it.
func (s *server) oneAtATime() (end func()) {
	s.turn <- struct{}{}
	return func() { <-s.turn }
}

// start opens the node on its disk and runs it, unless it runs.
func (s *server) start() error {
	defer s.oneAtATime()()
	s.mu.Lock()
	disk, runs := s.disk, s.running != nil
	s.mu.Unlock()
	if runs {
		return nil
	}
	port := s.net.Attach(s.number)
	n, err := node.Open(s.cfg, node.Options{
		Logger: s.log, FS: disk, Now: s.clock.now, Random: s.random, Listen: port.Listen, Dial: port.Dial,
		Gossip: func() (memberlist.Transport, error) { return port.Gossip(gossipAddr(s.number)) },
	})
	if err != nil {
		port.Close(false)
		return fmt.Errorf("open node %s: %w", s.cfg.ID, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &process{node: n, port: port, disk: disk, stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	s.running = p
	s.mu.Unlock()
	s.net.SetDark(s.number, false)
	s.processes.Go(func() {
		p.err = n.Run(ctx)
		if ctx.Err() == nil {
			s.mu.Lock()
			s.ended = append(s.ended, p.err)
			s.mu.Unlock()
		}
		close(p.done)
		port.Close(false)
	})
	return nil
}

// process is the one that runs; nil if none does.
func (s *server) process() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running
}

// take ends that there is a process; whoever gets it has to end it.
func (s *server) take() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.running
	s.running = nil
	return p
}

// shutDown stops the node in order.
func (s *server) shutDown() error {
	defer s.oneAtATime()()
	p := s.take()
	if p == nil {
		return nil
	}
	p.stop()
	<-p.done
	return p.err
}

// crash ends the process without warning. A silent one is that of a machine without power: nobody hears of it. Nothing that the process does from
// now on reaches its disk or anybody else; that it takes its time to wind down is the simulation's affair.
func (s *server) crash(silent bool, left func(*vfstest.FS) *vfstest.FS) {
	defer s.oneAtATime()()
	p := s.take()
	if p == nil {
		return
	}
	p.disk.CrashAfter(0)
	if silent {
		s.net.SetDark(s.number, true)
	}
	p.port.Close(silent)
	p.stop()
	s.mu.Lock()
	s.disk = left(p.disk)
	s.mu.Unlock()
}

// endedEarly are the errors of runs that ended although nobody had asked them to.
func (s *server) endedEarly() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.ended...)
}

// config is a node's configuration, but for what is drawn.
func config(number, nodes int) node.Config {
	members := make([]node.Member, nodes)
	for i := range members {
		members[i] = node.Member{ID: nodeID(i), Peer: net.JoinHostPort(hostOf(i), peerPort), Gossip: gossipAddr(i)}
	}
	host := hostOf(number)
	return node.Config{
		ID: nodeID(number), Dir: dataDir, Members: members, Insecure: true,
		HTTPAddr: net.JoinHostPort(host, httpPort), RPCAddr: net.JoinHostPort(host, rpcPort),
		PeerAddr: net.JoinHostPort(host, peerPort), GossipAddr: gossipAddr(number),
	}
}
