package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/integration/fault"
	"github.com/ringcask/ringcask/integration/history"
	"github.com/ringcask/ringcask/integration/workload"
)

var policyPattern = regexp.MustCompile(`sha256-[^&]*`)

func write(t testing.TB, s Summary) []byte {
	t.Helper()
	var page bytes.Buffer
	if err := Write(&page, s); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

func TestThePolicyAllowsThePagesOwnStyleAndScriptOnly(t *testing.T) {
	page := string(write(t, Summarize(small())))
	for element, file := range map[string]string{"style": "page.css", "script": "page.js"} {
		parts := regexp.MustCompile(`(?s)<`+element+`>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
		if len(parts) != 1 || parts[0][1] != text(file) {
			t.Fatalf("%d elements %s, or not that of %s", len(parts), element, file)
		}
		allowed := strings.NewReplacer("'", "&#39;", "+", "&#43;").Replace(element + "-src " + hash(parts[0][1]))
		if !strings.Contains(page, allowed) {
			t.Errorf("the policy has no %q", allowed)
		}
	}
	if !strings.Contains(page, "default-src &#39;none&#39;;") {
		t.Error("the policy allows more than it names")
	}
}

func TestThePageLoadsNothing(t *testing.T) {
	page := string(write(t, Summarize(small())))
	for _, loads := range []string{`\b(src|href|srcset|action|style)=`, `@import`, `url\([^#]`, `https?:`, `<(link|img|iframe|object|embed|base|form)\b`} {
		if found := regexp.MustCompile(loads).FindString(page); found != "" {
			t.Errorf("the page has %q", found)
		}
	}
}

// hostile ends whatever element, attribute, string or comment it is put into.
const hostile = `</script></style></title></textarea>--><img src=x onerror=alert(1)>"'` + "`" + `{{.}}` + "\x00\u2028\xff" + `<svg onload=alert(2)>&lt;`

func hostileRun() Run {
	run := small()
	run.Replay, run.Version = hostile, hostile
	run.Nodes = []string{hostile, hostile, hostile}
	run.Settings = map[string]string{hostile: hostile}
	run.Notes = []string{hostile}
	for i := range run.Faults {
		run.Faults[i].Note = hostile
	}
	run.Faults[0].Fault.Kind = fault.Kind(hostile)
	for i := range run.Operations {
		run.Operations[i].Error = hostile
	}
	run.Results = []workload.Result{{Workload: hostile, Violations: map[string]int{hostile: 1}, Examples: []string{hostile}, Measures: map[string]float64{hostile: 1}}}
	return run
}

func TestHostileTextStaysText(t *testing.T) {
	harmless := elements(t, write(t, Summarize(small())))
	for name, n := range elements(t, write(t, Summarize(hostileRun()))) {
		if harmless[name] == 0 {
			t.Errorf("%d elements %s came out of hostile text", n, name)
		}
	}
	page := string(write(t, Summarize(hostileRun())))
	if n := strings.Count(page, "</script>"); n != 1 {
		t.Errorf("%d ends of scripts", n)
	}
}

// elements counts the elements of a page by name; that of an SVG picture must be well-formed.
func elements(t *testing.T, page []byte) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for _, m := range regexp.MustCompile(`<([a-zA-Z]+)`).FindAllSubmatch(page, -1) {
		counts[string(m[1])]++
	}
	picture := regexp.MustCompile(`(?s)<svg id="timeline".*?</svg>`).Find(page)
	for d := xml.NewDecoder(bytes.NewReader(picture)); ; {
		if _, err := d.Token(); err != nil {
			if err.Error() != "EOF" {
				t.Errorf("the picture is not well-formed: %v", err)
			}
			return counts
		}
	}
}

func TestOneOperationMakesAPicture(t *testing.T) {
	for _, took := range []time.Duration{0, 1, time.Microsecond, time.Millisecond, time.Hour} {
		page := string(write(t, Summarize(Run{Duration: took, Operations: []history.Operation{{Kind: history.Put, End: took, Outcome: history.Ok}}})))
		for _, bad := range []string{"NaN", "Inf", "ZgotmplZ", "%!"} {
			if strings.Contains(page, bad) {
				t.Errorf("an operation that took %v makes a page with %s", took, bad)
			}
		}
		if !strings.Contains(page, `<path class="ok" d="M`) || !strings.Contains(page, `<path class="p50" d="M`) {
			t.Errorf("an operation that took %v is not drawn", took)
		}
	}
}

func TestAReportIsSmallWhateverTheRun(t *testing.T) {
	const limit = 1 << 20
	run := synthetic(time.Hour, 50_000)
	long := strings.Repeat("long <text> ", 1000)
	for i := range run.Operations {
		if run.Operations[i].Error != "" {
			run.Operations[i].Error = fmt.Sprint(long, i)
		}
	}
	for i := range 20_000 {
		at := time.Duration(i) * time.Hour / 20_000
		f := fault.Fault{Kind: fault.Kinds()[i%len(fault.Kinds())], At: at, For: time.Minute, Nodes: []int{i % 5}}
		run.Faults = append(run.Faults, Strike{Fault: f, Began: at, Ended: at + time.Minute})
		run.Notes = append(run.Notes, long)
		run.Results[i%4].Examples = append(run.Results[i%4].Examples, long)
	}
	s := Summarize(run)
	form, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if page := write(t, s); len(page) > limit || len(form) > limit {
		t.Errorf("the page has %d bytes and the JSON form %d; the limit is %d", len(page), len(form), limit)
	}
	if s.FaultsOther == 0 || s.ErrorsOther == 0 {
		t.Errorf("%d faults and %d errors were left out", s.FaultsOther, s.ErrorsOther)
	}
}

func TestMeasuresThatAreNoNumbersAreLeftOut(t *testing.T) {
	s := Summarize(Run{Results: []workload.Result{{Measures: map[string]float64{"a": math.NaN(), "b": math.Inf(1), "c": 1}}}})
	if _, err := json.Marshal(s); err != nil || len(s.Workloads[0].Measures) != 1 {
		t.Errorf("%v, %v", s.Workloads[0].Measures, err)
	}
}

func TestBarsDoNotOverlapOneAnotherOrTheEdge(t *testing.T) {
	drawn := draw(Summarize(synthetic(10*time.Minute, 1000)))
	for _, l := range drawn.Lanes {
		for i, b := range l.Bars {
			left, right := b.extent()
			if left < drawn.Left || right > drawn.Right {
				t.Errorf("%s is beyond the edge: %v to %v", b.Title, left, right)
			}
			for _, before := range l.Bars[:i] {
				if _, end := before.extent(); b.Y == before.Y && end > left {
					t.Errorf("%s and %s overlap", before.Title, b.Title)
				}
			}
			if b.Label == "" {
				t.Errorf("%s has no label", b.Title)
			}
		}
	}
}

func TestEveryKindOfFaultIsDrawn(t *testing.T) {
	run := Run{Nodes: []string{"n1", "n2", "n3"}, Duration: time.Minute}
	for i, k := range fault.Kinds() {
		at := time.Duration(i) * time.Second
		run.Faults = append(run.Faults, Strike{Fault: fault.Fault{Kind: k, At: at, For: time.Second, Nodes: []int{0, 1}}, Began: at, Ended: at + time.Second})
	}
	drawn := draw(Summarize(run))
	for _, k := range fault.Kinds() {
		for _, l := range drawn.Lanes[:2] {
			found := false
			for _, b := range l.Bars {
				found = found || strings.HasPrefix(b.Title, string(k)+":") || strings.HasPrefix(b.Title, string(k)+" ")
			}
			if !found {
				t.Errorf("lane %s has no bar for %s", l.Name, k)
			}
		}
	}
}

func BenchmarkReportOfAMillionOperations(b *testing.B) {
	run := synthetic(10*time.Minute, 1_500_000)
	run.Operations = run.Operations[:1_000_000]
	size := 0
	for b.Loop() {
		size = len(write(b, Summarize(run)))
	}
	b.ReportMetric(float64(size), "page-bytes")
}
