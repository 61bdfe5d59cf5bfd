package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/wire"
)

// operate sends a node what an operator would, and fails unless it is done.
func (n *testNode) operate(t testing.TB, method, path string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s, %v", method, path, response.Status, err)
	}
}

// keyReports are what the nodes say of a key.
func (c *cluster) keyReports(key string) (reports []wire.KeyReport) {
	c.t.Helper()
	for _, n := range c.nodes {
		var r wire.KeyReport
		n.operate(c.t, "GET", "/admin/key/"+key, &r)
		reports = append(reports, r)
	}
	return reports
}

// awaitConverged waits, through one node, until all replicas are equal.
func (c *cluster) awaitConverged(via *testNode) {
	c.t.Helper()
	began := time.Now()
	out := mustRun(c.t, "", "cluster", "wait-converged", "--timeout", "50s", "--addr", via.rpc)
	c.t.Logf("after %v: %s", time.Since(began).Round(time.Millisecond), out)
}

func (c *cluster) putMany(via *client.Client, from, to int, value string) {
	c.t.Helper()
	ops := make([]client.Op, 0, 500)
	for i := from; i < to; i++ {
		ops = append(ops, client.Op{Key: fmt.Appendf(nil, "key-%d", i), Value: fmt.Appendf(nil, "%s of %d", value, i)})
		if len(ops) < cap(ops) && i+1 < to {
			continue
		}
		outcomes, err := via.Batch(c.t.Context(), ops, nil)
		if err != nil {
			c.t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Err != nil {
				c.t.Fatal(o.Err)
			}
		}
		ops = ops[:0]
	}
}

func TestACommandSaysWhenAllReplicasAreEqualAndWhatKeepsThemFromIt(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{args: func(int) []string { return []string{"--exchange-period", "2s"} }})
	via, victim := c.nodes[0], c.nodes[2]
	cl := c.routed()
	c.putMany(cl, 0, 2000, "first")
	c.awaitConverged(via)
	if out := mustRun(t, "", "cluster", "verify", "--addr", via.rpc); !strings.Contains(out, "256 partitions are equal on all replicas, with 2,000 keys") {
		t.Errorf("verify: %s", out)
	}

	victim.kill()
	c.putMany(cl, 1500, 3000, "second")
	for _, command := range [][]string{{"cluster", "verify", "--wait", "1s"}, {"cluster", "wait-converged", "--timeout", "2s"}} {
		r := run(t, "", append(command, "--addr", via.rpc)...)
		if r.code != 3 || !strings.Contains(r.stdout, "partitions 0-255 cannot be compared: n3 does not answer") {
			t.Errorf("%q with one node down: code %d, %s%s", command, r.code, r.stdout, r.stderr)
		}
	}

	eventually(t, 5*time.Second, "a hint for the missing node is explained", func() error { // an ack does not wait for it
		if r := run(t, "", "explain", "key-2500", "--addr", via.rpc); r.code != 3 || !strings.Contains(r.stdout, "  hint for n3: since ") {
			return fmt.Errorf("code %d, %s%s", r.code, r.stdout, r.stderr)
		}
		return nil
	})

	c.restart(victim)
	c.awaitConverged(via)
	for _, n := range c.nodes {
		if h := c.hints(n); len(h.Targets) > 0 {
			t.Errorf("converged, and %s keeps %+v", n.id, h)
		}
	}
	if out := mustRun(t, "", "cluster", "verify", "--addr", via.rpc); !strings.Contains(out, "with 3,000 keys") {
		t.Errorf("verify: %s", out)
	}
	c.checkPartitionsAdd(3000)
	status := mustRun(t, "", "status", "--addr", via.rpc)
	if !strings.Contains(status, "UNDER-REPLICATED") {
		t.Errorf("status: %s", status)
	}
}

// checkPartitionsAdd checks that the nodes count, over all partitions, so many keys with what they take.
func (c *cluster) checkPartitionsAdd(keys int64) {
	c.t.Helper()
	for _, n := range c.nodes {
		eventually(c.t, 20*time.Second, n.id+" has counted all keys", func() error {
			var report wire.PartitionsReport
			n.operate(c.t, "GET", "/admin/partitions", &report)
			var inTrees, stored, size int64
			for _, p := range report.Partitions {
				inTrees, stored, size = inTrees+p.Keys, stored+p.StoredKeys, size+p.Bytes
			}
			if inTrees != keys || stored != keys || size < 20*keys || report.SizesAt == 0 {
				return fmt.Errorf("%d keys in trees, %d stored, in %d bytes", inTrees, stored, size)
			}
			return nil
		})
	}
}

func TestATombstoneSaysWhyItIsStillThereUntilItIsSettled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{args: func(int) []string { return []string{"--exchange-period", "2s"} }})
	ctx := t.Context()
	cl := c.routed()
	key := "doomed"
	if _, err := cl.Put(ctx, []byte(key), []byte("value"), &client.PutOptions{W: client.LevelAll}); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.keyReports(key) {
		if r.State != "held" || r.Reclaim != "kept" || len(r.Siblings) != 1 || r.Siblings[0].ValueBytes != len("value") {
			t.Errorf("a value: %+v", r)
		}
	}
	var exchange wire.ExchangeReport
	for _, n := range c.nodes { // so that nothing becomes stable meanwhile
		if n.operate(t, "POST", "/admin/exchange?pause=true", &exchange); !exchange.Paused {
			t.Errorf("%s: %+v", n.id, exchange)
		}
	}
	if _, err := cl.Delete(ctx, []byte(key), &client.DeleteOptions{W: client.LevelAll}); err != nil {
		t.Fatal(err)
	}
	for _, r := range c.keyReports(key) {
		if r.Reclaim != "waiting" || !strings.Contains(strings.Join(r.Reasons, "; "), "is not known to be held by all replicas") {
			t.Errorf("deleted: %+v", r)
		}
	}
	out := mustRun(t, "", "explain", key, "--addr", c.nodes[0].rpc)
	for _, want := range []string{"key doomed is in partition", "n1: held", "n2: held", "n3: held", ", deleted", "waiting: "} {
		if !strings.Contains(out, want) {
			t.Errorf("explain does not say %q:\n%s", want, out)
		}
	}
	if out := mustRun(t, "", "status", "--addr", c.nodes[0].rpc); !strings.Contains(out, "n2: exchanges are paused") {
		t.Errorf("status: %s", out)
	}

	for _, n := range c.nodes {
		n.operate(t, "POST", "/admin/exchange?pause=false", &exchange)
		n.operate(t, "POST", "/admin/exchange", &exchange)
	}
	eventually(t, 40*time.Second, "the tombstone is settled everywhere", func() error {
		for _, r := range c.keyReports(key) {
			if r.Reclaim != "settled" && r.Reclaim != "absent" { // a merge may have been by
				return errors.New(r.Node + ": " + strings.Join(r.Reasons, "; "))
			}
		}
		return nil
	})
	if out := mustRun(t, "", "explain", key, "--addr", c.nodes[0].rpc); strings.Contains(out, "waiting: ") {
		t.Errorf("explain: %s", out)
	}
	c.awaitConverged(c.nodes[1])
}
