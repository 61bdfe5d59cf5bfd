package wire

import "fmt"

// ScanLimits bound one message of a bare stream. The zero value of a field is its default.
type ScanLimits struct {
	// BytesMax is the greatest length of a message. Zero is 64 MiB.
	BytesMax int
	// DepthMax is how many arrays and maps may be open at once. Zero is 16.
	DepthMax int
	// ElementsMax is how many values a message may have in all, containers among them. Zero is 262,144.
	ElementsMax int
}

func (l ScanLimits) withDefaults() ScanLimits {
	setDefault(&l.BytesMax, 64<<20)
	setDefault(&l.DepthMax, 16)
	setDefault(&l.ElementsMax, 256<<10)
	return l
}

// setDefault gives v a value if it has none.
func setDefault[T ~int | ~int64](v *T, def T) {
	if *v <= 0 {
		*v = def
	}
}

// LimitError is a message that exceeds a limit. The stream that it came on cannot be read further.
type LimitError struct {
	// What is exceeded: "bytes", "depth" or "elements".
	What  string
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("message exceeds the limit of %d %s", e.Limit, e.What)
}

// Scanner finds where MessagePack values end in a stream that arrives in pieces. It keeps a counter for each open container
// and never looks at a byte twice, so the work is proportional to the bytes however they are cut. A length that cannot fit within
// the limits is refused as soon as its header is there.
type Scanner struct {
	limits ScanLimits
	// open[i] is how many values the i-th open container still lacks; the last one is the innermost.
	open []uint64
	// partial holds the bytes of a header that was cut.
	partial  [5]byte
	partialN uint8
	// skip is how many bytes of the present string, number or extension are still to come.
	skip     int
	bytes    int
	elements int
}

// NewScanner returns a Scanner within limits.
func NewScanner(limits ScanLimits) *Scanner {
	limits = limits.withDefaults()
	return &Scanner{limits: limits, open: make([]uint64, 0, limits.DepthMax)}
}

// Scan looks at the next bytes of the stream. Either it consumes all of b and more is needed (done is false), or a value ends
// after the first n bytes (done is true) and the next call begins a new one. After an error the Scanner is of no further use.
// Errors: *LimitError, *DecodeError.
func (s *Scanner) Scan(b []byte) (n int, done bool, err error) {
	for n < len(b) {
		if s.skip > 0 {
			step := min(s.skip, len(b)-n)
			s.skip -= step
			n += step
		} else if h := headers[b[n]]; s.partialN == 0 && h.lengthBytes == 0 && h.kind != KindNone {
			n++
			if err = s.begin(h.kind, 1, uint64(h.fixed)); err != nil {
				return n, false, err
			}
		} else if n, err = s.header(b, n); err != nil {
			return n, false, err
		}
		if s.skip == 0 && s.partialN == 0 && s.closeContainers() {
			*s = Scanner{limits: s.limits, open: s.open[:0]}
			return n, true, nil
		}
	}
	return n, false, nil
}

// Lacking is the least number of bytes that the present value still needs as far as is known.
func (s *Scanner) Lacking() int {
	lacking := s.skip
	for _, values := range s.open {
		lacking += int(min(values, uint64(s.limits.BytesMax)))
	}
	return lacking
}

// header consumes the header of the next value from b[n:], or as much of it as is there.
func (s *Scanner) header(b []byte, n int) (int, error) {
	first := b[n]
	if s.partialN > 0 {
		first = s.partial[0]
	}
	h := headers[first]
	if h.kind == KindNone {
		return n, &DecodeError{Offset: s.bytes, Reason: fmt.Sprintf("byte %#x, which MessagePack never uses", first)}
	}
	size := 1 + h.lengthBytes
	for s.partialN < size && n < len(b) {
		s.partial[s.partialN] = b[n]
		s.partialN++
		n++
	}
	if s.partialN < size {
		return n, nil
	}
	s.partialN = 0
	length := uint64(h.fixed)
	if h.lengthBytes > 0 {
		declared := uint64(0)
		for _, c := range s.partial[1:size] {
			declared = declared<<8 | uint64(c)
		}
		length += declared
	}
	return n, s.begin(h.kind, int(size), length)
}

// begin takes note of a value whose header of size bytes is complete.
func (s *Scanner) begin(kind Kind, size int, length uint64) error {
	s.bytes += size
	s.elements++
	switch kind {
	case KindArray, KindMap:
		if kind == KindMap {
			length *= 2
		}
		if length > uint64(s.limits.ElementsMax-s.elements) {
			return &LimitError{What: "elements", Limit: s.limits.ElementsMax}
		}
		if len(s.open) == s.limits.DepthMax {
			return &LimitError{What: "depth", Limit: s.limits.DepthMax}
		}
		s.countOne()
		s.open = append(s.open, length)
	default:
		if length > uint64(s.limits.BytesMax) {
			return &LimitError{What: "bytes", Limit: s.limits.BytesMax}
		}
		s.countOne()
		s.skip = int(length)
		s.bytes += s.skip
		length = 0
	}
	if s.elements > s.limits.ElementsMax {
		return &LimitError{What: "elements", Limit: s.limits.ElementsMax}
	}
	if uint64(s.bytes)+length > uint64(s.limits.BytesMax) {
		return &LimitError{What: "bytes", Limit: s.limits.BytesMax}
	}
	return nil
}

// countOne takes a value off what the innermost container lacks.
func (s *Scanner) countOne() {
	if i := len(s.open) - 1; i >= 0 {
		s.open[i]--
	}
}

// closeContainers drops the containers that lack nothing and says whether the whole value is complete.
func (s *Scanner) closeContainers() bool {
	for i := len(s.open) - 1; i >= 0; i-- {
		if s.open[i] > 0 {
			return false
		}
		s.open = s.open[:i]
	}
	return true
}
