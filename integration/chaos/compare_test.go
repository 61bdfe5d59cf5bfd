package chaos

import (
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

func object(siblings ...causal.Sibling) stored { return digest(causal.Object{Siblings: siblings}) }

func value(time causal.Timestamp, text string) causal.Sibling {
	return causal.Sibling{Dot: causal.Dot{Actor: 1, Time: time}, Value: []byte(text)}
}

func TestReplicasThatDifferAreNamed(t *testing.T) {
	tombstone := causal.Sibling{Dot: causal.Dot{Actor: 1, Time: 9}, Tombstone: true}
	members := []ring.Member{{ID: "n1"}, {ID: "n2"}, {ID: "n3"}}
	table, err := ring.Plan(nil, members, ring.Config{Partitions: partitions, Replicas: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name     string
		n1, rest contents
		says     string
	}{
		{"the same", contents{"k": object(value(1, "a"))}, contents{"k": object(value(1, "a"))}, ""},
		{"a deletion that is forgotten", contents{}, contents{"k": object(tombstone)}, ""},
		{"a value that is missing", contents{}, contents{"k": object(value(1, "a"))}, "does not have it"},
		{"another value", contents{"k": object(value(1, "b"))}, contents{"k": object(value(1, "a"))}, "different siblings"},
		{"another dot", contents{"k": object(value(2, "a"))}, contents{"k": object(value(1, "a"))}, "different siblings"},
		{"a sibling more", contents{"k": object(value(1, "a"), value(2, "b"))}, contents{"k": object(value(1, "a"))}, "different siblings"},
		{"a value that lives on", contents{"k": object(value(1, "a"))}, contents{"k": object(tombstone)}, "deleted"},
	} {
		var said []string
		all := map[ring.NodeID]contents{"n1": tc.n1, "n2": tc.rest, "n3": tc.rest}
		if n := compareContents(table, all, func(text string) { said = append(said, text) }); n != 1 {
			t.Errorf("%s: %d keys", tc.name, n)
		}
		if text := strings.Join(said, "\n"); (tc.says == "") != (text == "") || !strings.Contains(text, tc.says) {
			t.Errorf("%s: %q, want %q", tc.name, text, tc.says)
		}
	}
}

func TestWhoIsNoReplicaHoldsNothing(t *testing.T) {
	members := []ring.Member{{ID: "n1"}, {ID: "n2"}}
	table, err := ring.Plan(nil, members, ring.Config{Partitions: partitions, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	both := contents{"k": object(value(1, "a"))}
	var said []string
	compareContents(table, map[ring.NodeID]contents{"n1": both, "n2": both}, func(text string) { said = append(said, text) })
	if len(said) != 1 || !strings.Contains(said[0], "are the replicas") {
		t.Errorf("%q", said)
	}
}
