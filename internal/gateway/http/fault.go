package httpgw

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringcask/ringcask/internal/wire"
)

// HTTPStatus is the HTTP status of a code; that of a code that is not known is 500.
func HTTPStatus(code wire.Code) int {
	switch code {
	case wire.CodeNotFound:
		return http.StatusNotFound
	case wire.CodeBadRequest:
		return http.StatusBadRequest
	case wire.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case wire.CodeTooManySiblings:
		return http.StatusConflict
	case wire.CodeTimeout:
		return http.StatusGatewayTimeout
	case wire.CodeQuorumNotMet, wire.CodeOverloaded, wire.CodeReadOnly, wire.CodeUnavailable:
		return http.StatusServiceUnavailable
	case wire.CodeUnauthorized:
		return http.StatusUnauthorized
	case wire.CodeForbidden:
		return http.StatusForbidden
	case wire.CodeNoSpace:
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// writeFailure answers with an error.
func (x *exchange) writeFailure(f *failure) {
	h := x.w.Header()
	if f.allow != "" {
		h.Set("Allow", f.allow)
	}
	if f.fault.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfterSeconds(f.fault.RetryAfter)))
	}
	status := f.status
	if status == 0 {
		status = HTTPStatus(f.fault.Code)
	}
	if f.body != nil {
		x.respondJSON(status, f.body)
		return
	}
	x.respondJSON(status, func(b []byte) []byte {
		b = appendFault(append(b, '{'), f.fault)
		if f.also != nil {
			b = f.also(b)
		}
		return append(b, '}')
	})
}

// retryAfterSeconds is whole seconds, as the header has it, rounded up.
func retryAfterSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// appendFault appends the member "error".
func appendFault(b []byte, f *wire.Fault) []byte {
	b = append(b, `"error":{"code":`...)
	b = appendString(b, f.Code.String())
	b = append(b, `,"message":`...)
	b = appendString(b, strings.ToValidUTF8(f.Message, "\uFFFD"))
	b = append(b, `,"effect":`...)
	b = appendString(b, f.Effect.String())
	if f.Code == wire.CodeQuorumNotMet {
		b = append(b, `,"need":`...)
		b = strconv.AppendInt(b, int64(f.Need), 10)
		b = append(b, `,"got":`...)
		b = strconv.AppendInt(b, int64(f.Got), 10)
	}
	if f.RetryAfter > 0 {
		b = append(b, `,"retry_after":`...)
		b = strconv.AppendFloat(b, f.RetryAfter.Seconds(), 'f', -1, 64)
	}
	return append(b, '}')
}
