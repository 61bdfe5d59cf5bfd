package integration

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/ring"
)

// A node is stopped with writes in its socket that the client has meanwhile retried elsewhere, and followed by newer ones.
func TestAWriteThatAStoppedNodeFindsWhenItGoesOnDoesNotComeBeforeANewerOne(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	ctx := t.Context()
	victim := c.nodes[1]
	c.waitAddresses()
	cl := c.client(client.Options{
		Addrs: []string{c.nodes[0].rpc, victim.rpc, c.nodes[2].rpc}, Timeout: 10 * time.Second, AttemptTimeout: 500 * time.Millisecond,
	})
	keys := keysWithPrimary(t, cl, victim, 20)
	for _, key := range keys {
		if _, err := cl.Put(ctx, key, []byte("first"), nil); err != nil {
			t.Fatal(err)
		}
	}

	victim.signal(syscall.SIGSTOP)
	retried := 0
	for _, r := range putAll(t, cl, keys, "old") {
		if r.Retried {
			retried++
		}
	}
	if retried == 0 {
		t.Fatal("no put went to the stopped node first")
	}
	putAll(t, cl, keys, "new")
	victim.signal(syscall.SIGCONT)

	eventually(t, 20*time.Second, victim.id+" is reachable again", func() error {
		for _, n := range c.nodes {
			s, err := cl.Status(ctx, n.rpc)
			if err != nil {
				return err
			}
			for _, m := range s.Members {
				if !m.Reachable {
					return fmt.Errorf("%s does not reach %s: %s", n.id, m.ID, m.Reason)
				}
			}
		}
		return nil
	})
	for _, n := range c.nodes {
		direct := c.direct(n)
		for _, key := range keys {
			v, err := direct.Get(ctx, key, &client.GetOptions{R: client.LevelAll})
			if err != nil {
				t.Fatal(err)
			}
			if string(v.Value) != "new" {
				t.Errorf("%s via %s is %q, of %d siblings", key, n.id, v.Value, v.Siblings)
			}
		}
	}
}

// waitAddresses waits until every node knows where clients reach the others, so that clients route by it.
func (c *cluster) waitAddresses() {
	c.t.Helper()
	for _, n := range c.nodes {
		direct := c.direct(n)
		eventually(c.t, 15*time.Second, n.id+" knows all addresses", func() error {
			topology, err := direct.Topology(c.t.Context())
			if err != nil {
				return err
			}
			for _, m := range topology.Members {
				if m.RPC == "" {
					return fmt.Errorf("that of %s is not known", m.ID)
				}
			}
			return nil
		})
	}
}

// putAll puts a value under every key at once: the first ones go out before a node is known to hang.
func putAll(t *testing.T, cl *client.Client, keys [][]byte, value string) []*client.Receipt {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	receipts, errs := make([]*client.Receipt, len(keys)), make([]error, len(keys))
	done := make(chan struct{})
	for i, key := range keys {
		go func() {
			receipts[i], errs[i] = cl.Put(ctx, key, []byte(value), nil)
			done <- struct{}{}
		}()
	}
	for range keys {
		<-done
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("put %s: %v", value, err)
	}
	return receipts
}

// keysWithPrimary are keys whose first replica is the node.
func keysWithPrimary(t *testing.T, cl *client.Client, n *testNode, count int) (keys [][]byte) {
	t.Helper()
	topology, err := cl.Topology(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; len(keys) < count; i++ {
		key := fmt.Appendf(nil, "key-%d", i)
		row := topology.Table[ring.PartitionOf(key, topology.Partitions)]
		if topology.Members[row[0]].ID == n.id {
			keys = append(keys, key)
		}
	}
	return keys
}
