package workload

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/cespare/xxhash/v2"

	"github.com/ringcask/ringcask/integration/history"
)

// searchStepsMax bounds the search for an order of one key's operations, which is exponential in how many overlap: about a second, counted in steps
// because simulated time stands still meanwhile.
const searchStepsMax = 1 << 20

// answer is what a search comes to.
type answer uint8

const (
	yes answer = iota + 1
	no
	undecided
)

// registerInput is a put, or a read.
type registerInput struct {
	put   bool
	value string
}

// registerModel is a register that is empty at first: absent, in the store. A read returns what the last put left. left is how many steps a search may
// take: after them nothing is possible any more, and left is below zero.
func registerModel(left *int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			if *left--; *left < 0 {
				return false, state
			}
			if in := input.(registerInput); in.put {
				return true, in.value
			}
			return state == output, state
		},
		Hash: func(state any) uint64 { return xxhash.Sum64String(state.(string)) },
	}
}

// linearizable says whether there is an order of the operations on a key, each at some moment between its start and its end, that explains what was read.
// A put that was not answered may take its moment at any later time, and so may the earlier attempt of one that was retried, in addition. It is undecided
// if that takes more than so many steps.
func linearizable(k *timeline, steps int) answer {
	var ops []porcupine.Operation
	add := func(client int, in registerInput, out string, start, end time.Duration) {
		ops = append(ops, porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(start), Return: int64(end)})
	}
	for _, w := range k.writes {
		in := registerInput{put: true, value: w.value}
		if w.outcome == history.Ok {
			add(w.client, in, "", w.start, w.end)
		}
		if w.stray {
			add(w.client, in, "", w.start, math.MaxInt64)
		}
	}
	for _, r := range k.reads {
		add(r.client, registerInput{}, r.value, r.start, r.end)
	}
	switch found := porcupine.CheckOperations(registerModel(&steps), ops); {
	case found:
		return yes
	case steps < 0:
		return undecided
	}
	return no
}

// strict says that every read of a key was.
func (k *timeline) strict() bool {
	return !slices.ContainsFunc(k.reads, func(r read) bool { return !r.strict })
}

// summary is all that was done to a key, on one line.
func (k *timeline) summary() string {
	type event struct {
		at   time.Duration
		text string
	}
	var events []event
	for _, w := range k.writes {
		events = append(events, event{w.start, fmt.Sprintf("%d puts %q %s–%s %s", w.client, w.value, when(w.start), when(w.end), w.outcome)})
	}
	for _, r := range k.reads {
		events = append(events, event{r.start, fmt.Sprintf("%d reads %q %s–%s", r.client, r.value, when(r.start), when(r.end))})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	var all []string
	for _, e := range events {
		all = append(all, e.text)
	}
	return strings.Join(all, "; ")
}
