package hintedhandoff

import (
	"maps"
	"slices"
	"sync"

	"github.com/ringcask/ringcask/ring"
)

// book is what is known of the hints without reading any: how many there are for each target and partition, their bytes and their
// ages. What is added enters it with the decision and what is removed leaves it when that is durable: so it may have too
// much in it for a moment, or after a failure until the next open, and never too little.
type book struct {
	bytesMax, addBytesMax int64
	addItemsMax           int

	mu       sync.Mutex
	accounts map[ring.NodeID]*account
	bytes    int64
	// addItems and addBytes are being added; adding has the partitions of those items.
	addItems int
	addBytes int64
	adding   map[ring.PartitionID]int
}

// account is one target's part of the book.
type account struct {
	hints, counted int
	bytes          int64
	partitions     map[ring.PartitionID]int
	// seconds counts the hints by the second that they were noted in: the uncounted ones, then the counted.
	seconds [2]map[int64]int
}

// entry is a hint as the book has it. Without bytes there is no hint.
type entry struct {
	bytes   int64
	counted bool
	noted   int64
}

func (h head) entry(keyBytes, metaBytes int) entry {
	return entry{bytes: int64(keyBytes) + int64(metaBytes) + int64(h.valueBytes), counted: h.counted, noted: h.noted}
}

func newBook(o Options) *book {
	return &book{
		bytesMax: o.BytesMax, addBytesMax: o.AddBytesMax, addItemsMax: o.AddItemsMax,
		accounts: make(map[ring.NodeID]*account), adding: make(map[ring.PartitionID]int),
	}
}

// reserve admits hints of size bytes at most, one for each of parts. Errors: ErrOverloaded, ErrFull.
func (b *book) reserve(parts []ring.PartitionID, size int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.addItems > 0 && (b.addItems+len(parts) > b.addItemsMax || b.addBytes+size > b.addBytesMax) {
		return ErrOverloaded
	}
	if b.bytes+b.addBytes+size > b.bytesMax {
		return ErrFull
	}
	b.addItems += len(parts)
	b.addBytes += size
	for _, p := range parts {
		b.adding[p]++
	}
	return nil
}

// release takes back what reserve has admitted: the hints are in the book now, or were not added.
func (b *book) release(parts []ring.PartitionID, size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.addItems -= len(parts)
	b.addBytes -= size
	for _, p := range parts {
		if b.adding[p]--; b.adding[p] == 0 {
			delete(b.adding, p)
		}
	}
}

// change replaces what the book has of one hint.
func (b *book) change(target ring.NodeID, p ring.PartitionID, from, to entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[target]
	if a == nil {
		a = &account{partitions: make(map[ring.PartitionID]int), seconds: [2]map[int64]int{{}, {}}}
		b.accounts[target] = a
	}
	b.bytes += to.bytes - from.bytes
	a.count(p, to, +1)
	a.count(p, from, -1)
	if a.hints == 0 {
		delete(b.accounts, target)
	}
}

func (a *account) count(p ring.PartitionID, e entry, by int) {
	if e.bytes == 0 {
		return
	}
	a.hints += by
	a.bytes += int64(by) * e.bytes
	if e.counted {
		a.counted += by
	}
	add(a.partitions, p, by)
	add(a.seconds[kindOf(e.counted)], e.noted/1000, by)
}

func add[K comparable](m map[K]int, k K, by int) {
	if m[k] += by; m[k] == 0 {
		delete(m, k)
	}
}

func kindOf(counted bool) int {
	if counted {
		return 1
	}
	return 0
}

// oldest is the second in which the oldest uncounted or counted hint was noted; false if there is none.
func (a *account) oldest(counted bool) (second int64, ok bool) {
	for s := range a.seconds[kindOf(counted)] {
		if !ok || s < second {
			second, ok = s, true
		}
	}
	return second, ok
}

func (b *book) hasHints(p ring.PartitionID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.adding[p] > 0 {
		return true
	}
	for _, a := range b.accounts {
		if a.partitions[p] > 0 {
			return true
		}
	}
	return false
}

// targets are those that have hints, sorted.
func (b *book) targets() []ring.NodeID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.accounts))
}

func (b *book) counts(target ring.NodeID) (hints, counted int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.accounts[target]; a != nil {
		return a.hints, a.counted
	}
	return 0, 0
}

// agedTargets are the targets that may have an uncounted hint noted before limit, in milliseconds since the epoch.
func (b *book) agedTargets(limit int64) (aged []ring.NodeID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for target, a := range b.accounts {
		if second, ok := a.oldest(false); ok && second*1000 < limit {
			aged = append(aged, target)
		}
	}
	slices.Sort(aged)
	return aged
}
