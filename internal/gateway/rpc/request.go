package rpc

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
)

// method is a method of the port.
type method uint8

const (
	methodUnknown method = iota
	methodGet
	methodMultiGet
	methodPut
	methodDelete
	methodRange
	methodBatch
	methodStatus
	methodTopology
	methodPing
)

func methodOf(name []byte) method {
	switch string(name) {
	case wire.MethodGet:
		return methodGet
	case wire.MethodMultiGet:
		return methodMultiGet
	case wire.MethodPut:
		return methodPut
	case wire.MethodDelete:
		return methodDelete
	case wire.MethodRange:
		return methodRange
	case wire.MethodBatch:
		return methodBatch
	case wire.MethodStatus:
		return methodStatus
	case wire.MethodTopology:
		return methodTopology
	case wire.MethodPing:
		return methodPing
	}
	return methodUnknown
}

// effect is what a request of the method may have done where its answer, which says so, cannot be sent.
func (m method) effect() wire.Effect {
	switch m {
	case methodPut, methodDelete, methodBatch:
		return wire.EffectUnknown
	}
	return wire.EffectNone
}

// draining is the answer to a request that comes too late.
var draining = &wire.Fault{
	Code: wire.CodeUnavailable, Effect: wire.EffectNone, Message: "node is shutting down", RetryAfter: time.Second,
}

// late is the answer to a request that came after its own deadline.
var late = &wire.Fault{
	Code: wire.CodeTimeout, Effect: wire.EffectNone, Message: "request arrived after its deadline",
}

// badRequest is the answer to a request that is wrong in itself.
func badRequest(err error) *wire.Fault {
	return &wire.Fault{Code: wire.CodeBadRequest, Effect: wire.EffectNone, Message: err.Error()}
}

// request is one request under way.
type request struct {
	ses    *session
	id     uint32
	method method
	body   wire.Reader
	// arrived is when it was read: its time limit runs from here.
	arrived time.Time
	// held is what admission counts for it.
	held int64
}

// run serves the request and lets go of what it holds.
func (q *request) run() {
	q.serve()
	q.ses.srv.opts.Admission.Release(q.held)
	q.ses.end()
}

// grow counts an answer's bytes, too, from when it is known how many they are. The fault is nil where there is room.
func (q *request) grow(bytes int) *wire.Fault {
	fault := q.ses.srv.opts.Admission.Grow(int64(bytes))
	if fault == nil {
		q.held += int64(bytes)
	}
	return fault
}

// serve carries out the request and answers it.
func (q *request) serve() {
	var fault *wire.Fault
	var err error
	switch q.method {
	case methodGet:
		fault, err = q.get()
	case methodMultiGet:
		fault, err = q.multiGet()
	case methodPut:
		fault, err = q.put()
	case methodDelete:
		fault, err = q.delete()
	case methodRange:
		fault, err = q.scan()
	case methodBatch:
		fault, err = q.batch()
	default:
		fault, err = q.plain()
	}
	if fault != nil {
		err = q.ses.fail(q.id, fault)
	}
	if errors.Is(err, wire.ErrSendFull) {
		// The client asks and does not read. Its answers are lost, so the connection is of no use to it any more.
		_ = q.ses.link.Close()
	}
}

// respond answers with a result.
func (q *request) respond(encode func(w *wire.Writer)) error {
	return q.ses.send(q.id, q.method.effect(), func(w *wire.Writer) {
		w.Result(q.id)
		encode(w)
	})
}

// clock is the node's clock, for an answer.
func (q *request) clock() uint64 { return uint64(q.ses.srv.opts.Clock.Last()) }

// deadline is when the request must have been answered; a fault if that has passed already. A node that hung finds requests whose
// clients have long gone on, perhaps to write something newer elsewhere: to carry them out would bring the old value back.
func (q *request) deadline(o *wire.Options) (time.Time, *wire.Fault) {
	opts := &q.ses.srv.opts
	left := min(cmp.Or(o.Timeout, opts.Timeout), opts.TimeoutMax)
	if o.DeadlineMicros != 0 {
		left = min(left, time.UnixMicro(o.DeadlineMicros).Sub(opts.Now()))
		if left <= 0 {
			return time.Time{}, late
		}
	}
	return q.arrived.Add(left), nil
}

// observe advances the node's clock past the client's, so that what the client writes comes after what it has seen. A
// write is refused if the clock is too far ahead to be followed; a read does not depend on it.
func (q *request) observe(clock uint64) *wire.Fault {
	if clock == 0 {
		return nil
	}
	if err := q.ses.srv.opts.Clock.ObserveClient(causal.Timestamp(clock)); err != nil {
		return badRequest(fmt.Errorf("option clock: %w", err))
	}
	return nil
}

// plain answers what asks for no data.
func (q *request) plain() (*wire.Fault, error) {
	var params wire.PlainRequest
	if err := params.Decode(&q.body); err != nil {
		return badRequest(err), nil
	}
	_ = q.observe(params.Clock) // nothing is written
	switch q.method {
	case methodStatus:
		return nil, q.respond(q.ses.srv.opts.Inspector.Status().Encode)
	case methodTopology:
		return nil, q.respond(q.ses.srv.opts.Inspector.Topology().Encode)
	}
	pong := wire.PingResult{Clock: q.clock(), NowMicros: q.ses.srv.opts.Now().UnixMicro()}
	return nil, q.respond(pong.Encode)
}

// faultOf is the fault of an error of the store; reads have no effect whatever befalls them.
func faultOf(err error, read bool) *wire.Fault {
	if read {
		return gateway.ReadFaultOf(err)
	}
	return gateway.FaultOf(err)
}

// level is a level as the coordinator has it: the numbers are the same.
func level(l wire.Level) coordinator.Level { return coordinator.Level(l) }
