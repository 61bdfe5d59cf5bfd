package httpgw

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

const ndjson = "application/x-ndjson"

// letters is a store with the keys a to j.
func letters(t testing.TB, change ...func(*Options)) *fixture {
	f := newFixture(t, change...)
	for c := 'a'; c <= 'j'; c++ {
		f.store.put(string(c), "value of "+string(c))
	}
	return f
}

func TestRangeBoundsAreInclusiveAndPrefixesCut(t *testing.T) {
	f := letters(t)
	for _, key := range []string{"b\x00", "ba", "bb", "c\xff", "\xff", "\xff\xff", "\xff\xffa"} {
		f.store.put(key, "v")
	}
	for query, want := range map[string]string{
		"start=d&end=f":                  "d e f",
		"start=i":                        "i j ff ffff ffff61",
		"end=b":                          "a b",
		"end=b%00":                       "a b b\x00",
		"prefix=b":                       "b b\x00 ba bb",
		"prefix=b&start=ba":              "ba bb",
		"prefix=b&end=ba":                "b b\x00 ba",
		"prefix=b&start=a&end=z":         "b b\x00 ba bb",
		"prefix=c":                       "c 63ff",
		"prefix=%ff":                     "ff ffff ffff61",
		"prefix=%ff%ff&end=%ff%ff":       "ffff",
		"prefix=b&start=c":               "",
		"start=f&end=d":                  "",
		"start=d&end=d":                  "d",
		"prefix=zz":                      "",
		"start=h&end=j&reverse":          "j i h",
		"prefix=b&reverse=true":          "bb ba b\x00 b",
		"limit=2":                        "a b",
		"limit=2&reverse=1":              "ffff61 ffff",
		"start=&end=&prefix=&limit=1":    "a",
		"start=d&end=f&keys_only":        "d e f",
		"start=d&end=e&reverse=false":    "d e",
		"start=%64&end=%65&r=2&partial=": "d e",
	} {
		got := f.want(200, "GET", "/kv/range?"+query, "")
		if keys := keysOf(got.Items); keys != want {
			t.Errorf("%s: got %q, want %q", query, keys, want)
		}
		stream := f.do("GET", "/kv/range?"+query, "", "Accept", ndjson)
		if keys := keysOf(lines(t, stream.Body.Bytes())); keys != want && !strings.Contains(query, "limit") {
			t.Errorf("%s as lines: got %q, want %q", query, keys, want)
		}
	}
}

func lines(t testing.TB, body []byte) (all []answer) {
	t.Helper()
	for line := range bytes.Lines(body) {
		all = append(all, decode(t, line))
	}
	return all
}

func TestARangeNeedsAParameterOfRanges(t *testing.T) {
	f := newFixture(t)
	f.store.put("range", "the key")
	for _, target := range []string{"/kv/range", "/kv/range?r=1", "/kv/range?siblings=false", "/kv/%72ange?r=1"} {
		if got := f.want(200, "GET", target, ""); got.Value == nil || *got.Value != "the key" {
			t.Errorf("%s: %+v", target, got)
		}
	}
	for _, name := range strings.Fields(rangeSelects) {
		if name != "cursor" {
			value := map[string]string{"limit": "5", "reverse": "true", "keys_only": "true"}[name]
			if got := f.want(200, "GET", "/kv/range?"+name+"="+value, ""); got.Value != nil || got.Items == nil {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
	f.refuse("bad_request", "partial", "GET", "/kv/range?partial=true", "")
	f.refuse("bad_request", "limit", "GET", "/kv/%72ange?limit=1", "")
	f.want(200, "PUT", "/kv/range", `{"value":"x"}`)
	f.want(200, "PUT", "/kv/batch", `{"value":"y"}`)
	if got := f.want(200, "GET", "/kv/batch", ""); *got.Value != "y" {
		t.Errorf("%+v", got)
	}
}

func TestItemsShowValueAndOnlyWhatMatters(t *testing.T) {
	f := letters(t)
	w := f.do("GET", "/kv/range?end=b", "")
	if want := `{"items":[{"key":"a","value":"value of a"},{"key":"b","value":"value of b"}],"cursor":null}` + "\n"; w.Body.String() != want {
		t.Errorf("got %s want %s", w.Body, want)
	}
	w = f.do("GET", "/kv/range?end=b&keys_only=true", "")
	if want := `{"items":[{"key":"a"},{"key":"b"}],"cursor":null}` + "\n"; w.Body.String() != want {
		t.Errorf("got %s", w.Body)
	}
	if !f.store.rng[1].KeysOnly {
		t.Error("the store is not told that keys suffice")
	}
	o := f.store.objects["a"]
	o.Siblings = append(slices.Clone(o.Siblings), causal.Sibling{Dot: causal.Dot{Actor: 0xffffff, Time: 1}, Value: []byte("other")})
	f.store.objects["a"] = o
	if got := f.want(200, "GET", "/kv/range?end=a", ""); got.Items[0].Siblings != 2 || *got.Items[0].Value != "value of a" || got.Items[0].Context != "" {
		t.Errorf("got %+v", got.Items)
	}
	if got := f.want(200, "GET", "/kv/range?end=a&siblings=true", ""); len(got.Items[0].Values) != 2 || got.Items[0].Context == "" {
		t.Errorf("got %+v", got.Items)
	}
	if w := f.do("GET", "/kv/range?prefix=none", ""); w.Body.String() != `{"items":[],"cursor":null}`+"\n" {
		t.Errorf("empty range: %s", w.Body)
	}
}

func TestCursorsLeadThroughAWholeRangeWithoutGapsOrRepeats(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		f := newFixture(t)
		var want []string
		for _, key := range rapid.SliceOfDistinct(rapid.StringMatching(`[ab\x00]{1,5}`), rapid.ID[string]).Draw(r, "keys") {
			f.store.put(key, "v")
		}
		q := url.Values{}
		p := &rangeParams{}
		for name, field := range map[string]*[]byte{"start": &p.start, "end": &p.end, "prefix": &p.prefix} {
			if value := rapid.StringMatching(`[ab]{0,2}`).Draw(r, name); value != "" {
				q.Set(name, value)
				*field = []byte(value)
			}
		}
		reverse := rapid.Bool().Draw(r, "reverse")
		q.Set("reverse", fmt.Sprint(reverse))
		for key := range f.store.objects {
			if key >= string(p.start) && (len(p.end) == 0 || key <= string(p.end)) && strings.HasPrefix(key, string(p.prefix)) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		if reverse {
			slices.Reverse(want)
		}
		f.store.pageMax = rapid.IntRange(1, 4).Draw(r, "page of the store")
		q.Set("limit", fmt.Sprint(rapid.IntRange(1, 5).Draw(r, "limit")))
		repeat := rapid.Bool().Draw(r, "repeat the parameters")
		var got []string
		for range len(want) + 2 {
			page := f.want(200, "GET", "/kv/range?"+q.Encode(), "")
			for _, item := range page.Items {
				got = append(got, *item.Key)
			}
			if page.Cursor == nil {
				break
			}
			if !repeat {
				q = url.Values{"limit": q["limit"]}
			}
			q.Set("cursor", *page.Cursor)
		}
		if !slices.Equal(got, want) {
			r.Fatalf("got %q, want %q", got, want)
		}
	})
}

func TestACursorIsRefusedIfItIsDamagedOrOfAnotherRange(t *testing.T) {
	f := letters(t)
	page := f.want(200, "GET", "/kv/range?start=b&end=h&limit=2", "")
	cursor := *page.Cursor
	if got := f.want(200, "GET", "/kv/range?cursor="+cursor+"&limit=3", ""); keysOf(got.Items) != "d e f" {
		t.Errorf("got %q", keysOf(got.Items))
	}
	for i := range cursor {
		broken := []byte(cursor)
		broken[i] = map[bool]byte{true: 'B', false: 'A'}[broken[i] == 'A']
		if string(broken) != cursor {
			f.refuse("bad_request", "cursor", "GET", "/kv/range?cursor="+string(broken), "")
		}
	}
	for _, query := range []string{"start=c&end=i", "end=g", "start=e&end=h", "reverse=true", "prefix=b", "start=b"} {
		f.refuse("bad_request", "cursor", "GET", "/kv/range?"+query+"&cursor="+cursor, "")
	}
	for _, bad := range []string{"", "x", "!!", "AQ", strings.Repeat("A", 5000)} {
		f.refuse("bad_request", "cursor", "GET", "/kv/range?cursor="+bad, "")
	}
}

func TestPagesOfTheStoreArePutTogether(t *testing.T) {
	f := letters(t)
	f.store.pageMax = 3
	got := f.want(200, "GET", "/kv/range?start=a&limit=8", "")
	if keysOf(got.Items) != "a b c d e f g h" || got.Cursor == nil || len(f.store.rng) != 3 {
		t.Errorf("got %q in %d pages", keysOf(got.Items), len(f.store.rng))
	}
	if f.store.rng[1].Limit != 5 || !f.store.rng[1].Deadline.Equal(f.store.rng[0].Deadline) {
		t.Errorf("second page: %+v", f.store.rng[1])
	}
}

func TestAPageEndsAtItsBytesAndItsMostItems(t *testing.T) {
	f := letters(t, func(o *Options) { o.RangeBytesMax = 60 })
	if got := f.want(200, "GET", "/kv/range?limit=10", ""); len(got.Items) >= 10 || len(got.Items) == 0 || got.Cursor == nil {
		t.Errorf("%d items of 60 bytes", len(got.Items))
	}
	f = letters(t, func(o *Options) { o.RangeItemsMax, o.RangeItems = 4, 2 })
	if got := f.want(200, "GET", "/kv/range?limit=10", ""); len(got.Items) != 4 || got.Cursor == nil {
		t.Errorf("%d items where 4 are the most", len(got.Items))
	}
	if got := f.want(200, "GET", "/kv/range?start=a", ""); len(got.Items) != 2 || got.Cursor == nil {
		t.Errorf("%d items where 2 are the default", len(got.Items))
	}
}

func TestAFailureAfterProgressEndsThePageAndMeetsWhoGoesOn(t *testing.T) {
	f := letters(t)
	f.store.pageMax = 2
	f.store.page = func(n int, req *coordinator.RangeRequest) (*coordinator.RangePage, error) {
		if n == 2 {
			return nil, context.DeadlineExceeded
		}
		if n == 4 { // nothing but tombstones
			return &coordinator.RangePage{More: true, Resume: []byte("f")}, nil
		}
		if n == 5 {
			return nil, &coordinator.RangeError{Partitions: []ring.PartitionID{7}, Need: 2, Got: 1}
		}
		return nil, nil
	}
	got := f.want(200, "GET", "/kv/range?limit=10", "")
	if keysOf(got.Items) != "a b" || got.Cursor == nil {
		t.Fatalf("got %+v", got)
	}
	got = f.want(200, "GET", "/kv/range?limit=2&cursor="+*got.Cursor, "")
	if keysOf(got.Items) != "c d" {
		t.Fatalf("got %+v", got)
	}
	got = f.want(200, "GET", "/kv/range?cursor="+*got.Cursor, "")
	if len(got.Items) != 0 || got.Cursor == nil {
		t.Fatalf("a stretch without a key: %+v", got)
	}
	got = f.want(200, "GET", "/kv/range?cursor="+*got.Cursor, "")
	if keysOf(got.Items) != "f g h i j" {
		t.Fatalf("got %+v", got)
	}
	f.store.err = &coordinator.RangeError{Partitions: []ring.PartitionID{7}, Need: 2, Got: 1}
	if got := f.want(503, "GET", "/kv/range?limit=1", ""); got.Error.Code != "quorum_not_met" || got.Error.Need != 2 || got.Error.Effect != "none" {
		t.Errorf("got %+v", got.Error)
	}
}

func TestPartialRangesNameWhatIsMissing(t *testing.T) {
	f := letters(t)
	f.store.pageMax = 4
	f.store.page = func(n int, req *coordinator.RangeRequest) (*coordinator.RangePage, error) {
		page := f.store.pageOf(req)
		page.Missing = []ring.PartitionID{9, ring.PartitionID(n)}
		return page, nil
	}
	if got := f.want(200, "GET", "/kv/range?start=a&partial=true", ""); !slices.Equal(got.Missing, []int{1, 2, 3, 9}) {
		t.Errorf("missing %v", got.Missing)
	}
	if !f.store.rng[0].Partial {
		t.Error("the store is not told")
	}
	all := lines(t, f.do("GET", "/kv/range?start=a&partial=true", "", "Accept", ndjson).Body.Bytes())
	if last := all[len(all)-1]; len(all) != 11 || !slices.Equal(last.Missing, []int{4, 5, 6, 9}) || last.Cursor != nil {
		t.Errorf("%d lines, the last %+v", len(all), last)
	}
}

func TestAStreamFollowsPagesToTheEndOrTheLimit(t *testing.T) {
	f := letters(t)
	f.store.pageMax = 3
	w := f.do("GET", "/kv/range?start=b", "", "Accept", ndjson)
	if keysOf(lines(t, w.Body.Bytes())) != "b c d e f g h i j" || w.Header().Get("Content-Type") != ndjson || !w.Flushed {
		t.Errorf("got %s %v", w.Body, w.Header())
	}
	all := lines(t, f.do("GET", "/kv/range?limit=7", "", "Accept", ndjson).Body.Bytes())
	if keysOf(all[:7]) != "a b c d e f g" || len(all) != 8 || all[7].Cursor == nil {
		t.Fatalf("got %+v", all)
	}
	rest := lines(t, f.do("GET", "/kv/range?cursor="+*all[7].Cursor, "", "Accept", ndjson).Body.Bytes())
	if keysOf(rest) != "h i j" {
		t.Errorf("the cursor leads to %+v", rest)
	}
	if w := f.do("GET", "/kv/range?prefix=none", "", "Accept", ndjson); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get("Content-Type") != ndjson {
		t.Errorf("empty stream: %d %s %v", w.Code, w.Body, w.Header())
	}
	if w := f.do("GET", "/kv/range?start=b&end=a", "", "Accept", ndjson); w.Code != 200 || w.Header().Get("Content-Type") != ndjson {
		t.Errorf("stream of what can hold nothing: %d %v", w.Code, w.Header())
	}
	if w := f.do("HEAD", "/kv/range?start=b", "", "Accept", ndjson); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d %s", w.Code, w.Body)
	}
}

func TestEachPageOfAStreamHasItsOwnDeadline(t *testing.T) {
	f := letters(t)
	f.store.pageMax = 5
	f.do("GET", "/kv/range?start=a&timeout=5s", "", "Accept", ndjson)
	if a, b := f.store.rng[0].Deadline, f.store.rng[1].Deadline; !b.After(a) || time.Until(b) > 5*time.Second {
		t.Errorf("deadlines %v and %v", a, b)
	}
}

func TestWhatGoesWrongInAStreamIsItsLastLine(t *testing.T) {
	f := letters(t)
	f.store.pageMax = 2
	f.store.page = func(n int, _ *coordinator.RangeRequest) (*coordinator.RangePage, error) {
		if n == 3 {
			return nil, &coordinator.RangeError{Partitions: []ring.PartitionID{7}, Need: 2, Got: 1}
		}
		return nil, nil
	}
	all := lines(t, f.do("GET", "/kv/range?start=a", "", "Accept", ndjson).Body.Bytes())
	last := all[len(all)-1]
	if keysOf(all[:4]) != "a b c d" || len(all) != 5 || last.Error == nil || last.Error.Code != "quorum_not_met" || last.Cursor == nil {
		t.Fatalf("got %+v", all)
	}
	rest := lines(t, f.do("GET", "/kv/range?cursor="+*last.Cursor, "", "Accept", ndjson).Body.Bytes())
	if keysOf(rest) != "e f g h i j" {
		t.Errorf("the cursor leads to %q", keysOf(rest))
	}
	f.store.err = context.DeadlineExceeded
	if got := f.want(504, "GET", "/kv/range?start=a", "", "Accept", ndjson); got.Error.Code != "timeout" {
		t.Errorf("a failure before the first line: %+v", got)
	}
}

func TestAStreamHoldsOnePageAtATime(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.StreamBytesMax = 64 << 10 })
	value := strings.Repeat("x", 8<<10)
	for i := range 400 {
		f.store.put(fmt.Sprintf("key%04d", i), value)
	}
	w := &countingWriter{header: make(map[string][]string)}
	w.check = func() {
		if held := f.adm.Status().InFlightBytes; held > 128<<10 {
			t.Errorf("%d bytes are held", held)
		}
	}
	f.ServeHTTP(w, request("GET", "/kv/range?start=k", nil, "Accept", ndjson))
	if w.n < 400*len(value) || w.flushes < 40 {
		t.Errorf("%d bytes in %d flushes", w.n, w.flushes)
	}
	if w.largest > streamChunkBytes+10<<10 {
		t.Errorf("%d bytes were encoded at a time", w.largest)
	}
	if f.store.rng[0].BytesMax != 64<<10 || f.store.rng[0].Limit != 0 {
		t.Errorf("the store is asked for %+v", f.store.rng[0])
	}
}

func TestAStreamEndsWhenItsClientIsGone(t *testing.T) {
	f := letters(t)
	f.store.pageMax = 1
	w := &countingWriter{header: make(map[string][]string), most: 40}
	f.ServeHTTP(w, request("GET", "/kv/range?start=a", nil, "Accept", ndjson))
	if len(f.store.rng) > 3 {
		t.Errorf("%d pages were read for nobody", len(f.store.rng))
	}
}

func FuzzParseCursor(f *testing.F) {
	f.Add(string(appendCursor(nil, bounds{start: []byte("a"), end: []byte("b\x00")})))
	f.Add(string(appendCursor(nil, bounds{reverse: true})))
	f.Add("AQA")
	f.Fuzz(func(t *testing.T, cursor string) {
		left, err := parseCursor(cursor)
		if err != nil {
			return
		}
		again, err := parseCursor(string(appendCursor(nil, left)))
		if err != nil || !bytes.Equal(again.start, left.start) || !bytes.Equal(again.end, left.end) || again.reverse != left.reverse {
			t.Fatalf("%+v came back as %+v, %v", left, again, err)
		}
	})
}

func TestCursorFormatIsTheOneThatWasReleased(t *testing.T) {
	got := string(appendCursor(nil, bounds{start: []byte("debian/a\x00"), end: []byte("debian0"), reverse: true}))
	if want := "AQEJZGViaWFuL2EAZGViaWFuMCooeRs"; got != want {
		t.Errorf("cursor %s, want %s", got, want)
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\n\x7f\x00ä\u2028")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil || back != s {
			t.Fatalf("%q came back as %q, %v", s, back, err)
		}
	})
}
