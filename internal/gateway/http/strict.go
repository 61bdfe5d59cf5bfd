package httpgw

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
)

// strictUnmarshal is json.Unmarshal that takes one value, with no members that into has not.
func strictUnmarshal(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("it ends too early")
		}
		return inJSONWords(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows it")
	}
	return nil
}

// inJSONWords tells what is wrong in words of JSON, where the decoder speaks of Go.
func inJSONWords(err error) error {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return err
	}
	where, want := "it", "an object"
	if mismatch.Field != "" {
		where = strconv.Quote(mismatch.Field)
	}
	switch mismatch.Type.Kind() {
	case reflect.String:
		want = "a string"
	case reflect.Slice:
		want = "an array"
	}
	return fmt.Errorf("%s must be %s, not %s", where, want, mismatch.Value)
}

// brokenSurrogate says whether JSON text has a \u escape of a surrogate that is not one of a pair. The decoder would put
// U+FFFD in its place, and so store another value than the client sent.
func brokenSurrogate(body []byte) bool {
	for {
		i := bytes.IndexByte(body, '\\')
		if i < 0 || i+1 == len(body) {
			return false
		}
		body = body[i:]
		unit := escapedUnit(body)
		switch {
		case unit >= 0xdc00 && unit < 0xe000:
			return true
		case unit >= 0xd800 && unit < 0xdc00:
			if low := escapedUnit(body[6:]); low < 0xdc00 || low >= 0xe000 {
				return true
			}
			body = body[12:]
		default:
			body = body[2:]
		}
	}
}

// escapedUnit is the UTF-16 unit of the \uXXXX that body begins with, or -1.
func escapedUnit(body []byte) int {
	if len(body) < 6 || body[0] != '\\' || body[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(body[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return int(unit)
}
