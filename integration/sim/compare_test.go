package sim

import (
	"slices"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
)

func TestReplicasThatDifferAreNamed(t *testing.T) {
	object := func(siblings ...causal.Sibling) causal.Object { return causal.Object{Siblings: siblings} }
	value := func(at causal.Timestamp, text string) causal.Sibling {
		return causal.Sibling{Dot: causal.Dot{Actor: 1, Time: at}, Value: []byte(text)}
	}
	grave := causal.Sibling{Dot: causal.Dot{Actor: 1, Time: 9}, Tombstone: true}
	everyone := func(string) []int { return []int{0, 1} }
	same := []contents{
		{"a": object(value(1, "x")), "deleted": object(grave), "gone": object(grave)},
		{"a": object(value(1, "x")), "deleted": object(grave)},
	}
	if found := differences(same, everyone); len(found) > 0 {
		t.Errorf("equal replicas differ: %q", found)
	}
	for name, other := range map[string]contents{
		"missing":  {},
		"value":    {"a": object(value(1, "y"))},
		"dot":      {"a": object(value(2, "x"))},
		"sibling":  {"a": object(value(1, "x"), value(2, "y"))},
		"grave":    {"a": object(value(1, "x"), grave)},
		"deleted":  {"a": object(grave)},
		"stranger": {"a": object(value(1, "x")), "b": object(value(1, "x"))},
	} {
		held := []contents{{"a": object(value(1, "x"))}, other}
		if len(differences(held, everyone)) == 0 {
			t.Errorf("%s: not found", name)
		}
		if slices.Reverse(held); len(differences(held, everyone)) == 0 {
			t.Errorf("%s, the other way round: not found", name)
		}
	}
}
