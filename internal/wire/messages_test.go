package wire

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// message is what every message of the port has.
type message interface {
	Encode(*Writer)
	Decode(*Reader) error
}

var (
	allOptions = Options{
		R: LevelOne, W: 2, Timeout: 1500 * time.Millisecond, DeadlineMicros: 1700000000123456, Clock: 1 << 60, Context: []byte("cc"), TTL: time.Hour,
		Ordered: ChoiceYes, Retried: true,
	}
	aFault = Fault{
		Code: CodeQuorumNotMet, Effect: EffectApplied, Message: "put needs 2 replicas, got 1", RetryAfter: 20 * time.Millisecond,
		Need: 2, Got: 1, Context: []byte("cc"),
	}
	aResult = GetResult{
		Found: true, Value: []byte("value"), Context: []byte("cc"), Siblings: 2, ExpiresAt: 1700000000000,
		Values: []Sibling{{Value: []byte("value"), Time: 9, ExpiresAt: 1700000000000}, {Time: 8, Deleted: true}}, Clock: 77,
	}
	aReceipt       = Receipt{Actor: 0xa1b2c3d4e5f6, Time: 1 << 58, Replicas: []string{"n1", "n2"}, Retried: true}
	aHintedReceipt = Receipt{Actor: 1, Time: 2, Replicas: []string{"n1"}, Hints: []KeptHint{{For: "n2", At: "n1"}, {For: "n3", At: "n4", Counted: true}}}
)

// messages are one or more of each message, every field set in one of them.
var messages = []struct {
	name string
	msg  message
}{
	{"get", &GetRequest{Key: []byte("k")}},
	{"get with options", &GetRequest{Key: []byte{0xff}, Options: Options{R: LevelQuorum, Timeout: time.Second, Clock: 5, Values: true}}},
	{"get result", &aResult},
	{"get result, not found", &GetResult{Context: []byte("cc"), Clock: 1}},
	{"multiget", &MultiGetRequest{Keys: [][]byte{[]byte("a"), {}}, Options: Options{R: LevelAll}}},
	{"multiget result", &MultiGetResult{Results: []KeyResult{{GetResult: GetResult{Found: true, Value: []byte{}, Context: []byte{}, Siblings: 1}}, {Fault: &aFault}}, Clock: 6}},
	{"put", &PutRequest{Key: []byte("k"), Value: []byte("v")}},
	{"put with options", &PutRequest{Key: []byte("k"), Value: make([]byte, 300), Options: allOptions}},
	{"put, not ordered", &PutRequest{Key: []byte("k"), Value: []byte{}, Options: Options{Ordered: ChoiceNo, W: 127}}},
	{"delete", &DeleteRequest{Key: []byte("k"), Options: Options{W: LevelAll, R: 1, Context: []byte("cc"), Retried: true}}},
	{"write result", &WriteResult{Context: []byte("cc"), Receipt: aReceipt, Clock: 1 << 59}},
	{"batch", &BatchRequest{Ops: []Op{
		{Key: []byte("a"), Value: []byte("1")},
		{Key: []byte("b"), Value: []byte("2"), Options: Options{Context: []byte("cc"), TTL: time.Minute}},
		{Delete: true, Key: []byte("c")},
		{Delete: true, Key: []byte("d"), Options: Options{Context: []byte("cc")}},
	}, Options: Options{W: LevelQuorum, Ordered: ChoiceYes, Sloppy: ChoiceNo, Retried: true}}},
	{"write result with hints", &WriteResult{Context: []byte("cc"), Receipt: aHintedReceipt, Clock: 1}},
	{"batch result", &BatchResult{Results: []WriteResult{{Context: []byte("cc"), Receipt: aReceipt}, {Fault: &aFault}}, Clock: 3}},
	{"range of everything", &RangeRequest{}},
	{"range", &RangeRequest{
		Start: []byte("a"), End: []byte("z"), Prefix: []byte("p"), Limit: 100, Reverse: true, KeysOnly: true, Cursor: []byte("cursor"),
		Partial: true, Options: Options{R: 2, Timeout: time.Second, DeadlineMicros: 1700000000123456, Clock: 9},
	}},
	{"range result", &RangeResult{
		Items:  []RangeItem{{Key: []byte("a"), Value: []byte("1"), Siblings: 1}, {Key: []byte("b"), Value: []byte{}, Siblings: 2}, {Key: []byte("c"), Siblings: 1}},
		Cursor: []byte("cursor"), Missing: []uint32{3, 255}, Clock: 4,
	}},
	{"range result, the last", &RangeResult{Items: []RangeItem{}, Missing: []uint32{}}},
	{"ping", &PlainRequest{}},
	{"ping with options", &PlainRequest{Options: Options{Timeout: time.Millisecond, Clock: 1}}},
	{"ping result", &PingResult{Clock: 8, NowMicros: 1700000000123456}},
	{"status", &Status{
		Node: "n1", State: "serving", Version: "1.2.3", StartedAt: time.UnixMilli(1700000000123).UTC(), Incarnation: 3,
		Actor: "a1b2c3d4e5f6", ClockOffsetMillis: -1.5,
		Members: []MemberStatus{
			{ID: "n1", Zone: "z", Reachable: true, RTTMicros: 120, Primaries: 80, Replicas: 250, Liveness: "alive", Condition: "serving"},
			{ID: "n2", Reason: "connection refused", ClockOffsetMillis: 2, Slow: true, Liveness: "dead", LivenessSince: 1700000000123, Condition: "draining"},
		},
		Storage: StorageStatus{
			Keys: 1, Segments: 2, DiskBytes: 3, LiveBytes: 4, DeadBytes: 5, ReadOnly: "disk full", Damage: 6, DiskFull: true, DiskFree: -1,
			IndexBytes: 7, MappedBytes: 8, Runs: 9, RunBytes: 10, Merges: 11, MergeBytes: 12, MergeDropped: 13, MergeDebtBytes: 14,
			MergeRunning: true, MergeError: "input/output error", CacheBytes: 15, CacheHits: 16, CacheMisses: 17,
			ScrubbedAt: 1700000000123, ScrubBytes: 18, OpenFiles: 19, MergeHeldWrites: 20, MergeHeldMicros: 21,
		},
		Hints: HintStatus{Count: 3, Bytes: 4, BytesMax: 5, Oldest: 1700000000123, ReadOnly: "no space", Targets: []HintTarget{
			{Node: "n2", Count: 3, Counted: 1, Bytes: 4, Oldest: 1700000000123, State: "waiting", Refused: 2, LastError: "refused", Needs: 6},
		}},
		Requests: RequestStatus{InFlight: 1, InFlightBytes: 2, Total: 3, Refused: 4},
		Replication: ReplicationStatus{
			Partitions: 1, Unfilled: 2, WithoutTree: 3, Poisoned: 4, Healing: 5, Healed: 6, Mending: true, Paused: true,
			UnderReplicatedSince: 1700000000123, UnderReplicatedWhy: "not filled",
			Peers:     []ExchangeStatus{{ID: "n2", Partitions: 1, Needs: 2, NeededSince: 3, Never: 4, OldestComplete: 5, NewestComplete: 6}},
			Exchanges: 7, ExchangesFailed: 8, Complete: 9, KeysFetched: 10, KeysPushed: 11, BytesSent: 12, BytesReceived: 13,
			Stable: 14, Retired: 15, Filled: 16,
		},
	}},
	{"topology", &Topology{
		Version: 7, Fingerprint: "0123456789abcdef", Partitions: 3, Replicas: 2, R: 1, W: 2,
		Members: []TopologyMember{{ID: "n1", Zone: "z", HTTP: "a:1", RPC: "a:2", Peer: "a:3"}, {ID: "n2", RPC: "b:2"}},
		Table:   [][]int{{0, 1}, {1, 0}, {1, 0}},
	}},
}

func encoded(m message) []byte {
	var w Writer
	m.Encode(&w)
	return w.Bytes()
}

func TestEveryMessageReadsBackAsItWas(t *testing.T) {
	for _, m := range messages {
		back := reflect.New(reflect.TypeOf(m.msg).Elem()).Interface().(message)
		r := NewReader(encoded(m.msg))
		if err := back.Decode(&r); err != nil {
			t.Errorf("%s: %v", m.name, err)
		} else if diff := cmp.Diff(m.msg, back); diff != "" {
			t.Errorf("%s: %s", m.name, diff)
		}
	}
}

func TestEveryCutOfAMessageIsAnError(t *testing.T) {
	for _, m := range messages {
		b := encoded(m.msg)
		for cut := range b {
			back := reflect.New(reflect.TypeOf(m.msg).Elem()).Interface().(message)
			r := NewReader(b[:cut])
			if back.Decode(&r) == nil {
				t.Errorf("%s: %d of %d bytes are taken for the whole", m.name, cut, len(b))
			}
		}
		r := NewReader(append(b, 0xc0))
		if m.msg.Decode(&r) == nil {
			t.Errorf("%s: trailing bytes are taken", m.name)
		}
		r = NewReader(b)
		if err := m.msg.Decode(&r); err != nil {
			t.Fatal(err)
		}
	}
}

// golden compares named bytes with a file of lines "name: hexadecimal".
func golden(t *testing.T, path string, lines []string) {
	t.Helper()
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Fatalf("the bytes have changed: a new version, or a mistake\n%s", diff)
	}
}

func TestTheBytesOfEveryMessageStayAsTheyAre(t *testing.T) {
	var lines []string
	for _, m := range messages {
		lines = append(lines, fmt.Sprintf("%s: %x", m.name, encoded(m.msg)))
	}
	envelope := func(name string, write func(w *Writer)) {
		var w Writer
		write(&w)
		lines = append(lines, fmt.Sprintf("%s: %x", name, w.Bytes()))
	}
	envelope("request", func(w *Writer) { w.Request(1<<31, MethodGet); messages[0].msg.Encode(w) })
	envelope("notification", func(w *Writer) { w.Notification("note"); w.ArrayLen(0) })
	envelope("response", func(w *Writer) { w.Result(7); (&PingResult{Clock: 1}).Encode(w) })
	envelope("failure", func(w *Writer) { w.Failure(7, &aFault, 12) })
	envelope("plain failure", func(w *Writer) { w.Failure(7, &Fault{Code: CodeBadRequest, Effect: EffectNone, Message: "no"}, 0) })
	envelope("cursor", func(w *Writer) {
		w.Raw((&RangeRequest{Start: []byte("a"), Prefix: []byte("p"), Reverse: true}).NextCursor([]byte("pq")))
	})
	envelope("preamble", func(w *Writer) { w.Raw(appendPreamble(nil)) })
	envelope("frame", func(w *Writer) { w.Raw(appendMessage(nil, Framed, []byte("\xa5hello"))) })
	golden(t, "testdata/messages.golden", lines)
}

func TestAFaultCrossesTheWire(t *testing.T) {
	for _, code := range Codes() {
		for effect := EffectUnknown; effect <= EffectApplied; effect++ {
			f := aFault
			f.Code, f.Effect = code, effect
			var w Writer
			w.Failure(9, &f, 44)
			e, err := ParseEnvelope(w.Bytes())
			if err != nil || e.Type != TypeResponse || e.ID != 9 {
				t.Fatalf("%+v, %v", e, err)
			}
			back, clock := e.Failure()
			if diff := cmp.Diff(&f, back); diff != "" || clock != 44 || e.Body.Err() != nil {
				t.Fatalf("%s; clock %d, %v", diff, clock, e.Body.Err())
			}
		}
	}
}

func TestWhatOtherServersPutInPlaceOfAnErrorIsAFault(t *testing.T) {
	for name, write := range map[string]func(w *Writer){
		"a string": func(w *Writer) { w.Str("broken") },
		"a number": func(w *Writer) { w.Int(-1) },
		"an array": func(w *Writer) { w.ArrayLen(2); w.Int(1); w.Str("x") },
	} {
		var w Writer
		w.ArrayLen(4)
		w.Int(1)
		w.Int(3)
		write(&w)
		w.Nil()
		e, err := ParseEnvelope(w.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if f, _ := e.Failure(); f == nil || f.Code != CodeInternal || f.Effect != EffectUnknown || f.Message == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestAnswersOfNewerNodesAreRead(t *testing.T) {
	var w Writer
	w.MapLen(3)
	w.Str("new")
	w.ArrayLen(1)
	w.MapLen(1)
	w.Str("deep")
	w.Nil()
	w.Str("found")
	w.Bool(true)
	w.Str("value")
	w.Str("text") // a string where we send bytes
	var g GetResult
	r := NewReader(w.Bytes())
	if err := g.Decode(&r); err != nil || !g.Found || string(g.Value) != "text" {
		t.Fatalf("%+v, %v", g, err)
	}
	for _, name := range []string{"status", "topology", "ping result", "range result", "batch result", "multiget result", "write result"} {
		for _, m := range messages {
			if m.name != name {
				continue
			}
			b := bytes.Clone(encoded(m.msg))
			b[0]++ // one pair more
			b = append(b, 0xa3, 'n', 'e', 'w', 0x91, 0xc0)
			back := reflect.New(reflect.TypeOf(m.msg).Elem()).Interface().(message)
			r := NewReader(b)
			if err := back.Decode(&r); err != nil {
				t.Errorf("%s: %v", name, err)
			} else if diff := cmp.Diff(m.msg, back); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
	}
}

func TestATopologyThatCannotBeUsedIsRefused(t *testing.T) {
	for _, bad := range []Topology{
		{Partitions: 2, Members: []TopologyMember{{}}, Table: [][]int{{0}}},
		{Partitions: 1, Members: []TopologyMember{{}}, Table: [][]int{{1}}},
	} {
		var back Topology
		r := NewReader(encoded(&bad))
		if back.Decode(&r) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestLevelsHaveNamesAndNumbers(t *testing.T) {
	for text, want := range map[string]Level{"": LevelDefault, "one": LevelOne, "quorum": LevelQuorum, "all": LevelAll, "1": 1, "127": 127} {
		if l, err := ParseLevel(text); l != want || err != nil {
			t.Errorf("%q: %v, %v", text, l, err)
		}
	}
	for _, text := range []string{"0", "-1", "128", "most", "1.5"} {
		if l, err := ParseLevel(text); err == nil {
			t.Errorf("%q is %v", text, l)
		}
	}
}

func TestMessagesTakeNoAllocationToEncodeAndOneEachForWhatTheyKeep(t *testing.T) {
	put := PutRequest{Key: []byte("key"), Value: make([]byte, 128), Options: allOptions}
	buf := make([]byte, 0, 1024)
	var w Writer
	if n := testing.AllocsPerRun(100, func() {
		w.buf = buf
		w.Request(1, MethodPut)
		put.Encode(&w)
	}); n != 0 {
		t.Errorf("encoding a put: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		e, err := ParseEnvelope(w.buf)
		if err != nil || string(e.Method) != MethodPut {
			t.Fatal(err)
		}
		var q PutRequest
		if err := q.Decode(&e.Body); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decoding a put: %v allocations", n)
	}
}
