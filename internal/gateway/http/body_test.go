package httpgw

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/internal/wire"
)

func TestTheContentTypeSaysHowABodyIsRead(t *testing.T) {
	const body = `{"value":"v"}`
	for contentType, want := range map[string]string{
		"application/json":                  "v",
		"application/json; charset=utf-8":   "v",
		"Application/JSON":                  "v",
		"":                                  "v",
		"application/x-www-form-urlencoded": "v",
		raw:                                 body,
	} {
		f := newFixture(t)
		header := []string{"Content-Type", contentType}
		if contentType == "" {
			header = nil
		}
		f.want(200, "PUT", "/kv/k", body, header...)
		if got, _ := f.store.value("k"); got != want {
			t.Errorf("%q stored %q, want %q", contentType, got, want)
		}
	}
	f := newFixture(t)
	f.refuse("bad_request", "text/plain", "PUT", "/kv/k", body, "Content-Type", "text/plain")
	f.refuse("bad_request", "Content-Type", "PUT", "/kv/k", body, "Content-Type", "a b;;")
}

func TestABodyThatIsNotJSONIsRefusedWithAWordOnRawBodies(t *testing.T) {
	f := newFixture(t)
	form := "application/x-www-form-urlencoded"
	f.refuse("bad_request", "application/octet-stream", "PUT", "/kv/k", "hello", "Content-Type", form)
	f.refuse("bad_request", "application/octet-stream", "PUT", "/kv/k", "a=b", "Content-Type", form)
	f.refuse("bad_request", "application/octet-stream", "PUT", "/kv/k", "\xff\xfe", "Content-Type", form)
	f.refuse("bad_request", "ends too early", "PUT", "/kv/k", "")
}

func TestAMistypedBodyIsToldInWordsOfJSON(t *testing.T) {
	f := newFixture(t)
	for _, tc := range []struct{ method, path, body, says string }{
		{"PUT", "/kv/k", `{"value":5}`, `"value" must be a string, not number`},
		{"PUT", "/kv/k", `[]`, `it must be an object, not array`},
		{"POST", "/kv/batch", `[]`, `it must be an object, not array`},
		{"POST", "/kv/batch", `{"operations":[{"type":"put","key":"a","value":"1"},{"type":"put","key":5,"value":"1"}]}`, `operation 1: "key" must be a string, not number`},
	} {
		f.refuse("bad_request", tc.says, tc.method, tc.path, tc.body, "Content-Type", "application/json")
	}
}

func TestJSONThatWouldStoreAnotherValueThanWasSentIsRefused(t *testing.T) {
	f := newFixture(t)
	for body, says := range map[string]string{
		"{\"value\":\"a\xffb\"}":              "UTF-8",
		`{"value":"\ud800"}`:                  "surrogate",
		`{"value":"x\udc00y"}`:                "surrogate",
		`{"value":"\ud800\ud800"}`:            "surrogate",
		`{"value":"\ud83dA"}`:                 "surrogate",
		`{"value":"a"} {"value":"b"}`:         "follows",
		`{"value":"a"}x`:                      "follows",
		`{"value":"a","value_base64":"YQ=="}`: "both",
		`{"value":5}`:                         "number",
		`{"value":null}`:                      "missing",
		`{}`:                                  "missing",
		`[]`:                                  "array",
		`"a"`:                                 "string",
		`{"value":"a","ttl":5}`:               "ttl",
		`{"value_base64":"%%"}`:               "base64",
		`{"value_base64":"YQ"}`:               "base64",
		`{"value":"a"`:                        "early",
		"{\"value\":\"a\nb\"}":                "invalid character",
		`{"value":{"a":1}}`:                   "object",
		strings.Repeat("[", 20000):            "JSON",
		`{"x":` + strings.Repeat("[", 20000) + `}}`: "JSON",
	} {
		f.refuse("bad_request", says, "PUT", "/kv/k", body, "Content-Type", "application/json")
	}
	for body, want := range map[string]string{
		`{"value":"\ud83d\ude00"}`:     "😀",
		`{"value":"\\ud800"}`:          `\ud800`,
		`{"value":"\u0000\u00e4\""}`:   "\x00ä\"",
		`{"value":"\ufffd"}`:           "\ufffd",
		" {\"value\" : \"a\"}\r\n\t ":  "a",
		`{"value":"\\\ud83d\ude00\\"}`: "\\😀\\",
	} {
		f.want(200, "PUT", "/kv/k", body)
		if got, _ := f.store.value("k"); got != want {
			t.Errorf("%s stored %q, want %q", body, got, want)
		}
	}
}

func TestAnyValueComesBackAsItWasSent(t *testing.T) {
	f := newFixture(t)
	rapid.Check(t, func(r *rapid.T) {
		value := string(rapid.SliceOf(rapid.Byte()).Draw(r, "value"))
		if rapid.Bool().Draw(r, "text") {
			value = rapid.String().Draw(r, "text value")
		}
		body, contentType := value, raw
		if utf8.ValidString(value) && rapid.Bool().Draw(r, "json") {
			encoded, err := json.Marshal(map[string]string{"value": value})
			if err != nil {
				r.Fatal(err)
			}
			body, contentType = string(encoded), "application/json"
		}
		f.want(200, "PUT", "/kv/k", body, "Content-Type", contentType)
		got := f.want(200, "GET", "/kv/k", "")
		back := string(got.ValueBase64)
		if got.Value != nil {
			back = *got.Value
		}
		if back != value || (got.Value != nil) != utf8.ValidString(value) {
			r.Fatalf("%q came back as %q", value, back)
		}
	})
}

func TestBodiesPastTheLimitAreRefused(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.ValueBytesMax = 1000 })
	f.refuse("too_large", "1001 bytes", "PUT", "/kv/k", strings.Repeat("x", 1001), "Content-Type", raw)
	f.refuse("too_large", "1001 bytes", "PUT", "/kv/k", `{"value":"`+strings.Repeat("x", 1001)+`"}`)
	f.want(200, "PUT", "/kv/k", strings.Repeat("x", 1000), "Content-Type", raw)
	f.want(200, "PUT", "/kv/k", `{"value":"`+strings.Repeat("x", 1000)+`"}`)
	// Without a declared length the limit is met while reading.
	for n, status := range map[int]int{1000: 200, 1001: 413, 100_000: 413} {
		r := request("PUT", "/kv/k", io.NopCloser(strings.NewReader(strings.Repeat("x", n))), "Content-Type", raw)
		r.ContentLength = -1
		if w := serve(f, r); w.Code != status {
			t.Errorf("%d bytes of no declared length: %d %s", n, w.Code, w.Body)
		}
	}
}

func TestABodyTakesNoMoreMemoryThanWhatArrived(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.ValueBytesMax = 1 << 30 })
	r := request("PUT", "/kv/k", iotest.ErrReader(io.ErrUnexpectedEOF), "Content-Type", raw)
	r.ContentLength = 1 << 30
	var w int
	if n := allocated(func() { w = serve(f, r).Code }); n > 1<<20 {
		t.Errorf("a declared gigabyte took %d bytes", n)
	}
	if w != 400 {
		t.Errorf("answered %d", w)
	}
}

func TestABodyCountsInAdmissionAsItArrives(t *testing.T) {
	f := newFixture(t)
	r := request("PUT", "/kv/k", io.LimitReader(zeros{}, 20<<20), "Content-Type", raw)
	r.ContentLength = -1
	f.opt.ValueBytesMax = 64 << 20
	if w := serve(f, r); w.Code != 503 || decode(t, w.Body.Bytes()).Error.Code != wire.CodeOverloaded.String() {
		t.Errorf("20 MiB where 16 are admitted: %d %s", w.Code, w.Body)
	}
	if s := f.adm.Status(); s.InFlightBytes != 0 {
		t.Errorf("left %+v", s)
	}
}

func TestAGetCountsWhatItAnswers(t *testing.T) {
	f := newFixture(t)
	f.store.put("k", strings.Repeat("x", 9<<20))
	if w := f.do("GET", "/kv/k", ""); w.Code != 503 {
		t.Errorf("answered %d with twice 9 MiB where 16 are admitted", w.Code)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func FuzzBrokenSurrogate(f *testing.F) {
	for _, s := range []string{`"\ud800"`, `"\ud83d\ude00"`, `"\\ud800"`, `"\u00e4"`, `"\`, `"\ud800\u"`, `"\uDBFF\uDFFF\uDC00"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		broken := brokenSurrogate(body)
		var decoded string
		if !utf8.Valid(body) || json.Unmarshal(body, &decoded) != nil {
			return
		}
		// What the decoder replaced shows as U+FFFD that the body does not have in any spelling.
		spelled := strings.ContainsRune(string(body), utf8.RuneError) || strings.Contains(strings.ToLower(string(body)), "fffd")
		if strings.ContainsRune(decoded, utf8.RuneError) != broken && !spelled {
			t.Fatalf("%q decodes to %q, broken: %v", body, decoded, broken)
		}
	})
}
