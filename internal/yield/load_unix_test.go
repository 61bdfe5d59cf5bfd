//go:build unix

package yield

import (
	"testing"
	"time"
)

func TestProcessorTimeGoesOn(t *testing.T) {
	before := processorTime()
	for began := time.Now(); processorTime() == before; {
		if time.Since(began) > 10*time.Second {
			t.Fatal("10 s of work took no time of a processor")
		}
	}
}
