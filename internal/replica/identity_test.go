package replica

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := goldenBytes(t, name); !bytes.Equal(got, want) {
		t.Errorf("%s: the format has changed\ngot  %x\nwant %x", name, got, want)
	}
}

func goldenBytes(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func specimen() *identity {
	return &identity{
		clean: true, incarnation: 7, actor: 0xa1b2c3d4e5f6, boot: BootID{0: 1, 15: 16}, logSeq: 0x0a0b0c,
		earlier: []Run{{Incarnation: 5, Boot: 0x5051525354555657}, {Incarnation: 6, Boot: 0x6061626364656667}},
		cluster: cluster{
			node: "n1", replicas: 3, partitions: 256, fingerprint: 0x1122334455667788,
			members: []ring.Member{{ID: "n0", Zone: "a"}, {ID: "n1"}, {ID: "n2", Zone: "b"}},
		},
	}
}

func TestIdentityAndClockFormatsAreThoseThatWereReleased(t *testing.T) {
	golden(t, "identity-3.hex", appendIdentity(nil, specimen()))
	golden(t, "clock.hex", appendCeiling(nil, 0x0102030405060708))
}

func TestIdentityOfEarlierFormatsIsRead(t *testing.T) {
	want := specimen()
	want.earlier = nil
	if got, err := decodeIdentity(goldenBytes(t, "identity-2.hex")); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("format 2: %+v, %v", got, err)
	}
	want.logSeq = 0
	if got, err := decodeIdentity(goldenBytes(t, "identity-1.hex")); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("format 1: %+v, %v", got, err)
	}
}

func TestIdentityComesBack(t *testing.T) {
	for _, clean := range []bool{true, false} {
		id := specimen()
		id.clean = clean
		got, err := decodeIdentity(appendIdentity(nil, id))
		if err != nil || !reflect.DeepEqual(got, id) {
			t.Fatalf("%+v came back as %+v, %v", id, got, err)
		}
	}
	if got, err := decodeCeiling(appendCeiling(nil, 99)); err != nil || got != 99 {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestDamagedIdentityOrClockIsRefused(t *testing.T) {
	id, clock := appendIdentity(nil, specimen()), appendCeiling(nil, 99)
	refused := func(what string, at int, id, clock []byte) {
		t.Helper()
		if _, err := decodeIdentity(id); id != nil && !errors.Is(err, errDamaged) {
			t.Errorf("identity %s at %d: %v", what, at, err)
		}
		if _, err := decodeCeiling(clock); clock != nil && !errors.Is(err, errDamaged) {
			t.Errorf("clock %s at %d: %v", what, at, err)
		}
	}
	flip := func(data []byte, at int) []byte {
		data = bytes.Clone(data)
		data[at] ^= 1
		return data
	}
	for i := range id {
		refused("changed", i, flip(id, i), nil)
		refused("cut", i, id[:i], nil)
	}
	for i := range clock {
		refused("changed", i, nil, flip(clock, i))
		refused("cut", i, nil, clock[:i])
	}
	refused("longer", 0, append(bytes.Clone(id), 0), append(bytes.Clone(clock), 0))
	resealed := func(data []byte, at int, b byte) []byte {
		data = bytes.Clone(data[:len(data)-checksumBytes])
		data[at] = b
		return binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
	}
	refused("of another format", 4, resealed(id, 4, 9), resealed(clock, 4, 9))
	refused("with unknown flags", 5, resealed(id, 5, 3), nil)
	refused("with too many runs", 46, resealed(id, 46, 200), nil)
	refused("with runs out of order", 54, resealed(id, 54, 9), nil)
	refused("with another length inside", 95, resealed(id, 95, 200), nil)
}

func FuzzDecodeIdentity(f *testing.F) {
	f.Add(appendIdentity(nil, specimen()))
	f.Add([]byte(identityMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksum is made right, for the fuzzer not to be stopped by it.
		data = binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli))
		id, err := decodeIdentity(data)
		if err == nil && data[len(identityMagic)] == identityFormat && !bytes.Equal(appendIdentity(nil, id), data) {
			t.Fatalf("%x was accepted, but is written %x", data, appendIdentity(nil, id))
		}
	})
}

func FuzzDecodeCeiling(f *testing.F) {
	f.Add(appendCeiling(nil, causal.Timestamp(1)<<40))
	f.Fuzz(func(t *testing.T, data []byte) {
		ceiling, err := decodeCeiling(data)
		if err == nil && !bytes.Equal(appendCeiling(nil, ceiling), data) {
			t.Fatalf("%x was accepted", data)
		}
	})
}
