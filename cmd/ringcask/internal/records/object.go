package records

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// The ways in which a line is no object of strings.
var (
	errNotObject  = errors.New(`must be one JSON object, such as {"key":"a","value":"1"}`)
	errTrailing   = errors.New("has something after the object")
	errString     = errors.New("has a string that does not end")
	errEscape     = errors.New("has a string with an invalid escape")
	errControl    = errors.New("has a string with a control character that is not escaped")
	errUTF8       = errors.New("has a string that is not UTF-8: such bytes go into key_base64 or value_base64")
	errSurrogate  = errors.New(`has a string with half a surrogate pair (\ud800 to \udfff)`)
	errCommaColon = errors.New("is not JSON: a comma, colon or brace is missing")
)

// cursor walks over one line.
type cursor struct {
	rest []byte
	// out takes the decoded strings one after the other. It is made large enough for all of them: decoding never makes
	// a string longer, so the strings handed out are never moved.
	out []byte
}

// parseObject calls member for each member of the object that line is. The values are slices of one new buffer.
func parseObject(line []byte, member func(name string, value []byte) error) error {
	c := cursor{rest: line, out: make([]byte, 0, len(line))}
	if !c.take('{') {
		return errNotObject
	}
	if c.take('}') {
		return c.end()
	}
	for {
		name, err := c.string()
		if err != nil {
			return err
		}
		if !c.take(':') {
			return errCommaColon
		}
		c.space()
		if len(c.rest) > 0 && c.rest[0] != '"' {
			return fmt.Errorf("%q must be a string", name)
		}
		value, err := c.string()
		if err != nil {
			return err
		}
		if err := member(string(name), value); err != nil {
			return err
		}
		if c.take('}') {
			return c.end()
		}
		if !c.take(',') {
			return errCommaColon
		}
	}
}

func (c *cursor) space() {
	for len(c.rest) > 0 && (c.rest[0] == ' ' || c.rest[0] == '\t' || c.rest[0] == '\r' || c.rest[0] == '\n') {
		c.rest = c.rest[1:]
	}
}

// take skips white space and then b, if it is next.
func (c *cursor) take(b byte) bool {
	c.space()
	if len(c.rest) == 0 || c.rest[0] != b {
		return false
	}
	c.rest = c.rest[1:]
	return true
}

func (c *cursor) end() error {
	if c.space(); len(c.rest) > 0 {
		return errTrailing
	}
	return nil
}

// string decodes the string that comes next.
func (c *cursor) string() ([]byte, error) {
	if !c.take('"') {
		return nil, errCommaColon
	}
	start := len(c.out)
	for {
		n := plainLen(c.rest)
		c.out = append(c.out, c.rest[:n]...)
		c.rest = c.rest[n:]
		if len(c.rest) == 0 {
			return nil, errString
		}
		switch b := c.rest[0]; {
		case b == '"':
			c.rest = c.rest[1:]
			s := c.out[start:len(c.out):len(c.out)]
			if !utf8.Valid(s) {
				return nil, errUTF8
			}
			return s, nil
		case b < ' ':
			return nil, errControl
		}
		if err := c.escape(); err != nil {
			return nil, err
		}
	}
}

// plainLen is how many bytes of s come before a quote, a backslash or a control character.
func plainLen(s []byte) int {
	for i, b := range s {
		if b == '"' || b == '\\' || b < ' ' {
			return i
		}
	}
	return len(s)
}

// escape decodes the escape that comes next.
func (c *cursor) escape() error {
	if len(c.rest) < 2 {
		return errString
	}
	letter := c.rest[1]
	c.rest = c.rest[2:]
	switch letter {
	case '"', '\\', '/':
		c.out = append(c.out, letter)
	case 'b':
		c.out = append(c.out, '\b')
	case 'f':
		c.out = append(c.out, '\f')
	case 'n':
		c.out = append(c.out, '\n')
	case 'r':
		c.out = append(c.out, '\r')
	case 't':
		c.out = append(c.out, '\t')
	case 'u':
		return c.unicodeEscape()
	default:
		return errEscape
	}
	return nil
}

// unicodeEscape decodes what follows \u: four hexadecimal digits and, for the first half of a surrogate pair, the
// second half.
func (c *cursor) unicodeEscape() error {
	r, ok := c.hex4()
	if !ok {
		return errEscape
	}
	if utf16.IsSurrogate(r) {
		if len(c.rest) < 2 || c.rest[0] != '\\' || c.rest[1] != 'u' {
			return errSurrogate
		}
		c.rest = c.rest[2:]
		low, ok := c.hex4()
		if !ok {
			return errEscape
		}
		if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
			return errSurrogate
		}
	}
	c.out = utf8.AppendRune(c.out, r)
	return nil
}

func (c *cursor) hex4() (r rune, ok bool) {
	if len(c.rest) < 4 {
		return 0, false
	}
	for _, b := range c.rest[:4] {
		switch {
		case '0' <= b && b <= '9':
			b -= '0'
		case 'a' <= b && b <= 'f':
			b -= 'a' - 10
		case 'A' <= b && b <= 'F':
			b -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(b)
	}
	c.rest = c.rest[4:]
	return r, true
}
