package httpgw

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"
	"unicode/utf8"

	"github.com/ringcask/ringcask/internal/wire"
)

// bodyBytesStart is what a body gets at first, however long it says it is.
const bodyBytesStart = 64 << 10

// readBody reads the whole body, of at most bytesMax. Memory is taken, and counted in admission, as bytes arrive. The
// slice is fresh.
func (x *exchange) readBody(bytesMax int) ([]byte, *failure) {
	// most is one byte more than the body should have, to meet its end without growing.
	most := bytesMax + 1
	if declared := x.r.ContentLength; declared > int64(bytesMax) {
		return nil, tooLarge("body of %d bytes is longer than %d", declared, bytesMax)
	} else if declared >= 0 {
		most = int(declared) + 1
	}
	var body []byte
	for filled := 0; ; {
		if filled == len(body) {
			larger := make([]byte, min(most, max(bodyBytesStart, 2*filled)))
			if fail := x.grow(len(larger) - len(body)); fail != nil {
				return nil, fail
			}
			copy(larger, body)
			body = larger
		}
		n, err := x.r.Body.Read(body[filled:])
		filled += n
		switch {
		case filled > bytesMax:
			return nil, tooLarge("body is longer than %d bytes", bytesMax)
		case err == io.EOF: // the server says io.ErrUnexpectedEOF where a body was cut short
			x.setReadDeadline(time.Time{})
			return body[:filled:filled], nil
		case err != nil:
			return nil, bodyFailure(err)
		}
	}
}

// bodyFailure is a body that did not arrive: the client was too slow, or is gone.
func bodyFailure(err error) *failure {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		f := refused(wire.CodeTimeout, "body did not arrive in time")
		f.status = http.StatusRequestTimeout
		return f
	}
	return badRequest("body: %v", err)
}

// jsonBytesMax bounds a JSON body that carries so many bytes in so many objects. Escapes can make six bytes of one:
// who has much that needs them sends base64, which makes four of three.
func jsonBytesMax(payload, objects int) int { return 2*payload + 1024*(objects+1) }

// bodyKind is how a body is to be understood.
type bodyKind uint8

const (
	bodyJSON bodyKind = iota
	bodyRaw
	// bodyGuess is what curl sends when it is not told: JSON, we hope.
	bodyGuess
)

// kindOfBody tells by the Content-Type.
func (x *exchange) kindOfBody() (bodyKind, *failure) {
	header := x.r.Header.Get("Content-Type")
	if header == "" {
		return bodyGuess, nil
	}
	mediaType, _, err := mime.ParseMediaType(header)
	if err != nil {
		return 0, badRequest("Content-Type %.64q: %v", header, err)
	}
	switch mediaType {
	case "application/json":
		return bodyJSON, nil
	case "application/octet-stream":
		return bodyRaw, nil
	case "application/x-www-form-urlencoded":
		return bodyGuess, nil
	}
	return 0, badRequest("Content-Type %.64q: send application/json, or application/octet-stream for a bare value", mediaType)
}

// decodeJSON reads a JSON body into a struct: nothing unknown, nothing after it, and nothing that would be changed by
// reading it.
func decodeJSON(body []byte, guessed bool, into any) *failure {
	hint := ""
	if guessed {
		hint = ` (to store the body as it is, send "Content-Type: application/octet-stream")`
	}
	if !utf8.Valid(body) {
		return badRequest("body is not valid UTF-8: send such a value as value_base64%s", hint)
	}
	if brokenSurrogate(body) {
		return badRequest(`body has a \u escape of half a surrogate pair, which stands for no character%s`, hint)
	}
	err := strictUnmarshal(body, into)
	var tooMany *tooManyError
	if errors.As(err, &tooMany) {
		return tooLarge("%v", err)
	}
	if err != nil {
		return badRequest("body is not the JSON that is expected: %v%s", err, hint)
	}
	return nil
}

// bytesOf is the value of a pair of members of which exactly one is there: text, or base64 of bytes.
func bytesOf(name string, text, encoded *string) ([]byte, *failure) {
	switch {
	case text != nil && encoded != nil:
		return nil, badRequest("%s and %s_base64 are both given", name, name)
	case text != nil:
		return []byte(*text), nil
	case encoded != nil:
		data, err := base64.StdEncoding.DecodeString(*encoded)
		if err != nil {
			return nil, badRequest("%s_base64 is not base64: %v", name, err)
		}
		return data, nil
	}
	return nil, badRequest("%s or %s_base64 is missing", name, name)
}

// duration is a JSON string such as "90s", or a number of milliseconds.
type duration struct {
	text string
}

// UnmarshalJSON keeps the text: what it means is told when the limits are known.
func (d *duration) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &d.text)
	}
	d.text = string(data)
	return nil
}
