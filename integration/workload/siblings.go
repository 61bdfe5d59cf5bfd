package workload

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/integration/history"
)

const (
	// siblingsKeys is how many keys are in use at once, siblingsUses how often one is used before another takes its place. It bounds the elements in a value.
	siblingsKeys = 4
	siblingsUses = 48
)

// siblings lets all workers add to sets that they share: one reads all siblings of a key, unites them, adds an element of its own, and writes that with the
// context of what it read. A value is the elements with commas between, its writer's own one last; the very first is empty.
//
// Violations: "lost element", an acknowledged one is in no sibling in the end; "stale element", a strict read did not show one that was acknowledged before
// it began; "invented" and "appeared", there is an element that nobody added, or whose writer was answered that it has failed.
//
// A put without a context would overwrite what it has not seen. So a key is created by one worker, and is used only if that put was answered at once: an
// attempt of it that is still under way could do so later.
type siblings struct {
	written names
	active  sharedKeys
}

func newSiblings() *siblings { return &siblings{active: sharedKeys{prefix: "e/"}} }

func (s *siblings) Name() string { return "siblings" }

func (s *siblings) Run(ctx context.Context, e Env) error { return work(ctx, e, s.Name(), s.step) }

func (s *siblings) step(ctx context.Context, w *worker) {
	key, create := s.active.use(w, siblingsKeys, siblingsUses)
	switch {
	case create:
		if r, outcome := w.put(ctx, key, "", client.PutOptions{}); outcome == history.Ok && !r.Retried {
			s.written.add(key)
			s.active.share(key)
		}
	case key == "":
		pause(ctx, idlePause)
	default:
		s.grow(ctx, w, key)
	}
}

// grow adds one element to a key.
func (s *siblings) grow(ctx context.Context, w *worker, key string) {
	item, cc, ok := w.getSiblings(ctx, key)
	if !ok || len(cc) == 0 {
		return
	}
	union := make(map[string]bool)
	for _, value := range item.Siblings {
		for element := range elements(value) {
			union[element] = true
		}
	}
	all := append(slices.Sorted(maps.Keys(union)), w.value())
	w.put(ctx, key, strings.Join(all, ","), client.PutOptions{Context: cc})
}

func (s *siblings) Settle(ctx context.Context, e Env) error {
	return settle(ctx, e, s.Name(), s.written.all(), true)
}

// elements are those of a value.
func elements(value string) func(yield func(string) bool) {
	if value == "" {
		return func(func(string) bool) {}
	}
	return strings.SplitSeq(value, ",")
}

func (s *siblings) Check(ops []history.Operation) Result {
	v := newVerdict(s.Name(), ops)
	sets := make(map[string]map[string]addition)
	for i := range ops {
		for j := range ops[i].Items {
			if op, item := &ops[i], &ops[i].Items[j]; op.Kind == history.Put {
				noteAddition(sets, op, item)
			}
		}
	}
	settled, readInTheEnd := false, make(map[string]bool)
	for i := range ops {
		op := &ops[i]
		if op.Kind == history.Put {
			continue
		}
		settled = settled || op.Final
		for j := range op.Items {
			if item := &op.Items[j]; item.Outcome == history.Ok {
				v.judgeSet(op, item, sets[item.Key])
				readInTheEnd[item.Key] = readInTheEnd[item.Key] || op.Final
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(sets)) {
		if settled && !readInTheEnd[key] && acknowledged(sets[key]) {
			v.violate("unread", "key %s could not be read in the end", key)
		}
	}
	return v.r
}

// acknowledged says that some element of a set was.
func acknowledged(set map[string]addition) bool {
	for _, a := range set {
		if a.outcome == history.Ok {
			return true
		}
	}
	return false
}

// addition is the write that added an element.
type addition struct {
	client     int
	start, end time.Duration
	outcome    history.Outcome
}

func noteAddition(sets map[string]map[string]addition, op *history.Operation, item *history.Item) {
	if sets[item.Key] == nil {
		sets[item.Key] = make(map[string]addition)
	}
	if item.Value == "" {
		return
	}
	own := item.Value[strings.LastIndexByte(item.Value, ',')+1:]
	sets[item.Key][own] = addition{op.Client, op.Start, op.End, op.Outcome}
}

// judgeSet judges what a read showed of a key.
func (v *verdict) judgeSet(op *history.Operation, item *history.Item, set map[string]addition) {
	v.count("reads", 1)
	v.r.Measures["siblings at most"] = max(v.r.Measures["siblings at most"], float64(len(item.Siblings)+item.Tombstones))
	shown := make(map[string]bool, len(set))
	for _, value := range item.Siblings {
		for element := range elements(value) {
			shown[element] = true
		}
	}
	for element := range shown {
		switch a, added := set[element]; {
		case !added || a.start > op.End:
			v.violate("invented", "key %s: client %d read element %q at %s, which nobody had added", item.Key, op.Client, element, when(op.End))
		case a.outcome == history.Failed:
			v.violate("appeared", "key %s: client %d read element %q at %s, which client %d was told had failed", item.Key, op.Client, element, when(op.End), a.client)
		}
	}
	late := 0
	for element, a := range set {
		if a.outcome == history.Ok && a.end < op.Start && !shown[element] {
			late++
			v.judgeLack(op, item.Key, element, a)
		}
	}
	if late > 0 && !op.Final {
		v.count("stale reads", 1)
	}
}

// judgeLack judges that a read did not show an element that was acknowledged before it.
func (v *verdict) judgeLack(op *history.Operation, key, element string, a addition) {
	kind := "lost element"
	if !op.Final {
		kind = "stale element"
		v.longest("longest staleness ms", op.Start-a.end)
		if !op.Strict {
			return
		}
	}
	v.violate(kind, "key %s: client %d did not see element %q at %s to %s; its put by client %d was acknowledged at %s",
		key, op.Client, element, when(op.Start), when(op.End), a.client, when(a.end))
}
