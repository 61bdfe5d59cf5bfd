package httpgw

import (
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/coordinator"
	"github.com/ringcask/ringcask/internal/wire"
)

func TestABatchIsOneWriteWithAResultForEachOperation(t *testing.T) {
	f := newFixture(t)
	cc := f.want(200, "PUT", "/kv/c", `{"value":"0"}`).Context
	got := f.want(200, "POST", "/kv/batch?w=2&ordered", `{"operations":[
		{"type":"put","key":"a","value":"1","ttl":"1m"},
		{"type":"put","key_base64":"/w==","value_base64":"gA==","ttl":2000},
		{"type":"put","key":"c","value":"2","context":"`+cc+`"},
		{"type":"delete","key":"d"}]}`, "Content-Type", "application/json")
	if len(got.Results) != 4 || keysOf(got.Results) != "a ff c d" {
		t.Fatalf("results %+v", got.Results)
	}
	for i, r := range got.Results {
		if r.Error != nil || r.Context == "" || r.Receipt == nil || len(r.Receipt.Replicas) != 2 {
			t.Errorf("result %d: %+v", i, r)
		}
	}
	req := f.store.write
	if req.W != 2 || req.Ordered != wire.ChoiceYes || len(req.Ops) != 4 || req.Ops[3].Kind != coordinator.OpDelete {
		t.Errorf("store got %+v", req)
	}
	if req.Ops[0].ExpiresAt != wall.Add(time.Minute).UnixMilli() || req.Ops[1].ExpiresAt != wall.Add(2*time.Second).UnixMilli() || req.Ops[2].ExpiresAt != 0 {
		t.Errorf("expiries %d %d %d", req.Ops[0].ExpiresAt, req.Ops[1].ExpiresAt, req.Ops[2].ExpiresAt)
	}
	if req.Ops[0].HasContext || !req.Ops[2].HasContext {
		t.Error("contexts are mixed up")
	}
	if v, _ := f.store.value("\xff"); v != "\x80" {
		t.Errorf("stored %q", v)
	}
}

func TestTheTimeToLiveOfTheQueryHoldsForPutsThatHaveNone(t *testing.T) {
	f := newFixture(t)
	f.want(200, "POST", "/kv/batch?ttl=1h", `{"operations":[{"type":"put","key":"a","value":""},{"type":"put","key":"b","value":"","ttl":"1s"},{"type":"delete","key":"c"}]}`)
	ops := f.store.write.Ops
	if ops[0].ExpiresAt != wall.Add(time.Hour).UnixMilli() || ops[1].ExpiresAt != wall.Add(time.Second).UnixMilli() || ops[2].ExpiresAt != 0 {
		t.Errorf("expiries %d %d %d", ops[0].ExpiresAt, ops[1].ExpiresAt, ops[2].ExpiresAt)
	}
}

func TestABatchThatFailedInPartHasTheStatusOfTheFirstFailure(t *testing.T) {
	f := newFixture(t)
	f.store.outcome = func(op *coordinator.Op) error {
		switch string(op.Key) {
		case "b":
			return coordinator.ErrTooManySiblings
		case "c":
			return &coordinator.QuorumError{Op: "put", Need: 2, Got: 1, Effect: wire.EffectApplied}
		}
		return nil
	}
	got := f.want(409, "POST", "/kv/batch", `{"operations":[{"type":"put","key":"a","value":"1"},{"type":"put","key":"b","value":"1"},{"type":"put","key":"c","value":"1"}]}`)
	if len(got.Results) != 3 || got.Error != nil {
		t.Fatalf("got %+v", got)
	}
	if r := got.Results[0]; r.Error != nil || r.Receipt == nil {
		t.Errorf("a: %+v", r)
	}
	if r := got.Results[1]; r.Error.Code != "too_many_siblings" || r.Context != "" {
		t.Errorf("b: %+v", r)
	}
	if r := got.Results[2]; r.Error.Code != "quorum_not_met" || r.Error.Effect != "applied" || r.Context == "" || r.Error.Need != 2 {
		t.Errorf("c: %+v", r)
	}
}

func TestABatchThatIsNotWellFormedWritesNothing(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BatchOpsMax, o.BatchBytesMax, o.ValueBytesMax, o.KeyBytesMax = 3, 100, 60, 10 })
	op := func(members string) string {
		return `{"operations":[{"type":"put","key":"ok","value":"v"},{` + members + `}]}`
	}
	for body, says := range map[string]string{
		`{}`:                  "missing",
		`{"operations":[]}`:   "missing",
		`{"operations":{}}`:   "array",
		`{"operations":null}`: "array",
		`[]`:                  "JSON",
		`{"operations":[{"type":"delete","key":"a"}],"more":1}`:      "more",
		op(`"type":"get","key":"a"`):                                 "operation 1",
		op(`"key":"a","value":"b"`):                                  "type",
		op(`"type":"put","key":"a"`):                                 "value",
		op(`"type":"put","value":"a"`):                               "key",
		op(`"type":"put","key":"","value":"a"`):                      "empty key",
		op(`"type":"put","key":"a","key_base64":"YQ==","value":"a"`): "both",
		op(`"type":"put","key":"a","value":"a","sort":1`):            "sort",
		op(`"type":"put","key":"a","value":"a","ttl":"x"`):           "ttl",
		op(`"type":"put","key":"a","value":"a","ttl":-5`):            "ttl",
		op(`"type":"put","key":"a","value":"a","ttl":{}`):            "ttl",
		op(`"type":"put","key":"a","value":"a","context":"x"`):       "context",
		op(`"type":"delete","key":"a","value":"a"`):                  "delete with a value",
		op(`"type":"delete","key":"a","ttl":5`):                      "delete with a value",
	} {
		f.refuse("bad_request", says, "POST", "/kv/batch", body)
	}
	f.refuse("too_large", "11 bytes", "POST", "/kv/batch", op(`"type":"delete","key":"12345678901"`))
	f.refuse("too_large", "61 bytes", "POST", "/kv/batch", op(`"type":"put","key":"a","value":"`+strings.Repeat("x", 61)+`"`))
	big := `{"type":"put","key":"k","value":"` + strings.Repeat("x", 55) + `"}`
	f.refuse("too_large", "longer than 100 bytes", "POST", "/kv/batch", `{"operations":[`+big+`,`+big+`]}`)
	f.refuse("too_large", "more than 3", "POST", "/kv/batch", `{"operations":[`+strings.Repeat(`{},`, 3)+`{}]}`)
	f.refuse("bad_request", "application/json", "POST", "/kv/batch", "x", "Content-Type", raw)
	f.refuse("bad_request", "context", "POST", "/kv/batch?context=AaAuSn8", op(`"type":"delete","key":"a"`))
}

func TestABatchOfVeryManyEmptyOperationsTakesLittleMemory(t *testing.T) {
	f := newFixture(t)
	body := `{"operations":[` + strings.Repeat("{},", 1<<20) + `{}]}`
	if n := allocated(func() { f.refuse("too_large", "more than 10000", "POST", "/kv/batch", body) }); n > uint64(12*len(body)) {
		t.Errorf("%d bytes took %d", len(body), n)
	}
}

func TestABatchThatTheStoreRefusesIsOneError(t *testing.T) {
	f := newFixture(t)
	f.store.err = &coordinator.RequestError{Detail: "key stands twice", Err: coordinator.ErrBadRequest}
	if got := f.want(400, "POST", "/kv/batch", `{"operations":[{"type":"delete","key":"a"},{"type":"delete","key":"a"}]}`); got.Error.Effect != "none" || got.Results != nil {
		t.Errorf("got %+v", got)
	}
}
