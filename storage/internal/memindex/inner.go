package memindex

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// What an inner node's header has besides birth and granules. There follow, for n children, n-1 heads of separators of
// 8 bytes, n refs of 4, the ends of n-1 separators of 4, the prefix that all separators have, and their rests.
const (
	innerCount  = 12
	innerPrefix = 16
	innerHeader = 20

	// innerBytesMax bounds an inner node of more than innerFew children.
	innerBytesMax = 4096
	innerBytesMin = innerBytesMax / 4
	// innerFew children may be more than innerBytesMax if their separators are long.
	innerFew = 4

	// innerChild is what a child takes, besides the rest of its separator. innerRoom is for those to come.
	innerChild = 8 + 4 + 4
	innerRoom  = 512
)

// inner is a node that has children. The i-th separator is greater than all keys under the i-th child, and not greater
// than those under the next.
type inner []byte

func (n inner) count() int     { return get16(n, innerCount) }
func (n inner) prefixLen() int { return get16(n, innerPrefix) }

func (n inner) child(i int) ref {
	return ref(get32(n, innerHeader+8*(n.count()-1)+4*i))
}

func (n inner) setChild(i int, r ref) {
	put32(n, innerHeader+8*(n.count()-1)+4*i, uint32(r))
}

// separator returns the rest of the i-th separator.
func (n inner) separator(i int) []byte {
	count := n.count()
	ends := innerHeader + 8*(count-1) + 4*count
	rests := ends + 4*(count-1) + n.prefixLen()
	start := 0
	if i > 0 {
		start = int(get32(n, ends+4*(i-1)))
	}
	return n[rests+start : rests+int(get32(n, ends+4*i))]
}

func (n inner) prefix() []byte {
	count := n.count()
	at := innerHeader + 8*(count-1) + 4*count + 4*(count-1)
	return n[at : at+n.prefixLen()]
}

// search returns the child that a key is under.
func (n inner) search(key []byte) int {
	count := n.count()
	if size := n.prefixLen(); size > 0 {
		prefix := n.prefix()
		if !bytes.HasPrefix(key, prefix) {
			if bytes.Compare(key, prefix) < 0 {
				return 0
			}
			return count - 1
		}
		key = key[size:]
	}
	want := head(key)
	heads := n[innerHeader : innerHeader+8*(count-1)]
	// lo is the first separator whose head is not less, and then those whose head is the same are told apart.
	lo := searchHeads(heads, want)
	if lo == count-1 || headAt(heads, lo) != want {
		return lo
	}
	hi := count - 1
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		if headAt(heads, m) == want && bytes.Compare(n.separator(m), key) <= 0 {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo
}

func headAt(heads []byte, i int) uint64 { return binary.LittleEndian.Uint64(heads[8*i:]) }

// searchHeads returns the first of heads that is not less than want. If they are spread evenly it is near to where one
// would guess; if not, two looks were in vain.
func searchHeads(heads []byte, want uint64) int {
	const near = 4
	lo, n := 0, len(heads)/8
	if n >= 4*near {
		first, last := headAt(heads, 0), headAt(heads, n-1)
		if want <= first {
			return 0
		}
		if want > last {
			return n
		}
		guess := share(want-first, n, last-first)
		from, to := max(guess-near, 0), min(guess+near, n-1)
		switch {
		case headAt(heads, from) >= want:
			n = from
		case headAt(heads, to) < want:
			lo, n = to+1, n-to-1
		default:
			lo, n = from+1, to-from-1
		}
	}
	// The one that is sought is among the n from lo, or behind them.
	for n > 0 {
		half := (n + 1) >> 1
		next := lo + half
		if headAt(heads, next-1) < want {
			lo = next
		}
		n -= half
	}
	return lo
}

// share returns how many of n separators, which span a range evenly, lie within a distance.
func share(distance uint64, n int, span uint64) int {
	if distance >= span {
		return n
	}
	hi, lo := bits.Mul64(distance, uint64(n))
	q, _ := bits.Div64(hi, lo, span)
	return int(q)
}

// insert makes r the child behind the at-th, with the separator between them, of which rest is what follows the prefix.
// The node has room for it.
func (n inner) insert(at int, r ref, rest []byte) {
	count := n.count()
	separators := count - 1
	children := innerHeader + 8*separators
	ends := children + 4*count
	prefix := ends + 4*separators
	rests := prefix + n.prefixLen()
	start := 0
	if at > 0 {
		start = int(get32(n, ends+4*(at-1)))
	}
	end := n.size()
	// What follows an addition moves by its size. The last part moves first, so that none is overwritten.
	copy(n[rests+start+innerChild+len(rest):], n[rests+start:end])
	copy(n[prefix+innerChild:], n[prefix:rests+start])
	copy(n[rests+start+innerChild:], rest)
	for i := separators; i > at; i-- {
		put32(n, ends+12+4*i, get32(n, ends+4*(i-1))+uint32(len(rest)))
	}
	put32(n, ends+12+4*at, uint32(start+len(rest)))
	copy(n[ends+12:], n[ends:ends+4*at])
	copy(n[children+8+4*(at+2):], n[children+4*(at+1):children+4*count])
	put32(n, children+8+4*(at+1), uint32(r))
	copy(n[children+8:], n[children:children+4*(at+1)])
	copy(n[innerHeader+8*(at+1):], n[innerHeader+8*at:innerHeader+8*separators])
	binary.LittleEndian.PutUint64(n[innerHeader+8*at:], head(rest))
	put16(n, innerCount, count+1)
}

// size is how many bytes the node has in use.
func (n inner) size() int {
	count := n.count()
	ends := innerHeader + 8*(count-1) + 4*count
	return ends + 4*(count-1) + n.prefixLen() + int(get32(n, ends+4*(count-2)))
}

// kid is a child outside of a node, while nodes are built, with the separator to its left in kids.text.
type kid struct {
	ref        ref
	start, end int
}

// kids are the scratch memory in which inner nodes are taken apart and built.
type kids struct {
	list []kid
	text []byte
}

func (s *kids) reset() { s.list, s.text = s.list[:0], s.text[:0] }

func (s *kids) separator(i int) []byte { return s.text[s.list[i].start:s.list[i].end] }

func (s *kids) add(r ref, prefix, rest []byte) {
	start := len(s.text)
	s.text = append(append(s.text, prefix...), rest...)
	s.list = append(s.list, kid{r, start, len(s.text)})
}

// addInner adds children from the i-th to before the j-th; left is the separator to the left of the node.
func (s *kids) addInner(n inner, i, j int, left []byte) {
	prefix := n.prefix()
	for ; i < j; i++ {
		if i == 0 {
			s.add(n.child(0), left, nil)
		} else {
			s.add(n.child(i), prefix, n.separator(i-1))
		}
	}
}

// addKids adds kids; the separator to the left of the first is in two parts.
func (s *kids) addKids(by *kids, prefix, rest []byte) {
	for k := range by.list {
		s.add(by.list[k].ref, by.separator(k), nil)
		if k == 0 {
			s.setSeparator(len(s.list)-1, prefix, rest)
		}
	}
}

func (s *kids) setSeparator(i int, prefix, rest []byte) {
	s.list[i].start = len(s.text)
	s.text = append(append(s.text, prefix...), rest...)
	s.list[i].end = len(s.text)
}

// middle returns where to cut kids so that both sides are about as long, and have at least two.
func (s *kids) middle(i, j int) int {
	const fixed = 16
	half := 0
	for k := i; k < j; k++ {
		half += s.list[k].end - s.list[k].start + fixed
	}
	half /= 2
	at := 0
	for k := i; k < j; k++ {
		if at += s.list[k].end - s.list[k].start + fixed; at >= half {
			return min(max(k, i+2), j-2)
		}
	}
	return j - 2
}

// size returns the size of the node that would have the children from i to before j, and the prefix of its separators.
func (s *kids) size(i, j int) (size, prefixLen int) {
	n := j - i
	if n > 1 {
		prefixLen = commonPrefix(s.separator(i+1), s.separator(j-1))
	}
	size = innerHeader + 12*(n-1) + 4*n + prefixLen
	for k := i + 1; k < j; k++ {
		size += s.list[k].end - s.list[k].start - prefixLen
	}
	return size, prefixLen
}

func (s *kids) write(b inner, prefixLen, i, j int) {
	n := j - i
	put16(b, innerCount, n)
	put16(b, innerPrefix, prefixLen)
	heads := innerHeader
	children := heads + 8*(n-1)
	ends := children + 4*n
	rests := ends + 4*(n-1)
	if n > 1 {
		rests += copy(b[rests:], s.separator(i + 1)[:prefixLen])
	}
	at := rests
	for k := i; k < j; k++ {
		put32(b, children+4*(k-i), uint32(s.list[k].ref))
		if k == i {
			continue
		}
		rest := s.separator(k)[prefixLen:]
		binary.LittleEndian.PutUint64(b[heads+8*(k-i-1):], head(rest))
		at += copy(b[at:], rest)
		put32(b, ends+4*(k-i-1), uint32(at-rests))
	}
}
