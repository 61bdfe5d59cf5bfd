package client

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// answerSlack is the part of an attempt's time that is kept for the way there and back: the node gets the rest.
const answerSlack = 10

// request is a call in a form that can be sent more than once.
type request struct {
	method string
	// key routes; nil for any node.
	key  []byte
	safe safety
	// bytes is how much there is to send, where that may take long.
	bytes int
	// only is the one node to ask; nil for the routing's choice.
	only *node
	// options are sent; Clock, Timeout, DeadlineMicros and Retried are set for each attempt.
	options *wire.Options
	params  func(*wire.Writer)
	// result decodes what a node answered, and returns its clock.
	result func(*wire.Reader) (clock uint64, err error)
	// timeout is the call's; zero is Options.Timeout.
	timeout time.Duration
	// retried says that it was sent in an earlier call already.
	retried bool
	// before, once it was answered, is the gravest effect of the attempts before: an answer says only what came of its own.
	before wire.Effect
}

// call is a request under way through its attempts.
type call struct {
	c        *Client
	q        *request
	deadline time.Time
	// patience is how long the first attempt waits for a node of which nothing better is known.
	patience time.Duration
	attempts int
	tried    []*node
	rounds   int
	// worst is the gravest effect so far.
	worst wire.Effect
	// fault is what the call fails with if no further attempt succeeds: what a node answered is kept over a connection that failed.
	fault    *wire.Fault
	cause    error
	answered bool
	node     *node // of the last attempt
	faulty   *node // that the fault is about
	// context is of the last attempt that was applied.
	context []byte
}

// do carries out a request. The error is nil or an *Error.
func (c *Client) do(ctx context.Context, q *request) error {
	x := call{c: c, q: q, worst: wire.EffectNone}
	timeout := q.timeout
	if timeout <= 0 {
		timeout = c.opts.Timeout
	}
	now := time.Now()
	x.deadline = now.Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(x.deadline) {
		x.deadline = d
	}
	x.patience = cmp.Or(c.opts.AttemptTimeout, max(x.deadline.Sub(now)/4, attemptTimeoutMin))
	if q.key == nil {
		x.patience *= 2
	}
	for {
		f, err := x.attempt(ctx)
		if f == nil {
			q.before = x.worst
			return nil
		}
		x.note(f, err)
		if !x.again(ctx, f) {
			return x.error()
		}
	}
}

// attempt sends the request to one node. The fault is nil after success; err is what it stands for if it is not the node's.
func (x *call) attempt(ctx context.Context) (*wire.Fault, error) {
	n := x.choose(ctx)
	now := time.Now()
	left := x.deadline.Sub(now)
	if err := x.ended(ctx); err != nil || left <= 0 {
		return x.failure(&notSentError{cmp.Or(err, errAttemptTimeout)})
	}
	x.attempts++
	wait := x.wait(n, left)
	o := x.q.options
	o.Clock = x.c.Clock()
	o.Timeout = max(wait-wait/answerSlack, time.Millisecond)
	o.Retried = x.q.retried || x.worst != wire.EffectNone
	heard := n.heard.Load()
	e, err := n.call(ctx, wait, x.q.method, x.q.params, o)
	x.measure(n, time.Since(now), err)
	if err != nil {
		x.blame(n, err, heard)
		return x.failure(err)
	}
	f, clock := e.Failure()
	if f == nil && e.Body.Err() == nil {
		clock, err = x.q.result(&e.Body)
	}
	if err == nil {
		err = e.Body.Err()
	}
	x.c.observe(clock)
	if err != nil {
		return x.failure(err)
	}
	if f != nil {
		if f.Code == wire.CodeUnavailable {
			x.c.topologyStale()
		}
		if f.Code == wire.CodeTimeout && time.Now().Before(now.Add(o.Timeout)) {
			n.forgetClock() // one of the clocks was set
		}
		if x.q.safe == safeRead {
			f.Effect = wire.EffectNone
		}
	}
	return f, nil
}

// ended is why nobody waits for the call any more.
func (x *call) ended(ctx context.Context) error {
	if x.c.life.Err() != nil {
		return ErrClosed
	}
	return ctx.Err()
}

// blame takes a node out of the choice for an error of its connection. One that let an attempt time out and answered others
// meanwhile is only slow.
func (x *call) blame(n *node, err error, heard uint64) {
	timedOut := errors.Is(err, errAttemptTimeout)
	switch {
	case timedOut && n.heard.Load() != heard:
	case errors.Is(err, wire.ErrTooLarge), errors.Is(err, wire.ErrSendFull), errors.Is(err, ErrClosed):
	case errors.Is(err, context.Canceled):
	default:
		n.failed()
	}
}

// choose picks a node that was not tried in this round; when all were, a new round begins.
func (x *call) choose(ctx context.Context) *node {
	if x.q.only != nil {
		x.rounds = x.attempts
		x.node = x.q.only
		return x.node
	}
	r := x.c.route(ctx)
	write := x.q.safe != safeRead
	turn := x.c.turn.Add(1)
	n := r.choose(x.q.key, write, x.tried, turn)
	if n == nil {
		x.rounds++
		x.tried = x.tried[:0]
		n = r.choose(x.q.key, write, nil, turn)
	}
	x.tried = append(x.tried, n)
	x.node = n
	return n
}

// wait is how long the next attempt, on a node, may take: all that is left if there can be no other.
func (x *call) wait(n *node, left time.Duration) time.Duration {
	mayRepeat := x.q.safe == safeRead || (x.q.safe == safeOverwrite && !x.c.opts.NoUnknownRetries)
	if !mayRepeat || x.attempts > x.c.opts.RetriesMax {
		return left
	}
	return min(left, x.patienceWith(n)<<min(x.attempts-1, 16))
}

// patienceWith is how long a first attempt waits for a node: several times as long as it usually takes at most. So a
// node that hangs is found out before many calls wait for it, and one that has become slower is given more time, for what
// it did not answer in time counts, too.
func (x *call) patienceWith(n *node) time.Duration {
	usual := n.tail(x.q.safe).P99()
	if x.c.opts.AttemptTimeout > 0 || x.q.key == nil || usual == 0 {
		return x.patience
	}
	moving := time.Duration(x.q.bytes) * time.Second / movingBytesPerSecond
	return min(max(tailFactor*usual, tailTimeoutMin)+moving, x.patience)
}

// measure takes into account how long a node took to answer, or did not.
func (x *call) measure(n *node, took time.Duration, err error) {
	if x.q.key != nil && (err == nil || errors.Is(err, errAttemptTimeout)) {
		n.tail(x.q.safe).Record(took)
	}
}

// failure is the fault that an error of the connection, or of the waiting, stands for.
func (x *call) failure(err error) (*wire.Fault, error) {
	f := &wire.Fault{Code: wire.CodeUnavailable, Effect: wire.EffectUnknown, Message: err.Error()}
	var (
		notSent *notSentError
		decode  *wire.DecodeError
	)
	if errors.As(err, &notSent) || x.q.safe == safeRead {
		f.Effect = wire.EffectNone
	}
	switch {
	case errors.Is(err, wire.ErrTooLarge):
		f.Code = wire.CodeTooLarge
		f.Message = fmt.Sprintf("request exceeds %d bytes", x.c.opts.MessageBytesMax)
	case errors.Is(err, wire.ErrSendFull):
		f.Code = wire.CodeOverloaded
	case errors.Is(err, context.DeadlineExceeded):
		f.Code = wire.CodeTimeout
	case errors.As(err, &decode):
		f.Code = wire.CodeInternal
	}
	return f, err
}

// note remembers a failed attempt.
func (x *call) note(f *wire.Fault, err error) {
	x.worst = graver(x.worst, f.Effect)
	if f.Context != nil {
		x.context = bytes.Clone(f.Context)
	}
	if err == nil || !x.answered {
		x.fault, x.cause, x.answered, x.faulty = f, err, err == nil, x.node
	}
}

// again waits for the time of the next attempt; false if there is none.
func (x *call) again(ctx context.Context, f *wire.Fault) bool {
	if x.attempts > x.c.opts.RetriesMax || x.ended(ctx) != nil ||
		judge(f, x.q.safe, !x.c.opts.NoUnknownRetries) == giveUp {
		return false
	}
	rounds := x.rounds
	if r := x.c.routing.Load(); len(x.tried) >= len(r.all) {
		rounds++
	}
	d := pause(f, rounds, x.c.opts.Random())
	if d >= time.Until(x.deadline) {
		return false
	}
	return d == 0 || x.c.sleep(ctx, d) == nil
}

// error is the call's error after its last attempt.
func (x *call) error() *Error {
	f := x.fault
	return &Error{
		Op: x.q.method, Code: f.Code, Effect: x.worst, Message: f.Message, Node: x.faulty.addr,
		Need: f.Need, Got: f.Got, RetryAfter: f.RetryAfter, Context: x.context,
		Attempts: x.attempts, Err: x.cause,
	}
}
