package storage

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringcask/ringcask/storage/vfs/vfstest"
)

// goldenMergedStore is a data directory with a run and segments in it: its bytes depend on nothing but the code. What the run has
// is in part overwritten and deleted by the segments.
func goldenMergedStore(t *testing.T, o Options) *vfstest.FS {
	t.Helper()
	fs := vfstest.New()
	if err := fs.MkdirAll(dataDir); err != nil {
		t.Fatal(err)
	}
	if err := fs.SetContent(filepath.Join(dataDir, formatName), encodeFormat(goldenID, formatLog)); err != nil {
		t.Fatal(err)
	}
	o.Sync, o.SegmentBytesMax, o.BlockBytes = SyncNever, segmentBytesLeast, 512
	e := mustOpen(t, fs, o)
	for i := range 12 {
		mustPut(t, e, key(i), fmt.Sprintf("value %d of the run", i))
	}
	mustPut(t, e, "pear", strings.Repeat("green ", 700)) // more than a block, and a segment
	mustPut(t, e, "plum", "gone before the merge")
	mustDelete(t, e, "plum")
	if err := e.Put(nil, nil); err != nil {
		t.Fatal(err)
	}
	mustMerge(t, e)
	var b Batch
	b.PutMeta([]byte(key(3)), []byte("m"), []byte("newer than the run"))
	b.Delete([]byte(key(5)))
	if err := e.Apply(&b); err != nil {
		t.Fatal(err)
	}
	settleHintFiles(e)
	mustClose(t, e)
	return fs
}

// goldenMerged is what the store holds.
func goldenMerged() map[string]string {
	want := map[string]string{"": "", "pear": strings.Repeat("green ", 700), key(3): "newer than the run"}
	for i := range 12 {
		if i != 3 && i != 5 {
			want[key(i)] = fmt.Sprintf("value %d of the run", i)
		}
	}
	return want
}

// goldenMergedOptions are the options of the directories with runs: a run of version 1, and one of version 2 that lists its records by
// bucket.
func goldenMergedOptions() map[string]Options {
	return map[string]Options{"v2": {}, "v2-buckets": bucketsBy(1000, Options{})}
}

func TestMergedFormatsAreThoseOfTheGoldenFiles(t *testing.T) {
	for version, o := range goldenMergedOptions() {
		t.Run(version, func(t *testing.T) { checkGoldenMerged(t, version, goldenMergedStore(t, o)) })
	}
}

func checkGoldenMerged(t *testing.T, version string, fs *vfstest.FS) {
	t.Helper()
	goldenMergedPath := func(name string) string { return filepath.Join("testdata", version, name) }
	names, err := fs.List(dataDir)
	if err != nil {
		t.Fatal(err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == lockName })
	for _, name := range names {
		have, err := fs.Content(filepath.Join(dataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if *updateGolden {
			if err := os.MkdirAll(filepath.Dir(goldenMergedPath(name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(goldenMergedPath(name), have, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(goldenMergedPath(name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s differs:\n%s\nwant\n%s", name, hex.Dump(have[:min(len(have), 256)]), hex.Dump(want[:min(len(want), 256)]))
		}
	}
	if golden, err := os.ReadDir(goldenMergedPath("")); err != nil || len(golden) != len(names) {
		t.Errorf("%d golden files, %d in the directory: %v", len(golden), len(names), err)
	}
}

// goldenDir is a data directory as a format version has left it.
func goldenDir(t *testing.T, version string) *vfstest.FS {
	t.Helper()
	fs := vfstest.New()
	if err := fs.MkdirAll(dataDir); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(filepath.Join("testdata", version))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join("testdata", version, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if err := fs.SetContent(filepath.Join(dataDir, f.Name()), data); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// TestGoldenDirectoriesAreMergedAndReopened goes on with what each format version has written. From the first merge on, the
// directory says that there are runs in it.
func TestGoldenDirectoriesAreMergedAndReopened(t *testing.T) {
	for version, c := range map[string]struct {
		want   map[string]string
		seq    uint64
		format uint64
	}{
		"v1":         {map[string]string{"": "", "apple": "yellow"}, 6, formatLog},
		"v2":         {goldenMerged(), 18, formatRuns},
		"v2-buckets": {goldenMerged(), 18, formatRuns},
	} {
		t.Run(version, func(t *testing.T) {
			fs := goldenDir(t, version)
			wantFormat := func(format uint64) {
				t.Helper()
				data, err := fs.Content(filepath.Join(dataDir, formatName))
				if err != nil {
					t.Fatal(err)
				}
				if id, v, err := decodeFormat(data); err != nil || v != format || id != goldenID {
					t.Errorf("the directory says it is version %d of engine %x, want %d: %v", v, id, format, err)
				}
			}
			for pass := range 4 {
				e := mustOpen(t, fs, bucketsBy(1000, Options{}))
				if r := e.Recovery(); len(r.Damage) > 0 || r.TornBytes > 0 || e.Stats().LastSeq < c.seq {
					t.Errorf("pass %d: last record %d, %+v", pass, e.Stats().LastSeq, r)
				}
				if have := contents(t, e); !maps.Equal(have, c.want) {
					t.Errorf("pass %d: the store holds\n%s\nwant\n%s", pass, show(have), show(c.want))
				}
				for k, v := range c.want {
					wantValue(t, e, k, v)
				}
				checkBuckets(t, e, []uint32{e.opts.Bucket([]byte(key(3))), e.opts.Bucket([]byte("pear"))})
				wantValue(t, e, "plum", "-")
				wantValue(t, e, key(5), "-")
				switch pass {
				case 0:
					wantFormat(c.format)
				case 1:
					mustMerge(t, e)
					wantFormat(formatRuns)
					if n := len(e.index.runs()); n != 1 || len(e.log.all()) != 0 {
						t.Errorf("%d runs and %d segments after a merge", n, len(e.log.all()))
					}
				case 2:
					c.want["new"] = "value"
					mustPut(t, e, "new", "value")
				}
				mustClose(t, e)
			}
		})
	}
}
