package peer

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/internal/causal"
	"github.com/ringcask/ringcask/ring"
	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

var sampleIdentities = []identity{
	{id: "n1", incarnation: 3, boot: 0x1122334455667788, actor: 0x0a0b0c0d0e0f},
	{id: "node-2.rack_7", incarnation: 1 << 40, boot: 1, actor: 0},
}

func TestMemoryFileDoesNotChange(t *testing.T) {
	b := encodeMemory(slices.Clone(sampleIdentities))
	golden(t, "memory.golden", []byte(hex.Dump(b)))
	got, err := decodeMemory(b)
	must(t, err)
	if !slices.Equal(got, sampleIdentities) {
		t.Fatalf("got %v", got)
	}
}

func TestDamagedMemoryIsRefused(t *testing.T) {
	good := encodeMemory(slices.Clone(sampleIdentities))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, err := decodeMemory(bad); err == nil {
			t.Errorf("a flipped bit in byte %d goes unnoticed", i)
		}
		if _, err := decodeMemory(good[:i]); err == nil {
			t.Errorf("a file cut to %d bytes goes unnoticed", i)
		}
	}
	disk := vfstest.New()
	must(t, disk.MkdirAll(dataDir))
	must(t, vfs.WriteFileAtomic(disk, filepath.Join(dataDir, MemoryFile), good[:20]))
	_, err := openAdmission(disk, dataDir)
	var damaged *MemoryError
	if !errors.As(err, &damaged) || !strings.Contains(err.Error(), "/data/peers") {
		t.Fatalf("got %v", err)
	}
}

func TestMemoryOfALaterFormatIsNamed(t *testing.T) {
	b := encodeMemory(nil)
	binary.BigEndian.PutUint32(b[len(memoryMagic):], 2)
	if _, err := decodeMemory(b); err == nil || !strings.Contains(err.Error(), "format version 2, this software reads 1") {
		t.Fatalf("got %v", err)
	}
}

func FuzzMemory(f *testing.F) {
	f.Add(encodeMemory(nil))
	f.Add(encodeMemory(slices.Clone(sampleIdentities)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, content := range [][]byte{b, sealed(b)} {
			got, err := decodeMemory(content)
			if err == nil && !bytes.Equal(encodeMemory(got), content) {
				t.Fatalf("%x is read as %v, which is written otherwise", content, got)
			}
		}
	})
}

// sealed is b with a right checksum in its last four bytes, so that fuzzing gets behind it.
func sealed(b []byte) []byte {
	if len(b) < 4 {
		return b
	}
	b = bytes.Clone(b)
	body := b[:len(b)-4]
	return binary.BigEndian.AppendUint32(body, crc32.Checksum(body, castagnoli))
}

// A crash at any point of remembering leaves the old memory or the new one, and what was let in is always remembered.
func TestMemorySurvivesACrashAtEveryStep(t *testing.T) {
	for n := 0; ; n++ {
		disk := vfstest.New()
		must(t, disk.MkdirAll(dataDir))
		a, err := openAdmission(disk, dataDir)
		must(t, err)
		first := identity{"n2", 1, 10, 100}
		must(t, a.rememberLocked(first))
		disk.CrashAfter(n)
		second := identity{"n2", 2, 20, 200}
		remembered := a.rememberLocked(second) == nil
		for seed := range uint64(8) {
			after, err := openAdmission(disk.Crash(vfstest.Random(seed)), dataDir)
			if err != nil {
				t.Fatalf("crash after %d changes, seed %d: %v", n, seed, err)
			}
			if got := after.known["n2"]; got != second && (remembered || got != first) {
				t.Fatalf("crash after %d changes, seed %d: remembered is %v", n, seed, got)
			}
		}
		if !disk.Crashed() {
			return
		}
	}
}

func TestFailedWriteIsTriedAgain(t *testing.T) {
	disk := vfstest.New()
	must(t, disk.MkdirAll(dataDir))
	a, err := openAdmission(disk, dataDir)
	must(t, err)
	disk.Inject(vfstest.Fault{Ops: vfstest.OpSync, Times: 1, Err: errors.New("sync failed")})
	if a.rememberLocked(identity{id: "n2", incarnation: 1}) == nil {
		t.Fatal("want an error")
	}
	if len(a.known) != 0 {
		t.Fatalf("known is %v", a.known)
	}
	must(t, a.rememberLocked(identity{id: "n2", incarnation: 1}))
	must(t, a.changeActor("n2", 0, causal.Actor(5)))
	must(t, a.changeActor("n2", 99, causal.Actor(6))) // another boot's
	must(t, a.changeActor("n9", 0, causal.Actor(7)))  // never met
	a, err = openAdmission(disk, dataDir)
	must(t, err)
	if len(a.known) != 1 || a.known["n2"] != (identity{id: ring.NodeID("n2"), incarnation: 1, actor: 5}) {
		t.Fatalf("read back %v", a.known)
	}
}
