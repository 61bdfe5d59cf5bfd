package httpgw

import (
	"encoding/json"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ringcask/ringcask/internal/wire"
)

func TestReadyFollowsTheNodeAndHealthDoesNot(t *testing.T) {
	f := newFixture(t)
	if w := f.do("GET", "/ready", ""); w.Code != 200 {
		t.Errorf("ready: %d %s", w.Code, w.Body)
	}
	f.node.notReady = errors.New("2 of 3 members are not reachable")
	got := f.want(503, "GET", "/ready", "")
	if got.Error.Code != "unavailable" || !strings.Contains(got.Error.Message, "2 of 3") {
		t.Errorf("not ready: %+v", got.Error)
	}
	if w := f.do("GET", "/health", ""); w.Code != 200 || w.Body.String() != "{\"status\":\"ok\"}\n" {
		t.Errorf("health: %d %s", w.Code, w.Body)
	}
}

func TestStatusIsTheNodesInJSON(t *testing.T) {
	f := newFixture(t)
	var got wire.Status
	w := f.do("GET", "/status", "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Node != "n1" || got.Storage.Keys != 42 || len(got.Members) != 2 {
		t.Errorf("got %s, %v", w.Body, err)
	}
}

func TestMetricsShowRequestsAndTheNode(t *testing.T) {
	f := newFixture(t)
	f.want(200, "PUT", "/kv/k", `{"value":"v"}`)
	f.want(404, "GET", "/kv/none", "")
	f.want(400, "GET", "/kv/k?x=1", "")
	f.do("POST", "/kv/k", "")
	body := f.do("GET", "/metrics", "").Body.String()
	for _, line := range []string{
		`ringcask_http_request_seconds_count{code="ok",op="put"} 1`,
		`ringcask_http_request_seconds_count{code="not_found",op="get"} 1`,
		`ringcask_http_request_seconds_count{code="bad_request",op="get"} 1`,
		`ringcask_http_request_seconds_count{code="bad_request",op="other"} 1`,
		`ringcask_info{node="n1",version="test"} 1`,
		`ringcask_ready 1`,
		`ringcask_start_time_seconds 1.7e+09`,
		`ringcask_member_reachable{member="n1"} 1`,
		`ringcask_member_reachable{member="n2"} 0`,
		`ringcask_member_primaries{member="n1"} 3`,
		`ringcask_member_replicas{member="n1"} 7`,
		`ringcask_storage_keys 42`, `ringcask_storage_merge_held_writes_total 3`, `ringcask_storage_merge_held_seconds_total 1.5`,
		`ringcask_storage_read_only 1`,
		`ringcask_requests_in_flight 0`,
		`ringcask_requests_total 2`,
		`ringcask_requests_refused_total 0`,
		`ringcask_replication_partitions 7`,
		`ringcask_replication_partitions_unfilled 1`,
		`ringcask_replication_oldest_under_replicated_seconds 60`,
		`ringcask_replication_partitions_needing_repair{member="n2"} 2`,
		`ringcask_replication_partitions_never_exchanged{member="n2"} 3`,
		`ringcask_replication_oldest_exchange_seconds{member="n2"} 3600`,
		`ringcask_replication_keys_fetched_total 5`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("metrics have no line %q", line)
		}
	}
}

func TestEveryMetricIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t)
	f.want(404, "GET", "/kv/k", "")
	families, err := f.opt.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if !strings.Contains(string(page), "`"+family.GetName()+"`") {
			t.Errorf("docs/metrics.md does not name %s", family.GetName())
		}
	}
	known := make(map[string]bool)
	for _, family := range families {
		known[family.GetName()] = true
	}
	section, _, _ := strings.Cut(string(page), "\n## Other")
	for _, name := range regexp.MustCompile("`(ringcask_[a-z_]+)`").FindAllStringSubmatch(section, -1) {
		if !known[name[1]] {
			t.Errorf("docs/metrics.md names %s, which there is not", name[1])
		}
	}
}

func TestMetricsOfTheSameNameAreAnError(t *testing.T) {
	f := newFixture(t)
	opt := f.opt
	if _, err := New(opt); err == nil {
		t.Error("two gateways share a registry")
	}
	opt.Registry = prometheus.NewRegistry()
	if _, err := New(opt); err != nil {
		t.Error(err)
	}
	opt.Registry, opt.Store = nil, nil
	if _, err := New(opt); err == nil {
		t.Error("a gateway without a store")
	}
}
