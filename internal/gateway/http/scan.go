package httpgw

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/gateway"
	"github.com/ringcask/ringcask/ring"
)

// scan answers a range: one page of JSON, or lines of JSON to its end.
func (x *exchange) scan() *failure {
	left, some, fail := x.rangeBounds()
	if fail != nil {
		return fail
	}
	if x.prefers(typeJSON[0], typeNDJSON[0]) == typeNDJSON[0] {
		return x.streamRange(left, some)
	}
	return x.pageOfRange(left, some)
}

// rangeBounds is what the range has left to give; some is false if it is nothing.
func (x *exchange) rangeBounds() (left bounds, some bool, fail *failure) {
	p := &x.params.rng
	for _, key := range [][]byte{p.start, p.end, p.prefix} {
		if len(key) > x.opt.KeyBytesMax {
			return left, false, tooLarge("a bound of %d bytes is longer than %d", len(key), x.opt.KeyBytesMax)
		}
	}
	all, some := boundsOf(p)
	if p.cursor == "" {
		return all, some, nil
	}
	left, err := parseCursor(p.cursor)
	if err != nil {
		return left, false, badRequest("query parameter cursor %v", err)
	}
	if !p.directed {
		all.reverse = left.reverse
	}
	if !p.bounded {
		all.start, all.end = left.start, left.end
	}
	if !left.within(all) {
		return left, false, badRequest("the cursor is of a range with other bounds, or of the other direction")
	}
	return left, true, nil
}

// readPage asks for one page of what is left.
func (x *exchange) readPage(left bounds, limit, bytesMax int, deadline time.Time) (*coordinator.RangePage, *failure) {
	page, err := x.opt.Store.Range(x.r.Context(), &coordinator.RangeRequest{
		Start:    left.start,
		End:      left.end,
		Reverse:  left.reverse,
		KeysOnly: x.params.rng.keysOnly,
		R:        x.params.r,
		Limit:    limit,
		BytesMax: bytesMax,
		Partial:  x.params.rng.partial,
		Deadline: deadline,
	})
	if err != nil {
		return nil, failed(gateway.ReadFaultOf(err))
	}
	return page, nil
}

// pageOfRange answers with one page of JSON. The store's pages are short where many keys show nothing: they are put
// together until the limit, the bytes or the range are full. Once there is progress to hand out, a failure ends the page
// and waits for who comes with its cursor, so that a range gets past any stretch of deleted keys.
func (x *exchange) pageOfRange(left bounds, more bool) *failure {
	limit := min(x.opt.RangeItemsMax, x.params.rng.limit)
	if limit == 0 {
		limit = x.opt.RangeItems
	}
	deadline := x.deadline()
	var body []byte
	var missing []ring.PartitionID
	for pages, items := 0, 0; more && items < limit && len(body) < x.opt.RangeBytesMax; pages++ {
		page, fail := x.readPage(left, limit-items, x.opt.RangeBytesMax-len(body), deadline)
		if fail == nil {
			fail = x.grow(2 * pageBytes(page))
		}
		if fail != nil {
			if pages == 0 {
				return fail
			}
			break
		}
		for i := range page.Items {
			if len(body) > 0 {
				body = append(body, ',')
			}
			body = x.appendItem(body, &page.Items[i])
		}
		items += len(page.Items)
		missing = union(missing, page.Missing)
		if more = page.More; more {
			left = left.rest(page.Resume)
		}
	}
	x.respondJSON(http.StatusOK, func(b []byte) []byte {
		b = append(append(b, `{"items":[`...), body...)
		return appendEnd(append(b, "],"...), left, more, missing)
	})
	return nil
}

// pageBytes is how many bytes of keys and values a page holds.
func pageBytes(page *coordinator.RangePage) (n int) {
	for i := range page.Items {
		n += len(page.Items[i].Key) + page.Items[i].Object.ValueBytes()
	}
	return n
}

// appendItem appends one key of a range. What only matters when there are several values is left out when there is one.
func (x *exchange) appendItem(b []byte, item *coordinator.RangeItem) []byte {
	b = appendBytes(append(b, '{'), "key", item.Key)
	all := x.params.siblings
	if !x.params.rng.keysOnly {
		b = appendObject(b, item.Object, all, x.opt.Now())
	}
	if all {
		b = appendContext(append(b, ','), item.Object.Vector)
	}
	if all || len(item.Object.Siblings) > 1 {
		b = appendSiblings(b, item.Object)
	}
	return append(b, '}')
}

// appendEnd appends the members that end a range, and its brace: where it goes on, and what is missing from it.
func appendEnd(b []byte, left bounds, more bool, missing []ring.PartitionID) []byte {
	b = appendCursorMember(b, left, more)
	if len(missing) > 0 {
		b = append(b, `,"missing_partitions":[`...)
		for i, p := range missing {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendUint(b, uint64(p), 10)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

func appendCursorMember(b []byte, left bounds, more bool) []byte {
	if !more {
		return append(b, `"cursor":null`...)
	}
	return append(appendCursor(append(b, `"cursor":"`...), left), '"')
}

// union adds to a sorted list of partitions those that it lacks. A list never has more than there are partitions.
func union(have, more []ring.PartitionID) []ring.PartitionID {
	for _, p := range more {
		if i, found := slices.BinarySearch(have, p); !found {
			have = slices.Insert(have, i, p)
		}
	}
	return have
}
