package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/testport"
)

// ringcaskBinary is the built program; see TestMain.
var ringcaskBinary string

func TestMain(m *testing.M) {
	os.Exit(runMain(m))
}

func runMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "ringcask-integration-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	ringcaskBinary = filepath.Join(dir, "ringcask")
	build := exec.Command("go", "build", "-o", ringcaskBinary, "../cmd/ringcask")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// skipShort leaves a test with real processes out of -short runs.
func skipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes")
	}
}

// testNode is one node process and how to start it again.
type testNode struct {
	id, dir                 string
	http, rpc, peer, gossip string
	// link is an address that a link to the peer port may have.
	link string
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	log  bytes.Buffer
}

// cluster is a set of node processes on loopback.
type cluster struct {
	t     testing.TB
	nodes []*testNode
}

// clusterOptions say how startCluster differs from three default nodes.
type clusterOptions struct {
	nodes int
	// args are added to the command of node i.
	args func(i int) []string
	// stopped leaves the processes unstarted.
	stopped bool
}

// startCluster starts node processes and waits until all serve. They are killed when the test ends.
func startCluster(t testing.TB, o clusterOptions) *cluster {
	t.Helper()
	skipShort(t)
	if o.nodes == 0 {
		o.nodes = 3
	}
	c := &cluster{t: t}
	dir := t.TempDir()
	base := testport.Base(t)
	for i := range o.nodes {
		addr := func(offset int) string { return fmt.Sprintf("127.0.0.1:%d", base+10*i+offset) }
		n := &testNode{id: fmt.Sprintf("n%d", i+1), http: addr(0), rpc: addr(1), peer: addr(3), gossip: addr(4), link: addr(5)}
		n.dir = filepath.Join(dir, n.id)
		c.nodes = append(c.nodes, n)
	}
	for i, n := range c.nodes {
		n.args = []string{"serve", "--id", n.id, "--dir", n.dir, "--http-addr", n.http, "--rpc-addr", n.rpc,
			"--peer-addr", n.peer, "--members", c.members(nil)}
		if o.args != nil {
			n.args = append(n.args, o.args(i)...)
		}
	}
	t.Cleanup(func() {
		for _, n := range c.nodes {
			n.kill()
			if t.Failed() {
				t.Logf("log of %s:\n%s", n.id, tail(n.output(), 4000))
			}
		}
	})
	if !o.stopped {
		c.start()
	}
	return c
}

// start starts all nodes and waits until they serve.
func (c *cluster) start() {
	c.t.Helper()
	for _, n := range c.nodes {
		n.start(c.t)
	}
	c.waitReady(c.nodes...)
}

// members is a list of all nodes, with the addresses of some replaced.
func (c *cluster) members(instead map[*testNode]string) string {
	var list []string
	for _, n := range c.nodes {
		addr := n.peer
		if other, is := instead[n]; is {
			addr = other
		}
		list = append(list, n.id+"="+addr)
	}
	return strings.Join(list, ",")
}

func (n *testNode) start(t testing.TB) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	cmd := exec.Command(ringcaskBinary, n.args...)
	cmd.Env = cleanEnv()
	cmd.Stdout, cmd.Stderr = lockedWriter{n}, lockedWriter{n}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n.cmd, n.done = cmd, make(chan struct{})
	go func(done chan struct{}) {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(done)
	}(n.done)
}

// lockedWriter collects a node's output.
type lockedWriter struct{ n *testNode }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.n.mu.Lock()
	defer w.n.mu.Unlock()
	return w.n.log.Write(b)
}

func (n *testNode) output() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// signal sends a signal to the process, if it runs.
func (n *testNode) signal(s os.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(s) // it may have ended
	}
}

// wait returns the exit code, or an error when the process does not end in time.
func (n *testNode) wait(limit time.Duration) (int, error) {
	select {
	case <-n.done:
		return n.cmd.ProcessState.ExitCode(), nil
	case <-time.After(limit):
		return 0, fmt.Errorf("%s did not end within %v", n.id, limit)
	}
}

// kill ends the process with SIGKILL and waits for its end.
func (n *testNode) kill() {
	if n.done == nil {
		return
	}
	n.signal(syscall.SIGKILL)
	<-n.done
}

// waitReady waits until the nodes say that they serve.
func (c *cluster) waitReady(nodes ...*testNode) {
	c.t.Helper()
	for _, n := range nodes {
		eventually(c.t, 15*time.Second, n.id+" is ready", func() error {
			select {
			case <-n.done:
				c.t.Fatalf("%s ended: %s", n.id, tail(n.output(), 2000))
			default:
			}
			resp, err := http.Get("http://" + n.http + "/ready")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return errors.New(resp.Status)
			}
			return nil
		})
	}
}

// restart starts a node that was killed and waits until it serves.
func (c *cluster) restart(n *testNode) {
	c.t.Helper()
	n.start(c.t)
	c.waitReady(n)
}

// eventually retries until check passes, with a bound on the whole.
func eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	retry(t, 20*time.Millisecond, limit, what, check)
}

// retry calls check once in an interval until it passes, with a bound on the whole.
func retry(t testing.TB, interval, limit time.Duration, what string, check func() error) {
	t.Helper()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	deadline := time.After(limit)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s: %v", limit, what, err)
		}
	}
}

// direct is a client that talks to one node only.
func (c *cluster) direct(n *testNode) *client.Client {
	return c.client(client.Options{Addrs: []string{n.rpc}, Direct: true})
}

// routed is a client that knows all nodes and routes by the topology.
func (c *cluster) routed() *client.Client {
	var addrs []string
	for _, n := range c.nodes {
		addrs = append(addrs, n.rpc)
	}
	return c.client(client.Options{Addrs: addrs})
}

func (c *cluster) client(o client.Options) *client.Client {
	c.t.Helper()
	cl, err := client.New(o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { cl.Close() })
	return cl
}

// result is what a command of the program did.
type result struct {
	stdout, stderr string
	code           int
}

// run runs the program with a time limit.
func run(t testing.TB, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, ringcaskBinary, args...)
	cmd.Env = cleanEnv()
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", args, err)
	}
	return result{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// mustRun is run for commands that have to end with exit code 0.
func mustRun(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	r := run(t, stdin, args...)
	if r.code != 0 {
		t.Fatalf("ringcask %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// cleanEnv is the environment without settings of ringcask.
func cleanEnv() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "RINGCASK_") {
			env = append(env, kv)
		}
	}
	return env
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
