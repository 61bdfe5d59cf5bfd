package httpgw

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/ringcask/ringcask/internal/wire"
)

// report reads an answer that must be there.
func report[T any](f *fixture, method, target string) (got T) {
	f.t.Helper()
	w := f.do(method, target, "")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 {
		f.t.Fatalf("%s %s answered %d %s, %v", method, target, w.Code, w.Body, err)
	}
	return got
}

func TestThePartitionsOfANodeCanBeSeen(t *testing.T) {
	f := newFixture(t)
	if got := report[wire.PartitionsReport](f, "GET", "/admin/partitions"); len(got.Partitions) != 3 || got.SizesAt == 0 || got.Node != "n1" {
		t.Errorf("%+v", got)
	}
	got := report[wire.PartitionsReport](f, "GET", "/admin/partitions?partition=2&sizes=false")
	if len(got.Partitions) != 1 || got.Partitions[0].Partition != 2 || got.SizesAt != 0 || f.node.sized != 1 {
		t.Errorf("%+v", got)
	}
	f.refuse("not_found", "partition 7", "GET", "/admin/partitions?partition=7", "")
	for target, says := range map[string]string{
		"partition=-1": "partition", "partition=x": "partition", "sizes=1": "neither true nor false", "size=true": "unknown parameter",
		"partition=1&partition=2": "twice", "%zz": "query",
	} {
		f.refuse("bad_request", says, "GET", "/admin/partitions?"+target, "")
	}
	f.refuse("bad_request", "method", "POST", "/admin/partitions", "")
}

func TestANodeTellsWhatItHoldsOfAKey(t *testing.T) {
	f := newFixture(t)
	if got := report[wire.KeyReport](f, "GET", "/admin/key/a%2Fb/c%00"); got.State != "held" || got.Leaf != len("a/b/c\x00") {
		t.Errorf("%+v", got)
	}
	f.refuse("bad_request", "empty key", "GET", "/admin/key/", "")
	f.refuse("bad_request", "unknown parameter", "GET", "/admin/key/k?r=1", "")
	f.refuse("bad_request", "method", "DELETE", "/admin/key/k", "")
	f.refuse("not_found", "/admin/partitions", "GET", "/admin/key", "")
	f.node.keyErr = errors.New("engine is closed")
	f.refuse("unavailable", "engine is closed", "GET", "/admin/key/k", "")
}

func TestExchangesAreBegunPausedAndResumed(t *testing.T) {
	f := newFixture(t)
	if got := report[wire.ExchangeReport](f, "POST", "/admin/exchange?pause=true"); !got.Paused || f.node.hurried != 0 {
		t.Errorf("paused: %+v", got)
	}
	if got := report[wire.ExchangeReport](f, "POST", "/admin/exchange"); !got.Paused || f.node.hurried != 1 {
		t.Errorf("begun: %+v", got)
	}
	if got := report[wire.ExchangeReport](f, "POST", "/admin/exchange?pause=false"); got.Paused {
		t.Errorf("resumed: %+v", got)
	}
	f.refuse("bad_request", "pause", "POST", "/admin/exchange?pause=yes", "")
	f.refuse("bad_request", "unknown parameter", "POST", "/admin/exchange?paused=true", "")
	f.refuse("bad_request", "method", "GET", "/admin/exchange?pause=true", "")
}
