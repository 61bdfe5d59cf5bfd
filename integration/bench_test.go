package integration

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/ringcask/ringcask/client"
)

const (
	benchKeys       = 20_000
	benchValueBytes = 128
)

// session is one closed-loop client of a benchmark.
type session interface {
	put(ctx context.Context, key, value []byte) error
	get(ctx context.Context, key []byte) error
}

type rpcSession struct {
	c       *client.Client
	ordered bool
}

func (s rpcSession) put(ctx context.Context, key, value []byte) error {
	_, err := s.c.Put(ctx, key, value, &client.PutOptions{Ordered: s.ordered})
	return err
}

func (s rpcSession) get(ctx context.Context, key []byte) error {
	_, err := s.c.Get(ctx, key, nil)
	return err
}

type httpSession struct {
	c    *http.Client
	base string
}

func (s httpSession) put(ctx context.Context, key, value []byte) error {
	return s.do(ctx, http.MethodPut, key, bytes.NewReader(value))
}

func (s httpSession) get(ctx context.Context, key []byte) error {
	return s.do(ctx, http.MethodGet, key, nil)
}

func (s httpSession) do(ctx context.Context, method string, key []byte, body io.Reader) error {
	req, err := http.NewRequestWithContext(ctx, method, s.base+"/kv/"+string(key), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Accept", "application/octet-stream")
	resp, err := s.c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// Batches write, and scans read, so many keys at once in a benchmark.
const (
	benchBatchKeys = 100
	benchScanKeys  = 100
)

// batch writes keys that are far apart.
func (s rpcSession) batch(ctx context.Context, r *rand.Rand) error {
	ops, from := make([]client.Op, benchBatchKeys), r.IntN(benchKeys)
	for i := range ops {
		ops[i] = client.Op{Key: benchKey((from + i*benchKeys/benchBatchKeys) % benchKeys), Value: benchValue(r)}
	}
	outcomes, err := s.c.Batch(ctx, ops, nil)
	for i := range outcomes {
		err = errors.Join(err, outcomes[i].Err)
	}
	return err
}

// scan reads keys in order from anywhere.
func (s rpcSession) scan(ctx context.Context, r *rand.Rand) error {
	for _, err := range s.c.Range(ctx, client.RangeOptions{Start: benchKey(r.IntN(benchKeys)), Limit: benchScanKeys}) {
		if err != nil {
			return err
		}
	}
	return nil
}

// benchCall is one operation of a benchmark.
type benchCall func(ctx context.Context, r *rand.Rand) error

func putOf(s session) benchCall {
	return func(ctx context.Context, r *rand.Rand) error {
		return s.put(ctx, benchKey(r.IntN(benchKeys)), benchValue(r))
	}
}

func getOf(s session) benchCall {
	return func(ctx context.Context, r *rand.Rand) error { return s.get(ctx, benchKey(r.IntN(benchKeys))) }
}

// BenchmarkCluster measures closed-loop clients against three durable nodes (N=3, R=W=2, sync always) with 128-byte values and
// uniformly drawn keys. Besides ns/op it reports operations a second, latency percentiles, and the CPU time of all three servers per operation.
func BenchmarkCluster(b *testing.B) {
	c := startCluster(b, clusterOptions{})
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	rpc := rpcSession{c: c.routed()}
	overHTTP := func(i int) session {
		return httpSession{&http.Client{Transport: transport}, "http://" + c.nodes[i%3].http}
	}
	fill(b, rpc)
	for _, clients := range []int{1, 16, 64} {
		for _, row := range []struct {
			name string
			open func(i int) benchCall
		}{
			{"rpc/put", func(int) benchCall { return putOf(rpc) }},
			{"rpc/put-ordered", func(int) benchCall { return putOf(rpcSession{rpc.c, true}) }},
			{"http/put", func(i int) benchCall { return putOf(overHTTP(i)) }},
			{"rpc/get", func(int) benchCall { return getOf(rpc) }},
			{"http/get", func(i int) benchCall { return getOf(overHTTP(i)) }},
			{"rpc/batch", func(int) benchCall { return rpc.batch }},
			{"rpc/scan", func(int) benchCall { return rpc.scan }},
		} {
			b.Run(fmt.Sprintf("%s/clients=%d", row.name, clients), func(b *testing.B) { c.measure(b, clients, row.open) })
		}
	}
}

func benchKey(i int) []byte { return strconv.AppendInt([]byte("bench/"), int64(i), 10) }

func benchValue(r *rand.Rand) []byte {
	v := make([]byte, benchValueBytes)
	for i := 0; i < len(v); i += 8 {
		binary.LittleEndian.PutUint64(v[i:], r.Uint64())
	}
	return v
}

// fill writes every key once.
func fill(b *testing.B, s session) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for i := next.Add(1); i <= benchKeys; i = next.Add(1) {
				if err := s.put(b.Context(), benchKey(int(i-1)), benchValue(r)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func (c *cluster) measure(b *testing.B, clients int, open func(int) benchCall) {
	var left atomic.Int64
	left.Store(int64(b.N))
	latencies := make([]*hdrhistogram.Histogram, clients)
	var wg sync.WaitGroup
	cpu := c.cpuSeconds()
	b.ResetTimer()
	start := time.Now()
	for w := range clients {
		latencies[w] = hdrhistogram.New(1, int64(10*time.Second), 3)
		call := open(w)
		wg.Go(func() {
			r := rand.New(rand.NewPCG(2, uint64(w)))
			for left.Add(-1) >= 0 {
				began := time.Now()
				err := call(b.Context(), r)
				if err != nil {
					b.Error(err)
					return
				}
				_ = latencies[w].RecordValue(int64(time.Since(began))) // above 10 s it is left out
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	b.StopTimer()
	cpu = c.cpuSeconds() - cpu
	all := latencies[0]
	for _, h := range latencies[1:] {
		all.Merge(h)
	}
	b.ReportMetric(float64(b.N)/took.Seconds(), "ops/s")
	b.ReportMetric(float64(all.ValueAtQuantile(50))/1e3, "p50-µs")
	b.ReportMetric(float64(all.ValueAtQuantile(99))/1e3, "p99-µs")
	b.ReportMetric(cpu/float64(b.N)*1e6, "server-cpu-µs/op")
}

// cpuSeconds is the CPU time that all node processes have used.
func (c *cluster) cpuSeconds() float64 {
	c.t.Helper()
	const ticksPerSecond = 100 // USER_HZ, which Linux fixes for /proc
	var ticks int64
	for _, n := range c.nodes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
		if err != nil {
			c.t.Skipf("no /proc: %v", err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		for _, f := range fields[11:13] { // utime and stime
			v, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				c.t.Fatal(err)
			}
			ticks += v
		}
	}
	return float64(ticks) / ticksPerSecond
}
