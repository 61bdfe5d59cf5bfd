package workload

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/integration/history"
)

// drawTimeline is any few operations on one key.
func drawTimeline(t *rapid.T) *timeline {
	var ops []history.Operation
	draw := func(what string, n int) int { return rapid.IntRange(0, n-1).Draw(t, what) }
	for i := range 1 + draw("operations", 16) {
		start := time.Duration(draw("start", 40))
		op := history.Operation{
			Client: draw("client", 3), Start: start, End: start + 1 + time.Duration(draw("took", 8)), Strict: true,
			Kind: history.Kind(1 + draw("kind", 3)), Outcome: history.Ok, Ordered: draw("ordered", 2) == 0,
		}
		item := history.Item{Key: "k", Value: fmt.Sprint(i), Absent: op.Kind == history.Delete}
		if op.Kind == history.Read {
			if shown := draw("shown", 20); shown < 16 {
				item.Value = fmt.Sprint(shown)
			} else {
				item.Value, item.Absent = "", true
			}
			op.Final = draw("final", 4) == 0
		} else if which := draw("outcome", 8); which < 2 {
			op.Outcome = history.Outcome(2 + which)
		} else {
			item.Retried = which == 2
		}
		item.Outcome = op.Outcome
		op.Items = []history.Item{item}
		ops = append(ops, op)
	}
	slices.SortStableFunc(ops, func(a, b history.Operation) int { return int(a.Start - b.Start) })
	return timelines(ops)[0]
}

// plainly judges a timeline as the comment of order says it, comparing everything with everything; the reads must be resolved. It returns the reads that are
// wrong, each by itself or for what it shows again.
func plainly(k *timeline) (wrong []read) {
	outdone := func(w write, r read) bool {
		return slices.ContainsFunc(k.writes, func(by write) bool {
			return by.known < r.start && (w.end < by.sees || w.client == by.client && w.end < by.start)
		})
	}
	isWrong := func(r read) bool {
		if !r.absent {
			w := k.writes[r.shown]
			return !w.stray && outdone(w, r)
		}
		deletion := func(w write) bool {
			return w.deletion && w.outcome != history.Failed && w.start < r.end && (w.stray || !outdone(w, r))
		}
		return slices.ContainsFunc(k.writes, func(w write) bool { return w.known < r.start }) && !slices.ContainsFunc(k.writes, deletion)
	}
	var sound []read
	for _, r := range k.reads {
		switch {
		case r.shown == none && !r.absent:
		case isWrong(r):
			wrong = append(wrong, r)
		default:
			sound = append(sound, r)
		}
	}
	for _, r := range sound {
		if !r.absent && !k.writes[r.shown].stray && slices.ContainsFunc(sound, func(between read) bool {
			return between.shown != r.shown && between.start > k.writes[r.shown].known && between.end < r.start
		}) {
			wrong = append(wrong, r)
		}
	}
	return wrong
}

func TestOrderJudgesAsItSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := drawTimeline(t)
		var got []read
		k.judge(func(f finding) {
			if f.behind() {
				got = append(got, f.read)
				_ = f.String()
			}
		})
		if want := plainly(k); !slices.Equal(got, want) {
			t.Fatalf("wrong are %+v\nwant %+v\nwrites %+v\nreads %+v", got, want, k.writes, k.reads)
		}
	})
}
