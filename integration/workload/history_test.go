package workload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// parse reads a history from lines of
//
//	client start-end kind items [outcome] [flag…]
//
// where an item is key=value for a write or what a read showed, key=- for a deletion or absence, key=a|b for siblings; times are milliseconds; the
// outcome is ok unless it says otherwise, and single items of a batch may have their own, as in key=value:failed. Flags are ordered, retried, weak, final,
// before=context, after=context, ttl=milliseconds, from=key, to=key, reverse, partial. Empty lines and what follows a # are left out.
func parse(t testing.TB, text string) (ops []history.Operation) {
	t.Helper()
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if fields := strings.Fields(line); len(fields) > 0 {
			ops = append(ops, parseOperation(t, fields))
		}
	}
	slices.SortStableFunc(ops, func(a, b history.Operation) int { return int(a.Start - b.Start) })
	return ops
}

var (
	kinds = map[string]history.Kind{
		"put": history.Put, "delete": history.Delete, "read": history.Read, "batch": history.Batch, "reads": history.MultiRead, "scan": history.Scan,
	}
	outcomes = map[string]history.Outcome{"ok": history.Ok, "failed": history.Failed, "unknown": history.Unknown}
)

func parseOperation(t testing.TB, fields []string) history.Operation {
	t.Helper()
	start, end, _ := strings.Cut(fields[1], "-")
	op := history.Operation{
		Client: number(t, fields[0]), Start: time.Duration(number(t, start)) * time.Millisecond, End: time.Duration(number(t, end)) * time.Millisecond,
		Kind: kinds[fields[2]], Outcome: history.Ok, Strict: true,
	}
	if op.Kind == 0 {
		t.Fatalf("%q: no such kind", fields)
	}
	var flags []string
	for _, f := range fields[3:] {
		name, value, item := strings.Cut(f, "=")
		switch {
		case outcomes[f] != 0:
			op.Outcome = outcomes[f]
		case !item || slices.Contains([]string{"before", "after", "from", "to", "ttl"}, name):
			flags = append(flags, f)
		default:
			op.Items = append(op.Items, parseItem(name, value))
		}
	}
	for i := range op.Items {
		if op.Items[i].Outcome == 0 {
			op.Items[i].Outcome = op.Outcome
		}
	}
	for _, f := range flags {
		setFlag(t, &op, f)
	}
	return op
}

func parseItem(key, value string) history.Item {
	value, outcome, _ := strings.Cut(value, ":")
	item := history.Item{Key: key, Outcome: outcomes[outcome]}
	switch {
	case value == "-":
		item.Absent = true
	case strings.Contains(value, "|"):
		item.Siblings = strings.Split(strings.Trim(value, "|"), "|")
	default:
		item.Value = value
	}
	return item
}

func setFlag(t testing.TB, op *history.Operation, flag string) {
	name, value, _ := strings.Cut(flag, "=")
	switch name {
	case "ordered":
		op.Ordered = true
	case "retried":
		op.Items[0].Retried = true
	case "weak":
		op.Strict = false
	case "final":
		op.Final = true
	case "ttl":
		op.Items[0].TTL = time.Duration(number(t, value)) * time.Millisecond
	case "before":
		op.Items[0].Before = history.Context(value)
	case "after":
		op.Items[0].After = history.Context(value)
	case "from":
		op.From = value
	case "to":
		op.To = value
	case "reverse":
		op.Reverse = true
	case "partial":
		op.Partial = true
	default:
		t.Fatalf("no such flag: %s", flag)
	}
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// judgement is a history and what a checker has to say of it.
type judgement struct {
	name, history string
	// want are the violations, as in "lost 1, stale 2"; empty is none.
	want string
}

func judgeAll(t *testing.T, workload string, all []judgement) {
	t.Helper()
	for _, j := range all {
		t.Run(j.name, func(t *testing.T) {
			w, err := New(workload)
			if err != nil {
				t.Fatal(err)
			}
			r := w.Check(parse(t, j.history))
			var got []string
			for _, kind := range slices.Sorted(maps.Keys(r.Violations)) {
				got = append(got, fmt.Sprintf("%s %d", kind, r.Violations[kind]))
			}
			if s := strings.Join(got, ", "); s != j.want {
				t.Errorf("violations: %q, want %q\n%s", s, j.want, strings.Join(r.Examples, "\n"))
			}
			if r.Passed() != (j.want == "") {
				t.Errorf("passed: %v", r.Passed())
			}
		})
	}
}
