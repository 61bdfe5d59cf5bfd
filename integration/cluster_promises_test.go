package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
)

func TestWhatIsLoadedIsFoundByteForByteAndInOrderThroughEveryNode(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{})
	all := records(t)
	summary := mustRun(t, "", "load", "--addr", c.addrs(), "-o", "json", sampleFile)
	checkSummary(t, summary, len(all), 0)

	const prefix = "debian/bookworm/golang-"
	want := withPrefix(all, prefix)
	for _, n := range c.nodes {
		verifyAll(t, c.direct(n), n.id, all)
		checkScan(t, "scan via "+n.id, mustRun(t, "", "scan", "--addr", n.rpc, "--prefix", prefix, "-o", "json"), want)
		checkScan(t, "HTTP range via "+n.id, httpRange(t, n, prefix), want)
		checkScan(t, "HTTP stream via "+n.id, httpStream(t, n, "debian/"), withPrefix(all, ""))
		checkScan(t, "dump via "+n.id, mustRun(t, "", "dump", "--addr", n.rpc), withPrefix(all, ""))
	}
}

func TestALoadDoesNotNoticeThatANodeIsKilledAndComesBack(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	all := records(t)
	victim := c.nodes[1]
	third := len(all) / 3
	summary := c.loadInSteps(all, map[int]func(){
		third:     victim.kill,
		2 * third: func() { c.restart(victim) },
	})
	checkSummary(t, summary, len(all), 0)
	for _, n := range c.nodes {
		verifyAll(t, c.direct(n), n.id, all)
	}
}

func TestEveryAcknowledgedWriteSurvivesThatAllNodesAreKilled(t *testing.T) {
	t.Parallel()
	c := startCluster(t, clusterOptions{})
	all := records(t)
	acked := c.writeUntilKilled(all)
	if len(acked) < 100 {
		t.Fatalf("only %d writes were acknowledged before the kill", len(acked))
	}
	if len(acked) == len(all) {
		t.Fatal("all writes were acknowledged: nothing was in flight at the kill")
	}
	for _, n := range c.nodes {
		n.start(t)
	}
	c.waitReady(c.nodes...)
	for _, n := range c.nodes {
		verifyAll(t, c.direct(n), n.id, acked)
	}
}

func TestWithTwoNodesDownQuorumsSayWhatIsMissingAndR1StillReads(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	ctx := t.Context()
	cl := c.direct(c.nodes[0])
	if _, err := cl.Put(ctx, []byte("key"), []byte("value"), &client.PutOptions{W: client.LevelAll}); err != nil {
		t.Fatal(err)
	}
	c.nodes[1].kill()
	c.nodes[2].kill()

	start := time.Now()
	_, getErr := cl.Get(ctx, []byte("key"), nil)
	wantQuorumNotMet(t, "get", getErr)
	_, putErr := cl.Put(ctx, []byte("key"), []byte("other"), nil)
	wantQuorumNotMet(t, "put", putErr)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the errors took %v", took)
	}
	got, err := cl.Get(ctx, []byte("key"), &client.GetOptions{R: client.LevelOne})
	if err != nil || string(got.Value) != "value" {
		t.Fatalf("get at r=1: %v, %v", got, err)
	}
	r := run(t, "", "get", "--addr", c.nodes[0].rpc, "key")
	if r.code != 3 || !strings.Contains(r.stderr, "quorum_not_met") {
		t.Errorf("ringcask get: exit code %d, %s", r.code, r.stderr)
	}
	resp, body := httpGet(t, "http://"+c.nodes[0].http+"/kv/key")
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, `"quorum_not_met"`) {
		t.Errorf("HTTP get: %s %s", resp.Status, body)
	}
}

func wantQuorumNotMet(t *testing.T, what string, err error) {
	t.Helper()
	var e *client.Error
	if !errors.As(err, &e) || e.Code.String() != "quorum_not_met" {
		t.Fatalf("%s with two nodes down: %v", what, err)
	}
	if e.Need != 2 || e.Got != 1 {
		t.Errorf("%s: need %d, got %d, want 2 and 1", what, e.Need, e.Got)
	}
}

func TestConcurrentWritesWithOneContextAreBothKeptUntilAPutResolvesThem(t *testing.T) {
	c := startCluster(t, clusterOptions{})
	ctx := t.Context()
	a, b := c.direct(c.nodes[0]), c.direct(c.nodes[2])
	key := []byte("cart")
	if _, err := a.Put(ctx, key, []byte("empty"), nil); err != nil {
		t.Fatal(err)
	}
	base, err := a.Get(ctx, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i, cl := range []*client.Client{a, b} {
		wg.Go(func() {
			value := fmt.Sprintf("item %d", i)
			if _, err := cl.Put(ctx, key, []byte(value), &client.PutOptions{Context: base.Context}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()

	both, err := a.Get(ctx, key, &client.GetOptions{Siblings: true})
	if err != nil || both.Siblings != 2 || len(both.All) != 2 {
		t.Fatalf("after two concurrent puts: %+v, %v", both, err)
	}
	plain, err := b.Get(ctx, key, nil)
	if err != nil || plain.Siblings != 2 {
		t.Fatalf("a plain get says %+v, %v", plain, err)
	}
	if _, err := b.Put(ctx, key, []byte("item 0 and item 1"), &client.PutOptions{Context: both.Context}); err != nil {
		t.Fatal(err)
	}
	for _, n := range c.nodes {
		v, err := c.direct(n).Get(ctx, key, nil)
		if err != nil || v.Siblings != 1 || string(v.Value) != "item 0 and item 1" {
			t.Fatalf("after the resolving put, via %s: %+v, %v", n.id, v, err)
		}
	}
}

// The second of two puts goes through a node whose clock is 30 s behind: it has to win in each of the ways that are promised.
func TestTheSecondOfTwoPutsWinsThoughItsNodesClockIsBehind(t *testing.T) {
	c := startCluster(t, clusterOptions{args: func(i int) []string {
		if i == 2 {
			return []string{"--test-clock-offset=-30s"}
		}
		return nil
	}})
	ctx := t.Context()
	ahead, behind := c.nodes[0], c.nodes[2]
	check := func(key, want string) {
		t.Helper()
		for _, n := range c.nodes {
			v, err := c.direct(n).Get(ctx, []byte(key), &client.GetOptions{Siblings: true})
			if err != nil || string(v.Value) != want {
				t.Errorf("%s via %s: %v, %v; want %q", key, n.id, v, err, want)
			}
		}
	}
	put := func(cl *client.Client, key, value string, o *client.PutOptions) {
		t.Helper()
		if _, err := cl.Put(ctx, []byte(key), []byte(value), o); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		key := fmt.Sprintf("ordered-%d", i)
		put(c.direct(ahead), key, "first", nil)
		put(c.direct(behind), key, "second", &client.PutOptions{Ordered: true})
		check(key, "second")

		key = fmt.Sprintf("one-client-%d", i)
		both := c.client(client.Options{Addrs: []string{ahead.rpc}, Direct: true})
		put(both, key, "first", nil)
		moved := c.client(client.Options{Addrs: []string{behind.rpc}, Direct: true, Clock: both.Clock()})
		put(moved, key, "second", nil)
		check(key, "second")

		key = fmt.Sprintf("message-between-%d", i)
		put(c.direct(ahead), key, "first", &client.PutOptions{W: client.LevelAll})
		put(c.direct(behind), key, "second", nil)
		check(key, "second")
	}
}

func (c *cluster) addrs() string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.rpc)
	}
	return strings.Join(all, ",")
}

// loadInSteps runs `ringcask load` on standard input and calls a step once so many records were handed to it.
func (c *cluster) loadInSteps(all []record, steps map[int]func()) string {
	c.t.Helper()
	cmd := exec.Command(ringcaskBinary, "load", "--addr", c.addrs(), "-o", "json", "--batch", "10", "-")
	cmd.Env = cleanEnv()
	in, err := cmd.StdinPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for i, r := range all {
		if step := steps[i]; step != nil {
			step()
		}
		if _, err := io.WriteString(in, r.line); err != nil {
			c.t.Fatal(err)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		c.t.Fatalf("load: %v\n%s%s", err, out.String(), errOut.String())
	}
	return out.String()
}

// writeUntilKilled writes the records from eight clients, kills all nodes half-way, and returns the records that were acknowledged.
func (c *cluster) writeUntilKilled(all []record) (acked []record) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	var mu sync.Mutex
	half := make(chan struct{})
	work := make(chan record, len(all))
	for _, r := range all {
		work <- r
	}
	close(work)
	cl := c.routed()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for r := range work {
				if ctx.Err() != nil {
					return
				}
				if _, err := cl.Put(ctx, []byte(r.Key), []byte(r.Value), nil); err != nil {
					continue
				}
				mu.Lock()
				if acked = append(acked, r); len(acked) == len(all)/2 {
					close(half)
				}
				mu.Unlock()
			}
		})
	}
	<-half
	var kills sync.WaitGroup
	for _, n := range c.nodes {
		kills.Go(n.kill)
	}
	kills.Wait()
	cancel()
	wg.Wait()
	return acked
}

// checkSummary checks what load says at its end.
func checkSummary(t *testing.T, summary string, written, failed int) {
	t.Helper()
	var s struct{ Written, Failed int }
	if err := json.Unmarshal([]byte(summary), &s); err != nil {
		t.Fatalf("%q: %v", summary, err)
	}
	if s.Written != written || s.Failed != failed {
		t.Fatalf("load says %s; want %d written, %d failed", summary, written, failed)
	}
}

// httpRange follows the cursors of GET /kv/range and returns the items as JSON Lines.
func httpRange(t *testing.T, n *testNode, prefix string) string {
	t.Helper()
	var all strings.Builder
	cursor := ""
	for range 1000 {
		q := url.Values{"prefix": {prefix}, "limit": {"7"}}
		if cursor != "" {
			q.Set("cursor", cursor)
		}
		resp, body := httpGet(t, "http://"+n.http+"/kv/range?"+q.Encode())
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("range: %s %s", resp.Status, body)
		}
		var page struct {
			Items  []json.RawMessage
			Cursor *string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			all.Write(item)
			all.WriteByte('\n')
		}
		if page.Cursor == nil {
			return all.String()
		}
		cursor = *page.Cursor
	}
	t.Fatal("the cursor never ends")
	return ""
}

// httpStream returns the range as the JSON Lines that HTTP streams.
func httpStream(t *testing.T, n *testNode, prefix string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.http+"/kv/range?prefix="+url.QueryEscape(prefix), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/x-ndjson")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("stream: %s, %v", resp.Status, err)
	}
	return string(body)
}

func httpGet(t *testing.T, u string) (*http.Response, string) {
	t.Helper()
	resp, err := http.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}
