package httpgw

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
)

func TestParametersThatAreUnknownRepeatedOrInvalidAreRefusedByName(t *testing.T) {
	f := newFixture(t)
	damaged := causal.AppendVector(nil, causal.Vector{{Actor: 1, Time: 2}})
	damaged[5] ^= 1
	for _, c := range []struct{ query, says string }{
		{"bogus=1", `"bogus"`},
		{"R=1", `"R"`},
		{"limit=1", `"limit"`},
		{"partial=true", `"partial"`},
		{"=1", `""`},
		{"r=1&r=2", "r is given twice"},
		{"r=0", "parameter r="},
		{"r=", "parameter r="},
		{"r=-1", "parameter r="},
		{"w=some", "parameter w="},
		{"w=200", "parameter w="},
		{"ordered=yes", "parameter ordered="},
		{"siblings=2", "parameter siblings="},
		{"sloppy=maybe", "parameter sloppy="},
		{"timeout=0", "parameter timeout="},
		{"timeout=-1s", "at least a millisecond"},
		{"timeout=61s", "1m0s"},
		{"timeout=61000", "1m0s"},
		{"timeout=9223372036854775807", "1m0s"},
		{"timeout=soon", "parameter timeout="},
		{"timeout=NaN", "parameter timeout="},
		{"ttl=0s", "parameter ttl="},
		{"ttl=9999999999999999", "parameter ttl="},
		{"context=!", "base64"},
		{"context=", "context"},
		{"context=AQ", "no context that a node gave out"},
		{"context=" + base64.RawURLEncoding.EncodeToString(damaged), "checksum"},
		{"r=%zz", "parameter r"},
		{"%zz=1", "query"},
	} {
		f.refuse("bad_request", c.says, "PUT", "/kv/k?"+c.query, `{"value":"v"}`)
		f.refuse("bad_request", c.says, "GET", "/kv/k?"+c.query, "")
		f.refuse("bad_request", c.says, "POST", "/kv/batch?"+c.query, `{"operations":[{"type":"delete","key":"a"}]}`)
	}
}

func TestParametersOfEveryCallAreAcceptedOnEveryCall(t *testing.T) {
	f := newFixture(t)
	all := "?r=1&w=1&ordered=false&sloppy=true&timeout=1s&ttl=1h&siblings=false&&"
	f.want(200, "PUT", "/kv/k"+all, `{"value":"v"}`)
	f.want(200, "GET", "/kv/k"+all, "")
	f.want(200, "POST", "/kv/batch"+all, `{"operations":[{"type":"delete","key":"a"}]}`)
	f.want(200, "GET", "/kv/range"+all+"limit=1", "")
	f.want(200, "DELETE", "/kv/k"+all, "")
}

// FuzzRequest throws any target, header and body at the gateway: it always answers, with JSON where it should, and
// lets go of what it admitted.
func FuzzRequest(f *testing.F) {
	for _, target := range []string{
		"/kv/a", "/kv/%ff?r=1&w=2&timeout=1s&context=AQ", "/kv/range?start=a&end=b&limit=3&reverse", "/kv/range?cursor=AQAAAA",
		"/kv/batch", "/status", "/kv/range?prefix=%ff%ff&keys_only&siblings",
	} {
		f.Add("GET", target, "application/x-ndjson", "")
		f.Add("PUT", target, "application/json", `{"value":"\ud800"}`)
		f.Add("POST", target, "", `{"operations":[{"type":"put","key":"a","value_base64":"AA==","ttl":5}]}`)
		f.Add("DELETE", target, "application/octet-stream", "x")
	}
	fix := newFixture(f, func(o *Options) { o.ValueBytesMax, o.BatchBytesMax, o.BatchOpsMax = 1000, 2000, 10 })
	for _, key := range []string{"a", "b", "range", "\xff"} {
		fix.store.put(key, "value of "+key)
	}
	f.Fuzz(func(t *testing.T, method, target, contentType, body string) {
		r, ok := parseRequest(method, target, body)
		if !ok {
			t.Skip("net/http refuses it")
		}
		r.Header["Content-Type"], r.Header["Accept"] = []string{contentType}, []string{contentType}
		w := serve(fix, r)
		if w.Code < 200 || w.Code > 599 {
			t.Fatalf("status %d", w.Code)
		}
		if w.Header().Get("Content-Type") == "application/json" && method != "HEAD" && !strings.HasPrefix(target, "/status") {
			decode(t, w.Body.Bytes())
		}
		if s := fix.adm.Status(); s.InFlight != 0 || s.InFlightBytes != 0 {
			t.Fatalf("left %+v admitted", s)
		}
	})
}
