package main

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// keyFlags are for commands that take keys.
type keyFlags struct {
	KeyBase64 bool `name:"key-base64" help:"Keys, prefixes and bounds on the command line are in base64."`
}

// key is the bytes that an argument stands for.
func (k *keyFlags) key(arg string) ([]byte, error) {
	key, err := k.bound(arg)
	if err == nil && len(key) == 0 {
		err = usagef("a key must not be empty")
	}
	return key, err
}

// bound is a key that may be empty: a prefix, or an end of a range.
func (k *keyFlags) bound(arg string) ([]byte, error) {
	if !k.KeyBase64 {
		return []byte(arg), nil
	}
	key, err := base64.StdEncoding.Strict().DecodeString(arg)
	if err != nil {
		return nil, usagef("%q is not base64: %w", arg, err)
	}
	return key, nil
}

// contextFlag is for writes that supersede what an earlier get saw.
type contextFlag struct {
	Context string `placeholder:"CONTEXT" help:"Supersede exactly what the get that printed this context saw."`
}

// decode is the causal context as the nodes gave it; nil if the flag was not given.
func (c *contextFlag) decode() ([]byte, error) {
	if c.Context == "" {
		return nil, nil
	}
	cc, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(c.Context, "="))
	if err != nil {
		return nil, usagef("--context %q is not one that a get printed: %w", c.Context, err)
	}
	return cc, nil
}

// contextText writes a causal context as HTTP does.
func contextText(cc []byte) string { return base64.RawURLEncoding.EncodeToString(cc) }

// written is the time of a hybrid timestamp: its upper 48 bits are milliseconds since the Unix epoch.
func written(timestamp uint64) time.Time { return time.UnixMilli(int64(timestamp >> 16)).UTC() }

// plural is "1 node" or "3 nodes".
func plural(n int, one, many string) string {
	if n == 1 {
		return fmt.Sprint(n, " ", one)
	}
	return fmt.Sprint(thousands(int64(n)), " ", many)
}
