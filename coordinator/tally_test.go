package coordinator

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/internal/causal"
)

// newTally is of a write of so many keys, each sent to the givers listed: "0,1 1" sends keys 0 and 1 to the first
// giver.
func newTally(w, keys int, sent string) *tally {
	t := &tally{need: w - 1, acked: make([]int16, keys), silent: make([]int16, keys), skip: make([]bool, keys)}
	for g, list := range strings.Fields(sent) {
		var ks []int
		for _, c := range strings.Split(list, ",") {
			ks = append(ks, int(c[0]-'0'))
		}
		t.sent(g, ks)
	}
	return t
}

// play applies a script and says what each key has come to after every word of it: "-" open, "+" met, "!" failed, "?"
// unknown.
//
//	a0 giver 0 acknowledges    f0 it fails    v0 its actor changed    d durable here    x the local log failed
func (t *tally) play(script string) string {
	var out []string
	for _, word := range strings.Fields(script) {
		g := 0
		if len(word) > 1 {
			g = int(word[1] - '0')
		}
		switch word[0] {
		case 'a':
			t.ack(g, causal.Actor(g+1))
		case 'f':
			t.fail(g, errors.New("no"))
		case 'v':
			t.void(g, causal.Actor(g+100))
		case 'd':
			t.local = localDurable
		case 'x':
			t.local = localFailed
		}
		marks := ""
		for k := range t.acked {
			marks += string("-+!?"[t.verdict(k)])
		}
		out = append(out, marks)
	}
	return strings.Join(out, " ")
}

func TestAWriteIsMetByItsLocalLogAndEnoughAcks(t *testing.T) {
	for _, tc := range []struct {
		name         string
		w, keys      int
		sent         string
		script, want string
	}{
		{"one is the local log alone", 1, 1, "0 0", "a0 a1 d", "- - +"},
		{"quorum: local first", 2, 1, "0 0", "d a0 a1", "- + +"},
		{"quorum: local last", 2, 1, "0 0", "a0 d", "- +"},
		{"quorum: one may fail", 2, 1, "0 0", "d f0 a1", "- - +"},
		{"quorum: both fail", 2, 1, "0 0", "d f0 f1", "- - !"},
		{"too few left is told once the local log is durable", 2, 1, "0 0", "f0 f1 d", "- - !"},
		{"all needs both", 3, 1, "0 0", "d a0 a1", "- - +"},
		{"all fails with the first", 3, 1, "0 0", "d f1", "- !"},
		{"an answer counts once", 3, 1, "0 0", "d a0 a0 f0 a1", "- - - - +"},
		{"the local log fails", 2, 1, "0 0", "a0 x a1", "- ? ?"},
		{"an ack is taken back", 2, 1, "0 0", "d a0 v0 a1", "- + - +"},
		{"an ack is taken back and none is left", 2, 1, "0 0", "d a0 f1 v0", "- + + !"},
		{"a void before durable", 2, 1, "0 0", "a0 v0 d a1", "- - - +"},
		{"nobody to void", 2, 1, "0 0", "v0 d a0", "- - +"},
		{"a single replica", 1, 1, "", "d", "+"},
		{"keys on different replicas", 2, 3, "0,1 1,2 0,2", "d a0 a1 f2", "--- ++- +++ +++"},
		{"a key fails, the others do not", 2, 3, "0,1 1,2 0,2", "d f0 f2 a1", "--- --- !-- !++"},
	} {
		if got := newTally(tc.w, tc.keys, tc.sent).play(tc.script); got != tc.want {
			t.Errorf("%s: w=%d, sent %s\n  %s\n  got  %s\n  want %s", tc.name, tc.w, tc.sent, tc.script, got, tc.want)
		}
	}
}

func TestASkippedKeyHoldsNobodyUp(t *testing.T) {
	v := newTally(2, 2, "0")
	v.skip[1] = true
	v.play("d")
	if v.settled() {
		t.Error("settled without an ack for key 0")
	}
	v.play("a0")
	if !v.settled() {
		t.Errorf("key 1 was refused and yet is waited for: %v", v.verdict(1))
	}
}

// Whatever the order of events, the verdict is that of the last word of each giver.
func TestATallyCountsTheLastWordOfEachGiver(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		givers := rapid.IntRange(0, 4).Draw(rt, "givers")
		w := rapid.IntRange(1, givers+1).Draw(rt, "w")
		v := newTally(w, 1, strings.Repeat("0 ", givers))
		state := make([]byte, givers)
		local := byte(' ')
		var script []string
		for range rapid.IntRange(0, 12).Draw(rt, "events") {
			word := rapid.SampledFrom([]string{"a", "f", "v", "d", "x"}).Draw(rt, "event")
			switch {
			case word == "d" || word == "x":
				local = word[0]
			case givers == 0:
				continue
			default:
				g := rapid.IntRange(0, givers-1).Draw(rt, "giver")
				if state[g] == 0 && word != "v" || state[g] == 'a' && word == "v" {
					state[g] = word[0]
				}
				word = fmt.Sprint(word, g)
			}
			script = append(script, word)
			v.play(word)
		}
		acks, silent := 0, 0
		for _, s := range state {
			switch s {
			case 'a':
				acks++
			case 0:
				silent++
			}
		}
		want := verdictOpen
		switch {
		case local == 'x':
			want = verdictUnknown
		case local == 'd' && acks >= w-1:
			want = verdictMet
		case local == 'd' && acks+silent < w-1:
			want = verdictFailed
		}
		if got := v.verdict(0); got != want {
			rt.Fatalf("w=%d, givers=%d, %v: got %d, want %d", w, givers, script, got, want)
		}
	})
}
