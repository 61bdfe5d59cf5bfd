package causal

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The tests of this file run random histories of one key on a few replicas, and keep apart from all vectors, as plain sets of events, what
// each replica truly has in its past. A history is right if each replica holds exactly the events of its past that no
// event of its past had seen, after every step.

// event is a write, by number.
type event int

type events map[event]bool

func (s events) union(t events) events {
	u := maps.Clone(s)
	if u == nil {
		u = events{}
	}
	maps.Copy(u, t)
	return u
}

// holder is a replica: its object and the truth about it, as they stand and as they are durable.
type holder struct {
	object, durable     Object
	past, durablePast   events
	actor               Actor
	clock               *Clock
	wall                wall
	undecided, acked    []event // written here: not synced yet, and acknowledged
	actorsDrawn, number int
}

// history is one random run. The two hooks are for planting bugs.
type history struct {
	rng  *rand.Rand
	join func(a, b Object) Object
	// keepActor lets a replica that forgot something go on under its actor, forgetCeiling from below its ceiling.
	keepActor, forgetCeiling bool

	replicas []*holder
	saw      map[event]events // what each event had truly seen
	dots     map[Dot]event
	// contexts are what clients were handed by reads, and what is truly behind it.
	contexts []clientContext
	// travelling are messages: objects that were sent and not yet joined, perhaps never or twice.
	travelling []clientContext
}

type clientContext struct {
	object Object
	past   events
}

func newHistory(seed uint64) *history {
	h := &history{rng: rand.New(rand.NewPCG(seed, 1)), join: Join, saw: map[event]events{}, dots: map[Dot]event{}}
	for i := range 3 {
		r := &holder{number: i}
		r.wall.now = noon.Add(time.Duration(h.rng.IntN(60_000)) * time.Millisecond)
		h.start(r)
		h.replicas = append(h.replicas, r)
	}
	return h
}

// start begins a run of a replica: with a new actor, on a clock that knows the durable ceiling and nothing else.
func (h *history) start(r *holder) {
	if r.actor == 0 || !h.keepActor {
		r.actorsDrawn++
		r.actor = Actor(1000*(r.number+1) + r.actorsDrawn)
	}
	if h.forgetCeiling {
		r.wall.durable = 0
	}
	r.clock = NewClock(ClockOptions{Now: func() time.Time { return r.wall.now }, Ceiling: r.wall.durable, Persist: r.wall.persist})
}

// step takes one random step and says what is wrong after it, if anything.
func (h *history) step() error {
	r := h.replicas[h.rng.IntN(len(h.replicas))]
	r.wall.now = r.wall.now.Add(time.Duration(h.rng.IntN(20)-5) * time.Millisecond)
	switch n := h.rng.IntN(100); {
	case n < 20:
		return h.write(r, clientContext{}, false)
	case n < 35 && len(h.contexts) > 0:
		return h.write(r, h.contexts[h.rng.IntN(len(h.contexts))], true)
	case n < 50:
		r.sync()
	case n < 65:
		h.travelling = append(h.travelling, clientContext{r.object, r.past})
	case n < 85 && len(h.travelling) > 0:
		i := h.rng.IntN(len(h.travelling))
		h.deliver(r, h.travelling[i])
		if h.rng.IntN(3) > 0 {
			h.travelling = slices.Delete(h.travelling, i, i+1)
		}
	case n < 94:
		other := h.replicas[h.rng.IntN(len(h.replicas))]
		h.contexts = append(h.contexts, clientContext{h.join(r.durable, other.durable), r.durablePast.union(other.durablePast)})
	default:
		h.crash(r)
	}
	return h.check(r)
}

func (h *history) write(r *holder, cc clientContext, hasContext bool) error {
	at, err := r.clock.Next(max(r.object.Vector.Max(), cc.object.Vector.Max()))
	if err != nil {
		return err
	}
	e, dot := event(len(h.saw)+1), Dot{r.actor, at}
	if old, taken := h.dots[dot]; taken {
		return fmt.Errorf("dot %v of event %d is that of event %d, too", dot, e, old)
	}
	h.dots[dot] = e
	h.saw[e] = cc.past
	if !hasContext {
		h.saw[e] = r.past
	}
	r.object = Put(r.object, cc.object.Vector, hasContext, Sibling{Dot: dot, Tombstone: h.rng.IntN(4) == 0})
	r.past = r.past.union(cc.past).union(events{e: true})
	r.undecided = append(r.undecided, e)
	return h.check(r)
}

// sync makes what was decided durable, and acknowledges it.
func (r *holder) sync() {
	r.durable, r.durablePast = r.object, r.past
	r.acked = append(r.acked, r.undecided...)
	r.undecided = nil
}

func (h *history) deliver(r *holder, m clientContext) {
	r.clock.Observe(m.object.Vector.Max())
	r.object, r.past = h.join(r.object, m.object), r.past.union(m.past)
	r.sync()
}

// crash forgets what was not synced; the wall clock may come back with any time.
func (h *history) crash(r *holder) {
	r.object, r.past, r.undecided = r.durable, r.durablePast, nil
	r.wall.now = noon.Add(time.Duration(h.rng.IntN(60_000)-30_000) * time.Millisecond)
	h.start(r)
}

// check compares what a replica holds with what is in its past and not superseded there.
func (h *history) check(r *holder) error {
	return h.compare(r.object, r.past)
}

func (h *history) compare(o Object, past events) error {
	if err := o.Validate(); err != nil {
		return err
	}
	want, got := h.maximal(past), events{}
	for _, s := range o.Siblings {
		got[h.dots[s.Dot]] = true
	}
	if !maps.Equal(got, want) {
		return fmt.Errorf("holds %v, and should hold %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	return nil
}

// maximal are the events of a past that no event of it had seen.
func (h *history) maximal(past events) events {
	m := maps.Clone(past)
	for e := range past {
		for seen := range h.saw[e] {
			delete(m, seen)
		}
	}
	if m == nil {
		m = events{}
	}
	return m
}

// settle joins all replicas, which ends in every acknowledged event being there or superseded by one that saw it.
func (h *history) settle() error {
	var all Object
	past, acked := events{}, events{}
	for _, r := range h.replicas {
		all, past = h.join(all, r.object), past.union(r.past)
		for _, e := range r.acked {
			acked[e] = true
		}
	}
	if err := h.compare(all, past); err != nil {
		return fmt.Errorf("all replicas together: %w", err)
	}
	left := h.maximal(past)
	for e := range acked {
		superseded := false
		for _, f := range slices.Collect(maps.Keys(past)) {
			superseded = superseded || h.saw[f][e]
		}
		if !left[e] && !superseded {
			return fmt.Errorf("event %d was acknowledged, is gone, and nothing had seen it", e)
		}
	}
	return nil
}

// run is one history from its seed, with planted bugs if plant plants some.
func run(seed uint64, steps int, plant func(*history)) error {
	h := newHistory(seed)
	plant(h)
	for i := range steps {
		if err := h.step(); err != nil {
			return fmt.Errorf("seed %d, step %d: %w", seed, i, err)
		}
	}
	if err := h.settle(); err != nil {
		return fmt.Errorf("seed %d, settled: %w", seed, err)
	}
	return nil
}

func TestNoEventIsLostThatNothingHasSeen(t *testing.T) {
	histories := 2000
	if testing.Short() {
		histories = 400
	}
	for seed := range uint64(histories) {
		if err := run(seed, 80, func(*history) {}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHistoriesCatchPlantedBugs(t *testing.T) {
	for name, plant := range map[string]func(*history){
		"an actor kept after a restart that forgot":                     func(h *history) { h.keepActor = true },
		"an actor kept after a restart that forgot the ceiling as well": func(h *history) { h.keepActor, h.forgetCeiling = true, true },
		"a join that drops the older sibling": func(h *history) {
			h.join = func(a, b Object) Object {
				o := Join(a, b)
				if w, ok := o.Winner(); ok {
					o.Siblings = []Sibling{w}
				}
				return o
			}
		},
		"a join that keeps what the other side has superseded": func(h *history) {
			h.join = func(a, b Object) Object {
				return Object{a.Vector.Join(b.Vector), joinSiblings(Object{Siblings: a.Siblings}, Object{Siblings: b.Siblings})}
			}
		},
	} {
		caught := false
		for seed := uint64(0); seed < 500 && !caught; seed++ {
			err := run(seed, 80, plant)
			if caught = err != nil; caught {
				t.Logf("%s: %v", name, err)
			}
		}
		if !caught {
			t.Errorf("%s was not caught", name)
		}
	}
}
