package wire

import "math"

// KeysMax is the greatest number of keys in a multiget.
const KeysMax = 16384

// siblingsMax bounds the siblings in an answer.
const siblingsMax = 1 << 16

// GetRequest asks for one key: [key] or [key, options]. Options: R, Timeout, DeadlineMicros, Clock, Values.
type GetRequest struct {
	Key []byte
	Options
}

// Encode writes the params.
func (q *GetRequest) Encode(w *Writer) {
	params := w.openArray()
	w.element(params)
	w.Bin(q.Key)
	q.Options.encode(w, params)
}

// Decode reads the params; Key aliases the message. Error: *DecodeError.
func (q *GetRequest) Decode(r *Reader) error {
	*q = GetRequest{}
	more := r.params(1)
	q.Key = r.Bytes()
	if more {
		q.Options.decode(r, optionsOfGet)
	}
	return r.Done()
}

// MultiGetRequest asks for up to KeysMax keys: [[key, …]] or [[key, …], options], with the options of a get.
type MultiGetRequest struct {
	Keys [][]byte
	Options
}

// Encode writes the params.
func (q *MultiGetRequest) Encode(w *Writer) {
	params := w.openArray()
	w.element(params)
	w.ArrayLen(len(q.Keys))
	for _, key := range q.Keys {
		w.Bin(key)
	}
	q.Options.encode(w, params)
}

// Decode reads the params; the keys alias the message. Error: *DecodeError.
func (q *MultiGetRequest) Decode(r *Reader) error {
	*q = MultiGetRequest{}
	more := r.params(1)
	if n := r.ArrayLen(KeysMax); n > 0 {
		q.Keys = make([][]byte, n)
	}
	for i := range q.Keys {
		q.Keys[i] = r.Bytes()
	}
	if more {
		q.Options.decode(r, optionsOfGet)
	}
	return r.Done()
}

// Sibling is one of the values that a key has at once.
type Sibling struct {
	Value []byte
	// Time is the hybrid timestamp of the write.
	Time uint64
	// ExpiresAt is in milliseconds since the Unix epoch; zero is never.
	ExpiresAt int64
	// Deleted says that this sibling is a tombstone or expired: it has no value.
	Deleted bool
}

func (s *Sibling) encode(w *Writer) {
	m := w.openMap()
	w.field(m, "value")
	if s.Deleted {
		w.Nil()
	} else {
		w.Bin(s.Value)
	}
	w.field(m, "time")
	w.Uint(s.Time)
	if s.ExpiresAt != 0 {
		w.field(m, "expires_at")
		w.Int(s.ExpiresAt)
	}
	if s.Deleted {
		w.field(m, "deleted")
		w.Bool(true)
	}
}

func (s *Sibling) decode(r *Reader) {
	for range r.MapLen(resultFieldsMax) {
		switch string(r.Bytes()) {
		case "value":
			s.Value = r.bytesOrNil()
		case "time":
			s.Time = r.Uint64()
		case "expires_at":
			s.ExpiresAt = r.Int(0, math.MaxInt64)
		case "deleted":
			s.Deleted = r.Bool()
		default:
			r.Skip()
		}
	}
}

// GetResult is what a key holds.
type GetResult struct {
	// Found is false if nothing is visible: Value is then nil, Context and Siblings are set all the same.
	Found bool
	Value []byte
	// Context covers everything that was read: a put with it supersedes that.
	Context []byte
	// Siblings is how many values, tombstones among them, the key has at once: 0 if it never had any, usually 1.
	Siblings int
	// ExpiresAt is in milliseconds since the Unix epoch; zero is never.
	ExpiresAt int64
	// Values are all siblings, if they were asked for.
	Values []Sibling
	// Clock is the node's clock; zero in an element of a multiget.
	Clock uint64
}

// Encode writes the result.
func (g *GetResult) Encode(w *Writer) {
	m := w.openMap()
	w.field(m, "found")
	w.Bool(g.Found)
	w.field(m, "value")
	if g.Found {
		w.Bin(g.Value)
	} else {
		w.Nil()
	}
	w.field(m, "context")
	w.Bin(g.Context)
	w.field(m, "siblings")
	w.Uint(uint64(g.Siblings))
	if g.ExpiresAt != 0 {
		w.field(m, "expires_at")
		w.Int(g.ExpiresAt)
	}
	if g.Values != nil {
		w.field(m, "values")
		w.ArrayLen(len(g.Values))
		for i := range g.Values {
			g.Values[i].encode(w)
		}
	}
	encodeClock(w, m, g.Clock)
}

// Decode reads the result; byte strings alias the message. Error: *DecodeError.
func (g *GetResult) Decode(r *Reader) error {
	*g = GetResult{}
	for range r.MapLen(resultFieldsMax) {
		g.decodeField(r, r.Bytes())
	}
	return r.Done()
}

func (g *GetResult) decodeField(r *Reader, name []byte) {
	switch string(name) {
	case "found":
		g.Found = r.Bool()
	case "value":
		g.Value = r.bytesOrNil()
	case "context":
		g.Context = r.bytesOrNil()
	case "siblings":
		g.Siblings = int(r.Uint(math.MaxInt32))
	case "expires_at":
		g.ExpiresAt = r.Int(0, math.MaxInt64)
	case "values":
		for range r.ArrayLen(siblingsMax) {
			var s Sibling
			if s.decode(r); r.err != nil {
				return
			}
			g.Values = append(g.Values, s)
		}
	case "clock":
		g.Clock = r.Uint64()
	default:
		r.Skip()
	}
}

// KeyResult is one key's part of a multiget: a fault or what the key holds.
type KeyResult struct {
	Fault *Fault
	GetResult
}

// MultiGetResult has a part for each key, in the order of the request.
type MultiGetResult struct {
	Results []KeyResult
	Clock   uint64
}

// Encode writes the result.
func (g *MultiGetResult) Encode(w *Writer) {
	m := w.openMap()
	w.field(m, "results")
	w.ArrayLen(len(g.Results))
	for i := range g.Results {
		if f := g.Results[i].Fault; f != nil {
			encodeErrorField(w, w.openMap(), f)
			continue
		}
		g.Results[i].GetResult.Encode(w)
	}
	encodeClock(w, m, g.Clock)
}

// Decode reads the result; byte strings alias the message. Error: *DecodeError.
func (g *MultiGetResult) Decode(r *Reader) error {
	*g = MultiGetResult{}
	for range r.MapLen(resultFieldsMax) {
		switch string(r.Bytes()) {
		case "results":
			g.Results = make([]KeyResult, r.ArrayLen(KeysMax))
			for i := range g.Results {
				g.Results[i].decode(r)
			}
		case "clock":
			g.Clock = r.Uint64()
		default:
			r.Skip()
		}
	}
	return r.Done()
}

func (k *KeyResult) decode(r *Reader) {
	for range r.MapLen(resultFieldsMax) {
		name := r.Bytes()
		if string(name) == "error" {
			k.Fault, _ = decodeFault(r)
			continue
		}
		k.decodeField(r, name)
	}
}

// bytesOrNil decodes a byte string, or nil as a nil slice.
func (r *Reader) bytesOrNil() []byte {
	if r.TryNil() {
		return nil
	}
	return r.Bytes()
}

// encodeClock adds the clock to the map at m, if there is one.
func encodeClock(w *Writer, m int, clock uint64) {
	if clock != 0 {
		w.field(m, "clock")
		w.Uint(clock)
	}
}

// encodeErrorField adds a key's or an operation's fault to the map at m.
func encodeErrorField(w *Writer, m int, f *Fault) {
	w.field(m, "error")
	encodeFault(w, f, 0)
}
