package integration

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
)

// liveness is what one node's gossip says of another one.
func (c *cluster) liveness(via *client.Client, asked, of *testNode) (client.MemberStatus, error) {
	s, err := via.Status(c.t.Context(), asked.rpc)
	if err != nil {
		return client.MemberStatus{}, err
	}
	for _, m := range s.Members {
		if m.ID == of.id {
			return m, nil
		}
	}
	return client.MemberStatus{}, fmt.Errorf("%s knows no %s", asked.id, of.id)
}

// awaitLiveness waits until both other nodes see one in a state, and returns how long that took.
func (c *cluster) awaitLiveness(of *testNode, limit time.Duration, want ...string) time.Duration {
	c.t.Helper()
	began := time.Now()
	for _, n := range c.nodes {
		if n == of {
			continue
		}
		cl := c.direct(n)
		eventually(c.t, limit, n.id+" sees "+of.id, func() error {
			m, err := c.liveness(cl, n, of)
			for _, state := range want {
				if m.Liveness == state {
					return nil
				}
			}
			return errors.Join(err, fmt.Errorf("liveness %q, want %v", m.Liveness, want))
		})
	}
	return time.Since(began)
}

// The bounds are generous, for the machine may be busy; what is usual is logged.
func TestANodeThatIsKilledOrPausedIsNoticedAndTakenBack(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{})
	for _, n := range c.nodes {
		c.awaitLiveness(n, 15*time.Second, "alive")
	}
	victim := c.nodes[2]

	victim.kill()
	t.Logf("killed: noticed after %v", c.awaitLiveness(victim, 10*time.Second, "dead"))
	c.restart(victim)
	t.Logf("restarted: taken back after %v", c.awaitLiveness(victim, 15*time.Second, "alive"))

	victim.signal(syscall.SIGSTOP)
	t.Logf("paused: noticed after %v", c.awaitLiveness(victim, 10*time.Second, "dead"))
	victim.signal(syscall.SIGCONT)
	t.Logf("resumed: taken back after %v", c.awaitLiveness(victim, 15*time.Second, "alive"))

	victim.signal(syscall.SIGTERM)
	t.Logf("terminated: noticed after %v", c.awaitLiveness(victim, 10*time.Second, "dead"))
}

// While a node is paused the others serve; when it goes on it has done no harm.
func TestAPausedNodeCostsWritersLittleAndDoesNoHarmWhenItGoesOn(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	ctx := t.Context()
	cl := c.routed()
	last := map[string]string{}
	put := func(round int) {
		t.Helper()
		for i := range 200 {
			key, value := fmt.Sprintf("key-%d", i), fmt.Sprintf("value %d of round %d", i, round)
			if _, err := cl.Put(ctx, []byte(key), []byte(value), nil); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			last[key] = value
		}
	}
	put(1)
	victim := c.nodes[0]
	victim.signal(syscall.SIGSTOP)
	began := time.Now()
	put(2)
	t.Logf("200 puts around a paused node took %v", time.Since(began))
	c.awaitLiveness(victim, 10*time.Second, "dead")
	put(3)
	victim.signal(syscall.SIGCONT)
	c.waitReachable()
	put(4)
	for _, n := range c.nodes {
		direct := c.direct(n)
		for key, want := range last {
			if v, err := direct.Get(ctx, []byte(key), nil); err != nil || string(v.Value) != want {
				t.Fatalf("%s via %s: %v, %v; want %q", key, n.id, v, err, want)
			}
		}
	}
}
