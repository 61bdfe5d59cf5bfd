package httpgw

import (
	"encoding/base64"
	"net/http"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/internal/wire"
)

// get answers GET and HEAD of a key.
func (x *exchange) get() *failure {
	raw := x.prefers(typeJSON[0], typeBytes[0]) == typeBytes[0]
	if raw && x.params.siblings {
		return badRequest("all siblings are answered in JSON: ask for application/json")
	}
	results, err := x.opt.Store.Read(x.r.Context(), &coordinator.ReadRequest{
		Keys:     [][]byte{x.key},
		R:        x.params.r,
		Deadline: x.deadline(),
	})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		return failed(gateway.ReadFaultOf(err))
	}
	object := results[0].Object
	// The object, and its encoding.
	if fail := x.grow(2 * object.ValueBytes()); fail != nil {
		return fail
	}
	switch now := x.opt.Now(); {
	case !shows(object, x.params.siblings, now):
		return x.absent(object)
	case raw:
		x.respondRaw(object)
	default:
		x.respondJSON(http.StatusOK, func(b []byte) []byte {
			b = appendBytes(append(b, '{'), "key", x.key)
			b = appendObject(b, object, x.params.siblings, now)
			b = appendContext(append(b, ','), object.Vector)
			return append(appendSiblings(b, object), '}')
		})
	}
	return nil
}

// Headers of an answer without JSON.
const (
	headerContext  = "X-Ringcask-Context"
	headerSiblings = "X-Ringcask-Siblings"
)

// setHeaders says in headers what JSON says in members.
func (x *exchange) setHeaders(o causal.Object) {
	h := x.w.Header()
	h.Set(headerContext, base64.RawURLEncoding.EncodeToString(causal.AppendVector(nil, o.Vector)))
	h.Set(headerSiblings, itoa(len(o.Siblings)))
}

func (x *exchange) respondRaw(o causal.Object) {
	x.setHeaders(o)
	winner, _ := o.Winner()
	x.respond(http.StatusOK, typeBytes, winner.Value)
}

// absent is the answer for a key that shows nothing: with its context, for a tombstone may have one.
func (x *exchange) absent(o causal.Object) *failure {
	x.setHeaders(o)
	f := refused(wire.CodeNotFound, "key not found")
	f.also = func(b []byte) []byte {
		b = appendBytes(append(b, ','), "key", x.key)
		b = appendContext(append(b, ','), o.Vector)
		return appendSiblings(b, o)
	}
	return f
}

// put answers PUT of a key.
func (x *exchange) put() *failure {
	value, fail := x.putValue()
	if fail != nil {
		return fail
	}
	if len(value) > x.opt.ValueBytesMax {
		return tooLarge("value of %d bytes is longer than %d", len(value), x.opt.ValueBytesMax)
	}
	op := coordinator.Op{Kind: coordinator.OpPut, Key: x.key, Value: value}
	if x.params.ttl > 0 {
		op.ExpiresAt = x.opt.Now().Add(x.params.ttl).UnixMilli()
	}
	return x.writeOne(op)
}

// putValue is the value in a body: the body itself, or what its JSON says.
func (x *exchange) putValue() ([]byte, *failure) {
	kind, fail := x.kindOfBody()
	if fail != nil {
		return nil, fail
	}
	if kind == bodyRaw {
		return x.readBody(x.opt.ValueBytesMax)
	}
	body, fail := x.readJSON(jsonBytesMax(x.opt.ValueBytesMax, 1))
	if fail != nil {
		return nil, fail
	}
	var put struct {
		Value       *string `json:"value"`
		ValueBase64 *string `json:"value_base64"`
	}
	if fail := decodeJSON(body, kind == bodyGuess, &put); fail != nil {
		return nil, fail
	}
	return bytesOf("value", put.Value, put.ValueBase64)
}

// readJSON reads a body and makes room for what is decoded from it.
func (x *exchange) readJSON(bytesMax int) ([]byte, *failure) {
	body, fail := x.readBody(bytesMax)
	if fail == nil {
		fail = x.grow(len(body))
	}
	return body, fail
}

// delete answers DELETE of a key.
func (x *exchange) delete() *failure {
	return x.writeOne(coordinator.Op{Kind: coordinator.OpDelete, Key: x.key})
}

// writeOne has one write done and answers with its context and receipt.
func (x *exchange) writeOne(op coordinator.Op) *failure {
	op.Context, op.HasContext = x.params.context, x.params.hasContext
	outcomes, err := x.write([]coordinator.Op{op})
	if err != nil {
		return failed(gateway.FaultOf(err))
	}
	out := &outcomes[0]
	if out.Err != nil {
		return writeFailed(out)
	}
	x.respondJSON(http.StatusOK, func(b []byte) []byte {
		return append(appendWritten(append(b, '{'), out), '}')
	})
	return nil
}

func (x *exchange) write(ops []coordinator.Op) ([]coordinator.Outcome, error) {
	return x.opt.Store.Write(x.r.Context(), &coordinator.WriteRequest{
		Ops:      ops,
		W:        x.params.w,
		R:        x.params.r,
		Ordered:  x.params.ordered,
		Sloppy:   x.params.sloppy,
		Deadline: x.deadline(),
	})
}

// writeFailed is the failure of one write, with its context where it was applied all the same.
func writeFailed(out *coordinator.Outcome) *failure {
	f := failed(gateway.FaultOf(out.Err))
	if f.fault.Effect == wire.EffectApplied {
		f.also = func(b []byte) []byte { return appendContext(append(b, ','), out.Context) }
	}
	return f
}
