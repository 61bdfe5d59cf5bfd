package integration

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
)

// The size of the healing tests. A campaign takes its own: -heal.outage 60s -heal.keys 100000.
var (
	healOutage = flag.Duration("heal.outage", 2*time.Second, "how long each failure lasts in the healing tests")
	healKeys   = flag.Int("heal.keys", 2000, "how many keys they write")
	healWithin = flag.Duration("heal.within", 30*time.Second, "how long all roots may take to be equal after healing")
)

// healWriters write at once, each to keys of its own, one after the other.
const healWriters = 8

// history is what one writer did to its keys: what was acknowledged last of each, and what was tried since.
type history struct {
	mu    sync.Mutex
	acked map[string]string
	tried map[string][]string
}

// absent stands for a key that is not there.
const absent = "\x00absent"

func (h *history) try(key, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tried[key] = append(h.tried[key], value)
}

func (h *history) ack(key, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acked[key] = value
	h.tried[key] = nil
}

// allows says whether a key may have a value: the last that was acknowledged, or one that was tried since.
func (h *history) allows(key, value string) error {
	want, ok := h.acked[key]
	if !ok {
		want = absent
	}
	if value == want {
		return nil
	}
	for _, tried := range h.tried[key] {
		if value == tried {
			return nil
		}
	}
	return fmt.Errorf("%s is %.40q, acknowledged was %.40q, tried since were %d writes", key, value, want, len(h.tried[key]))
}

// churn writes and deletes keys until stop is called. It begins with a put of every key.
type churn struct {
	c         *cluster
	histories [healWriters]*history
	running   sync.WaitGroup
	cancel    context.CancelFunc
	loaded    sync.WaitGroup
}

func (c *cluster) startChurn() *churn {
	ctx, cancel := context.WithCancel(c.t.Context())
	ch := &churn{c: c, cancel: cancel}
	ch.loaded.Add(healWriters)
	for i := range healWriters {
		h := &history{acked: map[string]string{}, tried: map[string][]string{}}
		ch.histories[i] = h
		cl := c.routed()
		ch.running.Go(func() { ch.write(ctx, cl, h, i) })
	}
	ch.loaded.Wait()
	return ch
}

func (ch *churn) write(ctx context.Context, cl *client.Client, h *history, writer int) {
	defer cl.Close()
	r := rand.New(rand.NewPCG(9, uint64(writer)))
	mine := *healKeys / healWriters
	for n := 0; ctx.Err() == nil; n++ {
		if n == mine {
			ch.loaded.Done()
		}
		i := n
		if n >= mine {
			i = r.IntN(mine)
		}
		key := fmt.Sprintf("heal-%d-%06d", writer, i)
		if n >= mine && r.IntN(4) == 0 {
			h.try(key, absent)
			if _, err := cl.Delete(ctx, []byte(key), nil); err == nil {
				h.ack(key, absent)
			}
			continue
		}
		value := fmt.Sprintf("%d-%d %s", writer, n, strings.Repeat("x", 100))
		h.try(key, value)
		if _, err := cl.Put(ctx, []byte(key), []byte(value), nil); err == nil {
			h.ack(key, value)
		}
	}
}

func (ch *churn) stop() {
	ch.cancel()
	ch.running.Wait()
}

// mustHold compares what a client sees with what was acknowledged.
func (ch *churn) mustHold(cl *client.Client, who string, r client.Level) {
	t := ch.c.t
	t.Helper()
	wrong := 0
	for w, h := range ch.histories {
		for i := range *healKeys / healWriters {
			key := fmt.Sprintf("heal-%d-%06d", w, i)
			value := absent
			got, err := cl.Get(t.Context(), []byte(key), &client.GetOptions{R: r})
			switch {
			case err == nil:
				value = string(got.Value)
			case !errors.Is(err, client.ErrNotFound):
				t.Fatalf("%s: get %s: %v", who, key, err)
			}
			if err := h.allows(key, value); err != nil {
				if wrong++; wrong < 5 {
					t.Errorf("%s: %v", who, err)
				}
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%s: %d keys are wrong", who, wrong)
	}
}

// TestEveryFailureHeals has writers at full speed, a failure, and its end. Then no acknowledged write is lost, no deleted key is back, and
// all replicas are equal in time.
func TestEveryFailureHeals(t *testing.T) {
	for name, fail := range map[string]func(c *cluster){
		"killed": func(c *cluster) {
			c.nodes[1].kill()
			wait(c.t, *healOutage)
			c.restart(c.nodes[1])
		},
		"two killed in turn": func(c *cluster) {
			for _, n := range c.nodes[:2] {
				n.kill()
				wait(c.t, *healOutage/2)
				c.restart(n)
			}
		},
		"paused": func(c *cluster) {
			c.nodes[1].signal(syscall.SIGSTOP)
			wait(c.t, *healOutage)
			c.nodes[1].signal(syscall.SIGCONT)
		},
		"wiped": func(c *cluster) {
			n := c.nodes[1]
			n.kill()
			if err := os.RemoveAll(n.dir); err != nil {
				c.t.Fatal(err)
			}
			wait(c.t, *healOutage/2)
			n.start(c.t)
		},
		"bytes flipped": func(c *cluster) {
			n := c.nodes[1]
			n.signal(syscall.SIGTERM)
			if _, err := n.wait(20 * time.Second); err != nil {
				c.t.Fatal(err)
			}
			flipBytes(c.t, n, 100)
			c.restart(n)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t, clusterOptions{args: func(int) []string { return []string{"--segment-bytes-max", "1MiB"} }})
			ch := c.startChurn()
			defer ch.stop()
			fail(c)
			wait(t, *healOutage/4)
			ch.stop()
			c.waitReady(c.nodes...)
			began := time.Now()
			for _, n := range c.nodes { // reads find what cannot be read
				ch.mustHold(c.direct(n), "through "+n.id, client.LevelQuorum)
			}
			c.mustConverge(began)
			for _, n := range c.nodes {
				ch.mustHold(c.direct(n), "after healing, through "+n.id, client.LevelAll)
			}
		})
	}
}

// mustConverge waits until all replicas are equal.
func (c *cluster) mustConverge(since time.Time) {
	c.t.Helper()
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.rpc)
	}
	mustRun(c.t, "", "cluster", "wait-converged", "--addr", strings.Join(addrs, ","), "--timeout", healWithin.String())
	c.t.Logf("all roots are equal %v after the reads began", time.Since(since).Round(time.Millisecond))
	mustRun(c.t, "", "cluster", "verify", "--addr", strings.Join(addrs, ","))
}

// flipBytes flips so many bytes of what a stopped node has stored, anywhere behind the headers.
func flipBytes(t testing.TB, n *testNode, count int) {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.seg", "*.run"} {
		found, err := filepath.Glob(filepath.Join(n.dir, "engine", pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		t.Fatal("nothing is stored")
	}
	r := rand.New(rand.NewPCG(4, 4))
	for range count {
		f, err := os.OpenFile(files[r.IntN(len(files))], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		at := 4096 + r.Int64N(max(info.Size()-4096, 1))
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err == nil {
			b[0] ^= 0xff
			_, err = f.WriteAt(b[:], at)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
