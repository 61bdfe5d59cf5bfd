package main

import (
	"bytes"
	"compress/flate"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// The table of every workload, at the smallest size that makes sense, on our engine if it is there and one peer.
func TestEveryWorkloadRuns(t *testing.T) {
	engines := []string{"pebble"}
	if _, ok := registered["ours"]; ok {
		engines = []string{"ours", "pebble"}
	}
	b := &bench{
		engines: engines, works: order, rounds: 1, keys: 500, bigKeys: 1000, valueLen: 64, writers: 4, dir: t.TempDir(), progress: io.Discard,
		period: 20 * time.Millisecond, perSec: 1000, options: Options{Writers: 4, CacheBytes: 1 << 20, MemtableBytes: 1 << 20}, prepared: map[fixture]string{},
	}
	if testing.Short() {
		b.works = []string{"mixed", "scan100merged-16", "reopen-killed", "mergelatency"}
	}
	err := b.measure()
	for _, r := range b.results {
		if r.Error != "" {
			t.Error(r)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range b.works {
		if want := len(workloads[name].columns(engines)); want > 0 {
			var n int
			for _, r := range b.results {
				if r.Work == name && len(r.Metrics) > 0 {
					n++
				}
			}
			if n != want {
				t.Errorf("%s: %d results, not %d", name, n, want)
			}
		}
	}
}

func TestEveryWorkloadIsInTheOrder(t *testing.T) {
	if len(order) != len(workloads) {
		t.Errorf("%d workloads are in the order, of %d", len(order), len(workloads))
	}
	for _, name := range order {
		if workloads[name] == nil {
			t.Errorf("there is no workload %s", name)
		}
	}
	if got, err := selectWorks("space,fill"); err != nil || strings.Join(got, " ") != "fill space-128 space-1024" {
		t.Errorf("selected %q, %v", got, err)
	}
	if _, err := selectWorks("nothing"); err == nil {
		t.Error("a workload that is not there was selected")
	}
}

func TestAValueOfAnotherEntryOrWithAFlippedBitIsFound(t *testing.T) {
	value := make([]byte, 100)
	makeValue(value, 32, 16)
	if err := checkValue(value, 32, 100); err != nil {
		t.Fatal(err)
	}
	if checkValue(value, 33, 100) == nil || checkValue(value[:99], 32, 100) == nil {
		t.Error("a value of another entry or length passed")
	}
	value[80] ^= 1
	if checkValue(value, 32, 100) == nil {
		t.Error("a flipped bit passed")
	}
}

func TestKeysAreAllDifferent(t *testing.T) {
	const n = 20_000
	for name, makeKey := range map[string]keyMaker{"random": randomKey, "prefix": prefixKey(n)} {
		seen := map[[keyBytes]byte]bool{}
		for entry := range uint64(n) {
			var key [keyBytes]byte
			makeKey(key[:], entry)
			seen[key] = true
		}
		if len(seen) != n {
			t.Errorf("%s: %d different keys of %d", name, len(seen), n)
		}
	}
}

func TestABlockOfValuesIsCompressedToAboutHalf(t *testing.T) {
	for _, valueBytes := range []int{128, 1024} {
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.DefaultCompression)
		if err != nil {
			t.Fatal(err)
		}
		block := make([]byte, 0, 16<<10)
		for entry := uint64(0); len(block)+valueBytes <= cap(block); entry++ {
			block = block[:len(block)+valueBytes]
			makeValue(block[len(block)-valueBytes:], scatter(entry)>>44, 0)
		}
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if ratio := float64(packed.Len()) / float64(len(block)); ratio < 0.35 || ratio > 0.6 {
			t.Errorf("%d bytes: compressed to %.2f", valueBytes, ratio)
		}
	}
}

func TestZipfDrawsAsOftenAsItShould(t *testing.T) {
	const n, draws = 1000, 200_000
	z, rng := newZipf(n), rand.New(rand.NewPCG(1, 1))
	var count [n + 1]int
	for range draws {
		count[z.draw(rng)]++
	}
	var sum float64
	for k := 1; k <= n; k++ {
		sum += math.Pow(float64(k), -zipfExponent)
	}
	for _, k := range []int{1, 2, 3, 10, 100} {
		want := draws * math.Pow(float64(k), -zipfExponent) / sum
		if got := float64(count[k]); math.Abs(got-want) > 5*math.Sqrt(want) {
			t.Errorf("%d was drawn %.0f times, not about %.0f", k, got, want)
		}
	}
}

func TestTheTableHasMediansSpreadsAndRatios(t *testing.T) {
	var results []*result
	for round, v := range [][3]float64{{100, 50, 10}, {110, 40, 10}, {120, 60, 90}} {
		for i, engine := range []string{"ours", "pebble", "bbolt"} {
			r := &result{Work: "get", Engine: engine, Round: round}
			r.add("gets/s", v[i]*1000, higher)
			results = append(results, r)
		}
	}
	var b strings.Builder
	if err := writeTables(&b, results); err != nil {
		t.Fatal(err)
	}
	want := `| | ours | pebble | bbolt | ours / best peer |
|---|--:|--:|--:|--:|
| get: gets/s ↑ | 110,000 (100,000..120,000) | 50,000 (40,000..60,000) | 10,000 (10,000..90,000) | 2.20 × (2.00..2.75) pebble |
`
	if got, _, _ := strings.Cut(b.String(), "\n\n"); got+"\n" != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestFiguresAreShort(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.01234: "0.0123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234: "1,234", 123456: "123,500", 1234567: "1,235,000"} {
		if got := figure(v); got != want {
			t.Errorf("%v is %s, not %s", v, got, want)
		}
	}
}
