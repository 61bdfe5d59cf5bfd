package httpgw

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
)

const raw = "application/octet-stream"

func TestAKeyIsWhateverFollowsThePrefixAndNoPathIsCleaned(t *testing.T) {
	for _, c := range []struct{ path, key string }{
		{"/kv/a", "a"},
		{"/kv/debian/bookworm/0ad", "debian/bookworm/0ad"},
		{"/kv/a%2Fb", "a/b"},
		{"/kv/a//b", "a//b"},
		{"/kv//", "/"},
		{"/kv/a/../b", "a/../b"},
		{"/kv/./..", "./.."},
		{"/kv/..%2f..%2fetc", "../../etc"},
		{"/kv/a/", "a/"},
		{"/kv/%00%ff%C3%A4", "\x00\xff\xc3\xa4"},
		{"/kv/a+b%2Bc%20d", "a+b+c d"},
		{"/kv/100%25", "100%"},
		{"/kv/a%3Fb=c%23d", "a?b=c#d"},
		{"/kv/a;b,c:d@e!$&'()*=", "a;b,c:d@e!$&'()*="},
		{"/kv/range", "range"},
		{"/kv/batch", "batch"},
		{"/kv/range/a", "range/a"},
		{"/kv/kv/", "kv/"},
	} {
		f := newFixture(t)
		f.want(200, "PUT", c.path, "v", "Content-Type", raw)
		if v, found := f.store.value(c.key); !found || v != "v" {
			t.Errorf("PUT %s did not write %q", c.path, c.key)
		}
		if w := f.do("GET", c.path, "", "Accept", raw); w.Code != 200 || w.Body.String() != "v" {
			t.Errorf("GET %s answered %d %s", c.path, w.Code, w.Body)
		}
		f.want(200, "DELETE", c.path, "")
		f.want(404, "GET", c.path, "")
	}
}

func TestAKeyThatIsEmptyOrTooLongIsRefused(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.KeyBytesMax = 10 })
	f.refuse("bad_request", "empty key", "GET", "/kv/", "")
	f.refuse("bad_request", "empty key", "PUT", "/kv/", "v", "Content-Type", raw)
	f.refuse("too_large", "11 bytes", "GET", "/kv/"+strings.Repeat("%61", 11), "")
	f.want(404, "GET", "/kv/"+strings.Repeat("%61", 10), "")
}

func TestOtherPathsAreNotKeys(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{"/", "/kv", "/kvx", "/KV/a", "//kv/a", "/%6bv/a", "/kv%2Fa", "/status/x", "/x/../kv/a"} {
		if w := f.do("GET", path, ""); w.Code != 404 || f.store.read != nil {
			t.Errorf("GET %s answered %d %s", path, w.Code, w.Body)
		}
	}
}

func TestGetAnswersKeyValueContextAndSiblings(t *testing.T) {
	f := newFixture(t)
	put := f.want(200, "PUT", "/kv/k", `{"value":"grün \"<&>\" \n\u0001 end"}`)
	if put.Context == "" || put.Receipt == nil || len(put.Receipt.Replicas) != 2 || put.Receipt.Replicas[0] != "n1" ||
		!strings.HasPrefix(put.Receipt.Dot, "000000a1b2c3@") {
		t.Fatalf("PUT answered %+v", put)
	}
	w := f.do("GET", "/kv/k", "")
	got := decode(t, w.Body.Bytes())
	if *got.Key != "k" || *got.Value != "grün \"<&>\" \n\x01 end" || got.Siblings != 1 || got.Context != put.Context {
		t.Errorf("GET answered %s", w.Body)
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
}

func TestValuesThatAreNotUTF8TravelInBase64(t *testing.T) {
	f := newFixture(t)
	f.want(200, "PUT", "/kv/%ff", `{"value_base64":"/wCA"}`, "Content-Type", "application/json")
	got := f.want(200, "GET", "/kv/%ff", "")
	if string(got.ValueBase64) != "\xff\x00\x80" || string(got.KeyBase64) != "\xff" || got.Value != nil || got.Key != nil {
		t.Errorf("GET answered %+v", got)
	}
	if w := f.do("GET", "/kv/%ff", "", "Accept", raw); w.Body.String() != "\xff\x00\x80" || w.Header().Get("Content-Type") != raw {
		t.Errorf("raw GET answered %q", w.Body)
	}
}

func TestEmptyValuesAreValues(t *testing.T) {
	f := newFixture(t)
	f.want(200, "PUT", "/kv/a", "", "Content-Type", raw)
	f.want(200, "PUT", "/kv/b", `{"value":""}`)
	for _, path := range []string{"/kv/a", "/kv/b"} {
		if got := f.want(200, "GET", path, ""); got.Value == nil || *got.Value != "" {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestARawGetSaysInHeadersWhatJSONSaysInMembers(t *testing.T) {
	f := newFixture(t)
	put := f.want(200, "PUT", "/kv/k", "v", "Content-Type", raw)
	w := f.do("GET", "/kv/k", "", "Accept", "text/html;q=0.9, "+raw+";q=0.8")
	if w.Body.String() != "v" || w.Header().Get(headerContext) != put.Context || w.Header().Get(headerSiblings) != "1" ||
		w.Header().Get("Content-Length") != "1" {
		t.Errorf("answered %q with %v", w.Body, w.Header())
	}
}

func TestAcceptTakesTheGreatestWeight(t *testing.T) {
	f := newFixture(t)
	f.store.put("k", "v")
	for accept, want := range map[string]string{
		"":                                    "application/json",
		"*/*":                                 "application/json",
		"text/html":                           "application/json",
		raw:                                   raw,
		raw + ";q=0":                          "application/json",
		raw + ", application/json":            raw,
		"application/json;q=0.5, " + raw:      raw,
		"application/json, " + raw + ";q=0.9": "application/json",
		"APPLICATION/OCTET-STREAM":            raw,
		raw + ";q=x, ;;;,":                    "application/json",
	} {
		if got := f.do("GET", "/kv/k", "", "Accept", accept).Header().Get("Content-Type"); got != want {
			t.Errorf("Accept %q got %s, want %s", accept, got, want)
		}
	}
}

func TestHeadAnswersWhatGetWouldWithoutTheBody(t *testing.T) {
	f := newFixture(t)
	f.store.put("k", "value")
	for _, accept := range []string{"", raw} {
		get, head := f.do("GET", "/kv/k", "", "Accept", accept), f.do("HEAD", "/kv/k", "", "Accept", accept)
		if head.Code != 200 || head.Body.Len() != 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
			t.Errorf("HEAD answered %d %q %v", head.Code, head.Body, head.Header())
		}
	}
	if w := f.do("HEAD", "/kv/other", ""); w.Code != 404 || w.Body.Len() != 0 || w.Header().Get(headerContext) == "" {
		t.Errorf("HEAD of nothing answered %d %q", w.Code, w.Body)
	}
}

func TestAbsentKeysAnswer404WithTheContextOfTheirTombstone(t *testing.T) {
	f := newFixture(t)
	never := f.want(404, "GET", "/kv/k", "")
	if never.Error.Code != "not_found" || never.Context == "" || never.Siblings != 0 || *never.Key != "k" {
		t.Errorf("never written: %+v", never)
	}
	f.store.put("k", "v")
	deleted := f.want(200, "DELETE", "/kv/k", "")
	gone := f.want(404, "GET", "/kv/k", "")
	if gone.Siblings != 1 || gone.Context != deleted.Context || deleted.Receipt == nil {
		t.Errorf("deleted: %+v after %+v", gone, deleted)
	}
	f.want(200, "DELETE", "/kv/never", "")
}

func TestAContextReachesTheStoreAsItWasHandedOut(t *testing.T) {
	f := newFixture(t)
	cc := f.want(200, "PUT", "/kv/k", `{"value":"1"}`).Context
	f.want(200, "PUT", "/kv/k?context="+cc, `{"value":"2"}`)
	if !f.store.write.Ops[0].HasContext || len(f.store.write.Ops[0].Context) != 1 {
		t.Errorf("store got %+v", f.store.write.Ops[0])
	}
	if f.node.observed == 0 {
		t.Error("the clock was not told of the context")
	}
	f.want(200, "DELETE", "/kv/k?context="+cc+"==", "")
	if !f.store.write.Ops[0].HasContext {
		t.Error("padding is not accepted")
	}
	never := f.want(404, "GET", "/kv/new", "").Context
	f.want(200, "PUT", "/kv/new?context="+never, `{"value":"1"}`)
	if op := f.store.write.Ops[0]; !op.HasContext || len(op.Context) != 0 {
		t.Errorf("the context of a key that never was reached the store as %+v", op)
	}
	f.node.ahead = 1
	f.refuse("bad_request", "ahead", "PUT", "/kv/k?context="+cc, `{"value":"3"}`)
}

func TestTwoWritersWithOneContextLeaveSiblingsThatTheirJointContextResolves(t *testing.T) {
	f := newFixture(t)
	cc := f.want(200, "PUT", "/kv/k", `{"value":"0"}`).Context
	f.want(200, "PUT", "/kv/k?context="+cc, `{"value":"1"}`)
	f.want(200, "PUT", "/kv/k?context="+cc, `{"value":"2"}`)
	plain := f.want(200, "GET", "/kv/k", "")
	if plain.Siblings != 2 || *plain.Value != "2" {
		t.Fatalf("plain get: %+v", plain)
	}
	all := f.want(200, "GET", "/kv/k?siblings=true", "")
	if len(all.Values) != 2 || all.Values[0]["value"] != "1" || all.Values[1]["value"] != "2" || all.Value != nil {
		t.Fatalf("all siblings: %+v", all)
	}
	f.want(200, "PUT", "/kv/k?context="+all.Context, `{"value":"both"}`)
	if got := f.want(200, "GET", "/kv/k", ""); got.Siblings != 1 || *got.Value != "both" {
		t.Errorf("after resolving: %+v", got)
	}
	f.refuse("bad_request", "JSON", "GET", "/kv/k?siblings=true", "", "Accept", raw)
}

func TestASiblingBesideATombstoneIsShownOnRequestOnly(t *testing.T) {
	f := newFixture(t)
	cc := f.want(200, "PUT", "/kv/k", `{"value":"0"}`).Context
	f.want(200, "PUT", "/kv/k?context="+cc, `{"value":"1"}`)
	f.want(200, "DELETE", "/kv/k?context="+cc, "")
	if got := f.want(404, "GET", "/kv/k", ""); got.Siblings != 2 {
		t.Errorf("plain get: %+v", got)
	}
	all := f.want(200, "GET", "/kv/k?siblings", "")
	if len(all.Values) != 2 || all.Values[0]["value"] != "1" || all.Values[1]["deleted"] != true {
		t.Errorf("all siblings: %+v", all.Values)
	}
}

func TestTimeToLiveCountsFromTheNodesClock(t *testing.T) {
	now := wall
	f := newFixture(t, func(o *Options) { o.Now = func() time.Time { return now } })
	f.want(200, "PUT", "/kv/k?ttl=90s", `{"value":"v"}`)
	if got := f.want(200, "GET", "/kv/k", ""); got.ExpiresAt != wall.Add(90*time.Second).UnixMilli() {
		t.Errorf("expires at %d", got.ExpiresAt)
	}
	f.want(200, "PUT", "/kv/m?ttl=1500", `{"value":"v"}`)
	if at := f.store.write.Ops[0].ExpiresAt; at != wall.Add(1500*time.Millisecond).UnixMilli() {
		t.Errorf("ttl in milliseconds: expires at %d", at)
	}
	now = wall.Add(90 * time.Second)
	if got := f.want(404, "GET", "/kv/k", ""); got.Siblings != 1 || got.Context == "" {
		t.Errorf("expired: %+v", got)
	}
}

func TestLevelsAndDeadlineReachTheStore(t *testing.T) {
	f := newFixture(t)
	before := time.Now()
	f.want(200, "PUT", "/kv/k?w=3&r=quorum&ordered=true&timeout=10s&sloppy=true", `{"value":"v"}`)
	req := f.store.write
	if req.W != 3 || req.R != coordinator.LevelQuorum || req.Ordered != wire.ChoiceYes || req.Sloppy != wire.ChoiceYes {
		t.Errorf("store got %+v", req)
	}
	const hints = `"hints":[{"for":"n3","at":"n4","counted":true},{"for":"n5","at":"n1","counted":false}],"dot":`
	if w := f.do("PUT", "/kv/k?sloppy=true", `{"value":"v"}`); !strings.Contains(w.Body.String(), hints) {
		t.Errorf("the answer %s does not have %s", w.Body, hints)
	}
	if left := req.Deadline.Sub(before); left < 9*time.Second || left > 11*time.Second {
		t.Errorf("deadline in %v", left)
	}
	f.want(200, "GET", "/kv/k?r=one&timeout=500", "")
	if left := f.store.read.Deadline.Sub(before); f.store.read.R != coordinator.LevelOne || left > 5*time.Second {
		t.Errorf("store got %+v", f.store.read)
	}
	f.want(200, "DELETE", "/kv/k?w=all", "")
	if f.store.write.W != coordinator.LevelAll || f.store.write.Ops[0].Kind != coordinator.OpDelete || f.store.write.Ordered != wire.ChoiceDefault {
		t.Errorf("store got %+v", f.store.write)
	}
}

func TestErrorsOfTheStoreAreToldWithTheirEffect(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		effect string
	}{
		{&coordinator.QuorumError{Op: "put", Need: 2, Got: 1, Effect: wire.EffectApplied}, 503, "quorum_not_met", "applied"},
		{&coordinator.WriteError{Effect: wire.EffectUnknown, Err: context.DeadlineExceeded}, 504, "timeout", "unknown"},
		{coordinator.ErrTooManySiblings, 409, "too_many_siblings", "none"},
		{coordinator.ErrOverloaded, 503, "overloaded", "none"},
		{errors.New("bug"), 500, "internal", "unknown"},
	} {
		f := newFixture(t)
		f.store.outcome = func(*coordinator.Op) error { return c.err }
		w := f.do("PUT", "/kv/k", `{"value":"v"}`)
		got := decode(t, w.Body.Bytes())
		if w.Code != c.status || got.Error.Code != c.code || got.Error.Effect != c.effect {
			t.Errorf("%v: answered %d %s", c.err, w.Code, w.Body)
		}
		if (got.Context != "") != (c.effect == "applied") {
			t.Errorf("%v: context %q", c.err, got.Context)
		}
		if c.code == "quorum_not_met" && (got.Error.Need != 2 || got.Error.Got != 1) {
			t.Errorf("need and got are not told: %s", w.Body)
		}
		if c.code == "overloaded" && (got.Error.RetryAfter != 0.1 || w.Header().Get("Retry-After") != "1") {
			t.Errorf("when to retry is not told: %s %v", w.Body, w.Header())
		}
		f.store.err = c.err
		read := decode(t, f.do("GET", "/kv/k", "").Body.Bytes())
		if read.Error.Code != c.code || read.Error.Effect != "none" {
			t.Errorf("read with %v: %+v", c.err, read.Error)
		}
	}
}

func TestRequestsPastAdmissionAreRefusedAtOnce(t *testing.T) {
	f := newFixture(t)
	for range 64 {
		if fault := f.adm.Acquire(1); fault != nil {
			t.Fatal(fault)
		}
	}
	serve := func(method, target string) (int, http.Header) {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, request(method, target, nil))
		return w.Code, w.Header()
	}
	for _, target := range []string{"/kv/k", "/kv/range?limit=1"} {
		if code, header := serve("GET", target); code != 503 || header.Get("Retry-After") != "2" {
			t.Errorf("GET %s answered %d %v", target, code, header)
		}
	}
	for _, target := range []string{"/health", "/ready", "/status", "/metrics"} {
		if code, _ := serve("GET", target); code != 200 {
			t.Errorf("GET %s answered %d under load", target, code)
		}
	}
}

func TestMethodsThatAreNotAllowedNameThoseThatAre(t *testing.T) {
	f := newFixture(t)
	for target, allow := range map[string]string{
		"/kv/k": "GET, HEAD, PUT, DELETE", "/kv/range": "GET, HEAD, PUT, DELETE", "/status": "GET, HEAD", "/metrics": "GET, HEAD",
	} {
		for _, method := range []string{"POST", "PATCH", "OPTIONS", "TRACE", "BREW"} {
			if w := f.do(method, target, ""); w.Code != 405 || w.Header().Get("Allow") != allow {
				t.Errorf("%s %s answered %d, Allow %q", method, target, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	if w := f.do("PATCH", "/kv/batch", ""); w.Header().Get("Allow") != "GET, HEAD, PUT, DELETE, POST" {
		t.Errorf("PATCH /kv/batch: Allow %q", w.Header().Get("Allow"))
	}
}

func TestSiblingsOfTheModelKeepTheirDots(t *testing.T) {
	f := newFixture(t)
	f.store.objects["k"] = causal.Object{
		Vector:   causal.Vector{{Actor: 1, Time: 5}, {Actor: 2, Time: 9}},
		Siblings: []causal.Sibling{{Dot: causal.Dot{Actor: 1, Time: 5}, Value: []byte("\xff")}, {Dot: causal.Dot{Actor: 2, Time: 9}, ExpiresAt: 1, Value: []byte("x")}},
	}
	all := f.want(200, "GET", "/kv/k?siblings=1", "")
	if all.Values[0]["value_base64"] != "/w==" || all.Values[0]["dot"] != (causal.Dot{Actor: 1, Time: 5}).String() ||
		all.Values[1]["deleted"] != true || all.Values[1]["expires_at"] != 1.0 {
		t.Errorf("got %+v", all.Values)
	}
}
