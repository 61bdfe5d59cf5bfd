package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringcask/ringcask/client"
)

const (
	// churnWriters write at once, each to keys of its own, one after the other.
	churnWriters = 8
	// churnReadKeys are read in one request.
	churnReadKeys = 500
)

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

// churn has writers put and delete records of the sample, until stop is called. Each begins with a put of all of its keys.
type churn struct {
	t         testing.TB
	keys      int
	acks      ackLog
	failed    atomic.Int64
	histories [churnWriters]*history
	running   sync.WaitGroup
	cancel    context.CancelFunc
	loaded    sync.WaitGroup
}

// startChurn returns when so many keys are there.
func (c *cluster) startChurn(keys int) *churn {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	ch := &churn{t: c.t, keys: keys / churnWriters, cancel: cancel}
	all := records(c.t)
	ch.acks.begin()
	ch.loaded.Add(churnWriters)
	for i := range churnWriters {
		ch.histories[i] = &history{acked: map[string]string{}, tried: map[string][]string{}}
		cl := c.routed()
		ch.running.Go(func() {
			defer cl.Close()
			ch.write(ctx, cl, i, all)
		})
	}
	ch.loaded.Wait()
	return ch
}

func (ch *churn) write(ctx context.Context, cl *client.Client, writer int, all []record) {
	r := rand.New(rand.NewPCG(9, uint64(writer)))
	for n := 0; ctx.Err() == nil; n++ {
		if n == ch.keys {
			ch.loaded.Done()
		}
		i := n
		if n >= ch.keys {
			i = r.IntN(ch.keys)
		}
		value := absent
		if n < ch.keys || r.IntN(4) > 0 {
			value = fmt.Sprintf("%d-%d %s", writer, n, all[r.IntN(len(all))].Value)
		}
		ch.try(ctx, cl, ch.histories[writer], churnKey(all, writer, i), value)
	}
}

// churnKey is the i-th key of a writer: those of the sample again and again, each time with another end.
func churnKey(all []record, writer, i int) string {
	at := writer + i*churnWriters
	return fmt.Sprintf("%s/%d", all[at%len(all)].Key, at/len(all))
}

// try writes once.
func (ch *churn) try(ctx context.Context, cl *client.Client, h *history, key, value string) {
	h.try(key, value)
	var err error
	if value == absent {
		_, err = cl.Delete(ctx, []byte(key), &client.DeleteOptions{W: 2})
	} else {
		_, err = cl.Put(ctx, []byte(key), []byte(value), &client.PutOptions{W: 2})
	}
	switch {
	case err == nil:
		ch.acks.note(true)
		h.ack(key, value)
	case ctx.Err() == nil:
		ch.failed.Add(1)
	}
}

func (ch *churn) stop() {
	ch.cancel()
	ch.running.Wait()
}

// mustHold compares what a client sees with what was acknowledged.
func (ch *churn) mustHold(cl *client.Client, who string, r client.Level) {
	ch.t.Helper()
	all := records(ch.t)
	wrong := 0
	for w, h := range ch.histories {
		for from := 0; from < ch.keys; from += churnReadKeys {
			var keys [][]byte
			for i := from; i < min(from+churnReadKeys, ch.keys); i++ {
				keys = append(keys, []byte(churnKey(all, w, i)))
			}
			for _, err := range h.compare(ch.t, cl, keys, r) {
				if wrong++; wrong < 5 {
					ch.t.Errorf("%s: %v", who, err)
				}
			}
		}
	}
	if wrong > 0 {
		ch.t.Errorf("%s: %d keys are wrong", who, wrong)
	}
}

// compare reads keys and says of each what is wrong.
func (h *history) compare(t testing.TB, cl *client.Client, keys [][]byte, r client.Level) (wrong []error) {
	t.Helper()
	got, err := cl.GetMany(t.Context(), keys, &client.GetOptions{R: r})
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range got {
		value := absent
		switch {
		case g.Err == nil:
			value = string(g.Value.Value)
		case !errors.Is(g.Err, client.ErrNotFound):
			t.Fatalf("get %s: %v", keys[i], g.Err)
		}
		if err := h.allows(string(keys[i]), value); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong
}
