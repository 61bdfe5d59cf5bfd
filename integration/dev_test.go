package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/testport"
)

// devNode is an entry of dev.json.
type devNode struct {
	ID      string
	PID     int
	Command []string
	HTTP    string
	RPC     string
	Peer    string
	DataDir string `json:"data_dir"`
}

// dev is a running `ringcask dev`.
type dev struct {
	cmd  *exec.Cmd
	out  *bufio.Reader
	done chan struct{}
	dir  string
	base int
}

func startDev(t *testing.T, dir string, base int) *dev {
	t.Helper()
	return startDevAs(t, dir, base, ringcaskBinary)
}

// startDevAs starts it by another command than the built program's name.
func startDevAs(t *testing.T, dir string, base int, ringcask ...string) *dev {
	t.Helper()
	d := &dev{dir: dir, base: base, done: make(chan struct{})}
	d.cmd = exec.Command(ringcask[0], append(ringcask[1:], "dev", "--dir", dir, "--base-port", fmt.Sprint(base))...)
	d.cmd.Env = cleanEnv()
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = os.Stderr
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.out = bufio.NewReader(stdout)
	// The table is printed once all nodes serve.
	for {
		line, err := d.out.ReadString('\n')
		if err != nil {
			t.Fatalf("dev ended: %v", err)
		}
		if strings.Contains(line, local(base+21)) {
			break
		}
	}
	go func() {
		_, _ = d.out.WriteTo(os.Stderr) // ends with the process
		_ = d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.done
	})
	return d
}

func (d *dev) nodes(t *testing.T) []devNode {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(d.dir, "dev.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Nodes []devNode }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Nodes) != 3 {
		t.Fatalf("dev.json: %s", b)
	}
	return file.Nodes
}

// gone waits until none of the node processes is left.
func gone(t *testing.T, nodes []devNode, limit time.Duration) {
	t.Helper()
	eventually(t, limit, "all nodes have ended", func() error {
		for _, n := range nodes {
			if err := syscall.Kill(n.PID, 0); err == nil && !zombie(n.PID) {
				return fmt.Errorf("%s (pid %d) runs", n.ID, n.PID)
			}
		}
		return nil
	})
}

// zombie says whether a process has ended but its parent did not take note yet.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b), ") Z ")
}

func TestDevServesKeepsItsDataAndLeavesNoOrphan(t *testing.T) {
	skipShort(t)
	t.Parallel()
	dir, base := t.TempDir(), testport.Base(t)
	d := startDev(t, dir, base)
	nodes := d.nodes(t)
	mustRun(t, "", "put", "--addr", nodes[0].RPC, "color", "green")

	// A killed node stays down, until its command is run again.
	if err := syscall.Kill(nodes[1].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "", "put", "--addr", nodes[0].RPC, "shape", "round")
	again := &testNode{id: nodes[1].ID, http: nodes[1].HTTP, args: nodes[1].Command[1:]}
	gone(t, nodes[1:2], 5*time.Second)
	if again.http = nodes[1].HTTP; nodes[1].Command[0] != ringcaskBinary {
		t.Errorf("the command is %q, not %q", nodes[1].Command[0], ringcaskBinary)
	}
	again.start(t)
	t.Cleanup(again.kill)
	(&cluster{t: t}).waitReady(again)
	if got := mustRun(t, "", "get", "--addr", nodes[1].RPC, "shape"); got != "round" {
		t.Errorf("the node that came back says %q", got)
	}
	again.signal(syscall.SIGTERM)
	if code, err := again.wait(5 * time.Second); err != nil || code != 0 {
		t.Errorf("SIGTERM of a node: exit code %d, %v", code, err)
	}

	// SIGTERM ends all within 5 s, and the data is there again.
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-d.done:
	case <-time.After(5 * time.Second):
		t.Fatal("dev did not end within 5 s of SIGTERM")
	}
	gone(t, nodes, time.Second)
	d = startDev(t, dir, base)
	nodes = d.nodes(t)
	for _, n := range nodes {
		if got := mustRun(t, "", "get", "--addr", n.RPC, "color"); got != "green" {
			t.Errorf("%s says %q after the restart", n.ID, got)
		}
	}

	// Killed with -9, it takes its nodes along.
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-d.done
	gone(t, nodes, 8*time.Second)
}

func TestDevUnderGoRunEndsWithIt(t *testing.T) {
	skipShort(t)
	t.Parallel()
	base := testport.Base(t)
	d := startDevAs(t, t.TempDir(), base, "go", "run", "../cmd/ringcask")
	nodes := d.nodes(t)
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil { // go hands it on to nobody
		t.Fatal(err)
	}
	gone(t, nodes, 5*time.Second)
}

func TestDevNamesAPortThatIsTaken(t *testing.T) {
	skipShort(t)
	base := testport.Base(t)
	l, err := net.Listen("tcp", local(base+11))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := filepath.Join(t.TempDir(), "data")
	r := run(t, "", "dev", "--dir", dir, "--base-port", fmt.Sprint(base))
	if r.code == 0 || !strings.Contains(r.stderr, fmt.Sprint(base+11)) {
		t.Errorf("exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "n1")); err == nil {
		t.Error("a node was started all the same")
	}
}
