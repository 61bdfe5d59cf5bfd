package wire

import (
	"math"
	"time"
)

// resultFieldsMax bounds the fields of a map in an answer: newer nodes may send more than we know, which are skipped.
const resultFieldsMax = 64

// millisMax bounds durations in milliseconds: about 139 years.
const millisMax = 1 << 42

// encodeFault writes a fault as a map. A zero clock is left out.
func encodeFault(w *Writer, f *Fault, clock uint64) {
	m := w.openMap()
	w.field(m, "code")
	w.Str(f.Code.String())
	w.field(m, "message")
	w.Str(f.Message)
	w.field(m, "effect")
	w.Str(f.Effect.String())
	if f.RetryAfter > 0 {
		w.field(m, "retry_after_ms")
		w.Uint(millisUp(f.RetryAfter))
	}
	if f.Need != 0 || f.Got != 0 {
		w.field(m, "need")
		w.Int(int64(f.Need))
		w.field(m, "got")
		w.Int(int64(f.Got))
	}
	if len(f.Context) > 0 {
		w.field(m, "context")
		w.Bin(f.Context)
	}
	if clock != 0 {
		w.field(m, "clock")
		w.Uint(clock)
	}
}

// decodeFault reads a fault; Context aliases the message. Other MessagePack-RPC servers put anything in the place of the error: a string becomes the
// message of an internal error with an unknown effect.
func decodeFault(r *Reader) (f *Fault, clock uint64) {
	f = new(Fault)
	switch r.Kind() {
	case KindStr:
		f.Message = r.Str()
		return f, 0
	case KindMap:
	default:
		f.Message = "the error is " + r.Kind().String()
		r.Skip()
		return f, 0
	}
	for range r.MapLen(resultFieldsMax) {
		switch string(r.Bytes()) {
		case "code":
			f.Code = CodeOf(r.Str())
		case "message":
			f.Message = r.Str()
		case "effect":
			f.Effect = EffectOf(r.Str())
		case "retry_after_ms":
			f.RetryAfter = r.millis()
		case "need":
			f.Need = int(r.Uint(math.MaxInt32))
		case "got":
			f.Got = int(r.Uint(math.MaxInt32))
		case "context":
			if cc := r.bytesOrNil(); len(cc) > 0 {
				f.Context = cc
			}
		case "clock":
			clock = r.Uint64()
		default:
			r.Skip()
		}
	}
	return f, clock
}

// millis decodes a duration in milliseconds.
func (r *Reader) millis() time.Duration {
	return time.Duration(r.Uint(millisMax)) * time.Millisecond
}

// millisUp is a duration in whole milliseconds, not less: a wait or a limit must not become none.
func millisUp(d time.Duration) uint64 {
	return uint64(max(0, (d+time.Millisecond-1)/time.Millisecond))
}
