package records

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRecordsAreDecodedByteForByte(t *testing.T) {
	for line, want := range map[string]Record{
		`{"key":"a","value":"1"}`:                                 {[]byte("a"), []byte("1")},
		` { "value" : "" , "key" : "ü" } `:                        {[]byte("ü"), []byte{}},
		`{"key_base64":"/wA=","value_base64":"AAEC"}`:             {[]byte{0xff, 0}, []byte{0, 1, 2}},
		`{"key":"\u0041\"\\\/\b\f\n\r\t","value":"\ud83d\ude00"}`: {[]byte("A\"\\/\b\f\n\r\t"), []byte("😀")},
		`{"key":"a","value":"\uFFFD�"}`:                           {[]byte("a"), []byte("��")},
	} {
		got, err := ParseRecord([]byte(line))
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
}

// notRecords are lines that are no records, with what must be said of them.
var notRecords = map[string]string{
	"":                                   "must be one JSON object",
	"[]":                                 "must be one JSON object",
	"null":                               "must be one JSON object",
	"{}":                                 `neither "key"`,
	`{"key":"a"}`:                        `neither "value"`,
	`{"value":"a"}`:                      `neither "key"`,
	`{"key":"","value":"a"}`:             "empty key",
	`{"key":1,"value":"a"}`:              `"key" must be a string`,
	`{"key":"a","value":null}`:           `"value" must be a string`,
	`{"key":"a","value":{"b":1}}`:        `"value" must be a string`,
	`{"key":"a","value":"b","ttl":"5s"}`: `unknown member "ttl"`,
	`{"Key":"a","value":"b"}`:            `unknown member "Key"`,
	`{"key":"a","key":"b","value":""}`:   "gives its key twice",
	`{"key":"a","value":"","value_base64":""}`: "gives its value twice",
	`{"type":"put","key":"a","value":""}`:      "that is a batch",
	`{"key":"a","value":"b"} x`:                "something after",
	`{"key":"a","value":"b"}{}`:                "something after",
	`{"key":"a","value":"b"`:                   "missing",
	`{"key":"a" "value":"b"}`:                  "missing",
	`{"key":"a","value":"b",}`:                 "missing",
	`{"key" "a"}`:                              "missing",
	`{"key":"a`:                                "does not end",
	`{"key":"a\`:                               "does not end",
	`{"key":"\x","value":""}`:                  "invalid escape",
	`{"key":"\u12","value":""}`:                "invalid escape",
	`{"key":"\u12g4","value":""}`:              "invalid escape",
	`{"key":"\ud800","value":""}`:              "surrogate",
	`{"key":"\ud800\u0041","value":""}`:        "surrogate",
	`{"key":"\udc00\ud800","value":""}`:        "surrogate",
	"{\"key\":\"\xff\",\"value\":\"\"}":        "not UTF-8",
	"{\"key\":\"a\tb\",\"value\":\"\"}":        "control character",
	`{"key_base64":"a","value":""}`:            "not base64",
	`{"key_base64":"/x==","value":""}`:         "not base64",
}

func TestLinesThatAreNoRecordsAreRefusedWithAReason(t *testing.T) {
	for line, want := range notRecords {
		if got, err := ParseRecord([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %q, %v; want %s", line, got, err, want)
		}
	}
}

func TestOperationsOfABatch(t *testing.T) {
	for line, want := range map[string]Op{
		`{"type":"put","key":"a","value":"1"}`:       {Put, []byte("a"), []byte("1")},
		`{"key_base64":"/w==","type":"delete"}`:      {Delete, []byte{0xff}, nil},
		`{"type":"put","key":"a","value_base64":""}`: {Put, []byte("a"), []byte{}},
	} {
		if got, err := ParseOp([]byte(line)); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
	for line, want := range map[string]string{
		`{"key":"a","value":"1"}`:                 `needs a "type"`,
		`{"type":"swap","key":"a","value":"1"}`:   `needs a "type"`,
		`{"type":"put","key":"a"}`:                "neither",
		`{"type":"delete","key":"a","value":"1"}`: "delete with a value",
		`{"type":"delete"}`:                       "neither",
	} {
		if got, err := ParseOp([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %s", line, got, err, want)
		}
	}
}

func zipped(t testing.TB, plain string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// readAll reads to the end and tells what came, one word for each record, bad line or error.
func readAll(t testing.TB, in io.Reader, max int) string {
	t.Helper()
	r, err := NewReader(in, max)
	if err != nil {
		return err.Error()
	}
	var told []string
	for {
		record, err := r.Record()
		var bad *LineError
		switch {
		case err == nil:
			told = append(told, fmt.Sprintf("%d:%s=%s", r.Line(), record.Key, record.Value))
		case errors.As(err, &bad):
			told = append(told, fmt.Sprintf("%d:bad", bad.Line))
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return strings.Join(told, " ")
		default:
			return strings.Join(append(told, err.Error()), " ")
		}
	}
}

func TestLinesAreNumberedAndBadOnesDoNotStopTheRest(t *testing.T) {
	text := "\xef\xbb\xbf{\"key\":\"a\",\"value\":\"1\"}\r\n\n  \nrubbish\n{\"key\":\"b\",\"value\":\"2\"}\n{\"key\":\"c\",\"value\":\"3\"}"
	want := "1:a=1 4:bad 5:b=2 6:c=3"
	if got := readAll(t, strings.NewReader(text), 0); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := readAll(t, strings.NewReader(zipped(t, text)), 0); got != want {
		t.Errorf("gzip: %s, want %s", got, want)
	}
	two := zipped(t, "{\"key\":\"a\",\"value\":\"1\"}\n") + zipped(t, "{\"key\":\"b\",\"value\":\"2\"}\n")
	if got := readAll(t, strings.NewReader(two), 0); got != "1:a=1 2:b=2" {
		t.Errorf("two gzip members: %s", got)
	}
}

func TestALineThatIsTooLongIsSkipped(t *testing.T) {
	line := func(n int) string { return `{"key":"a","value":"` + strings.Repeat("x", n-22) + `"}` }
	for _, n := range []int{99, 100, 101, 64 << 10, 200 << 10} {
		want := "1:bad 2:b=2"
		if n <= 100 {
			want = "1:a=" + strings.Repeat("x", n-22) + " 2:b=2"
		}
		in := line(n) + "\n" + `{"key":"b","value":"2"}` + "\n"
		if got := readAll(t, strings.NewReader(in), 100); got != want {
			t.Errorf("a line of %d bytes: %s", n, got)
		}
		if got := readAll(t, strings.NewReader(line(n)), 100); got != strings.TrimSuffix(want, " 2:b=2") {
			t.Errorf("a last line of %d bytes: %s", n, got)
		}
	}
	long := line(300 << 10)
	if got := readAll(t, strings.NewReader(long+"\n"+long), 0); len(got) < 2*(300<<10)-50 || strings.Contains(got, "bad") {
		t.Errorf("lines longer than the read buffer: %.60s…", got)
	}
}

func TestInputThatBreaksOffIsAnErrorWithItsLine(t *testing.T) {
	text := zipped(t, strings.Repeat("{\"key\":\"a\",\"value\":\"1\"}\n", 3))
	got := readAll(t, strings.NewReader(text[:len(text)-4]), 0)
	if want := "1:a=1 2:a=1 3:a=1 read line 4: unexpected EOF"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := readAll(t, strings.NewReader("\x1f\x8brubbish"), 0); !strings.Contains(got, "decompress") {
		t.Errorf("not gzip after its magic: %s", got)
	}
}

func TestWhatIsWrittenReadsBackByteForByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := rapid.OneOf(rapid.SliceOf(rapid.Byte()), rapid.Custom(func(t *rapid.T) []byte { return []byte(rapid.String().Draw(t, "s")) }))
		want := Record{Key: append([]byte{'k'}, bytesOf.Draw(t, "key")...), Value: append([]byte{}, bytesOf.Draw(t, "value")...)}
		line := AppendRecord(nil, want.Key, want.Value)
		if !json.Valid(line) || bytes.Count(line, []byte("\n")) != 1 {
			t.Fatalf("not one line of JSON: %q", line)
		}
		got, err := ParseRecord(line)
		if err != nil || !cmp.Equal(got, want) {
			t.Fatalf("%q became %q, then %q, %v", want, line, got, err)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"key":"a","value":"1"}`))
	f.Add([]byte(`{"key":"\ud83d\ude00\u00e9","value_base64":"AAEC"}`))
	for line := range notRecords {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := ParseRecord(line)
		if _, opErr := ParseOp(line); err == nil && opErr == nil {
			t.Fatalf("%q is both a record and an operation", line)
		}
		if err != nil {
			return
		}
		// What is accepted, encoding/json must read as the same.
		var m map[string]string
		if jsonErr := json.Unmarshal(line, &m); jsonErr != nil {
			t.Fatalf("%q was accepted: %v", line, jsonErr)
		}
		for name, b := range map[string][]byte{"key": got.Key, "value": got.Value} {
			want, plain := m[name]
			if !plain {
				decoded, _ := base64.StdEncoding.DecodeString(m[name+"_base64"])
				want = string(decoded)
			}
			if want != string(b) || plain && !utf8.Valid(b) {
				t.Fatalf("%q: %s is %q, want %q", line, name, b, want)
			}
		}
		again, err := ParseRecord(AppendRecord(nil, got.Key, got.Value))
		if err != nil || !cmp.Equal(again, got) {
			t.Fatalf("%q became %q, %v", got, again, err)
		}
	})
}

func BenchmarkParseRecord(b *testing.B) {
	line := AppendRecord(nil, []byte("debian/bookworm/golang-github-example"), []byte(strings.Repeat(`{"package": "0ad"}`, 32)))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRecord(line); err != nil {
			b.Fatal(err)
		}
	}
}
