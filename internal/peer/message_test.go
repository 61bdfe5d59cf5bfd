package peer

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/internal/wire"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		must(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s has changed: other versions of this software could not read it.\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

func encoded(build func(w *wire.Writer)) []byte {
	w := wire.NewWriter(nil)
	build(w)
	return w.Bytes()
}

// sampleMessages are one of each message, in full.
func sampleMessages() []struct {
	name  string
	bytes []byte
} {
	tombstone := causal.Object{
		Vector:   causal.Vector{{Actor: 2, Time: 3}, {Actor: 4, Time: 5}},
		Siblings: []causal.Sibling{{Dot: causal.Dot{Actor: 2, Time: 3}, Tombstone: true}, {Dot: causal.Dot{Actor: 4, Time: 5}, ExpiresAt: 6, Value: []byte("v")}},
	}
	h := pureHello("n1", "n2")
	h.class, h.clock, h.now, h.zone = bulk, 1<<20, time.Unix(1, 5), "a"
	h.peerAddr, h.rpcAddr, h.httpAddr = "p:1", "r:2", "h:3"
	h.earlier = []Run{{3, 0x3333}}
	head := request{clock: 0x10001, deadline: 1_700_000_000_000_000_000}
	answered := func(fields int, build func(w *wire.Writer)) []byte {
		return encoded(func(w *wire.Writer) {
			encodeAnswer(w, 9, 1+fields)
			w.Uint(0x10002)
			build(w)
		})
	}
	asked := func(method string, params int, build func(w *wire.Writer)) []byte {
		return encoded(func(w *wire.Writer) {
			head.encode(w, 9, method, params)
			build(w)
		})
	}
	return []struct {
		name  string
		bytes []byte
	}{
		{"hello", encoded(func(w *wire.Writer) { encodeRequest(w, helloID, methodHello, 1); h.encode(w) })},
		{"hello answer", encoded(func(w *wire.Writer) {
			encodeHelloAnswer(w, helloID, h, &HandshakeError{Reason: ReasonTable, Detail: "differs"})
		})},
		{"outdated", encoded(func(w *wire.Writer) {
			encodeRefuse(w, &HandshakeError{Reason: ReasonOutdated, Detail: "older", Last: Run{5, 0x5555}})
		})},
		{"refuse", encoded(func(w *wire.Writer) { encodeRefuse(w, &HandshakeError{Reason: ReasonTable, Detail: "differs"}) })},
		{"error answer", encoded(func(w *wire.Writer) { encodeErrorAnswer(w, 9, 0x10002, coordinator.ErrOverloaded) })},
		{"ping", encoded(func(w *wire.Writer) {
			encodeRequest(w, 9, methodPing, 1+pingFields)
			w.Uint(0x10001)
			(&ping{named: named{7, 2}, offset: -5 * time.Millisecond, hasOffset: true}).encode(w)
		})},
		{"pong", answered(pongFields, (&pong{named: named{8, 3}, arrived: time.Unix(2, 1), answered: time.Unix(2, 2)}).encode)},
		{"store", asked(methodStore, 1, func(w *wire.Writer) {
			encodeItems(w, []coordinator.Item{{Key: []byte("k"), Object: tombstone}, {Key: []byte{}}})
		})},
		{"hint", asked(methodHint, hintFields, func(w *wire.Writer) {
			encodeHint(w, "n3", []coordinator.Item{{Key: []byte("k"), Object: tombstone}})
		})},
		{"store answer", answered(1, func(w *wire.Writer) { encodeAck(w, coordinator.StoreAck{Actor: 0xabcdef}) })},
		{"read", asked(methodRead, 2, func(w *wire.Writer) {
			w.Uint(uint64(coordinator.WantHeads))
			encodeKeys(w, [][]byte{[]byte("k"), []byte("l")})
		})},
		{"read answer", answered(1, func(w *wire.Writer) {
			encodeReadItems(w, []coordinator.ReadItem{{Object: tombstone}, {State: coordinator.ReadUnknown}, {}, {State: coordinator.ReadOmitted}})
		})},
		{"scan", asked(methodScan, scanFields, func(w *wire.Writer) {
			encodeScan(w, &coordinator.ScanRequest{
				Start: []byte("a"), End: []byte("z"), Reverse: true, HeadsOnly: true, Partitions: []ring.PartitionID{0, 300},
				ItemsMax: 1, BytesMax: 2, ScannedMax: 3,
			})
		})},
		{"scan answer", answered(scanPageFields, func(w *wire.Writer) {
			encodePage(w, &coordinator.ScanPage{
				Items: []coordinator.Item{{Key: []byte("k"), Object: tombstone}}, Unknown: [][]byte{[]byte("u")}, More: true, Resume: []byte("r"),
			})
		})},
		{"coordinate", asked(methodCoordinate, writeFields, func(w *wire.Writer) {
			encodeWrite(w, &coordinator.WriteRequest{
				Ops: []coordinator.Op{
					{Kind: coordinator.OpPut, Key: []byte("k"), Value: []byte("v"), ExpiresAt: 5, Context: causal.Vector{{Actor: 2, Time: 3}}, HasContext: true},
					{Kind: coordinator.OpDelete, Key: []byte("d")},
				},
				W: coordinator.LevelQuorum, R: 2, Ordered: wire.ChoiceYes, Sloppy: wire.ChoiceNo,
			})
		})},
		{"coordinate answer", answered(1, func(w *wire.Writer) {
			encodeOutcomes(w, []coordinator.Outcome{
				{Context: causal.Vector{{Actor: 2, Time: 3}}, Receipt: coordinator.Receipt{
					Dot: causal.Dot{Actor: 2, Time: 3}, Replicas: []ring.NodeID{"n1", "n3"}, Retried: true,
					Hints: []coordinator.KeptHint{{Target: "n2", Node: "n1"}, {Target: "n2", Node: "n4", Counted: true}}}},
				{Err: &coordinator.QuorumError{Op: "put", Need: 2, Got: 1, Effect: wire.EffectApplied, Causes: []coordinator.Cause{
					{Node: "n2", Err: errors.New("broken")}, {Node: "n3", Err: context.DeadlineExceeded}}}},
			})
		})},
	}
}

func TestMessagesDoNotChange(t *testing.T) {
	var b strings.Builder
	for _, m := range sampleMessages() {
		fmt.Fprintf(&b, "%s\n%s\n", m.name, hex.Dump(m.bytes))
	}
	golden(t, "messages.golden", []byte(b.String()))
}

func TestSampleMessagesDecode(t *testing.T) {
	for _, m := range sampleMessages() {
		if again := reencode(m.bytes); !bytes.Equal(again, m.bytes) {
			t.Errorf("%s decodes to another message:\n%x\n%x", m.name, m.bytes, again)
		}
	}
}

// reencode decodes a message, whatever it is, and encodes what was decoded; nil if it cannot be decoded.
func reencode(msg []byte) []byte {
	r := wire.NewReader(msg)
	w := wire.NewWriter(nil)
	if r.ArrayLen(4) == 3 {
		r.Uint(kindNotice)
		if r.Str() != methodRefuse {
			r.Fail("no notice")
		}
		exactly(&r, 1, "parameters")
		encodeRefuse(w, decodeVerdict(&r))
	} else {
		switch kind, id := r.Uint(kindAnswer), uint32(r.Uint(1<<32-1)); {
		case r.Err() != nil:
		case kind == kindRequest:
			reencodeRequest(&r, w, id)
		case r.TryNil():
			reencodeAnswer(&r, w, id)
		default:
			exactly(&r, 2, "an error")
			encodeErrorAnswer(w, id, causal.Timestamp(r.Uint64()), decodeError(&r))
			if !r.TryNil() {
				r.Fail("an error and a result")
			}
		}
	}
	if r.Done() != nil {
		return nil
	}
	return w.Bytes()
}

func reencodeRequest(r *wire.Reader, w *wire.Writer, id uint32) {
	method := r.Str()
	if method == methodHello {
		exactly(r, 1, "parameters")
		encodeRequest(w, id, method, 1)
		decodeHello(r).encode(w)
		return
	}
	params := r.ArrayLen(100)
	clock := r.Uint64()
	encodeRequest(w, id, method, params)
	w.Uint(clock)
	if method == methodPing {
		p := decodePing(r)
		p.encode(w)
		return
	}
	w.Int(r.Int64())
	switch method {
	case methodStore:
		encodeItems(w, decodeItems(r))
	case methodHint:
		target, items := decodeHint(r)
		encodeHint(w, target, items)
	case methodRead:
		w.Uint(r.Uint(uint64(coordinator.WantHeads)))
		encodeKeys(w, decodeKeys(r))
	case methodScan:
		req := decodeScan(r)
		encodeScan(w, &req)
	case methodCoordinate:
		encodeWrite(w, decodeWrite(r))
	default:
		r.Fail("no method")
	}
}

// reencodeAnswer tells answers apart by what comes after the clock.
func reencodeAnswer(r *wire.Reader, w *wire.Writer, id uint32) {
	fields := r.ArrayLen(100)
	if r.Kind() == wire.KindArray {
		if theirs, verdict := decodeHelloAnswer(r, fields); r.Err() == nil {
			encodeHelloAnswer(w, id, theirs, verdict)
		}
		return
	}
	encodeAnswer(w, id, fields)
	w.Uint(r.Uint64())
	switch fields {
	case 1 + pongFields:
		p := decodePong(r)
		p.encode(w)
	case 1 + scanPageFields:
		encodePage(w, decodePage(r))
	case 2:
		reencodeList(r, w)
	default:
		r.Fail("no answer")
	}
}

// reencodeList is for the answers to store, read and coordinate.
func reencodeList(r *wire.Reader, w *wire.Writer) {
	if r.Kind() == wire.KindInt {
		encodeAck(w, decodeAck(r))
		return
	}
	asRead, asOutcomes := *r, *r
	if items := decodeReadItems(&asRead); asRead.Done() == nil {
		*r = asRead
		encodeReadItems(w, items)
		return
	}
	outcomes := decodeOutcomes(&asOutcomes)
	*r = asOutcomes
	encodeOutcomes(w, outcomes)
}

func FuzzMessage(f *testing.F) {
	for _, m := range sampleMessages() {
		f.Add(m.bytes)
	}
	f.Add([]byte{0x94, 0, 0, 0xa5, 'h', 'e', 'l', 'l', 'o', 0x91, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, msg []byte) {
		once := reencode(msg)
		if once == nil {
			return
		}
		if twice := reencode(once); !bytes.Equal(once, twice) {
			t.Fatalf("a message changes from hand to hand:\n%x\n%x\n%x", msg, once, twice)
		}
	})
}

func FuzzError(f *testing.F) {
	for _, err := range travellingErrors() {
		f.Add(encoded(func(w *wire.Writer) { encodeError(w, err) }))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		err := decodeError(&r)
		if r.Done() != nil {
			return
		}
		again := encoded(func(w *wire.Writer) { encodeError(w, err) })
		r = wire.NewReader(again)
		second := decodeError(&r)
		if r.Done() != nil || second.Error() != err.Error() || coordinator.EffectOf(second) != coordinator.EffectOf(err) {
			t.Fatalf("%v became %v (%v)", err, second, r.Err())
		}
	})
}

func FuzzVerdict(f *testing.F) {
	f.Add(encoded(func(w *wire.Writer) { encodeVerdict(w, &HandshakeError{Reason: ReasonTable, Detail: "differs"}) }))
	f.Add(encoded(func(w *wire.Writer) { encodeVerdict(w, &HandshakeError{Reason: ReasonOutdated, Last: Run{5, 6}}) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := wire.NewReader(b)
		v := decodeVerdict(&r)
		if r.Done() != nil {
			return
		}
		if again := encoded(func(w *wire.Writer) { encodeVerdict(w, v) }); len(again) > len(b) {
			t.Fatalf("%x became %x", b, again)
		}
	})
}

func travellingErrors() []error {
	return []error{
		coordinator.ErrTooManySiblings,
		coordinator.ErrUnknownKey,
		coordinator.ErrNotReplica,
		coordinator.ErrOverloaded,
		coordinator.ErrRetired,
		fmt.Errorf("%w: %w", coordinator.ErrNotServing, errors.New("clock is off")),
		&coordinator.RequestError{Detail: "key is empty", Err: coordinator.ErrBadRequest},
		&coordinator.RequestError{Detail: "value", Err: coordinator.ErrTooLarge},
		context.DeadlineExceeded,
		context.Canceled,
		&coordinator.WriteError{Effect: wire.EffectNone, Err: context.DeadlineExceeded},
		&coordinator.WriteError{Effect: wire.EffectApplied, Err: errors.New("odd")},
		&coordinator.WriteError{Effect: wire.EffectUnknown, Err: storage.ErrReadOnly},
		&coordinator.QuorumError{Op: "put", Need: 3, Got: 1, Effect: wire.EffectUnknown, Causes: []coordinator.Cause{
			{Node: "n1", Err: errors.New("broken")}, {Node: "n2", Err: context.DeadlineExceeded}}},
		&wire.Fault{Code: wire.CodeUnavailable, Effect: wire.EffectNone, Message: "draining", RetryAfter: time.Second},
		&wire.Fault{Code: wire.CodeQuorumNotMet, Effect: wire.EffectApplied, Message: "few", Need: 2, Got: 1},
		errors.New("never seen"),
	}
}

func TestErrorsKeepTypeEffectAndWords(t *testing.T) {
	for _, err := range travellingErrors() {
		r := wire.NewReader(encoded(func(w *wire.Writer) { encodeError(w, err) }))
		got := decodeError(&r)
		must(t, r.Done())
		if coordinator.EffectOf(got) != effectOf(err) {
			t.Errorf("%v: effect %v became %v", err, coordinator.EffectOf(err), coordinator.EffectOf(got))
		}
		for _, sentinel := range sentinels {
			if sentinel != nil && errors.Is(err, sentinel) != errors.Is(got, sentinel) {
				t.Errorf("%v: errors.Is(%v) is %v at the origin", err, sentinel, errors.Is(got, sentinel))
			}
		}
		var q, gotQ *coordinator.QuorumError
		if errors.As(err, &q) && (!errors.As(got, &gotQ) || !reflect.DeepEqual(q, gotQ)) {
			t.Errorf("%+v became %+v", q, gotQ)
		}
		var fault, gotFault *wire.Fault
		if errors.As(err, &fault) && (!errors.As(got, &gotFault) || !reflect.DeepEqual(fault, gotFault)) {
			t.Errorf("%+v became %+v", fault, gotFault)
		}
		var odd *coordinator.WriteError
		if !errors.As(err, &odd) && !strings.Contains(got.Error(), err.Error()) {
			t.Errorf("%q became %q", err, got)
		}
	}
}

func TestErrorsOfTheStoreGetTheirCode(t *testing.T) {
	for err, want := range map[error]wire.Fault{
		fmt.Errorf("write: %w", storage.ErrReadOnly):             {Code: wire.CodeReadOnly, Effect: wire.EffectNone},
		&storage.IOError{Op: "write", Err: syscall.ENOSPC}:       {Code: wire.CodeNoSpace},
		storage.ErrTooLarge:                                      {Code: wire.CodeTooLarge, Effect: wire.EffectNone},
		storage.ErrClosed:                                        {Code: wire.CodeUnavailable, Effect: wire.EffectNone},
		&coordinator.UnreachableError{Node: "n2"}:                {Code: wire.CodeUnavailable, Effect: wire.EffectNone},
		&storage.CorruptError{Segment: 1, Reason: "checksum"}:    {Code: wire.CodeInternal},
		&LostError{Node: "n3", Err: errors.New("reset by peer")}: {Code: wire.CodeInternal},
	} {
		r := wire.NewReader(encoded(func(w *wire.Writer) { encodeError(w, err) }))
		got, ok := decodeError(&r).(*wire.Fault)
		if !ok || got.Code != want.Code || got.Effect != want.Effect {
			t.Errorf("%v became %v, want %v", err, got, want)
		}
	}
}

// Whatever a local error looks like, the peer must be able to decode it.
func TestOddErrorsCanBeDecoded(t *testing.T) {
	long := strings.Repeat("ä\xff", 10_000)
	many := make([]coordinator.Cause, 2*replicasMax)
	for i := range many {
		many[i] = coordinator.Cause{Node: ring.NodeID(long[:2*nodeIDBytesMax]), Err: errors.New(long[:2*textBytesMax])}
	}
	for _, err := range []error{
		errors.New(long),
		errors.New(""),
		&coordinator.QuorumError{Op: long, Need: -1, Got: 1 << 40, Causes: many},
		&coordinator.QuorumError{Causes: []coordinator.Cause{{}}},
		&wire.Fault{Code: 250, RetryAfter: -time.Hour, Need: -4},
		&wire.Fault{RetryAfter: 1 << 62},
	} {
		r := wire.NewReader(encoded(func(w *wire.Writer) { encodeError(w, err) }))
		_ = decodeError(&r)
		if err := r.Done(); err != nil {
			t.Error(err)
		}
	}
}

func TestHelloHasALimitOfMembers(t *testing.T) {
	h := pureHello("n1", "n2")
	for len(h.members) <= MembersMax {
		h.members = append(h.members, place{id: "m"})
	}
	r := wire.NewReader(encoded(h.encode))
	decodeHello(&r)
	if r.Done() == nil {
		t.Fatal("a hello of too many members was taken")
	}
	h.members = h.members[:MembersMax]
	for i := range h.members {
		h.members[i] = place{id: ring.NodeID(strings.Repeat("i", nodeIDBytesMax)), zone: strings.Repeat("z", textBytesMax)}
	}
	largest := encoded(h.encode)
	r = wire.NewReader(largest)
	decodeHello(&r)
	if err := r.Done(); err != nil || len(largest) > helloBytesMax/2 {
		t.Fatalf("the largest hello has %d bytes: %v", len(largest), err)
	}
}
