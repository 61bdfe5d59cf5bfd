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

const (
	// chunkBytes is what an idle connection holds at most: small, for there may be many.
	chunkBytes = 16 << 10
	// requestBytes is what a request takes beside its message: its goroutine's stack, above all.
	requestBytes = 4 << 10
)

// errProtocol ends a connection whose client does not speak the protocol.
var errProtocol = errors.New("not a MessagePack-RPC request")

// session is one connection.
type session struct {
	srv     *Server
	workers *workers
	link    *wire.Link
	// ctx ends with the connection: nobody waits for the answers any more.
	ctx context.Context

	mu       sync.Mutex
	inFlight int
	draining bool
	// idle is closed when the session is draining and has no request under way.
	idle chan struct{}
}

func newSession(s *Server, w *workers, nc net.Conn) *session {
	return &session{
		srv:     s,
		workers: w,
		link: wire.NewLink(nc, wire.LinkOptions{
			Framing:         wire.Bare,
			MessageBytesMax: s.opts.MessageBytesMax,
			SendBytesMax:    s.opts.SendBytesMax,
			ChunkBytesMax:   chunkBytes,
			MessageTimeout:  s.opts.MessageTimeout,
			IdleTimeout:     s.opts.IdleTimeout,
			WriteTimeout:    s.opts.WriteTimeout,
			ReceiveBudget:   s.budget,
		}),
		idle: make(chan struct{}),
	}
}

// run serves the connection until it ends, and waits for its handlers.
func (s *session) run(life context.Context) {
	ctx, cancel := context.WithCancel(life)
	defer cancel()
	s.ctx = ctx
	err := s.link.Run(ctx, s.onMessage, nil)
	s.srv.opts.Logger.Debug("client connection ended", "remote", s.link.RemoteAddr(), "error", err)
	cancel()
	s.beginDrain()
	<-s.idle
}

// onMessage starts one request.
func (s *session) onMessage(msg []byte) error {
	e, err := wire.ParseEnvelope(msg)
	if err != nil {
		fault := badRequest(err)
		_ = s.fail(e.ID, fault) // the connection ends either way
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	if e.Type != wire.TypeRequest {
		return errProtocol
	}
	m := methodOf(e.Method)
	if m == methodUnknown {
		return s.fail(e.ID, &wire.Fault{
			Code: wire.CodeBadRequest, Effect: wire.EffectNone, Message: fmt.Sprintf("unknown method %q", e.Method),
		})
	}
	if m == methodPing {
		return s.ping(&e)
	}
	bytes := s.srv.cost(m, len(msg))
	if fault := s.srv.opts.Admission.Acquire(bytes); fault != nil {
		return s.fail(e.ID, fault)
	}
	if !s.begin() {
		s.srv.opts.Admission.Release(bytes)
		return s.fail(e.ID, draining)
	}
	s.workers.run(request{ses: s, id: e.ID, method: m, body: e.Body, arrived: time.Now(), held: bytes})
	return nil
}

// ping answers at once and whatever else is under way: clients take the time from it that they set deadlines by.
func (s *session) ping(e *wire.Envelope) error {
	if !s.begin() {
		return s.fail(e.ID, draining)
	}
	q := request{ses: s, id: e.ID, method: methodPing, body: e.Body}
	q.serve()
	s.end()
	return nil
}

// cost is the memory that a request may take.
func (s *Server) cost(m method, messageBytes int) int64 {
	cost := int64(messageBytes) + requestBytes
	if m == methodRange {
		cost += int64(s.opts.RangeBytesMax)
	}
	return cost
}

// fail answers with a fault. Error: the connection must end.
func (s *session) fail(id uint32, f *wire.Fault) error {
	return s.send(id, f.Effect, func(w *wire.Writer) { w.Failure(id, f, uint64(s.srv.opts.Clock.Last())) })
}

// send answers a request. An answer that is too large is replaced by a fault with the effect. Error: the connection must
// end, for it has ended or its client does not read.
func (s *session) send(id uint32, effect wire.Effect, build func(w *wire.Writer)) error {
	err := s.link.Send(build)
	if errors.Is(err, wire.ErrTooLarge) {
		return s.fail(id, &wire.Fault{
			Code: wire.CodeTooLarge, Effect: effect,
			Message: fmt.Sprintf("answer exceeds %d bytes: ask for less at once", s.srv.opts.MessageBytesMax),
		})
	}
	return err
}

// begin counts a request; false when the session is draining.
func (s *session) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		return false
	}
	s.inFlight++
	return true
}

func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inFlight--; s.inFlight == 0 && s.draining {
		close(s.idle)
	}
}

// beginDrain refuses further requests.
func (s *session) beginDrain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.draining = true
		if s.inFlight == 0 {
			close(s.idle)
		}
	}
}

// drain closes the connection when its last request is answered, or at the deadline.
func (s *session) drain(deadline time.Time) {
	s.beginDrain()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-s.idle:
	case <-timer.C:
	}
	_ = s.link.Shutdown(max(0, time.Until(deadline)))
}
