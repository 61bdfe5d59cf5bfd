package coordinator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
)

// obj reads an object: siblings as actor letter, time and value, and after a slash what else was seen. "a3=x b2=y/c1"
// holds x, written by a at 3, and y, written by b at 2, and has seen all of c up to 1. Heads have no value: "a3". † is
// a tombstone.
func obj(text string) (o causal.Object) {
	held, seen, _ := strings.Cut(text, "/")
	dot := func(s string) causal.Dot {
		return causal.Dot{Actor: causal.Actor(s[0]-'a') + 1, Time: causal.Timestamp(s[1] - '0')}
	}
	for _, f := range strings.Fields(held) {
		name, value, has := strings.Cut(f, "=")
		s := causal.Sibling{Dot: dot(name), Tombstone: value == "†"}
		if has && !s.Tombstone {
			s.Value = []byte(value)
		}
		o.Siblings = append(o.Siblings, s)
		o.Vector = o.Vector.With(s.Dot)
	}
	for _, f := range strings.Fields(seen) {
		o.Vector = o.Vector.With(dot(f))
	}
	slices.SortFunc(o.Siblings, func(a, b causal.Sibling) int { return a.Dot.Compare(b.Dot) })
	return o
}

func show(o causal.Object) string {
	var words []string
	for _, s := range o.Siblings {
		w := fmt.Sprintf("%c%d", 'a'+rune(s.Dot.Actor)-1, s.Dot.Time)
		switch {
		case s.Tombstone:
			w += "=†"
		case s.Value != nil:
			w += "=" + string(s.Value)
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return "nothing"
	}
	return strings.Join(words, " ")
}

// transcript plays a script against a read of replicas 0 to n-1, in that order, and writes down what it asks.
//
//	0 values a1=x   replica 0 answers with whole objects      0 heads a1   with heads      0 unknown   0 fails
//	0 stores        it acknowledges the repair                0 refuses    it does not      0 changed   its actor changed
//	tick            a spare is asked                          late         the deadline
func transcript(mode readMode, need, n int, script string) string {
	q := &readQuorum{need: need, mode: mode, op: "get"}
	for i := range n {
		q.nodes = append(q.nodes, readNode{target: i})
	}
	var out strings.Builder
	ended := false
	tell := func(event string, asks []readAsk) {
		fmt.Fprintf(&out, "%s ->", event)
		for _, a := range asks {
			fmt.Fprintf(&out, " %s:%d", [...]string{"heads", "values", "store"}[a.kind], a.node)
		}
		if q.settled() && !ended {
			ended = true
			if q.phase == phaseDone {
				fmt.Fprintf(&out, " done %s", show(q.joined))
			} else {
				fmt.Fprintf(&out, " %s", brief(q, nil))
			}
		}
		if q.divergent {
			out.WriteString(" divergent")
			q.divergent = false
		}
		out.WriteString("\n")
	}
	tell("start", q.step(nil))
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		var asks []readAsk
		if line == "tick" {
			asks, _ = q.hedge(nil)
		} else if line == "late" {
			tell(line+" "+brief(q, errors.New("silent")), nil)
			continue
		} else {
			i := int(line[0] - '0')
			word, rest, _ := strings.Cut(line[2:], " ")
			switch word {
			case "values", "heads":
				q.answer(i, ReadItem{Object: obj(rest)}, word == "values")
			case "unknown":
				q.answer(i, ReadItem{State: ReadUnknown}, false)
			case "fails":
				q.fail(i, errors.New("gone"))
			case "stores":
				q.stored(i, causal.Actor(i+1))
			case "refuses":
				q.storeFailed(i, errors.New("gone"))
			case "changed":
				q.void(i, 99)
				ended = ended && q.settled()
			}
		}
		tell(line, q.step(asks))
	}
	return out.String()
}

func brief(q *readQuorum, late error) string {
	var e *QuorumError
	errors.As(q.failure(late, func(t int) Cause { return Cause{} }), &e)
	return fmt.Sprintf("%s needs %d got %d", e.Op, e.Need, e.Got)
}

func TestReadTranscripts(t *testing.T) {
	for _, tc := range []struct {
		name    string
		mode    readMode
		need, n int
		script  string // a transcript: what comes after -> is what is expected
	}{
		{"equal heads need no second round", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			1 heads a1 -> done a1=x`},
		{"nothing anywhere", readRepair, 2, 3, `
			start -> values:0 heads:1
			1 heads ->
			0 values -> done nothing`},
		{"the first is stale: fetch, repair it, then answer", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			1 heads b2/a1 -> values:1
			1 values b2=y/a1 -> store:0
			0 stores -> done b2=y`},
		{"the second is stale: its value is not needed", readRepair, 2, 3, `
			start -> values:0 heads:1
			1 heads a1 ->
			0 values b2=y/a1 -> store:1
			1 stores -> done b2=y`},
		{"concurrent values: both are repaired", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			1 heads b1 -> values:1
			1 values b1=y -> store:0 store:1
			1 stores ->
			0 stores -> done a1=x b1=y`},
		{"a tombstone needs no fetch", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			1 heads b2=†/a1 -> store:0
			0 stores -> done b2=†`},
		{"what was superseded between heads and values", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			1 heads b2/a1 -> values:1
			1 values c3=z/a1 b2 -> store:0
			0 stores -> done c3=z`},
		{"a replica that fails is replaced", readRepair, 2, 3, `
			start -> values:0 heads:1
			1 fails -> heads:2
			0 values a1=x ->
			2 heads a1 -> done a1=x`},
		{"the one asked for values fails: values from the next", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 fails -> values:2
			1 heads a1 ->
			2 values a1=x -> done a1=x`},
		{"unknown is no answer", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 unknown -> values:2
			2 values ->
			1 heads -> done nothing`},
		{"too few are left", readRepair, 2, 3, `
			start -> values:0 heads:1
			1 fails -> heads:2
			2 fails -> get needs 2 got 0
			0 values a1=x ->`},
		{"values that cannot be had are no answer", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			1 heads b2/a1 -> values:1
			1 fails -> heads:2
			2 heads a1 -> done a1=x`},
		{"one that cannot be repaired is replaced without reading", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a2=y ->
			1 heads a1 -> store:1
			1 refuses -> store:2
			2 stores -> done a2=y divergent`},
		{"nobody is left to repair", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a2=y ->
			1 heads a1 -> store:1
			1 refuses -> store:2
			2 refuses -> repair needs 2 got 1`},
		{"a repair whose giver has a new actor is void", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a2=y ->
			1 heads a1 -> store:1
			1 stores -> done a2=y
			1 changed -> store:2
			2 stores -> done a2=y`},
		{"a spare for a slow replica", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			tick -> heads:2
			tick ->
			2 heads a1 -> done a1=x
			1 heads b2/a1 -> divergent`},
		{"the slow one was to send values", readRepair, 2, 3, `
			start -> values:0 heads:1
			1 heads a1 ->
			tick -> values:2
			2 values a1=x -> done a1=x`},
		{"a spare for a slow fetch", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1=x ->
			1 heads b2/a1 -> values:1
			tick -> values:2
			2 values b2=y/a1 -> store:0 done b2=y
			0 stores ->`},
		{"a spare for a slow repair", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a2=y ->
			1 heads a1 -> store:1
			tick -> store:2
			2 stores -> done a2=y`},
		{"all three, one silent", readRepair, 3, 3, `
			start -> values:0 heads:1 heads:2
			0 values a1=x ->
			2 heads a1 ->
			late get needs 3 got 2 ->`},
		{"one is enough", readPlain, 1, 3, `
			start -> values:0
			0 values a1=x -> done a1=x`},
		{"one answers for another", readPlain, 1, 3, `
			start -> values:0
			0 fails -> values:1
			1 values b1=y -> done b1=y`},
		{"a weak read repairs nothing itself", readPlain, 2, 4, `
			start -> values:0 heads:1
			0 values a2=y ->
			1 heads a1 -> done a2=y divergent`},
		{"vectors need heads only", readVectors, 2, 3, `
			start -> heads:0 heads:1
			0 heads a1 ->
			1 heads b1 -> done a1 b1`},
		{"an unknown vector is no answer", readVectors, 2, 3, `
			start -> heads:0 heads:1
			0 heads a1 ->
			1 unknown -> heads:2
			2 heads b1 -> done a1 b1`},
		{"an answer counts once", readVectors, 2, 3, `
			start -> heads:0 heads:1
			0 heads a1 ->
			0 heads b1 ->
			1 heads a1 -> done a1`},
		{"an empty value is a value", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a1= ->
			1 heads a1 -> done a1=`},
		{"differing vectors alone are no divergence", readRepair, 2, 3, `
			start -> values:0 heads:1
			0 values a2=x/b1 ->
			1 heads a2 -> done a2=x`},
	} {
		var want, events strings.Builder
		for line := range strings.Lines(tc.script) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			want.WriteString(line + "\n")
			event, _, _ := strings.Cut(line, " ->")
			if strings.HasPrefix(event, "late") {
				event = "late"
			}
			if event != "start" {
				events.WriteString(event + "\n")
			}
		}
		if got := transcript(tc.mode, tc.need, tc.n, events.String()); got != want.String() {
			t.Errorf("%s\ngot\n%s\nwant\n%s", tc.name, got, want.String())
		}
	}
}
