package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/testport"
)

// ledger is what was acknowledged: the value of each key, empty if it was deleted.
type ledger map[string]string

// churn puts and deletes keys round after round, each again until it is acknowledged, until ctx is done. It returns what holds then; a key
// whose last write may or may not have happened is left out.
func (l ledger) churn(ctx context.Context, cl *client.Client, keys int) {
	for i := 0; ctx.Err() == nil; i++ {
		key, value := fmt.Sprintf("key-%04d", i%keys), ""
		if i%5 != 3 {
			value = fmt.Sprintf("value %d", i)
		}
		delete(l, key)
		if write(ctx, cl, key, value) == nil {
			l[key] = value
		}
	}
}

// put writes each key once.
func (l ledger) put(t *testing.T, cl *client.Client, round string, keys int) {
	t.Helper()
	for i := range keys {
		key := fmt.Sprintf("key-%04d", i)
		l[key] = round + " of " + key
		if err := write(t.Context(), cl, key, l[key]); err != nil {
			t.Fatal(err)
		}
	}
}

// remove deletes every third key.
func (l ledger) remove(t *testing.T, cl *client.Client) {
	t.Helper()
	for i, key := range slices.Sorted(maps.Keys(l)) {
		if i%3 == 0 {
			l[key] = ""
			if err := write(t.Context(), cl, key, ""); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// write puts a value, or deletes the key if there is none, again until that is acknowledged.
func write(ctx context.Context, cl *client.Client, key, value string) error {
	for {
		var err error
		if value == "" {
			_, err = cl.Delete(ctx, []byte(key), nil)
		} else {
			_, err = cl.Put(ctx, []byte(key), []byte(value), nil)
		}
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}

// check compares what a client reads with what was acknowledged.
func (l ledger) check(ctx context.Context, cl *client.Client, r client.Level) error {
	for key, want := range l {
		v, err := cl.Get(ctx, []byte(key), &client.GetOptions{R: r})
		switch {
		case want == "" && errors.Is(err, client.ErrNotFound):
		case err != nil:
			return fmt.Errorf("%s: %w, want %q", key, err, want)
		case string(v.Value) != want:
			return fmt.Errorf("%s: %q, want %q", key, v.Value, want)
		}
	}
	return nil
}

// awaitFilled waits until a node vouches for all keys, and then has it answer alone.
func (c *cluster) awaitFilled(n *testNode, l ledger) {
	t := c.t
	t.Helper()
	cl := c.direct(n)
	began := time.Now()
	eventually(t, 30*time.Second, n.id+" is filled", func() error {
		err := l.check(t.Context(), cl, client.LevelAll)
		if err != nil && !strings.Contains(err.Error(), "quorum_not_met") && !strings.Contains(err.Error(), "timeout") {
			t.Fatal(err)
		}
		return err
	})
	t.Logf("%s was filled within %v", n.id, time.Since(began))
	for _, other := range c.nodes {
		if other != n {
			other.kill()
		}
	}
	if err := l.check(t.Context(), cl, client.LevelOne); err != nil {
		t.Errorf("%s by itself: %v", n.id, err)
	}
}

// vouchesForNothing is for a node that is not filled while but one other runs: together they are no quorum of reads.
func (c *cluster) vouchesForNothing(n *testNode) {
	c.t.Helper()
	_, err := c.direct(n).Get(c.t.Context(), []byte("key-0001"), &client.GetOptions{R: 2, Timeout: 300 * time.Millisecond})
	if err == nil || errors.Is(err, client.ErrNotFound) {
		c.t.Errorf("two replicas answered (%v)", err)
	}
}

// life is what a node says of itself.
func (c *cluster) life(n *testNode) (actor string, incarnation uint64) {
	c.t.Helper()
	s, err := c.direct(n).Status(c.t.Context(), n.rpc)
	if err != nil {
		c.t.Fatal(err)
	}
	return s.Actor, s.Incarnation
}

func (n *testNode) stop(t *testing.T) {
	t.Helper()
	n.signal(syscall.SIGTERM)
	if code, err := n.wait(15 * time.Second); code != 0 || err != nil {
		t.Fatalf("%s stopped with %d, %v", n.id, code, err)
	}
}

// ready is what a node says when it is asked whether it is.
func (n *testNode) ready() (status int, body string, err error) {
	resp, err := http.Get("http://" + n.http + "/ready")
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(said), err
}

func TestANewClusterIsReadyOnceAllOfItsNodesHaveMet(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{stopped: true})
	early := c.nodes[:2]
	waits := func(n *testNode) {
		t.Helper()
		eventually(t, 15*time.Second, n.id+" waits for n3", func() error {
			status, body, err := n.ready()
			if err == nil && (status == http.StatusOK || !strings.Contains(body, "waiting for n3: a new data directory")) {
				err = fmt.Errorf("%d %s", status, body)
			}
			return err
		})
	}
	for _, n := range early {
		n.start(t)
	}
	for _, n := range early {
		waits(n)
	}
	early[1].kill()
	early[1].start(t)
	eventually(t, 15*time.Second, "n2 has waited for long", func() error {
		if !strings.Contains(early[1].output(), "not all peers are met") {
			return errors.New("it has not")
		}
		return nil
	})
	for _, n := range early {
		waits(n)
	}
	c.nodes[2].start(t)
	c.waitReady(c.nodes...)
	l := ledger{}
	l.put(t, c.routed(), "first", 100)
	if err := l.check(t.Context(), c.direct(c.nodes[2]), client.LevelAll); err != nil {
		t.Error(err)
	}
}

func TestANodeThatLostItsDiskIsFilledWhileTheOthersGoOn(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{})
	l := ledger{}
	l.put(t, c.routed(), "first", 600)
	victim := c.nodes[0]
	actor, incarnation := c.life(victim)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	cl := c.routed()
	var writing sync.WaitGroup
	writing.Go(func() { l.churn(ctx, cl, 600) })
	victim.kill()
	if err := os.RemoveAll(victim.dir); err != nil {
		t.Fatal(err)
	}
	c.restart(victim)
	eventually(t, 15*time.Second, "it begins anew", func() error {
		if !strings.Contains(victim.output(), "replica begins anew") {
			return errors.New("it does not")
		}
		return nil
	})
	c.waitReachable()
	stop()
	writing.Wait()

	if a, i := c.life(victim); a == actor || i <= incarnation {
		t.Errorf("actor %s, was %s; incarnation %d, was %d", a, actor, i, incarnation)
	}
	c.awaitFilled(victim, l)
}

func TestANodeThatLostItsDiskSaysNothingBeforeItIsFilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{})
	l := ledger{}
	l.put(t, c.routed(), "first", 300)
	l.remove(t, c.routed())
	victim, witness, away := c.nodes[0], c.nodes[1], c.nodes[2]
	if err := l.check(t.Context(), c.direct(witness), client.LevelAll); err != nil {
		t.Fatal(err)
	}
	away.kill()
	victim.kill()
	if err := os.RemoveAll(victim.dir); err != nil {
		t.Fatal(err)
	}
	c.restart(victim)
	cl := c.direct(victim)
	c.vouchesForNothing(victim)
	l.put(t, c.routed(), "second", 50) // it takes them, and does not coordinate
	if err := l.check(t.Context(), cl, client.LevelOne); err != nil {
		t.Errorf("the one that is filled does not answer for it: %v", err)
	}
	c.restart(away)
	c.awaitFilled(victim, l)
}

func TestANodeWhoseDiskWasRestoredFromAnOlderStateIsFilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{})
	l := ledger{}
	l.put(t, c.routed(), "first", 300)
	victim := c.nodes[0]
	victim.stop(t)
	backup := t.TempDir() + "/backup"
	if err := os.CopyFS(backup, os.DirFS(victim.dir)); err != nil {
		t.Fatal(err)
	}
	c.restart(victim)
	c.waitReachable()
	actor, incarnation := c.life(victim)
	l.put(t, c.routed(), "second", 400)
	l.remove(t, c.routed())

	t.Run("beside the original it is refused", func(t *testing.T) {
		base := testport.Base(t)
		copied := t.TempDir() + "/copy"
		if err := os.CopyFS(copied, os.DirFS(backup)); err != nil {
			t.Fatal(err)
		}
		twin := &testNode{id: "twin", dir: copied}
		t.Cleanup(twin.kill)
		refused(t, twin, with(with(with(with(with(victim.args, "--dir", copied), "--http-addr", local(base)), "--rpc-addr", local(base+1)),
			"--peer-addr", local(base+3)), "--gossip-addr", local(base+4)), "another holder of node id n1 is alive")
		if strings.Contains(twin.output(), "begins anew") {
			t.Error("it took the original's place")
		}
	})

	witness, away := c.nodes[1], c.nodes[2]
	if err := l.check(t.Context(), c.direct(witness), client.LevelAll); err != nil {
		t.Fatal(err)
	}
	victim.stop(t)
	l.put(t, c.routed(), "third", 200) // both others hold it
	away.kill()                        // nobody can be filled
	if err := errors.Join(os.RemoveAll(victim.dir), os.CopyFS(victim.dir, os.DirFS(backup))); err != nil {
		t.Fatal(err)
	}
	c.restart(victim)
	c.vouchesForNothing(victim)
	if err := l.check(t.Context(), c.direct(victim), client.LevelOne); err != nil {
		t.Errorf("it does not answer what the other one knows: %v", err)
	}
	c.restart(away)
	c.waitReachable()
	if a, i := c.life(victim); a == actor || i <= incarnation || !strings.Contains(victim.output(), "replica begins anew") {
		t.Errorf("actor %s, was %s; incarnation %d, was %d", a, actor, i, incarnation)
	}
	c.awaitFilled(victim, l)
}
