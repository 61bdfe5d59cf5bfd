package wire

import "math"

// MessageType is the first element of a MessagePack-RPC message.
type MessageType uint8

// The types of messages.
const (
	TypeRequest      MessageType = 0
	TypeResponse     MessageType = 1
	TypeNotification MessageType = 2
)

// methodBytesMax is the greatest length of a method's name.
const methodBytesMax = 64

// The methods of the client port.
const (
	MethodGet      = "get"
	MethodMultiGet = "multiget"
	MethodPut      = "put"
	MethodDelete   = "delete"
	MethodRange    = "range"
	MethodBatch    = "batch"
	MethodStatus   = "status"
	MethodTopology = "topology"
	MethodPing     = "ping"
)

// Envelope is a MessagePack-RPC message with its head taken off.
type Envelope struct {
	Type MessageType
	// ID pairs a response with its request; zero in a notification.
	ID uint32
	// Method aliases the message; nil in a response. Comparing string(Method) with a constant allocates nothing.
	Method []byte
	// Body stands before the params of a request or notification, before the error of a response.
	Body Reader
}

// ParseEnvelope takes the head off a message. What follows it is checked by who decodes Body.
// Errors: *DecodeError; where the message is a request whose id could be read, the ID is set all the same.
func ParseEnvelope(msg []byte) (e Envelope, err error) {
	r := NewReader(msg)
	n := r.ArrayLen(4)
	e.Type = MessageType(r.Uint(uint64(TypeNotification)))
	if want := 4 - int(e.Type)/2; r.err == nil && n != want {
		r.fail("%d elements, want %d", n, want)
	}
	if e.Type != TypeNotification {
		e.ID = uint32(r.Uint(math.MaxUint32))
	}
	if e.Type != TypeResponse {
		e.Method = r.Bytes()
		if len(e.Method) > methodBytesMax {
			r.fail("method name of %d bytes, more than the limit of %d", len(e.Method), methodBytesMax)
		}
	}
	e.Body = r
	return e, r.err
}

// Failure is the error of a response, with the clock that it brought; nil if there is none: Body then stands before the result.
// What is wrong with the response itself is in Body.Err.
func (e *Envelope) Failure() (*Fault, uint64) {
	if e.Body.TryNil() {
		return nil, 0
	}
	f, clock := decodeFault(&e.Body)
	e.Body.Skip() // the result, nil by the protocol
	if e.Body.Done() != nil {
		return nil, 0
	}
	return f, clock
}

// Request begins a request: its params, an array, are to be written next.
func (w *Writer) Request(id uint32, method string) {
	w.ArrayLen(4)
	w.Uint(uint64(TypeRequest))
	w.Uint(uint64(id))
	w.Str(method)
}

// Notification begins a notification: its params, an array, are to be written next.
func (w *Writer) Notification(method string) {
	w.ArrayLen(3)
	w.Uint(uint64(TypeNotification))
	w.Str(method)
}

// Result begins a response without an error: its result is to be written next.
func (w *Writer) Result(id uint32) {
	w.ArrayLen(4)
	w.Uint(uint64(TypeResponse))
	w.Uint(uint64(id))
	w.Nil()
}

// Failure writes a whole response that carries a fault. A zero clock is left out.
func (w *Writer) Failure(id uint32, f *Fault, clock uint64) {
	w.ArrayLen(4)
	w.Uint(uint64(TypeResponse))
	w.Uint(uint64(id))
	encodeFault(w, f, clock)
	w.Nil()
}

// openMap begins a map of fewer than 16 pairs, which field adds and counts. It returns where the map is.
func (w *Writer) openMap() int {
	w.buf = append(w.buf, codeFixedMapLow)
	return len(w.buf) - 1
}

// field begins a pair of the map at at: its value is to be written next.
func (w *Writer) field(at int, name string) {
	w.buf[at]++
	w.Str(name)
}

// openArray begins an array of fewer than 16 elements, which element counts. It returns where the array is.
func (w *Writer) openArray() int {
	w.buf = append(w.buf, codeFixedArrayLow)
	return len(w.buf) - 1
}

// element counts an element of the array at at, which is to be written next.
func (w *Writer) element(at int) { w.buf[at]++ }
