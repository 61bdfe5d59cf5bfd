package workload

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/history"
)

// synthetic makes up the history of a store that does one operation after the other, each in the middle of its time, for eight clients that overlap.
type synthetic struct {
	r      *rand.Rand
	ops    []history.Operation
	values map[string]string
	n      int
}

// synthesize makes up n operations; step adds one at least.
func synthesize(n int, step func(s *synthetic, n int)) []history.Operation {
	s := synthetic{r: rand.New(rand.NewPCG(1, 2)), values: make(map[string]string)}
	for len(s.ops) < n {
		step(&s, len(s.ops))
	}
	return s.ops
}

func (s *synthetic) add(kind history.Kind, items ...history.Item) *history.Operation {
	at := time.Duration(len(s.ops)) * time.Microsecond
	op := history.Operation{Client: len(s.ops) % 8, Kind: kind, Start: at, End: at + 7*time.Microsecond + 500, Outcome: history.Ok, Strict: true, Items: items}
	for i := range items {
		items[i].Outcome = history.Ok
	}
	s.ops = append(s.ops, op)
	return &s.ops[len(s.ops)-1]
}

func (s *synthetic) written(key string, absent bool) history.Item {
	s.n++
	item := history.Item{Key: key, Absent: absent}
	delete(s.values, key)
	if !absent {
		item.Value = fmt.Sprint(s.n)
		s.values[key] = item.Value
	}
	return item
}

func (s *synthetic) shown(key string) history.Item {
	value, ok := s.values[key]
	return history.Item{Key: key, Value: value, Absent: !ok}
}

var syntheticSteps = map[string]func(s *synthetic, n int){
	"set": func(s *synthetic, n int) {
		if n%2 == 0 {
			s.add(history.Put, s.written(fmt.Sprint("s/", n), false))
		} else {
			s.add(history.Read, s.shown(fmt.Sprint("s/", 2*s.r.IntN(n/2+1))))
		}
	},
	"deletes": func(s *synthetic, n int) {
		key := fmt.Sprint("d/", n/2000*32+s.r.IntN(32))
		switch p := s.r.Float64(); {
		case p < 0.4:
			s.add(history.Read, s.shown(key))
		case p < 0.7:
			s.add(history.Put, s.written(key, false)).Ordered = p < 0.5
		default:
			s.add(history.Delete, s.written(key, true))
		}
	},
	"siblings": func(s *synthetic, n int) {
		key := fmt.Sprint("e/", n/400*4+s.r.IntN(4))
		if value := s.values[key]; n%2 == 0 {
			s.n++
			s.values[key] = strings.TrimPrefix(fmt.Sprint(value, ",", s.n), ",")
			s.add(history.Put, history.Item{Key: key, Value: s.values[key]})
		} else {
			s.add(history.Read, history.Item{Key: key, Siblings: []string{value}, Absent: value == ""})
		}
	},
	"monotonic": func(s *synthetic, n int) {
		key := fmt.Sprint("m/", n/20000*8+n%8)
		if n%20 < 8 {
			s.add(history.Put, s.written(key, false))
		} else {
			s.add(history.Read, s.shown(key))
		}
	},
	"range": func(s *synthetic, n int) {
		key := func(i int) string { return fmt.Sprintf("r/%04d/%02d", n/rangeUses, i) }
		switch p := s.r.Float64(); {
		case p < 0.4:
			s.add(history.Put, s.written(key(s.r.IntN(rangeKeys)), false)).Ordered = p < 0.2
		case p < 0.65:
			s.add(history.Delete, s.written(key(s.r.IntN(rangeKeys)), true))
		case p < 0.75:
			s.add(history.Read, s.shown(key(s.r.IntN(rangeKeys))))
		default:
			from, to := s.r.IntN(rangeKeys), s.r.IntN(rangeKeys)
			var items []history.Item
			for i := min(from, to); i <= max(from, to); i++ {
				if item := s.shown(key(i)); !item.Absent {
					items = append(items, item)
				}
			}
			op := s.add(history.Scan, items...)
			op.From, op.To = key(min(from, to)), key(max(from, to))
		}
	},
	"batch": func(s *synthetic, n int) {
		at, kind := n, history.Batch
		if n%5 >= 3 {
			at, kind = s.r.IntN(n+1), history.MultiRead
		}
		var items []history.Item
		for i := range 4 {
			if key := fmt.Sprint(togetherPrefix, at, ".", i); kind == history.Batch {
				items = append(items, s.written(key, false))
			} else {
				items = append(items, s.shown(key))
			}
		}
		s.add(kind, items...)
	},
	"ttl": func(s *synthetic, n int) {
		if key := fmt.Sprint("t/", n); n%2 == 0 {
			s.add(history.Put, s.written(key, false)).Items[0].TTL = time.Hour
		} else {
			s.add(history.Read, s.shown(fmt.Sprint("t/", 2*s.r.IntN(n/2+1))))
		}
	},
	"register": func(s *synthetic, n int) {
		slot := n % 8
		prefix := sequencePrefix
		if slot > 5 {
			prefix = concurrentPrefix
		}
		key := fmt.Sprint(prefix, n/400*8+slot)
		if s.r.IntN(2) == 0 {
			s.add(history.Put, s.written(key, false))
		} else {
			s.add(history.Read, s.shown(key))
		}
	},
}

// processorTime is what the process has used so far: unlike the time that passes it says the same on a busy machine.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCheck judges a million operations of each workload.
func BenchmarkCheck(b *testing.B) {
	for _, name := range Names() {
		b.Run(name, func(b *testing.B) {
			ops := synthesize(1_000_000, syntheticSteps[name])
			began := processorTime(b)
			for b.Loop() {
				w, err := New(name)
				if err != nil {
					b.Fatal(err)
				}
				if r := w.Check(ops); !r.Passed() {
					b.Fatal(r)
				}
			}
			b.ReportMetric((processorTime(b)-began).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

func TestEverySyntheticHistoryPasses(t *testing.T) {
	for _, name := range Names() {
		w, err := New(name)
		if err != nil {
			t.Fatal(err)
		}
		ops := synthesize(20_000, syntheticSteps[name])
		if r := w.Check(ops); !r.Passed() {
			t.Errorf("%s: %v %v", name, r.Violations, slices.Compact(r.Examples))
		}
	}
}
