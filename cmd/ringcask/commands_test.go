package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/cmd/ringcask/internal/records"
	"github.com/ringcask/ringcask/internal/testport"
	"github.com/ringcask/ringcask/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runNode runs a node with those settings in this process until it is stopped, at the latest at the end of the test.
func runNode(t *testing.T, cfg node.Config) (n *node.Node, stop func()) {
	t.Helper()
	cfg.Dir, cfg.Sync = t.TempDir(), "never"
	cfg.HTTPAddr, cfg.RPCAddr = "127.0.0.1:0", "127.0.0.1:0"
	n, err := node.Open(cfg, node.Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return n, stop
}

// ready waits until nodes are ready, and returns the client address of the first.
func ready(t *testing.T, nodes ...*node.Node) string {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for _, n := range nodes {
		for ; n.Ready() != nil; <-tick.C {
			if time.Now().After(deadline) {
				t.Fatal(n.Ready())
			}
		}
	}
	_, rpc, _ := nodes[0].Addrs()
	return rpc
}

// singleNode is a cluster of one.
func singleNode(t *testing.T) string {
	t.Helper()
	peer := testport.Addrs(t, 1)[0]
	n, _ := runNode(t, node.Config{ID: "n1", PeerAddr: peer, Members: []node.Member{{ID: "n1", Peer: peer}}})
	return ready(t, n)
}

// halfCluster is one node of two, which is no quorum.
func halfCluster(t *testing.T) string {
	t.Helper()
	addrs := testport.Addrs(t, 4)
	members := []node.Member{{ID: "n1", Peer: addrs[0], Gossip: addrs[1]}, {ID: "n2", Peer: addrs[2], Gossip: addrs[3]}}
	stays, _ := runNode(t, node.Config{ID: "n1", PeerAddr: addrs[0], Members: members})
	leaves, stop := runNode(t, node.Config{ID: "n2", PeerAddr: addrs[2], Members: members})
	addr := ready(t, stays, leaves)
	stop()
	return addr
}

// shell runs command lines against one address.
type shell struct {
	t    *testing.T
	addr string
}

func (s shell) run(stdin string, args ...string) ran {
	s.t.Helper()
	return runCLI(s.t, nil, stdin, slices.Concat(args[:1], []string{"--addr=" + s.addr, "--timeout=3s"}, args[1:])...)
}

// want runs a command line that must succeed and print exactly that.
func (s shell) want(stdout, stdin string, args ...string) {
	s.t.Helper()
	if got := s.run(stdin, args...); got.code != exitDone || got.stdout != stdout || got.stderr != "" {
		s.t.Errorf("%q: %+v, want %q", args, got, stdout)
	}
}

func TestPutGetAndDelAreBinarySafe(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	value := "\x00\xff\r\nno line end"
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	s.want("", "", "put", "argument", "plain")
	s.want("", value, "put", "stdin", "-")
	s.want("", "", "put", "file", "--file="+file)
	s.want("", value, "put", "file of stdin", "--file=-")
	s.want("", "", "put", "/wA=", "bytes", "--key-base64")
	s.want("", "", "put", "empty", "")
	s.want("", "", "put", "dash", "--", "-1")
	s.want("plain", "", "get", "argument")
	s.want(value, "", "get", "stdin")
	s.want(value, "", "get", "file")
	s.want(value, "", "get", "file of stdin")
	s.want("bytes", "", "get", "--key-base64", "/wA=")
	s.want("", "", "get", "empty")
	s.want("-1", "", "get", "dash")
	s.want("", "", "del", "argument", "stdin", "never was")
	for _, key := range []string{"argument", "stdin", "never was"} {
		if got := s.run("", "get", key); got != (ran{code: exitNotFound}) {
			t.Errorf("%s: %+v", key, got)
		}
	}
}

func TestJSONOutputIsOneObjectALine(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	s.run("", "put", "a", "1")
	s.run("\xff", "put", "b", "-")
	decode := func(got ran) (objects []map[string]any) {
		t.Helper()
		for line := range strings.Lines(got.stdout) {
			var o map[string]any
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			objects = append(objects, o)
		}
		return objects
	}
	if o := decode(s.run("", "get", "a", "-o", "json")); o[0]["key"] != "a" || o[0]["value"] != "1" || o[0]["siblings"] != 1.0 || o[0]["context"] == "" {
		t.Errorf("%v", o)
	}
	if o := decode(s.run("", "get", "b", "-o", "json")); o[0]["value_base64"] != "/w==" || o[0]["value"] != nil {
		t.Errorf("%v", o)
	}
	if got := s.run("", "get", "none", "-o", "json"); got.code != exitNotFound || decode(got)[0]["found"] != false {
		t.Errorf("%+v", got)
	}
	if o := decode(s.run("", "put", "a", "2", "-o", "json")); o[0]["receipt"].(map[string]any)["replicas"].([]any)[0] != "n1" {
		t.Errorf("%v", o)
	}
	if o := decode(s.run("", "del", "a", "none", "-o", "json")); len(o) != 2 || o[1]["key"] != "none" {
		t.Errorf("%v", o)
	}
	if o := decode(s.run("", "status", "-o", "json")); len(o) != 1 || o[0]["status"].(map[string]any)["node"] != "n1" {
		t.Errorf("%v", o)
	}
	if o := decode(s.run("", "ring", "-o", "json")); len(o) != 1 || o[0]["partitions"] != 256.0 {
		t.Errorf("%v", o)
	}
	if o := decode(s.run("", "ring", "a", "-o", "json")); fmt.Sprint(o[0]["replicas"], o[0]["fallbacks"]) != "[n1] []" {
		t.Errorf("%v", o)
	}
}

func TestAContextSupersedesWhatItsGetSawAndLeavesTheRestAsSiblings(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	context := func() string {
		t.Helper()
		var o struct{ Context string }
		if err := json.Unmarshal([]byte(s.run("", "get", "cart", "-o", "json").stdout), &o); err != nil {
			t.Fatal(err)
		}
		return o.Context
	}
	s.want("", "", "put", "cart", "first")
	seen := context()
	s.want("", "", "put", "cart", "apples", "--context="+seen)
	s.want("", "", "put", "cart", "pears", "--context="+seen)
	got := s.run("", "get", "cart")
	if got.stdout != "pears" || !strings.Contains(got.stderr, "cart has 2 values") {
		t.Errorf("%+v", got)
	}
	got = s.run("", "get", "cart", "--siblings")
	if !strings.Contains(got.stdout, "1 of 2") || !strings.Contains(got.stdout, "\napples\n") || !strings.Contains(got.stdout, "\npears\n") {
		t.Errorf("%+v", got)
	}
	if got := s.run("", "get", "cart", "--siblings", "-o", "json"); strings.Count(got.stdout, `"time"`) != 2 {
		t.Errorf("%+v", got)
	}
	s.want("", "", "put", "cart", "both", "--context="+context())
	s.want("both", "", "get", "cart")
	s.want("", "", "put", "brief", "x", "--ttl=1ms")
	for deadline := time.Now().Add(5 * time.Second); s.run("", "get", "brief").code != exitNotFound; {
		if time.Now().After(deadline) {
			t.Fatal("a value outlived its TTL")
		}
	}
}

func TestScanPrintsKeysInOrderWithinItsBounds(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	for _, key := range []string{"b", "a", "c/2", "c/1", "d\t"} {
		s.want("", "", "put", key, "v"+key)
	}
	s.want("a\tva\nb\tvb\nc/1\tvc/1\nc/2\tvc/2\nd\\t\tvd\\t\n", "", "scan")
	s.want("c/1\nc/2\n", "", "scan", "--prefix=c/", "--keys-only")
	s.want("b\nc/1\n", "", "scan", "--start=b", "--end=c/1", "--keys-only")
	s.want("c/2\nc/1\n", "", "scan", "--end=c/2", "--reverse", "--limit=2", "--keys-only")
	s.want("{\"key\":\"d\\t\",\"value\":\"vd\\t\"}\n", "", "scan", "--start=ZAk=", "--key-base64", "-o", "json")
	s.want("", "", "scan", "--prefix=zzz")
	for _, limit := range []string{"--limit=0", "--limit=-1"} {
		if got := s.run("", "scan", limit); got.code != exitUsage || got.stdout != "" {
			t.Errorf("%s: %+v", limit, got)
		}
	}
}

func TestBatchPrintsAnOutcomeForEachOperation(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	s.want("", "", "put", "b", "1")
	s.want("put a: done\ndelete b: done\n", `{"type":"put","key":"a","value":"1"}`+"\n"+`{"type":"delete","key":"b"}`, "batch", "-")
	s.want("1", "", "get", "a")
	if got := s.run("", "get", "b"); got.code != exitNotFound {
		t.Errorf("%+v", got)
	}
	for stdin, want := range map[string]string{
		"{}": "line 1 has neither", `{"type":"put","key":"c","value":"1"}` + "\n" + `{"type":"delete","key":"c"}`: "lines 1 and 2 have the same key",
	} {
		if got := s.run(stdin, "batch", "-"); got.code != exitUsage || !strings.Contains(got.stderr, want) || got.stdout != "" {
			t.Errorf("%q: %+v", stdin, got)
		}
	}
	if got := s.run("", "get", "c"); got.code != exitNotFound {
		t.Errorf("part of a refused batch was written: %+v", got)
	}
}

func TestADumpLoadsBackByteForByte(t *testing.T) {
	t.Parallel()
	from, to := shell{t, singleNode(t)}, shell{t, singleNode(t)}
	var in bytes.Buffer
	z := gzip.NewWriter(&in)
	for i := range 3000 {
		key := append(fmt.Appendf(nil, "%04d", i), bytes.Repeat([]byte{byte(i)}, i%3)...)
		if _, err := z.Write(records.AppendRecord(nil, key, bytes.Repeat([]byte{byte(i), byte(i >> 8)}, i%50))); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if got := from.run(in.String(), "load", "-"); got.code != exitDone || !strings.HasPrefix(got.stdout, "wrote 3,000 records") || !strings.Contains(got.stdout, "0 failed, 0 bad lines") {
		t.Fatalf("%+v", got)
	}
	first := from.run("", "dump")
	if strings.Count(first.stdout, "\n") != 3000 || first.stderr != "" {
		t.Fatalf("%d lines, %s", strings.Count(first.stdout, "\n"), first.stderr)
	}
	file := filepath.Join(t.TempDir(), "dump.gz")
	from.want("", "", "dump", "--gzip", "--file="+file)
	if got := to.run("", "load", file, "-o", "json"); got.code != exitDone || !strings.Contains(got.stdout, `"written":3000,"failed":0,"bad_lines":0`) {
		t.Errorf("%+v", got)
	}
	if got := from.run("", "dump", "--file="+filepath.Dir(file)); got.code != exitUsage || !strings.Contains(got.stderr, "is a directory") {
		t.Errorf("%+v", got)
	}
	if second := to.run("", "dump"); second.stdout != first.stdout {
		t.Error("a dump, loaded and dumped again, differs")
	}
	if files, _ := os.ReadDir(filepath.Dir(file)); len(files) != 1 {
		t.Errorf("temporary files are left: %v", files)
	}
}

func TestLoadReportsBadLinesByNumberAndKeepsTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	lines := `{"key":"a","value":"1"}` + "\nrubbish\n" + `{"key":"b","value":"1"}` + "\n" + `{"key":"a","value":"2"}` + "\n"
	got := s.run(lines, "load", "-")
	if got.code != exitUsage || !strings.HasPrefix(got.stdout, "wrote 3 records (6 B)") || !strings.Contains(got.stderr, "ringcask: line 2 must be") {
		t.Errorf("%+v", got)
	}
	s.want("2", "", "get", "a")
	got = s.run(lines, "load", "-", "--strict", "-o", "json")
	if got.code != exitUsage || !strings.Contains(got.stdout, `{"line":2,"error":`) || !strings.Contains(got.stdout, `"written":1,"failed":0,"bad_lines":1`) || !strings.Contains(got.stdout, `"complete":false`) {
		t.Errorf("%+v", got)
	}
	s.want("1", "", "get", "a")
	got = s.run(strings.Repeat("x\n", 30), "load", "-")
	if strings.Count(got.stderr, "must be one JSON object") != messagesMax || !strings.Contains(got.stderr, "and 10 more bad lines") {
		t.Errorf("%+v", got)
	}
}

func TestALoadWhoseInputBreaksOffSaysSoBesideItsBadLines(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	fmt.Fprintf(w, "rubbish\n%s\n", `{"key":"a","value":"1"}`)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got := s.run(zipped.String()[:zipped.Len()-4], "load", "-")
	if got.code != exitUsage || !strings.HasPrefix(got.stdout, "wrote 1 record") || !strings.Contains(got.stderr, "1 bad line; and ") || !strings.Contains(got.stderr, "unexpected EOF") {
		t.Errorf("%+v", got)
	}
}

func TestANodeThatDoesNotServeKeepsTheTableNarrow(t *testing.T) {
	reason := "replica: an earlier write failed: no space left on device"
	var out strings.Builder
	if err := printStatus(&out, []answer{{status: &client.Status{Node: "n1", State: reason}}}); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitN(out.String(), "\n", 3)
	if !strings.Contains(lines[1], "not serving") || strings.Contains(lines[1], "space") || !strings.Contains(lines[2], "n1: does not serve: "+reason) {
		t.Errorf("%s", out.String())
	}
	for state, want := range map[string]string{"serving": "serving", "draining": "draining", "starting: not all peers are met yet": "starting"} {
		if got := stateWord(state); got != want {
			t.Errorf("%s is shown as %s, want %s", state, got, want)
		}
	}
}

func TestARecordThatTheNodesRefuseDoesNotTakeItsBatchAlong(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	var lines []byte
	for i := range 50 {
		key := fmt.Append(nil, i)
		if i == 20 || i == 33 {
			key = bytes.Repeat([]byte("k"), 5000)
		}
		lines = records.AppendRecord(lines, append(key, byte(i)), []byte("v"))
	}
	got := s.run(string(lines), "load", "-", "--concurrency=1")
	if got.code != exitCluster || !strings.HasPrefix(got.stdout, "wrote 48 records") || !strings.Contains(got.stderr, "line 21, key kkk") || !strings.Contains(got.stderr, "line 34, key kkk") {
		t.Errorf("%+v", got)
	}
	if got := s.run(string(lines), "load", "-", "--w=2"); got.code != exitUsage || !strings.Contains(got.stderr, "--w 2 is more than the 1 replica") {
		t.Errorf("%+v", got)
	}
}

func TestAnInterruptedLoadPrintsItsSummary(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	ctx, interrupt := context.WithCancelCause(t.Context())
	silent, feed := io.Pipe() // standard input that falls silent
	defer feed.Close()
	go func() {
		_, _ = io.WriteString(feed, strings.Repeat(`{"key":"a","value":"1"}`+"\n", 2))
		interrupt(&interruptedError{2})
	}()
	var stdout, stderr bytes.Buffer
	code := run(&app{ctx: ctx, stdin: silent, stdout: &stdout, stderr: &stderr}, []string{"load", "-", "--addr=" + s.addr})
	if code != 130 || !strings.HasPrefix(stdout.String(), "wrote ") || !strings.Contains(stdout.String(), "stopped at line") {
		t.Errorf("code %d, %s, %s", code, &stdout, &stderr)
	}
}

func TestWithoutAQuorumCommandsExitWith3AndSayWhatWasNeeded(t *testing.T) {
	t.Parallel()
	s := shell{t, halfCluster(t)}
	record := `{"key":"a","value":"1"}`
	operation := `{"type":"put","key":"a","value":"1"}`
	for _, tc := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"put", "a", "1"}, "quorum_not_met"},
		{"", []string{"get", "a"}, "needs 2 replicas, got 1"},
		{"", []string{"del", "a"}, "quorum_not_met"},
		{"", []string{"scan"}, "quorum_not_met"},
		{"", []string{"dump"}, "quorum_not_met"},
		{record, []string{"load", "-"}, "line 1, key a: "},
		{operation, []string{"batch", "-"}, "1 of 1 operation failed"},
		{"", []string{"status"}, "1 of 2 nodes did not answer"},
	} {
		t.Run(tc.args[0], func(t *testing.T) {
			t.Parallel()
			got := shell{t, s.addr}.run(tc.stdin, tc.args...)
			if got.code != exitCluster || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("%+v, want %s", got, tc.want)
			}
		})
	}
	got := s.run("", "put", "a", "1", "-o", "json")
	var failure struct {
		Error struct {
			Code, Effect string
			Need, Got    int
		}
	}
	if err := json.Unmarshal([]byte(got.stderr), &failure); err != nil || failure.Error.Code != "quorum_not_met" || failure.Error.Need != 2 || failure.Error.Got != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if got := s.run("", "get", "a", "--r=1"); got.code != exitNotFound {
		t.Errorf("one replica must be enough for r=1: %+v", got)
	}
	if got := s.run(record, "load", "-", "-o", "json"); got.code != exitCluster || !strings.Contains(got.stdout, `{"line":1,"key":"a","error":{"code":"quorum_not_met"`) {
		t.Errorf("%+v", got)
	}
}

func TestANodeThatIsNotThereIsAClusterError(t *testing.T) {
	t.Parallel()
	addr := testport.Addrs(t, 1)[0]
	for _, args := range [][]string{{"get", "a"}, {"put", "a", "1"}, {"scan"}, {"load", "-"}, {"dump"}, {"status"}, {"ring"}, {"explain", "a"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			got := shell{t, addr}.run("", args...)
			if got.code != exitCluster || !strings.Contains(got.stderr, "connection refused") || got.stdout != "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestWhatIsWrongInTheRequestExitsWith2(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"put", "a"}, "give a value"},
		{[]string{"put", "a", "1", "--file=x"}, "not both"},
		{[]string{"put", "a", "--file=/does/not/exist"}, "/does/not/exist"},
		{[]string{"put", "a", "--file=/"}, "is a directory"},
		{[]string{"put", "", "1"}, "must not be empty"},
		{[]string{"put", "a", "1", "--w=2"}, "w=2"},
		{[]string{"put", "a", "1", "--ttl=-1s"}, "--ttl"},
		{[]string{"put", "a", "1", "--context=!"}, "--context"},
		{[]string{"put", strings.Repeat("k", 5000), "1"}, "too_large"},
		{[]string{"get", "a", "--r=none"}, "level"},
		{[]string{"get", "?", "--key-base64"}, "is not base64"},
		{[]string{"del", "a", "b", "--context=AA"}, "a context is of one key"},
		{[]string{"scan", "--limit=-1"}, "--limit"},
		{[]string{"load", "-", "--batch=0"}, "--batch"},
		{[]string{"load", "-", "--concurrency=0"}, "--concurrency"},
		{[]string{"load", "-", "--line-bytes-max=lots"}, "--line-bytes-max"},
		{[]string{"load", "/does/not/exist"}, "/does/not/exist"},
		{[]string{"dump", "--file=/does/not/exist/x"}, "/does/not/exist"},
		{[]string{"get", "a", "--timeout=0s"}, "--timeout"},
	} {
		if got := s.run("", tc.args...); got.code != exitUsage || !strings.Contains(got.stderr, tc.want) || got.stdout != "" {
			t.Errorf("%.60q: %+v, want %s", tc.args, got, tc.want)
		}
	}
	if got := runCLI(t, nil, "", "get", "a", "--addr=nowhere"); got.code != exitUsage || !strings.Contains(got.stderr, "nowhere") {
		t.Errorf("%+v", got)
	}
}

// listen takes a port for the length of the test.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestWhatANodeFindsWrongWithAnotherIsSaidOnce(t *testing.T) {
	for want, m := range map[string]client.MemberStatus{
		"":                             {ID: "n2", Reachable: true, Liveness: "alive"},
		"cannot reach n2: gone":        {ID: "n2", Reason: "gone"},
		"cannot reach n2: gone (dead ": {ID: "n2", Reason: "gone", Liveness: "dead", LivenessSince: 1700000000123},
		"finds n2 slow":                {ID: "n2", Reachable: true, Slow: true, Liveness: "suspect"},
		"holds for unseen since 2023-11-14T22:13:20Z": {ID: "n2", Reachable: true, Liveness: "unseen", LivenessSince: 1700000000123},
	} {
		if got := complaintOf(m); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%+v: %q, want %q", m, got, want)
		}
	}
}
