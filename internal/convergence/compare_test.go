package convergence

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/wire"
)

// cluster is three members that hold two partitions alike, before change.
func cluster(change func(answers []Answer)) []Partition {
	table := [][]string{{"n1", "n2", "n3"}, {"n2", "n3", "n1"}}
	var answers []Answer
	for _, id := range table[0] {
		r := &wire.PartitionsReport{Node: id}
		for p := range table {
			r.Partitions = append(r.Partitions, wire.PartitionReport{
				Partition: p, Filled: true, Tree: "stands", Root: "aa", Rule: "11", Keys: 10, Tombstones: 2,
				Peers: []wire.PairReport{{ID: "other"}},
			})
		}
		answers = append(answers, Answer{Node: id, Report: r})
	}
	if change != nil {
		change(answers)
	}
	return Compare(table, answers)
}

func TestReplicasThatHoldTheSameAreEqual(t *testing.T) {
	got := cluster(nil)
	if s := Sum(got); s != (Summary{Partitions: 2, Equal: 2, Keys: 20}) {
		t.Errorf("%+v", s)
	}
	if lines := Lines(got, true); len(lines) > 0 || !got[0].Converged() || len(got[0].Replicas) != 3 {
		t.Errorf("%q, %+v", lines, got[0])
	}
}

func TestEachPartitionGetsItsVerdict(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(n []Answer)
		state  State
		says   string
	}{
		{"another root", func(n []Answer) { n[2].Report.Partitions[0].Root = "bb" }, Differs, "partition 0 differs: n1 has 10 keys, 2 of them deleted, root aa; n2"},
		{"another rule", func(n []Answer) { n[2].Report.Partitions[0].Rule, n[2].Report.Partitions[0].Root = "22", "bb" }, Unknown, "n1 and n3 have trees under different rules"},
		{"no tree", func(n []Answer) { n[1].Report.Partitions[0].Root = "" }, Unknown, "partition 0 cannot be compared: n2 has no tree of it yet"},
		{"a key that cannot be read", func(n []Answer) { n[1].Report.Partitions[0].PoisonedKeys = 1 }, Unknown, "n2 has keys that it cannot read"},
		{"a spoiled leaf", func(n []Answer) { n[1].Report.Partitions[0].SpoiledLeaves = 1 }, Unknown, "spoiled by damage"},
		{"not filled", func(n []Answer) { n[0].Report.Partitions[0].Filled = false }, Unknown, "n1 is not filled"},
		{"not held", func(n []Answer) { n[0].Report.Partitions = n[0].Report.Partitions[1:] }, Unknown, "n1 says that it does not hold it"},
		{"no answer", func(n []Answer) { n[0] = Answer{Node: "n1", Err: errors.New("connection refused")} }, Unknown, "partitions 0-1 cannot be compared: n1 does not answer: connection refused"},
		{
			"no answer, and the others differ", func(n []Answer) {
				n[0] = Answer{Node: "n1", Err: errors.New("gone")}
				n[1].Report.Partitions[0].Root = "bb"
			}, Differs, "n2 has 10 keys",
		},
		{"another root of one that is not filled", func(n []Answer) {
			n[0].Report.Partitions[0].Filled, n[0].Report.Partitions[0].Root = false, "bb"
		}, Unknown, "n1 is not filled"},
	} {
		got := cluster(tc.change)
		if lines := strings.Join(Lines(got, false), "\n"); got[0].State != tc.state || !strings.Contains(lines, tc.says) {
			t.Errorf("%s: %s, %q; want %s, %q", tc.name, got[0].State, lines, tc.state, tc.says)
		}
		if got[0].Converged() {
			t.Errorf("%s: converged", tc.name)
		}
	}
}

func TestWhatNeedsRepairIsEqualButHasNotConverged(t *testing.T) {
	got := cluster(func(n []Answer) { n[0].Report.Partitions[1].Peers[0].NeededSince = 5 })
	if got[1].State != Equal || got[1].Converged() || !got[0].Converged() || Sum(got).Needing != 1 {
		t.Errorf("%+v", got)
	}
	if lines := Lines(got, true); !slices.Equal(lines, []string{"partition 1 to be repaired: n1 has to exchange it with other"}) {
		t.Errorf("%q", lines)
	}
	if lines := Lines(got, false); len(lines) > 0 {
		t.Errorf("%q", lines)
	}
}

func TestAMemberThatWasNotAskedIsNotOverlooked(t *testing.T) {
	got := Compare([][]string{{"n1"}}, nil)
	if got[0].State != Unknown || !strings.Contains(got[0].Reasons[0], "n1 was not asked") {
		t.Errorf("%+v", got)
	}
}

func TestNumbersAreWrittenAsRanges(t *testing.T) {
	for want, ps := range map[string][]int{
		"partition 3": {3}, "partitions 0-2": {2, 0, 1}, "partitions 0, 2-3, 9": {0, 2, 3, 9},
	} {
		if got := ranges(ps); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
