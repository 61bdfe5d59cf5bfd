package wire

import "math"

// OpsMax is the greatest number of operations in a batch.
const OpsMax = 16384

// receiptReplicasMax bounds the replicas in a receipt, and the hints.
const receiptReplicasMax = 256

// PutRequest writes one key: [key, value] or [key, value, options]. Options: all but Values.
type PutRequest struct {
	Key, Value []byte
	Options
}

// Encode writes the params.
func (q *PutRequest) Encode(w *Writer) {
	params := w.openArray()
	w.element(params)
	w.Bin(q.Key)
	w.element(params)
	w.Bin(q.Value)
	q.Options.encode(w, params)
}

// Decode reads the params; Key, Value and Context alias the message. Error: *DecodeError.
func (q *PutRequest) Decode(r *Reader) error {
	*q = PutRequest{}
	more := r.params(2)
	q.Key = r.Bytes()
	q.Value = r.Bytes()
	if more {
		q.Options.decode(r, optionsOfPut)
	}
	return r.Done()
}

// DeleteRequest deletes one key: [key] or [key, options]. Options: R, W, Timeout, DeadlineMicros, Clock, Context,
// Sloppy, Retried.
type DeleteRequest struct {
	Key []byte
	Options
}

// Encode writes the params.
func (q *DeleteRequest) Encode(w *Writer) {
	params := w.openArray()
	w.element(params)
	w.Bin(q.Key)
	q.Options.encode(w, params)
}

// Decode reads the params; Key and Context alias the message. Error: *DecodeError.
func (q *DeleteRequest) Decode(r *Reader) error {
	*q = DeleteRequest{}
	more := r.params(1)
	q.Key = r.Bytes()
	if more {
		q.Options.decode(r, optionsOfDelete)
	}
	return r.Done()
}

// Op is one operation of a batch: ["put", key, value], ["put", key, value, options], ["delete", key] or ["delete", key, options].
// Options of a put: Context, TTL; of a delete: Context.
type Op struct {
	Delete     bool
	Key, Value []byte
	Options
}

func (o *Op) encode(w *Writer) {
	a := w.openArray()
	w.element(a)
	if o.Delete {
		w.Str(MethodDelete)
	} else {
		w.Str(MethodPut)
	}
	w.element(a)
	w.Bin(o.Key)
	if !o.Delete {
		w.element(a)
		w.Bin(o.Value)
	}
	o.Options.encode(w, a)
}

func (o *Op) decode(r *Reader) {
	n := r.ArrayLen(4)
	required, allowed := 3, optionsOfOpPut
	switch kind := r.Bytes(); string(kind) {
	case MethodPut:
	case MethodDelete:
		o.Delete = true
		required, allowed = 2, optionsOfOpDel
	default:
		r.fail("unknown operation %.64q", kind)
	}
	if r.err == nil && (n < required || n > required+1) {
		r.fail("operation of %d elements, want %d or %d", n, required, required+1)
	}
	o.Key = r.Bytes()
	if !o.Delete {
		o.Value = r.Bytes()
	}
	if n > required {
		o.Options.decode(r, allowed)
	}
}

// BatchRequest writes up to OpsMax different keys: [[operation, …]] or [[operation, …], options].
// Options: R, W, Timeout, DeadlineMicros, Clock, Ordered, Sloppy, Retried.
type BatchRequest struct {
	Ops []Op
	Options
}

// Encode writes the params.
func (q *BatchRequest) Encode(w *Writer) {
	params := w.openArray()
	w.element(params)
	w.ArrayLen(len(q.Ops))
	for i := range q.Ops {
		q.Ops[i].encode(w)
	}
	q.Options.encode(w, params)
}

// Decode reads the params; keys, values and contexts alias the message. Error: *DecodeError.
func (q *BatchRequest) Decode(r *Reader) error {
	*q = BatchRequest{}
	more := r.params(1)
	if n := r.ArrayLen(OpsMax); n > 0 {
		q.Ops = make([]Op, n)
	}
	for i := range q.Ops {
		if q.Ops[i].decode(r); r.err != nil {
			break
		}
	}
	if more {
		q.Options.decode(r, optionsOfBatch)
	}
	return r.Done()
}

// Receipt says where a write is.
type Receipt struct {
	// Actor and Time are the dot of the write.
	Actor, Time uint64
	// Replicas are the nodes known to hold the write durably, the coordinating one first.
	Replicas []string
	// Hints are known to be kept for replicas that have not acknowledged the write.
	Hints []KeptHint
	// Retried says that the client had sent the write before.
	Retried bool
}

// KeptHint says that a node durably keeps a write for a replica: in a receipt [for, at, counted].
type KeptHint struct {
	// For is the replica, At who keeps the hint.
	For, At string
	// Counted says that the hint is one of the W copies of a sloppy write.
	Counted bool
}

func encodeKeptHints(w *Writer, hints []KeptHint) {
	w.ArrayLen(len(hints))
	for i := range hints {
		w.ArrayLen(3)
		w.Str(hints[i].For)
		w.Str(hints[i].At)
		w.Bool(hints[i].Counted)
	}
}

func decodeKeptHints(r *Reader) []KeptHint {
	hints := make([]KeptHint, r.ArrayLen(receiptReplicasMax))
	for i := range hints {
		if n := r.ArrayLen(3); n != 3 {
			r.fail("hint of %d elements, want 3", n)
			return nil
		}
		hints[i] = KeptHint{For: r.Str(), At: r.Str(), Counted: r.Bool()}
	}
	return hints
}

func (c *Receipt) encode(w *Writer) {
	m := w.openMap()
	w.field(m, "replicas")
	w.ArrayLen(len(c.Replicas))
	for _, id := range c.Replicas {
		w.Str(id)
	}
	if len(c.Hints) > 0 {
		w.field(m, "hints")
		encodeKeptHints(w, c.Hints)
	}
	w.field(m, "dot")
	w.ArrayLen(2)
	w.Uint(c.Actor)
	w.Uint(c.Time)
	w.field(m, "retried")
	w.Bool(c.Retried)
}

func (c *Receipt) decode(r *Reader) {
	for range r.MapLen(resultFieldsMax) {
		switch string(r.Bytes()) {
		case "replicas":
			c.Replicas = make([]string, r.ArrayLen(receiptReplicasMax))
			for i := range c.Replicas {
				c.Replicas[i] = r.Str()
			}
		case "hints":
			c.Hints = decodeKeptHints(r)
		case "dot":
			if n := r.ArrayLen(2); n != 2 {
				r.fail("dot of %d elements, want 2", n)
			}
			c.Actor = r.Uint(math.MaxUint64)
			c.Time = r.Uint64()
		case "retried":
			c.Retried = r.Bool()
		default:
			r.Skip()
		}
	}
}

// WriteResult is what became of a put, of a delete, or of one operation of a batch.
type WriteResult struct {
	// Fault is why an operation of a batch failed; a put or delete that fails is answered by an error.
	Fault *Fault
	// Context covers the write and what it superseded.
	Context []byte
	Receipt Receipt
	// Clock is the node's clock; zero in an operation of a batch.
	Clock uint64
}

// Encode writes the result.
func (x *WriteResult) Encode(w *Writer) {
	m := w.openMap()
	if x.Fault != nil {
		encodeErrorField(w, m, x.Fault)
		return
	}
	w.field(m, "context")
	w.Bin(x.Context)
	w.field(m, "receipt")
	x.Receipt.encode(w)
	encodeClock(w, m, x.Clock)
}

// Decode reads the result; Context aliases the message. Error: *DecodeError.
func (x *WriteResult) Decode(r *Reader) error {
	x.decode(r)
	return r.Done()
}

func (x *WriteResult) decode(r *Reader) {
	*x = WriteResult{}
	for range r.MapLen(resultFieldsMax) {
		switch string(r.Bytes()) {
		case "error":
			x.Fault, _ = decodeFault(r)
		case "context":
			x.Context = r.bytesOrNil()
		case "receipt":
			x.Receipt.decode(r)
		case "clock":
			x.Clock = r.Uint64()
		default:
			r.Skip()
		}
	}
}

// BatchResult has an outcome for each operation, in the order of the request.
type BatchResult struct {
	Results []WriteResult
	Clock   uint64
}

// Encode writes the result.
func (b *BatchResult) Encode(w *Writer) {
	m := w.openMap()
	w.field(m, "results")
	w.ArrayLen(len(b.Results))
	for i := range b.Results {
		b.Results[i].Encode(w)
	}
	encodeClock(w, m, b.Clock)
}

// Decode reads the result; contexts alias the message. Error: *DecodeError.
func (b *BatchResult) Decode(r *Reader) error {
	*b = BatchResult{}
	for range r.MapLen(resultFieldsMax) {
		switch string(r.Bytes()) {
		case "results":
			b.Results = make([]WriteResult, r.ArrayLen(OpsMax))
			for i := range b.Results {
				b.Results[i].decode(r)
			}
		case "clock":
			b.Clock = r.Uint64()
		default:
			r.Skip()
		}
	}
	return r.Done()
}
