package wire

import (
	"math"
	"time"
)

// Choice is a yes or no that may be left to the cluster's setting.
type Choice uint8

// The choices. ChoiceDefault is not sent.
const (
	ChoiceDefault Choice = iota
	ChoiceNo
	ChoiceYes
)

// ChoiceOf is the choice that a boolean makes.
func ChoiceOf(yes bool) Choice {
	if yes {
		return ChoiceYes
	}
	return ChoiceNo
}

// Or is the choice as a boolean, or def if it was left open.
func (c Choice) Or(def bool) bool { return c == ChoiceYes || (c == ChoiceDefault && def) }

// Options are what a request may say besides its subject. The zero value of each is not sent and means the node's or the cluster's
// setting. Which ones a method takes is in its request's comment; any other is refused.
type Options struct {
	// R and W are how many replicas must answer a read (or the reading part of a write) and hold a write.
	R, W Level
	// Timeout is how long the node may take, in whole milliseconds.
	Timeout time.Duration
	// DeadlineMicros is when the node may not begin any more, by its own wall clock: microseconds since the Unix epoch.
	DeadlineMicros int64
	// Clock is the greatest clock that the client has seen.
	Clock uint64
	// Values asks a get for every sibling.
	Values bool
	// Context is the causal context of an earlier get; nil for none, as which an empty one is sent and received.
	Context []byte
	// TTL is how long a put is visible, in whole milliseconds; zero is for ever.
	TTL time.Duration
	// Ordered makes a put without a context come after what R replicas have seen.
	Ordered Choice
	// Sloppy lets other nodes keep copies for replicas that cannot be had.
	Sloppy Choice
	// Retried says that the client sent this write before.
	Retried bool
}

// option is a bit for each option, so that a method can say which it takes.
type option uint16

const (
	optionR option = 1 << iota
	optionW
	optionTimeout
	optionClock
	optionValues
	optionContext
	optionTTL
	optionOrdered
	optionRetried
	optionDeadline
	optionSloppy
)

const (
	optionsOfAll    = optionTimeout | optionDeadline | optionClock
	optionsOfGet    = optionsOfAll | optionR | optionValues
	optionsOfDelete = optionsOfAll | optionR | optionW | optionContext | optionSloppy | optionRetried
	optionsOfPut    = optionsOfDelete | optionTTL | optionOrdered
	optionsOfBatch  = optionsOfAll | optionR | optionW | optionOrdered | optionSloppy | optionRetried
	optionsOfOpPut  = optionContext | optionTTL
	optionsOfOpDel  = optionContext
)

// optionsMax bounds the pairs of an options map.
const optionsMax = 32

// optionOf is the option of a name; zero if there is none.
func optionOf(name []byte) option {
	switch string(name) {
	case "r":
		return optionR
	case "w":
		return optionW
	case "timeout_ms":
		return optionTimeout
	case "deadline_us":
		return optionDeadline
	case "clock":
		return optionClock
	case "values":
		return optionValues
	case "context":
		return optionContext
	case "ttl_ms":
		return optionTTL
	case "ordered":
		return optionOrdered
	case "sloppy":
		return optionSloppy
	case "retried":
		return optionRetried
	}
	return 0
}

// encode writes the options that are set as the next element of the array at params; nothing if none is.
func (o *Options) encode(w *Writer, params int) {
	start := len(w.buf)
	m := w.openMap()
	o.encodeFields(w, m)
	if w.buf[m] == codeFixedMapLow {
		w.buf = w.buf[:start]
		return
	}
	w.element(params)
}

// encodeFields adds the options that are set to the map at m.
func (o *Options) encodeFields(w *Writer, m int) {
	if o.R != LevelDefault {
		w.field(m, "r")
		o.R.encode(w)
	}
	if o.W != LevelDefault {
		w.field(m, "w")
		o.W.encode(w)
	}
	if o.Timeout > 0 {
		w.field(m, "timeout_ms")
		w.Uint(millisUp(o.Timeout))
	}
	if o.DeadlineMicros != 0 {
		w.field(m, "deadline_us")
		w.Int(o.DeadlineMicros)
	}
	if o.Clock != 0 {
		w.field(m, "clock")
		w.Uint(o.Clock)
	}
	if o.Values {
		w.field(m, "values")
		w.Bool(true)
	}
	if len(o.Context) > 0 {
		w.field(m, "context")
		w.Bin(o.Context)
	}
	if o.TTL > 0 {
		w.field(m, "ttl_ms")
		w.Uint(millisUp(o.TTL))
	}
	if o.Ordered != ChoiceDefault {
		w.field(m, "ordered")
		w.Bool(o.Ordered == ChoiceYes)
	}
	if o.Sloppy != ChoiceDefault {
		w.field(m, "sloppy")
		w.Bool(o.Sloppy == ChoiceYes)
	}
	if o.Retried {
		w.field(m, "retried")
		w.Bool(true)
	}
}

// decode reads an options map of which only the allowed keys may occur.
func (o *Options) decode(r *Reader, allowed option) {
	if r.TryNil() {
		return
	}
	for range r.MapLen(optionsMax) {
		name := r.Bytes()
		if r.err != nil || !o.decodeField(r, name, allowed) {
			r.refuseOption(name)
			return
		}
	}
}

// decodeField reads the value of one option; false if it is not among the allowed ones.
func (o *Options) decodeField(r *Reader, name []byte, allowed option) bool {
	switch optionOf(name) & allowed {
	case optionR:
		o.R = decodeLevel(r)
	case optionW:
		o.W = decodeLevel(r)
	case optionTimeout:
		o.Timeout = r.millis()
	case optionDeadline:
		o.DeadlineMicros = r.Int(0, math.MaxInt64)
	case optionClock:
		o.Clock = r.Uint64()
	case optionValues:
		o.Values = r.Bool()
	case optionContext:
		if cc := r.bytesOrNil(); len(cc) > 0 {
			o.Context = cc
		}
	case optionTTL:
		o.TTL = r.millis()
	case optionOrdered:
		o.Ordered = ChoiceOf(r.Bool())
	case optionSloppy:
		o.Sloppy = ChoiceOf(r.Bool())
	case optionRetried:
		o.Retried = r.Bool()
	default:
		return false
	}
	return true
}

// refuseOption records that an option is not known, unless something was wrong before.
func (r *Reader) refuseOption(name []byte) { r.fail("unknown option %.64q", name) }

// params decodes the head of a params array of required elements and perhaps options; it says whether there are options.
func (r *Reader) params(required int) (options bool) {
	n := r.ArrayLen(required + 1)
	if r.err == nil && n < required {
		r.fail("%d params, want %d", n, required)
	}
	return r.err == nil && n > required
}
