package sim

import (
	"testing"

	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/internal/causal"
)

func TestABatchIsTornOnlyWhereItsOwnNodeHasAPart(t *testing.T) {
	const own, other = causal.Actor(1), causal.Actor(2)
	item := func(key, value string) history.Item { return history.Item{Key: "b/together/" + key, Value: value} }
	batch := history.Operation{Kind: history.Batch, Items: []history.Item{item("k", "1"), item("l", "2"), item("m", "3")}}
	apart := history.Operation{Kind: history.Batch, Items: []history.Item{{Key: "b/apart/k", Value: "1"}, {Key: "b/apart/l", Value: "2"}}}
	again := history.Operation{Kind: history.Batch, Items: []history.Item{item("l", "4")}}
	read := history.Operation{Kind: history.MultiRead, Items: batch.Items}
	one := func(a causal.Actor, value string) causal.Object {
		return causal.Object{Siblings: []causal.Sibling{{Dot: causal.Dot{Actor: a, Time: 1}, Value: []byte(value)}}}
	}
	for name, c := range map[string]struct {
		held contents
		ops  []history.Operation
		torn bool
	}{
		"nothing":             {contents{}, []history.Operation{batch}, false},
		"all":                 {contents{"b/together/k": one(own, "1"), "b/together/l": one(own, "2"), "b/together/m": one(own, "3")}, []history.Operation{batch, read}, false},
		"the first":           {contents{"b/together/k": one(own, "1")}, []history.Operation{batch, read}, true},
		"all but the first":   {contents{"b/together/l": one(own, "2"), "b/together/m": one(own, "3")}, []history.Operation{batch}, true},
		"a part by repair":    {contents{"b/together/k": one(other, "1")}, []history.Operation{batch}, false},
		"decided twice":       {contents{"b/together/k": one(own, "1"), "b/together/l": one(other, "2"), "b/together/m": one(other, "3")}, []history.Operation{batch}, false},
		"a part overwritten":  {contents{"b/together/k": one(own, "1"), "b/together/l": one(own, "4"), "b/together/m": one(own, "3")}, []history.Operation{batch, again}, false},
		"of other partitions": {contents{"b/apart/k": one(own, "1")}, []history.Operation{apart}, false},
	} {
		left := []remains{{node: "n1", actor: own.String(), held: c.held}}
		if found := tornBatches(left, c.ops); len(found) > 0 != c.torn {
			t.Errorf("%s: %q", name, found)
		}
	}
}
