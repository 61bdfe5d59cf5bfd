package integration

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
)

// metric is the sum of a metric of a node over all labels.
func (c *cluster) metric(n *testNode, name string) (sum float64) {
	c.t.Helper()
	resp, err := http.Get("http://" + n.http + "/metrics")
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(?m)^`+name+`(?:\{.*\})? (\S+)$`).FindAllSubmatch(body, -1) {
		v, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			c.t.Fatal(err)
		}
		sum += v
	}
	return sum
}

// hints is what a node keeps for others.
func (c *cluster) hints(n *testNode) wire.HintStatus {
	c.t.Helper()
	s, err := c.direct(n).Status(c.t.Context(), n.rpc)
	if err != nil {
		c.t.Fatal(err)
	}
	return s.Hints
}

// holds checks that a node answers by itself with each of the values.
func (c *cluster) holds(n *testNode, want map[string]string) error {
	cl := c.direct(n)
	for key, value := range want {
		// No other node's answer is waited for, so none repairs it.
		v, err := cl.Get(c.t.Context(), []byte(key), &client.GetOptions{R: 1})
		if err != nil || string(v.Value) != value {
			return fmt.Errorf("%s has %q for %s, want %q: %w", n.id, v.Value, key, value, err)
		}
	}
	return nil
}

// putAllOf writes keys and returns their values.
func (c *cluster) putAllOf(o *client.PutOptions, keys ...string) map[string]string {
	c.t.Helper()
	values := make(map[string]string)
	cl := c.routed()
	for _, key := range keys {
		values[key] = "value of " + key
		if _, err := cl.Put(c.t.Context(), []byte(key), []byte(values[key]), o); err != nil {
			c.t.Fatal(err)
		}
	}
	return values
}

func numbered(n int) (keys []string) {
	for i := range n {
		keys = append(keys, fmt.Sprintf("key-%d", i))
	}
	return keys
}

func TestHintsAreReplayedWithinTwoSecondsOfTheReturnOfANode(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	victim := c.nodes[2]
	victim.kill()
	c.awaitLiveness(victim, 10*time.Second, "dead")
	values := c.putAllOf(&client.PutOptions{W: 2}, numbered(500)...)
	eventually(t, 5*time.Second, "500 hints are kept", func() error { // an ack does not wait for them
		kept := int64(0)
		for _, n := range c.nodes[:2] {
			h := c.hints(n)
			if len(h.Targets) != 1 || h.Targets[0].Node != victim.id || h.Targets[0].State != "waiting" || h.Oldest == 0 {
				return fmt.Errorf("%s: %+v", n.id, h)
			}
			kept += h.Count
		}
		if kept != 500 {
			return fmt.Errorf("%d hints", kept)
		}
		return nil
	})

	victim.start(t)
	c.awaitLiveness(victim, 15*time.Second, "alive")
	began := time.Now()
	eventually(t, 2*time.Second, "all hints are replayed", func() error {
		if left := c.hints(c.nodes[0]).Count + c.hints(c.nodes[1]).Count; left > 0 {
			return fmt.Errorf("%d are left", left)
		}
		return nil
	})
	t.Logf("500 hints were replayed within %v of the target's return", time.Since(began))
	replayed := c.metric(c.nodes[0], "ringcask_hints_replayed_total") + c.metric(c.nodes[1], "ringcask_hints_replayed_total")
	if replayed != 500 {
		t.Errorf("%v hints were replayed, want 500", replayed)
	}
	c.waitReady(victim)
	for _, n := range c.nodes[:2] {
		n.kill()
	}
	eventually(t, 5*time.Second, victim.id+" has everything", func() error { return c.holds(victim, values) })
}

func TestHintsPastTheirLimitAreDroppedAndExchangesBringTheSame(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{args: func(int) []string { return []string{"--hint-bytes-max", "16KiB"} }})
	victim := c.nodes[2]
	victim.kill()
	c.awaitLiveness(victim, 10*time.Second, "dead")
	values := c.putAllOf(&client.PutOptions{W: 2}, numbered(1000)...)
	eventually(t, 5*time.Second, "hints are dropped", func() error {
		for _, n := range c.nodes[:2] {
			h := c.hints(n)
			if h.Bytes > 16<<10 || len(h.Targets) == 0 || h.Targets[0].Needs == 0 || c.metric(n, "ringcask_hints_dropped_total") == 0 {
				return fmt.Errorf("%s: %+v", n.id, h)
			}
		}
		return nil
	})
	c.restart(victim)
	eventually(t, 30*time.Second, "no hints and no needs are left", func() error {
		for _, n := range c.nodes[:2] {
			if h := c.hints(n); len(h.Targets) > 0 {
				return fmt.Errorf("%s: %+v", n.id, h)
			}
		}
		return nil
	})
	for _, n := range c.nodes[:2] {
		n.kill()
	}
	eventually(t, 5*time.Second, victim.id+" has everything", func() error { return c.holds(victim, values) })
}

// sloppyKeys are keys of which both of two nodes are replicas, but not the first ones.
func (c *cluster) sloppyKeys(n int, away ...*testNode) (keys []string) {
	c.t.Helper()
	topology, err := c.routed().Topology(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; len(keys) < n; i++ {
		key := fmt.Sprintf("sloppy-%d", i)
		row := topology.Table[ring.PartitionOf([]byte(key), topology.Partitions)]
		held := 0
		for _, m := range row {
			if slices.ContainsFunc(away, func(n *testNode) bool { return n.id == topology.Members[m].ID }) {
				held++
			}
		}
		if held == len(away) {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestASloppyQuorumSurvivesTwoOfThreeReplicasWhichGetTheirCopiesBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{nodes: 5})
	away, there := c.nodes[3:], c.nodes[:3]
	keys := c.sloppyKeys(50, away...)
	for _, n := range away {
		n.kill()
	}
	for _, n := range there {
		for _, dead := range away {
			cl := c.direct(n)
			eventually(t, 10*time.Second, n.id+" knows that "+dead.id+" is away", func() error {
				m, err := c.liveness(cl, n, dead)
				if m.Reachable || m.Liveness != "dead" {
					return errors.Join(err, fmt.Errorf("%+v", m))
				}
				return nil
			})
		}
	}
	var failed *client.Error
	if _, err := c.routed().Put(t.Context(), []byte(keys[0]), []byte("strict"), &client.PutOptions{W: 2}); !errors.As(err, &failed) ||
		failed.Code != client.CodeQuorumNotMet {
		t.Fatalf("a strict write: %v", err)
	}
	receipt, err := c.routed().Put(t.Context(), []byte(keys[0]), []byte("x"), &client.PutOptions{W: 2, Sloppy: true})
	if err != nil || len(receipt.Replicas) != 1 || !slices.ContainsFunc(receipt.Hints, func(h client.KeptHint) bool { return h.Counted }) {
		t.Fatalf("%+v, %v", receipt, err)
	}
	values := c.putAllOf(&client.PutOptions{W: 2, Sloppy: true}, keys...)
	counted := int64(0)
	for _, n := range there {
		for _, target := range c.hints(n).Targets {
			counted += target.Counted
		}
	}
	if counted != int64(len(keys)) {
		t.Errorf("%d copies for %d keys", counted, len(keys))
	}
	for _, n := range there { // whoever keeps a copy keeps it over a crash
		n.kill()
		n.start(t)
	}
	for _, n := range away {
		n.start(t)
	}
	c.waitReady(c.nodes...)
	eventually(t, 15*time.Second, "no copies are left", func() error {
		for _, n := range there {
			if h := c.hints(n); h.Count > 0 {
				return fmt.Errorf("%s: %+v", n.id, h)
			}
		}
		return nil
	})
	for _, n := range there {
		n.kill()
	}
	for _, n := range away {
		eventually(t, 5*time.Second, n.id+" has its copies", func() error { return c.holds(n, values) })
	}
}
