package devcluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/internal/testport"
)

// The test binary plays the nodes, and for one test the owner, when this variable says so.
const roleVariable = "DEVCLUSTER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "node":
		playNode()
	case "owner":
		playOwner()
	default:
		goleak.VerifyTestMain(m)
	}
}

// playNode answers /ready on the address in its first argument and behaves as its second says.
func playNode() {
	addr, behaviour := os.Args[1], os.Args[2]
	fmt.Println("behaviour", behaviour)
	if behaviour == "broken" {
		fmt.Println("disk on fire")
		os.Exit(3)
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	status := http.StatusOK
	if behaviour == "unready" {
		status = http.StatusServiceUnavailable
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	parentGone := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.NewFile(parentFD, "parent"))
		close(parentGone)
	}()
	for {
		select {
		case <-parentGone:
			os.Exit(0)
		case <-term:
			if behaviour != "stubborn" {
				os.Exit(0)
			}
		}
	}
}

// playOwner starts two nodes and prints their process ids; then it waits to be killed.
func playOwner() {
	c, err := Start(testNodes(os.Args[1], []string{os.Args[2], os.Args[3]}, "good", "good"), nodeEnviron())
	if err == nil {
		err = c.WaitReady(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	for _, n := range c.Nodes() {
		fmt.Println(n.PID)
	}
	select {}
}

func nodeEnviron() []string { return []string{roleVariable + "=node"} }

func testNodes(dir string, addrs []string, behaviours ...string) []Node {
	nodes := make([]Node, len(behaviours))
	for i, b := range behaviours {
		id := "n" + strconv.Itoa(i+1)
		nodes[i] = Node{ID: id, HTTP: addrs[i], DataDir: filepath.Join(dir, id), Command: []string{os.Args[0], addrs[i], b}}
	}
	return nodes
}

func startNodes(t *testing.T, behaviours ...string) *Cluster {
	t.Helper()
	c, err := Start(testNodes(t.TempDir(), testport.Addrs(t, len(behaviours)), behaviours...), nodeEnviron())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop() })
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func alive(pid int) bool {
	// A zombie still takes signals: look at the state.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

func TestAClusterStartsReportsAKilledNodeWithoutRestartingItAndStops(t *testing.T) {
	c := startNodes(t, "good", "good")
	if err := c.WaitReady(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	nodes := c.Nodes()
	if err := syscall.Kill(nodes[1].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	exit := <-c.Exits()
	if exit.Node.ID != "n2" || !strings.Contains(exit.How, "killed") {
		t.Errorf("%+v", exit)
	}
	if !alive(nodes[0].PID) || alive(nodes[1].PID) {
		t.Error("the wrong node is alive")
	}
	start := time.Now()
	if killed := c.Stop(); killed != nil {
		t.Errorf("had to kill %v", killed)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if alive(nodes[0].PID) {
		t.Error("a node outlived Stop")
	}
}

func TestANodeThatIgnoresTheRequestToStopIsKilledWithinFiveSeconds(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the whole grace period")
	}
	c := startNodes(t, "stubborn", "good")
	if err := c.WaitReady(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	killed := c.Stop()
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if !slices.Equal(killed, []string{"n1"}) {
		t.Errorf("killed %v, want n1 alone", killed)
	}
}

func TestANodeThatFailsToStartIsAnErrorWithItsLastWords(t *testing.T) {
	c := startNodes(t, "good", "broken")
	err := c.WaitReady(within(t, 10*time.Second))
	if err == nil || !strings.Contains(err.Error(), "node n2 did not start: it ended: exit status 3") || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("%v", err)
	}
}

func TestOnlyThisRunsLogIsQuoted(t *testing.T) {
	nodes := testNodes(t.TempDir(), testport.Addrs(t, 1), "broken")
	if err := os.MkdirAll(nodes[0].DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(nodes[0].LogFile(), []byte("an old complaint\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Start(nodes, nodeEnviron())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	if err := c.WaitReady(within(t, 10*time.Second)); err == nil || strings.Contains(err.Error(), "old complaint") {
		t.Errorf("%v", err)
	}
}

func TestWaitingForReadinessIsBounded(t *testing.T) {
	c := startNodes(t, "unready")
	err := c.WaitReady(within(t, 300*time.Millisecond))
	if err == nil || !strings.Contains(err.Error(), "node n1 is not ready") {
		t.Errorf("%v", err)
	}
}

func TestAnExecutableThatIsMissingIsAnError(t *testing.T) {
	nodes := testNodes(t.TempDir(), testport.Addrs(t, 2), "good", "good")
	nodes[1].Command[0] = filepath.Join(t.TempDir(), "missing")
	if _, err := Start(nodes, nodeEnviron()); err == nil || !strings.Contains(err.Error(), "start node n2") {
		t.Errorf("%v", err)
	}
}

func TestNodesEndWhenTheirOwnerIsKilled(t *testing.T) {
	owner := exec.Command(os.Args[0], append([]string{t.TempDir()}, testport.Addrs(t, 2)...)...)
	owner.Env = []string{roleVariable + "=owner"}
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for lines := bufio.NewScanner(out); len(pids) < 2 && lines.Scan(); {
		pid, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(lines.Text())
		}
		pids = append(pids, pid)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait() // it was killed: that is its error
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); slices.ContainsFunc(pids, alive); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("orphans among %v", pids)
		}
	}
}
