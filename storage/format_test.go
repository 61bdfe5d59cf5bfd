package storage

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs"
	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// goldenID is the engine id of the golden files.
var goldenID = engineID{0x52, 0x43, 2: 1, 15: 0xff}

// goldenStore is a data directory with everything in it that the formats have: its bytes depend on nothing but the code.
func goldenStore(t *testing.T) *vfstest.FS {
	t.Helper()
	fs := vfstest.New()
	if err := fs.MkdirAll(dataDir); err != nil {
		t.Fatal(err)
	}
	if err := fs.SetContent(filepath.Join(dataDir, formatName), encodeFormat(goldenID, formatLog)); err != nil {
		t.Fatal(err)
	}
	e := mustOpen(t, fs, Options{Sync: SyncNever, SegmentBytesMax: segmentBytesLeast})
	mustPut(t, e, "apple", "red")
	mustPut(t, e, "pear", strings.Repeat("green ", 700)) // fills the first segment
	var b Batch
	b.PutMeta([]byte("apple"), []byte("m"), []byte("yellow"))
	b.Delete([]byte("pear"))
	b.Put(nil, nil)
	if err := e.Apply(&b); err != nil {
		t.Fatal(err)
	}
	mustDelete(t, e, "plum")
	settleHintFiles(e)
	mustClose(t, e)
	return fs
}

var goldenFiles = []string{formatName, "0000000001" + segmentSuffix, "0000000001" + hintFileSuffix, "0000000002" + segmentSuffix}

func goldenPath(name string) string { return filepath.Join("testdata", "v1", name) }

func TestFormatsAreThoseOfTheGoldenFiles(t *testing.T) {
	fs := goldenStore(t)
	for _, name := range goldenFiles {
		have, err := fs.Content(filepath.Join(dataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if *updateGolden {
			if err := os.MkdirAll(filepath.Dir(goldenPath(name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(goldenPath(name), have, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(goldenPath(name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s differs:\n%s\nwant\n%s", name, hex.Dump(have[:min(len(have), 256)]), hex.Dump(want[:min(len(want), 256)]))
		}
	}
}

// TestGoldenDirectoryOpens opens what each format version has written, with the hint file and without.
func TestGoldenDirectoryOpens(t *testing.T) {
	for _, skip := range []string{"", hintFileSuffix} {
		fs := vfstest.New()
		if err := fs.MkdirAll(dataDir); err != nil {
			t.Fatal(err)
		}
		for _, name := range goldenFiles {
			data, err := os.ReadFile(goldenPath(name))
			if err != nil {
				t.Fatal(err)
			}
			if skip != "" && strings.HasSuffix(name, skip) {
				continue
			}
			if err := fs.SetContent(filepath.Join(dataDir, name), data); err != nil {
				t.Fatal(err)
			}
		}
		e := mustOpen(t, fs, Options{})
		r := e.Recovery()
		if len(r.Damage) != 0 || r.TornBytes != 0 || (r.HintFilesUsed == 1) != (skip == "") {
			t.Errorf("recovery: %+v", r)
		}
		if have := contents(t, e); fmt.Sprint(have) != "map[: apple:yellow]" {
			t.Errorf("contents: %v", have)
		}
		if rec, err := e.Read([]byte("apple"), nil); err != nil || string(rec.Meta) != "m" || rec.Seq != 3 {
			t.Errorf("apple: %+v %v", rec, err)
		}
		mustClose(t, e)
	}
}

func TestUnfitDirectoriesAreRefused(t *testing.T) {
	good := string(encodeFormat(goldenID, formatLog))
	for name, c := range map[string]struct {
		file, content, want string
	}{
		"foreign directory": {"letters.txt", "dear", `no FORMAT file, but it is not empty (found "letters.txt")`},
		"segments alone":    {"0000000001.seg", "", "no FORMAT file"},
		"foreign file":      {formatName, "postgres 17", `its first line is "postgres 17", want "ringcask storage"`},
		"empty file":        {formatName, "", "its first line is \"\""},
		"newer version":     {formatName, strings.Replace(good, "version 1", "version 3", 1), "it is version 3, supported are 1 to 2"},
		"no version":        {formatName, strings.Replace(good, "version 1", "version x", 1), "it has no version"},
		"flipped id":        {formatName, strings.Replace(good, "engine 52", "engine 53", 1), "its checksum is wrong"},
		"cut short":         {formatName, good[:len(good)-4], "its checksum is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfstest.New()
			if err := fs.MkdirAll(dataDir); err != nil {
				t.Fatal(err)
			}
			if err := fs.SetContent(filepath.Join(dataDir, c.file), []byte(c.content)); err != nil {
				t.Fatal(err)
			}
			fs.ResetEvents()
			_, err := Open(dataDir, Options{FS: fs})
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("open: %v, want %q", err, c.want)
			}
			names, err := fs.List(dataDir)
			if err != nil || c.file != formatName && len(names) != 1 {
				t.Errorf("left behind in a foreign directory: %v %v", names, err)
			}
			if _, err := fs.Lock(filepath.Join(dataDir, lockName)); err != nil {
				t.Errorf("still locked: %v", err)
			}
		})
	}
}

func TestForeignSegmentsAreRefused(t *testing.T) {
	for name, change := range map[string]func(h *segmentHeader, raw []byte) []byte{
		"of another engine": func(h *segmentHeader, _ []byte) []byte { h.engine[0]++; return h.encode() },
		"renamed":           func(h *segmentHeader, _ []byte) []byte { h.id++; return h.encode() },
		"of a later version": func(_ *segmentHeader, raw []byte) []byte {
			b := bytes.Clone(raw[:segmentHeaderBytes])
			binary.LittleEndian.PutUint16(b[8:], segmentVersion+1)
			binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
			return b
		},
	} {
		fs := goldenStore(t)
		path := segmentPath(dataDir, 2)
		data, err := fs.Content(path)
		if err != nil {
			t.Fatal(err)
		}
		h, ok, err := decodeSegmentHeader(data, goldenID, 2)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := fs.SetContent(path, append(change(&h, data), data[segmentHeaderBytes:]...)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dataDir, Options{FS: fs}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), path) {
			t.Errorf("segment %s: %v", name, err)
		}
	}
}

func TestDirectoryOpenElsewhereIsRefused(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"memory": vfstest.New(), "system": vfs.OS{}} {
		dir := filepath.Join(t.TempDir(), "made", "on the way")
		e, err := Open(dir, Options{FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		if !e.Recovery().Created {
			t.Errorf("%s: directory was not created", name)
		}
		if _, err := Open(dir, Options{FS: fs}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
			t.Errorf("%s: second open: %v", name, err)
		}
		mustClose(t, e)
		if e, err = Open(dir, Options{FS: fs}); err != nil {
			t.Fatalf("%s: open after close: %v", name, err)
		}
		mustClose(t, e)
	}
}

func TestOptionsOutOfBoundsAreNamed(t *testing.T) {
	for name, o := range map[string]Options{
		"SegmentBytesMax": {SegmentBytesMax: 1}, "KeyBytesMax": {KeyBytesMax: 1 << 17}, "ValueBytesMax": {ValueBytesMax: -1},
		"BatchBytesMax": {BatchBytesMax: 1}, "Sync": {Sync: 9}, "SyncInterval": {SyncInterval: -1},
		"QueueLenMax": {QueueLenMax: -1}, "QueueBytesMax": {QueueBytesMax: -1},
	} {
		o.FS = vfstest.New()
		if _, err := Open(dataDir, o); err == nil || !strings.Contains(err.Error(), "option "+name+" ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Options{}).Validate(); err != nil {
		t.Errorf("zero options: %v", err)
	}
	if err := (Options{ValueBytesMax: 100 << 20}).Validate(); err != nil {
		t.Errorf("large values with the default batch: %v", err)
	}
}

// TestOrderOfSyncs is the golden list of what is created, synced and renamed when: a lost sync shows as a difference.
func TestOrderOfSyncs(t *testing.T) {
	fs := vfstest.New()
	// The hint file is written in the background: here, after all else.
	gate := make(chan struct{})
	fs.Inject(vfstest.Fault{Ops: vfstest.OpCreate, Path: hintFileSuffix, Block: gate})
	e := mustOpen(t, fs, smallSegments)
	mustPut(t, e, "a", "1")
	mustPut(t, e, "b", strings.Repeat("x", segmentBytesLeast))
	mustPut(t, e, "c", "3")
	close(gate)
	settleHintFiles(e)
	mustClose(t, e)
	var b strings.Builder
	for _, event := range fs.Events(vfstest.OpChange) {
		fmt.Fprintln(&b, event)
	}
	golden := filepath.Join("testdata", "events.txt")
	if *updateGolden {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("events are\n%s\nwant\n%s", b.String(), want)
	}
}
