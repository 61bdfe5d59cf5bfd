package httpgw

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/gateway"
)

// batchBody is the body of a batch.
type batchBody struct {
	Operations operations `json:"operations"`
}

// operation is one write of a batch as JSON has it.
type operation struct {
	Type        string    `json:"type"`
	Key         *string   `json:"key"`
	KeyBase64   *string   `json:"key_base64"`
	Value       *string   `json:"value"`
	ValueBase64 *string   `json:"value_base64"`
	Context     *string   `json:"context"`
	TTL         *duration `json:"ttl"`
}

// operations reads no more of them than max: a small body can name very many.
type operations struct {
	max  int
	list []operation
}

// tooManyError is a body with more operations than are read.
type tooManyError struct{ most int }

func (e *tooManyError) Error() string { return fmt.Sprintf("more than %d operations", e.most) }

// UnmarshalJSON reads one operation after the other.
func (o *operations) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("operations must be an array")
	}
	for d.More() {
		if len(o.list) == o.max {
			return &tooManyError{most: o.max}
		}
		o.list = append(o.list, operation{})
		if err := d.Decode(&o.list[len(o.list)-1]); err != nil {
			return fmt.Errorf("operation %d: %w", len(o.list)-1, inJSONWords(err))
		}
	}
	return nil
}

// batch answers POST of a batch. If any of its writes failed the status is that of the first that did, so that nobody
// who looks at the status alone takes it for done; the body says for each what became of it.
func (x *exchange) batch() *failure {
	ops, fail := x.batchOps()
	if fail != nil {
		return fail
	}
	outcomes, err := x.write(ops)
	if err != nil {
		return failed(gateway.FaultOf(err))
	}
	encode := func(b []byte) []byte { return appendResults(b, ops, outcomes) }
	for i := range outcomes {
		if err := outcomes[i].Err; err != nil {
			return &failure{fault: gateway.FaultOf(err), body: encode}
		}
	}
	x.respondJSON(http.StatusOK, encode)
	return nil
}

// appendResults appends an answer with a result for each operation.
func appendResults(b []byte, ops []coordinator.Op, outcomes []coordinator.Outcome) []byte {
	b = append(b, `{"results":[`...)
	for i := range outcomes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendBytes(append(b, '{'), "key", ops[i].Key)
		b = append(b, ',')
		if out := &outcomes[i]; out.Err == nil {
			b = appendWritten(b, out)
		} else {
			f := writeFailed(out)
			b = appendFault(b, f.fault)
			if f.also != nil {
				b = f.also(b)
			}
		}
		b = append(b, '}')
	}
	return append(b, "]}"...)
}

// batchOps reads the operations in a body.
func (x *exchange) batchOps() ([]coordinator.Op, *failure) {
	kind, fail := x.kindOfBody()
	switch {
	case fail != nil:
		return nil, fail
	case kind == bodyRaw:
		return nil, badRequest("a batch is JSON: send application/json")
	case x.params.hasContext:
		return nil, badRequest("query parameter context is for one key: give it with the operation")
	}
	body, fail := x.readJSON(jsonBytesMax(x.opt.BatchBytesMax, x.opt.BatchOpsMax))
	if fail != nil {
		return nil, fail
	}
	batch := batchBody{Operations: operations{max: x.opt.BatchOpsMax}}
	if fail := decodeJSON(body, false, &batch); fail != nil {
		return nil, fail
	}
	if len(batch.Operations.list) == 0 {
		return nil, badRequest("operations are missing")
	}
	ops := make([]coordinator.Op, len(batch.Operations.list))
	total := 0
	for i := range ops {
		if fail := x.batchOp(&batch.Operations.list[i], &ops[i]); fail != nil {
			fail.fault.Message = fmt.Sprintf("operation %d: %s", i, fail.fault.Message)
			return nil, fail
		}
		if total += len(ops[i].Key) + len(ops[i].Value); total > x.opt.BatchBytesMax {
			return nil, tooLarge("keys and values of the batch are longer than %d bytes", x.opt.BatchBytesMax)
		}
	}
	return ops, nil
}

// batchOp reads one operation.
func (x *exchange) batchOp(in *operation, op *coordinator.Op) (fail *failure) {
	if op.Key, fail = bytesOf("key", in.Key, in.KeyBase64); fail != nil {
		return fail
	}
	switch in.Type {
	case "put":
		if op.Value, fail = bytesOf("value", in.Value, in.ValueBase64); fail != nil {
			return fail
		}
	case "delete":
		op.Kind = coordinator.OpDelete
		if in.Value != nil || in.ValueBase64 != nil || in.TTL != nil {
			return badRequest("a delete with a value or a ttl")
		}
	default:
		return badRequest(`type %.64q must be "put" or "delete"`, in.Type)
	}
	switch {
	case len(op.Key) == 0:
		return badRequest("empty key")
	case len(op.Key) > x.opt.KeyBytesMax:
		return tooLarge("key of %d bytes is longer than %d", len(op.Key), x.opt.KeyBytesMax)
	case len(op.Value) > x.opt.ValueBytesMax:
		return tooLarge("value of %d bytes is longer than %d", len(op.Value), x.opt.ValueBytesMax)
	}
	return x.batchOpOptions(in, op)
}

func (x *exchange) batchOpOptions(in *operation, op *coordinator.Op) *failure {
	ttl := x.params.ttl // what the query says holds for the puts that say nothing
	if in.TTL != nil {
		var problem string
		if ttl, problem = parseDuration(in.TTL.text, ttlMax); problem != "" {
			return badRequest("ttl %.64q %s", in.TTL.text, problem)
		}
	}
	if ttl > 0 && op.Kind == coordinator.OpPut {
		op.ExpiresAt = x.opt.Now().Add(ttl).UnixMilli()
	}
	if in.Context != nil {
		cc, problem := x.parseContext(*in.Context)
		if problem != "" {
			return badRequest("context %s", problem)
		}
		op.Context, op.HasContext = cc, true
	}
	return nil
}
