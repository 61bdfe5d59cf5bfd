package integration

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/testport"
)

// refused starts a node that must end by itself with exit code 3 and say each of the words.
func refused(t *testing.T, n *testNode, args []string, words ...string) {
	t.Helper()
	was := n.args
	defer func() { n.args = was }()
	n.args = args
	before := len(n.output())
	n.start(t)
	code, err := n.wait(15 * time.Second)
	said := n.output()[before:]
	if err != nil {
		n.kill()
		t.Fatalf("%v; it said %s", err, said)
	}
	if code == 0 {
		t.Errorf("it ended with exit code 0; it said %s", said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("it does not say %q: %s", w, said)
		}
	}
}

// with returns the arguments with the value of one flag replaced, or the flag added.
func with(args []string, flag, value string) []string {
	out := append([]string(nil), args...)
	for i := range out {
		if out[i] == flag {
			out[i+1] = value
			return out
		}
	}
	return append(out, flag, value)
}

func TestADataDirectoryOfAnotherClusterIsRefusedWithWhatDiffers(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	n := c.nodes[0]
	if _, err := c.direct(n).Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	n.kill()
	members := n.args[indexOf(n.args, "--members")+1]
	fewer := members[:strings.LastIndex(members, ",")]
	refused(t, n, with(with(n.args, "--members", fewer), "--replicas", "2"), "n3", "replica")
	refused(t, n, with(n.args, "--members", members+",n4=127.0.0.1:9"), "n4")
	refused(t, n, with(n.args, "--replicas", "2"), "replica", "3", "2")
	refused(t, n, with(n.args, "--partitions", "64"), "partition", "256", "64")
	refused(t, n, with(n.args, "--id", "n2"), "n1", "n2")
	c.restart(n)
	if v, err := c.direct(n).Get(t.Context(), []byte("k"), nil); err != nil || string(v.Value) != "v" {
		t.Fatalf("after the refusals: %v, %v", v, err)
	}
}

func indexOf(args []string, flag string) int {
	for i := range args {
		if args[i] == flag {
			return i
		}
	}
	return -1
}

func TestACopyOfADataDirectoryIsRefusedWhileItsOriginalRuns(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	original := c.nodes[0]
	copied := t.TempDir() + "/copy"
	if err := os.CopyFS(copied, os.DirFS(original.dir)); err != nil {
		t.Fatal(err)
	}
	base := testport.Base(t)
	twin := &testNode{id: "twin", dir: copied}
	t.Cleanup(twin.kill)
	twin.http, twin.rpc, twin.peer = local(base), local(base+1), local(base+3)
	args := with(with(with(with(original.args, "--dir", copied), "--http-addr", twin.http), "--rpc-addr", twin.rpc), "--peer-addr", twin.peer)
	args = with(args, "--gossip-addr", local(base+4))
	refused(t, twin, args, "another holder of node id n1 is alive")

	t.Run("and under another name", func(t *testing.T) {
		c.nodes[1].kill()
		refused(t, twin, with(args, "--id", "n2"), "n1", "n2")
		c.restart(c.nodes[1])
	})
	if _, err := c.direct(original).Put(t.Context(), []byte("k"), []byte("v"), nil); err != nil {
		t.Fatalf("the original does not serve any more: %v", err)
	}
}

func TestADataDirectoryInUseIsRefused(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	n := c.nodes[2]
	base := testport.Base(t)
	second := &testNode{id: "second"}
	t.Cleanup(second.kill)
	refused(t, second, with(with(with(n.args, "--http-addr", local(base)), "--rpc-addr", local(base+1)), "--peer-addr", local(base+3)), "in use")
}
