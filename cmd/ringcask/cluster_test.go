package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/convergence"
	"github.com/ringcask/ringcask/internal/wire"
)

// fakeMembers are members that say the same of two partitions, before change, which is handed the number of the look.
func fakeMembers(t *testing.T, change func(look int, r *wire.PartitionsReport)) *survey {
	t.Helper()
	topology := &client.Topology{Partitions: 2, Replicas: 2, Table: [][]int{{0, 1}, {1, 0}}}
	for _, id := range []string{"n1", "n2"} {
		var looks atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			report := &wire.PartitionsReport{Node: id}
			for p := range 2 {
				report.Partitions = append(report.Partitions, wire.PartitionReport{
					Partition: p, Filled: true, Tree: "stands", Root: "aa", Rule: "11", Keys: 10, Peers: []wire.PairReport{{ID: "other"}},
				})
			}
			if r.URL.String() != "/admin/partitions?sizes=false" {
				http.NotFound(w, r)
				return
			}
			change(int(looks.Add(1)), report)
			_ = json.NewEncoder(w).Encode(report) // who asked is gone
		}))
		t.Cleanup(server.Close)
		topology.Members = append(topology.Members, client.TopologyMember{ID: id, HTTP: strings.TrimPrefix(server.URL, "http://")})
	}
	admin := newAdminClient(5 * time.Second)
	t.Cleanup(admin.close)
	return &survey{topology: func(context.Context) (*client.Topology, error) { return topology, nil }, admin: admin}
}

func converged(ps []convergence.Partition) bool { return len(leftOf(ps)) == 0 }

func TestASurveyIsRepeatedUntilItIsDone(t *testing.T) {
	t.Parallel()
	s := fakeMembers(t, func(look int, r *wire.PartitionsReport) {
		if r.Node == "n1" && look < 3 {
			r.Partitions[1].Root = "bb"
		}
		r.Paused = r.Node == "n2"
	})
	last, err := s.until(t.Context(), time.Minute, converged)
	if err != nil || !converged(last) || s.pausedNote() != "exchanges are paused on n2" {
		t.Errorf("%+v, %v, %q", last, err, s.pausedNote())
	}
}

func TestASurveyThatFindsADifferenceToTheEndNamesIt(t *testing.T) {
	t.Parallel()
	s := fakeMembers(t, func(_ int, r *wire.PartitionsReport) {
		if r.Node == "n2" {
			r.Partitions[1].Root, r.Partitions[1].Keys = "bb", 11
		}
	})
	last, err := s.until(t.Context(), 0, converged)
	if err != nil {
		t.Fatal(err)
	}
	for _, output := range []string{"human", "json"} {
		var out strings.Builder
		v := verifyCommand{outputFlags: outputFlags{Output: output}}
		err := v.print(&app{stdout: &out}, s, last)
		if exitCode(err) != exitCluster || !strings.Contains(err.Error(), "of 2 partitions 1 differ, 0 cannot") {
			t.Errorf("%v", err)
		}
		for _, want := range []string{"n1", "n2", "11", "bb"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s does not name %s", out.String(), want)
			}
		}
		out.Reset()
		w := waitConvergedCommand{outputFlags: outputFlags{Output: output}}
		if err := w.print(&app{stdout: &out}, s, last, time.Second); exitCode(err) != exitCluster || !strings.Contains(err.Error(), "1 of 2 partitions have not converged after 1s") {
			t.Errorf("%v, %s", err, out.String())
		}
	}
}

func TestHintsThatAreLeftAreWaitedForAndNamed(t *testing.T) {
	t.Parallel()
	s := fakeMembers(t, func(look int, r *wire.PartitionsReport) {
		if r.Node == "n1" && look == 1 {
			r.Hints = []wire.HintTarget{{Node: "n2", Count: 3, LastError: "busy"}, {Node: "n3", Needs: 2}}
		}
	})
	last, err := s.look(t.Context())
	if err != nil || !converged(last) {
		t.Fatalf("%+v, %v", last, err)
	}
	w := waitConvergedCommand{outputFlags: outputFlags{Output: "human"}}
	var out strings.Builder
	err = w.print(&app{stdout: &out}, s, last, time.Second)
	const want = "n1 keeps hints for n2: 3, not taken: busy\nn1 dropped hints for n3: partitions to exchange in their place: 2\n"
	if exitCode(err) != exitCluster || err.Error() != "hints are left after 1s" || out.String() != want {
		t.Errorf("%v, %s", err, out.String())
	}
	out.Reset()
	w.Output = "json"
	err = w.print(&app{stdout: &out}, s, last, time.Second)
	if !strings.Contains(out.String(), `"converged":false`) || !strings.Contains(out.String(), "n1 keeps hints for n2: 3") || exitCode(err) != exitCluster {
		t.Errorf("%v, %s", err, out.String())
	}
	out.Reset()
	if last, err = s.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.print(&app{stdout: &out}, s, last, time.Second); err != nil || !strings.Contains(out.String(), `"hints":[]`) {
		t.Errorf("%v, %s", err, out.String())
	}
}

func TestAKeysHintsAreShownOnWhoeverKeepsThem(t *testing.T) {
	t.Parallel()
	topology := &client.Topology{Partitions: 1, Replicas: 1, Table: [][]int{{0}}}
	for _, report := range []*wire.KeyReport{
		{Node: "n1", State: "held", Hints: []wire.KeyHint{{Node: "n9", Since: 1_700_000_000_000, Bytes: 120}}},
		{Node: "n2", State: "absent", Hints: []wire.KeyHint{{Node: "n8", Counted: true, Bytes: 1}}},
		{Node: "n3", State: "absent", HintsError: "a bad disk"},
		{Node: "n4", State: "absent"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(report) // who asked is gone
		}))
		t.Cleanup(server.Close)
		topology.Members = append(topology.Members, client.TopologyMember{
			ID: report.Node, HTTP: strings.TrimPrefix(server.URL, "http://"),
		})
	}
	topology.Members = append(topology.Members, client.TopologyMember{ID: "n5"})
	admin := newAdminClient(5 * time.Second)
	t.Cleanup(admin.close)
	x := explanation{key: []byte("k"), topology: topology}
	x.ask(t.Context(), admin)
	var human, lines strings.Builder
	if err := errors.Join(x.print(&human), x.printJSON(&lines), x.silent()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"hint for n9: since 2023-11-14T22:13:20Z, 120 bytes\n", "n2 is no replica\n  hint for n8: ", "1 byte, a copy that a sloppy write counted",
		"n3 is no replica\n  its hints cannot be told: a bad disk", "n5 is no replica, and does not answer: it may keep hints. its address",
	} {
		if !strings.Contains(human.String(), want) {
			t.Errorf("%s does not say %q", human.String(), want)
		}
	}
	if strings.Contains(human.String(), "n4 is") || !strings.Contains(lines.String(), `"others":[{"node":"n2","report"`) {
		t.Errorf("%s%s", human.String(), lines.String())
	}
}

func TestAMemberThatIsGoneIsAskedAgainWhereItIsKnownToBe(t *testing.T) {
	t.Parallel()
	s := fakeMembers(t, func(int, *wire.PartitionsReport) {})
	known, err := s.topology(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	addr := known.Members[1].HTTP
	known.Members[1].HTTP = ""
	first, err := s.look(t.Context())
	if err != nil || first[0].State != convergence.Unknown || !strings.Contains(first[0].Reasons[0], "n2 does not answer: its address is not known") {
		t.Errorf("%+v, %v", first, err)
	}
	known.Members[1].HTTP = addr
	s.topology = func(context.Context) (*client.Topology, error) { return nil, errors.New("nobody answers") }
	if second, err := s.look(t.Context()); err != nil || second[0].State != convergence.Equal {
		t.Errorf("%+v, %v", second, err)
	}
	s.known = nil
	if _, err := s.look(t.Context()); err == nil {
		t.Error("no topology, and no error")
	}
}

func TestWhatANodeRefusesIsSaid(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"error":{"code":"unavailable","message":"engine is closed"}}`: "unavailable: engine is closed",
		`<html>`: "503 Service Unavailable",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(body)) // who asked is there
		}))
		admin := newAdminClient(5 * time.Second)
		_, err := fetch[wire.KeyReport](t.Context(), admin, strings.TrimPrefix(server.URL, "http://"), "/admin/key/k")
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", body, err)
		}
		admin.close()
		server.Close()
	}
}

func TestAClusterOfOneAgreesWithItself(t *testing.T) {
	t.Parallel()
	s := shell{t, singleNode(t)}
	s.want("", "", "put", "a", "hello")
	if got := runCLI(t, nil, "", "cluster", "wait-converged", "--addr="+s.addr, "--timeout=30s"); got.code != exitDone || got.stdout != "converged: 256 partitions are equal on all replicas, and no hints are left\n" {
		t.Errorf("%+v", got)
	}
	if got := runCLI(t, nil, "", "cluster", "verify", "--addr="+s.addr); got.code != exitDone || got.stdout != "256 partitions are equal on all replicas, with 1 key\n" {
		t.Errorf("%+v", got)
	}
	got := runCLI(t, nil, "", "cluster", "verify", "--addr="+s.addr, "-o", "json")
	if o := jsonLines(t, got); got.code != exitDone || len(o) != 1 || o[0]["equal"] != true {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{{"--wait=-1s"}, {"--timeout=0s"}} {
		if got := runCLI(t, nil, "", append([]string{"cluster", "verify", "--addr=" + s.addr}, args...)...); got.code != exitUsage {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if got := s.run("", "explain", "a"); got.code != exitDone || !strings.Contains(got.stdout, "n1: held\n") || !strings.Contains(got.stdout, "a value of 5 bytes") || !strings.Contains(got.stdout, "kept: ") {
		t.Errorf("%+v", got)
	}
	if got := s.run("", "explain", "/wA=", "--key-base64"); got.code != exitDone || !strings.Contains(got.stdout, "absent: nothing is stored") {
		t.Errorf("%+v", got)
	}
	o := jsonLines(t, s.run("", "explain", "a", "-o", "json"))
	if len(o) != 1 || o[0]["key"] != "a" || len(o[0]["replicas"].([]any)) != 1 || len(o[0]["preference"].([]any)) != 1 {
		t.Errorf("%v", o)
	}
}

func TestStatusShowsHowFarReplicationHasCome(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	r := wire.ReplicationStatus{
		Partitions: 7, Unfilled: 2, UnderReplicatedSince: now.Add(-90 * time.Second).UnixMilli(), UnderReplicatedWhy: "partition 3 is not filled",
		Healing: 2, Paused: true,
		Peers: []wire.ExchangeStatus{
			{ID: "n2", Needs: 1, Never: 2, OldestComplete: now.Add(-time.Minute).UnixMilli(), NewestComplete: now.Add(-time.Second).UnixMilli()},
			{ID: "n3", Needs: 3, OldestComplete: now.Add(-time.Hour).UnixMilli(), NewestComplete: now.Add(-time.Minute).UnixMilli()},
			{ID: "n4", Never: 1},
		},
	}
	var out strings.Builder
	answers := []answer{{err: errNotMet}, {status: &client.Status{Node: "alone"}}, {status: &client.Status{Node: "n1", Replication: r}}}
	if err := printReplication(&out, answers, now); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || strings.Join(strings.Fields(lines[1]), " ") != "n1 7 2 0 0 4 3 1h0m0s 1s 1m30s" {
		t.Errorf("%s", out.String())
	}
	said := strings.Join(replicationComplaints(&r, now), "; ")
	for _, want := range []string{"1m30s ago", "partition 3 is not filled", "2 keys cannot be read", "exchanges are paused"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q does not say %q", said, want)
		}
	}
	if said := replicationComplaints(new(wire.ReplicationStatus), now); len(said) > 0 {
		t.Errorf("%q", said)
	}
}

// jsonLines are the objects that a command printed.
func jsonLines(t *testing.T, got ran) (objects []map[string]any) {
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
