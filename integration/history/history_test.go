package history

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestOperationsComeInTheOrderOfTheirBeginning(t *testing.T) {
	h := New()
	var all sync.WaitGroup
	for client := range 4 {
		all.Go(func() {
			for n := range 100 {
				at := time.Duration((n*37 + client) % 100)
				h.Add(Operation{Client: client, Start: at, End: at + 1, Outcome: Outcome(1 + n%2)})
			}
		})
	}
	all.Wait()
	ops := h.Operations()
	if len(ops) != 400 {
		t.Fatalf("%d operations, want 400", len(ops))
	}
	if all, ok := h.Counts(); all != 400 || ok != 200 {
		t.Errorf("%d operations, %d ok; want 400, 200", all, ok)
	}
	for i := 1; i < len(ops); i++ {
		if ops[i].Start < ops[i-1].Start {
			t.Fatalf("operation %d begins before the one before it", i)
		}
	}
}

func TestAnOperationInJSONHasNamesAndContextsInBase64(t *testing.T) {
	text, err := json.Marshal(Operation{
		Kind: MultiRead, Outcome: Unknown, Items: []Item{{Before: "\xff\x00", After: "cc", Outcome: Ok}, {Outcome: Failed}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"Kind":"multi-read"`, `"Outcome":"unknown"`, `"Outcome":"ok"`, `"Outcome":"failed"`, `"Before":"/wA="`, `"After":"Y2M="`, `"Before":""`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("no %s in %s", part, text)
		}
	}
}
