package workload

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// never is later than everything.
const never = time.Duration(math.MaxInt64)

// timeline is all that was done to one key whose values are each written once.
type timeline struct {
	key    string
	writes []write // in the order of their start
	reads  []read
	// settled says that final reads were made of what its workload wrote.
	settled bool
	// byValue finds a write where there are many.
	byValue map[string]int
}

// write is a put or a deletion of one key.
type write struct {
	client     int
	start, end time.Duration
	value      string
	deletion   bool
	ttl        time.Duration
	outcome    history.Outcome
	// stray says that it may show at any time after its start: its outcome is unknown, or it was retried and an earlier attempt may still show.
	stray bool
	// sees says that whatever was acknowledged before then is behind this write, whatever the clocks say: it was ordered, is a deletion, or
	// has the context of a read that began then. It is -1 if it saw nothing for sure.
	sees time.Duration
	// known is when it had surely taken effect: it was acknowledged, or a strict read had shown it. It may be never.
	known time.Duration
}

// read is one key's part of an operation that reads.
type read struct {
	client     int
	start, end time.Duration
	value      string
	absent     bool
	// strict says that the read must see what was acknowledged before; final that it was made after healing, when every read must.
	strict, final bool
	// shown is the place of the write that it shows; none for absence, and for what cannot be.
	shown int
}

// none is the place of no write.
const none = -1

// timelines are those of all keys that were written or read one by one, in the order of their first operation. Scans are left out.
func timelines(ops []history.Operation) []*timeline {
	g := gathering{byKey: make(map[string]*timeline), contexts: make(map[seenContext]time.Duration)}
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case history.Put, history.Delete, history.Batch:
			for j := range op.Items {
				g.write(op, &op.Items[j])
			}
		case history.Read, history.MultiRead:
			for j := range op.Items {
				g.read(op, &op.Items[j])
			}
			g.settled = g.settled || op.Final
		}
	}
	for _, k := range g.all {
		k.settled = g.settled
	}
	return g.all
}

// gathering puts operations into the timelines of their keys.
type gathering struct {
	all   []*timeline
	byKey map[string]*timeline
	// contexts say when the strict read began that returned one.
	contexts map[seenContext]time.Duration
	settled  bool
}

type seenContext struct {
	key     string
	context history.Context
}

func (g *gathering) timeline(key string) *timeline {
	k := g.byKey[key]
	if k == nil {
		k = &timeline{key: key}
		g.byKey[key] = k
		g.all = append(g.all, k)
	}
	return k
}

func (g *gathering) write(op *history.Operation, item *history.Item) {
	w := write{
		client: op.Client, start: op.Start, end: op.End, value: item.Value, deletion: op.Kind == history.Delete || item.Absent,
		ttl: item.TTL, outcome: item.Outcome, known: never,
	}
	w.stray = w.outcome == history.Unknown || item.Retried
	w.sees = g.sees(op, item, w.deletion)
	if w.outcome == history.Ok {
		w.known = w.end
	}
	k := g.timeline(item.Key)
	k.writes = append(k.writes, w)
}

func (g *gathering) sees(op *history.Operation, item *history.Item, deletion bool) time.Duration {
	switch {
	case !op.Strict:
		return -1
	case item.Before != "":
		if began, ok := g.contexts[seenContext{item.Key, item.Before}]; ok {
			return began
		}
		return -1
	case deletion || op.Ordered:
		return op.Start
	}
	return -1
}

func (g *gathering) read(op *history.Operation, item *history.Item) {
	k := g.timeline(item.Key)
	if item.Outcome != history.Ok {
		return
	}
	if item.After != "" && op.Strict {
		g.contexts[seenContext{item.Key, item.After}] = op.Start
	}
	k.reads = append(k.reads, readOf(op, item.Value, item.Absent))
}

func readOf(op *history.Operation, value string, absent bool) read {
	return read{
		client: op.Client, start: op.Start, end: op.End, value: value, absent: absent, strict: op.Strict, final: op.Final, shown: none,
	}
}

// unreadInTheEnd says that something was acknowledged, and that no final read of it was answered though others were made.
func (k *timeline) unreadInTheEnd() bool {
	return k.settled && !slices.ContainsFunc(k.reads, func(r read) bool { return r.final }) &&
		slices.ContainsFunc(k.writes, func(w write) bool { return w.outcome == history.Ok })
}

// find is the place of the write of a value, or none.
func (k *timeline) find(value string) int {
	if len(k.writes) > 16 {
		if k.byValue == nil {
			k.byValue = make(map[string]int, len(k.writes))
			for i := range k.writes {
				if !k.writes[i].deletion {
					k.byValue[k.writes[i].value] = i
				}
			}
		}
		if i, ok := k.byValue[value]; ok {
			return i
		}
		return none
	}
	return slices.IndexFunc(k.writes, func(w write) bool { return !w.deletion && w.value == value })
}

// bar says that from a time on everything that ended before its height is outdone.
type bar struct {
	from, height time.Duration
	// by is the place of the write that outdoes it.
	by int
}

// bars rise: each later one is higher.
type bars []bar

// risingBars leaves out those that an earlier one is as high as.
func risingBars(b bars) bars {
	slices.SortFunc(b, func(x, y bar) int { return cmp.Or(cmp.Compare(x.from, y.from), cmp.Compare(y.height, x.height)) })
	rising := b[:0]
	for _, x := range b {
		if len(rising) == 0 || x.height > rising[len(rising)-1].height {
			rising = append(rising, x)
		}
	}
	return rising
}

// over is the first bar that outdoes what ended at a time, for a read that begins at another; ok is false if there is none by then.
func (b bars) over(end, begins time.Duration) (first bar, ok bool) {
	i, _ := slices.BinarySearchFunc(b, end, func(x bar, end time.Duration) int {
		if x.height > end {
			return 1
		}
		return -1
	})
	if i == len(b) || b[i].from >= begins {
		return bar{}, false
	}
	return b[i], true
}

// height is that of the highest bar for a read that begins at a time, or -1.
func (b bars) height(begins time.Duration) time.Duration {
	i, _ := slices.BinarySearchFunc(b, begins, func(x bar, t time.Duration) int { return cmp.Or(cmp.Compare(x.from, t), 1) })
	if i == 0 {
		return -1
	}
	return b[i-1].height
}
