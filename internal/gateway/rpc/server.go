package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// Server serves the client port.
type Server struct {
	opts   Options
	budget *wire.Budget
}

// New makes a server; it starts nothing. Errors: what is wrong with the options.
func New(opts Options) (*Server, error) {
	opts = opts.withDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	return &Server{opts: opts, budget: wire.NewBudget(opts.ReceiveBytesMax)}, nil
}

// Serve answers requests on the connections of ln until ctx is done, and then drains; it closes ln. It returns when every
// connection has ended: nil after ctx is done, else why no connection can be accepted any more.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	defer stop()
	// Requests under way outlive ctx by the time for draining.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	sessions := sessionSet{open: make(map[*session]struct{}), workers: newWorkers()}
	err := s.accept(ctx, life, ln, &sessions)
	_ = ln.Close() // closed already if ctx is done
	sessions.drain(s.opts.DrainTimeout)
	end()
	sessions.running.Wait()
	sessions.workers.close()
	return err
}

// accept starts a session for each connection.
func (s *Server) accept(ctx, life context.Context, ln net.Listener, sessions *sessionSet) error {
	full := false
	var pause backoff
	for {
		nc, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if nc != nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept client connections: %w", err)
		case err != nil:
			// Out of descriptors, most likely: connections that end will free some.
			s.opts.Logger.Warn("cannot accept a client connection", "error", err)
			pause.wait(ctx)
			continue
		}
		pause.reset()
		ses := newSession(s, sessions.workers, nc)
		if !sessions.add(ses, s.opts.ConnectionsMax) {
			_ = nc.Close() // it was never used
			if !full {
				s.opts.Logger.Warn("client connections are refused", "connections_max", s.opts.ConnectionsMax)
			}
			full = true
			continue
		}
		full = false
		sessions.running.Go(func() {
			defer sessions.remove(ses)
			ses.run(life)
		})
	}
}

// sessionSet is the open sessions.
type sessionSet struct {
	running sync.WaitGroup
	workers *workers
	mu      sync.Mutex
	open    map[*session]struct{}
}

// add is false if there are limit sessions already.
func (s *sessionSet) add(ses *session, limit int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.open) >= limit {
		return false
	}
	s.open[ses] = struct{}{}
	return true
}

func (s *sessionSet) remove(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ses)
}

// drain ends all sessions, each when its last request has been answered, within the timeout.
func (s *sessionSet) drain(timeout time.Duration) {
	deadline := time.Now().Add(timeout)
	var draining sync.WaitGroup
	s.mu.Lock()
	for ses := range s.open {
		draining.Go(func() { ses.drain(deadline) })
	}
	s.mu.Unlock()
	draining.Wait()
}

// backoff is a growing pause.
type backoff struct{ next time.Duration }

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context) {
	b.next = min(max(2*b.next, 5*time.Millisecond), time.Second)
	select {
	case <-ctx.Done():
	case <-time.After(b.next):
	}
}
