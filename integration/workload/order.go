package workload

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// fault is what is wrong with a read.
type fault uint8

const (
	// invented: nobody had written the value by the end of the read.
	invented fault = iota + 1
	// appeared: its write was answered to have no effect.
	appeared
	// missing: nothing was shown, though something surely was there.
	missing
	// stale: the value was behind one that was acknowledged before the read began.
	stale
	// wentBack: the value was behind one that another read had shown before this one began.
	wentBack
	// revived: the value had been deleted before the read began.
	revived
)

// finding is a read with something wrong.
type finding struct {
	fault fault
	key   string
	read  read
	// by is what should have been seen; the zero value if there is no such thing. since is when it had surely taken effect.
	by    write
	since time.Duration
}

// behind says that the read showed what should have been superseded, not what never should have been there.
func (f finding) behind() bool { return f.fault != invented && f.fault != appeared }

func (f finding) String() string {
	shown := fmt.Sprintf("%q", f.read.value)
	if f.read.absent {
		shown = "nothing"
	}
	text := fmt.Sprintf("key %s: client %d read %s at %s to %s", f.key, f.read.client, shown, when(f.read.start), when(f.read.end))
	if f.by.outcome == 0 {
		return text
	}
	what := fmt.Sprintf("put of %q", f.by.value)
	if f.by.deletion {
		what = "deletion"
	}
	return text + fmt.Sprintf("; the %s by client %d (%s to %s) was %s and had taken effect by %s",
		what, f.by.client, when(f.by.start), when(f.by.end), f.by.outcome, when(f.since))
}

// order judges the reads of one key by what is promised of its versions (DESIGN §1.7). It takes one write to be surely behind another if it
// ended before
//
//   - a deletion without a context, or an ordered put, began: those join what R replicas have seen;
//   - the read began whose context the other carried;
//   - the other began, and both are the same client's, whose clock makes the later one greater.
//
// Such a write is superseded by the other or has a lesser timestamp. So a strict read that begins when the other has taken effect does not show it.
// Nor does one show a write that was known to have taken effect before an earlier read did not show it, for the states that reads join only grow,
// and what is once superseded or outshone in them stays so. Writes that are strays are exempt: their effect may come at any time.
type order struct {
	k *timeline
	// all has a bar for each write that has seen others; own those of each client's writes, for earlier ones of the same client.
	all bars
	// It is nil where there is only one write.
	own map[int]bars
	// first is the write that was the first to be known; none if there is no such thing.
	first int
	// deletions are the places of those that can show as absence, in the order of their start; latest has the greatest end of those up to each.
	deletions []int
	latest    []time.Duration
	// strayDeletion is when the first stray one begins.
	strayDeletion time.Duration
}

// judge reports what is wrong with the reads of a key. Reads that are neither strict nor final are reported, too: the caller knows what to expect of them.
func (k *timeline) judge(report func(finding)) {
	if len(k.reads) == 0 {
		return
	}
	k.resolve(report)
	o := k.order()
	sound := k.reads[:0:0]
	for _, r := range k.reads {
		if r.shown == none && !r.absent {
			continue
		}
		if f, wrong := o.check(r); wrong {
			report(f)
		} else if r.strict || r.final {
			sound = append(sound, r)
		}
	}
	k.judgeReturns(sound, report)
}

// resolve finds the writes that reads show, and what is known by them.
func (k *timeline) resolve(report func(finding)) {
	for i := range k.reads {
		r := &k.reads[i]
		if r.absent {
			continue
		}
		at := k.find(r.value)
		if at == none || k.writes[at].start > r.end {
			report(finding{fault: invented, key: k.key, read: *r})
			continue
		}
		w := &k.writes[at]
		if w.outcome == history.Failed {
			report(finding{fault: appeared, key: k.key, read: *r, by: *w, since: never})
			continue
		}
		r.shown = at
		if r.strict || r.final {
			w.known = min(w.known, r.end)
		}
	}
}

func (k *timeline) order() *order {
	o := &order{k: k, first: none, strayDeletion: never}
	if len(k.writes) > 1 {
		o.own = make(map[int]bars)
	}
	for i := range k.writes {
		w := &k.writes[i]
		if w.known != never {
			if w.sees >= 0 {
				o.all = append(o.all, bar{w.known, w.sees, i})
			}
			if o.own != nil {
				o.own[w.client] = append(o.own[w.client], bar{w.known, w.start, i})
			}
			if o.first == none || w.known < k.writes[o.first].known {
				o.first = i
			}
		}
		switch {
		case !w.deletion || w.outcome == history.Failed:
		case w.stray:
			o.strayDeletion = min(o.strayDeletion, w.start)
		default:
			latest := w.end
			if n := len(o.latest); n > 0 {
				latest = max(latest, o.latest[n-1])
			}
			o.deletions, o.latest = append(o.deletions, i), append(o.latest, latest)
		}
	}
	o.all = risingBars(o.all)
	for c, b := range o.own {
		o.own[c] = risingBars(b)
	}
	return o
}

// check judges one read by what had taken effect when it began.
func (o *order) check(r read) (finding, bool) {
	f := finding{key: o.k.key, read: r}
	var b bar
	if r.absent {
		var wrong bool
		if b, wrong = o.cannotBeAbsent(r); !wrong {
			return f, false
		}
		f.fault = missing
	} else {
		w := &o.k.writes[r.shown]
		var outdone bool
		if b, outdone = o.outdone(w, r.start); w.stray || !outdone {
			return f, false
		}
		f.fault = wentBack
		switch by := &o.k.writes[b.by]; {
		case by.deletion:
			f.fault = revived
		case by.outcome == history.Ok && by.end < r.start:
			f.fault = stale
		}
	}
	f.by, f.since = o.k.writes[b.by], b.from
	return f, true
}

// outdone says what was the first to put a write behind it, if anything had when a read began.
func (o *order) outdone(w *write, begins time.Duration) (bar, bool) {
	b, ok := o.all.over(w.end, begins)
	if own, also := o.own[w.client].over(w.end, begins); also && (!ok || own.from < b.from) {
		return own, true
	}
	return b, ok
}

// cannotBeAbsent says what is in the way of a read that shows nothing: the first write that it should have seen.
func (o *order) cannotBeAbsent(r read) (bar, bool) {
	if o.first == none || o.k.writes[o.first].known >= r.start || o.strayDeletion < r.end {
		return bar{}, false
	}
	n, _ := slices.BinarySearchFunc(o.deletions, r.end, func(i int, end time.Duration) int { return cmp.Or(cmp.Compare(o.k.writes[i].start, end), 1) })
	b := bar{from: o.k.writes[o.first].known, by: o.first}
	for height := o.all.height(r.start); n > 0 && o.latest[n-1] >= height; n-- {
		by, outdone := o.outdone(&o.k.writes[o.deletions[n-1]], r.start)
		if !outdone {
			return bar{}, false
		}
		b = by
	}
	if n > 0 {
		b, _ = o.outdone(&o.k.writes[o.deletions[n-1]], r.start)
	}
	return b, true
}

// glance is what a read saw, and when it began.
type glance struct {
	shown int
	start time.Duration
}

// judgeReturns looks for writes that were known, then not shown, then shown again.
func (k *timeline) judgeReturns(reads []read, report func(finding)) {
	if len(reads) < 2 {
		return
	}
	byEnd := slices.Clone(reads)
	slices.SortFunc(byEnd, func(a, b read) int { return cmp.Compare(a.end, b.end) })
	// last has, for the reads up to each, the two that began last among those that show different things.
	last := make([][2]glance, len(byEnd))
	for i, r := range byEnd {
		if i > 0 {
			last[i] = last[i-1]
		} else {
			last[i] = [2]glance{{none, -1}, {none, -1}}
		}
		last[i] = withGlance(last[i], glance{r.shown, r.start})
	}
	for _, r := range reads {
		if r.absent || k.writes[r.shown].stray {
			continue
		}
		n, _ := slices.BinarySearchFunc(byEnd, r.start, func(x read, t time.Duration) int { return cmp.Or(cmp.Compare(x.end, t), 1) })
		if n == 0 {
			continue
		}
		between := last[n-1][0]
		if between.shown == r.shown {
			between = last[n-1][1]
		}
		if between.start > k.writes[r.shown].known {
			report(k.returned(r, between))
		}
	}
}

// withGlance puts a glance among the two that began last and differ.
func withGlance(last [2]glance, g glance) [2]glance {
	switch {
	case g.shown == last[0].shown:
		last[0].start = max(last[0].start, g.start)
	case g.start > last[0].start:
		last = [2]glance{g, last[0]}
	case g.shown == last[1].shown || g.start > last[1].start:
		last[1] = glance{g.shown, max(g.start, last[1].start)}
	}
	return last
}

func (k *timeline) returned(r read, between glance) finding {
	f := finding{fault: wentBack, key: k.key, read: r, since: between.start}
	if between.shown == none {
		f.fault = revived
	} else {
		f.by = k.writes[between.shown]
	}
	return f
}
