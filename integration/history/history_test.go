package history

import (
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
				h.Add(Operation{Client: client, Start: at, End: at + 1})
			}
		})
	}
	all.Wait()
	ops := h.Operations()
	if len(ops) != 400 {
		t.Fatalf("%d operations, want 400", len(ops))
	}
	for i := 1; i < len(ops); i++ {
		if ops[i].Start < ops[i-1].Start {
			t.Fatalf("operation %d begins before the one before it", i)
		}
	}
}
