package cluster

import (
	"bytes"
	"encoding/hex"
	"testing"
)

func TestTheMetadatasBytesAreTheFormats(t *testing.T) {
	m := metadata{incarnation: 0x0102030405060708, condition: ReadOnly}
	const golden = "01010203040506070803"
	if got := hex.EncodeToString(m.encode()); got != golden {
		t.Errorf("%s, want %s", got, golden)
	}
	if got, err := decodeMetadata(m.encode()); err != nil || got != m {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestALaterVersionMayAddBytesAndThisOneMayNot(t *testing.T) {
	m := metadata{incarnation: 7, condition: Serving}
	b := append(m.encode(), "more"...)
	if _, err := decodeMetadata(b); err == nil {
		t.Error("version 1 with bytes at its end is accepted")
	}
	b[0] = 2
	if got, err := decodeMetadata(b); err != nil || got != m {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzMetadata(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(metadata{incarnation: 3, condition: Draining}.encode())
	f.Add(append([]byte{2}, make([]byte, 600)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMetadata(b)
		if err != nil {
			return
		}
		if b[0] == metadataVersion && !bytes.Equal(m.encode(), b) {
			t.Errorf("%x is decoded as %+v, which is %x", b, m, m.encode())
		}
		_ = m.condition.String()
	})
}
