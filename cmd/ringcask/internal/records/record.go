package records

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Record is one key and its value. Both are the holder's own.
type Record struct {
	Key, Value []byte
}

// OpType is what an operation of a batch does.
type OpType uint8

// The types of operation.
const (
	Put OpType = iota
	Delete
)

func (t OpType) String() string { return [...]string{"put", "delete"}[t] }

// Op is one operation of a batch. Value is nil for a Delete.
type Op struct {
	Type       OpType
	Key, Value []byte
}

// fields are the members that a line may have; nil is absent.
type fields struct {
	kind, key, value []byte
}

// ParseRecord decodes one line of a load file.
func ParseRecord(line []byte) (Record, error) {
	f, err := parseFields(line)
	switch {
	case err != nil:
		return Record{}, err
	case f.kind != nil:
		return Record{}, errors.New(`has a "type": that is a batch, not a load file`)
	case f.value == nil:
		return Record{}, errors.New(`has neither "value" nor "value_base64"`)
	}
	return Record{Key: f.key, Value: f.value}, nil
}

// ParseOp decodes one line of a batch.
func ParseOp(line []byte) (Op, error) {
	f, err := parseFields(line)
	if err != nil {
		return Op{}, err
	}
	switch string(f.kind) {
	case "put":
		if f.value == nil {
			return Op{}, errors.New(`is a put with neither "value" nor "value_base64"`)
		}
		return Op{Type: Put, Key: f.key, Value: f.value}, nil
	case "delete":
		if f.value != nil {
			return Op{}, errors.New("is a delete with a value")
		}
		return Op{Type: Delete, Key: f.key}, nil
	}
	return Op{}, errors.New(`needs a "type" that is "put" or "delete"`)
}

func parseFields(line []byte) (f fields, err error) {
	err = parseObject(line, func(name string, value []byte) error {
		target, encoded := &f.key, false
		switch name {
		case "key":
		case "key_base64":
			encoded = true
		case "value":
			target = &f.value
		case "value_base64":
			target, encoded = &f.value, true
		case "type":
			target = &f.kind
		default:
			return fmt.Errorf("has an unknown member %q", name)
		}
		if *target != nil {
			return fmt.Errorf("gives its %s twice", strings.TrimSuffix(name, "_base64"))
		}
		if encoded {
			n, err := base64.StdEncoding.Strict().Decode(value, value)
			if err != nil {
				return fmt.Errorf("%s is not base64: %w", name, err)
			}
			value = value[:n:n]
		}
		*target = value
		return nil
	})
	if err == nil && f.key == nil {
		err = errors.New(`has neither "key" nor "key_base64"`)
	}
	if err == nil && len(f.key) == 0 {
		err = errors.New("has an empty key")
	}
	return f, err
}

// AppendRecord appends a record as one line, with its line end.
func AppendRecord(dst, key, value []byte) []byte {
	dst = append(dst, '{')
	dst = AppendBytes(dst, "key", key)
	dst = append(dst, ',')
	dst = AppendBytes(dst, "value", value)
	return append(dst, '}', '\n')
}

// AppendBytes appends a member of a JSON object: name with b as a string, or, if b is not UTF-8, name_base64.
func AppendBytes(dst []byte, name string, b []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, name...)
	if utf8.Valid(b) {
		dst = append(dst, '"', ':')
		return appendString(dst, b)
	}
	dst = append(dst, `_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

// appendString appends b, which must be UTF-8, as a JSON string.
func appendString(dst, b []byte) []byte {
	dst = append(dst, '"')
	for {
		n := plainLen(b)
		dst = append(dst, b[:n]...)
		if n == len(b) {
			return append(dst, '"')
		}
		switch c := b[n]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0')
			dst = hex.AppendEncode(dst, []byte{c})
		}
		b = b[n+1:]
	}
}
