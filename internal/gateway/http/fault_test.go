package httpgw

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

func TestEveryCodeHasItsStatus(t *testing.T) {
	want := map[wire.Code]int{
		wire.CodeInternal:        500,
		wire.CodeNotFound:        404,
		wire.CodeBadRequest:      400,
		wire.CodeTooLarge:        413,
		wire.CodeTooManySiblings: 409,
		wire.CodeQuorumNotMet:    503,
		wire.CodeTimeout:         504,
		wire.CodeOverloaded:      503,
		wire.CodeUnauthorized:    401,
		wire.CodeForbidden:       403,
		wire.CodeReadOnly:        503,
		wire.CodeNoSpace:         507,
		wire.CodeUnavailable:     503,
	}
	for _, code := range wire.Codes() {
		if want[code] == 0 {
			t.Errorf("%s is not in this table", code)
		}
		if got := HTTPStatus(code); got != want[code] {
			t.Errorf("%s has status %d, want %d", code, got, want[code])
		}
	}
	if HTTPStatus(200) != 500 {
		t.Error("a code of a later version is not internal")
	}
}

func TestEveryCodeAndEffectIsWrittenByName(t *testing.T) {
	f := newFixture(t)
	for _, code := range wire.Codes() {
		for _, effect := range []wire.Effect{wire.EffectUnknown, wire.EffectNone, wire.EffectApplied} {
			f.store.err = &wire.Fault{Code: code, Effect: effect, Message: "told \xff", RetryAfter: 2500 * time.Millisecond, Need: 3, Got: 1}
			w := f.do("PUT", "/kv/k", `{"value":"v"}`)
			got := decode(t, w.Body.Bytes())
			if w.Code != HTTPStatus(code) || got.Error.Code != code.String() || got.Error.Effect != effect.String() {
				t.Errorf("%s, %s: %d %s", code, effect, w.Code, w.Body)
			}
			if got.Error.Message != "told \ufffd" || got.Error.RetryAfter != 2.5 || w.Header().Get("Retry-After") != "3" {
				t.Errorf("%s: %s %v", code, w.Body, w.Header())
			}
			if (got.Error.Need == 3) != (code == wire.CodeQuorumNotMet) {
				t.Errorf("%s: need %d", code, got.Error.Need)
			}
		}
	}
}

func TestTheManualNamesEveryCodeWithItsStatus(t *testing.T) {
	page, err := os.ReadFile("../../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range wire.Codes() {
		found := false
		for line := range strings.Lines(string(page)) {
			found = found || strings.HasPrefix(line, "| ") && strings.Contains(line, "`"+code.String()+"`") &&
				strings.Contains(line, strconv.Itoa(HTTPStatus(code)))
		}
		if !found {
			t.Errorf("docs/http.md has no line for %s with status %d", code, HTTPStatus(code))
		}
	}
}
