package run

import (
	"bytes"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func sumOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// goldenRecords is a record of each kind, and enough for a second block.
func goldenRecords() []Record {
	return []Record{
		{Key: []byte{}, Seq: 104},
		{Key: []byte("apple"), Meta: []byte("m"), Value: []byte("yellow"), Seq: 101},
		{Key: []byte("pear"), Seq: 102, Flags: FlagTombstone},
		{Key: []byte("plum"), Seq: 300, Flags: FlagUnreadable},
		{Key: []byte("quince"), Value: bytes.Repeat([]byte("golden "), 30), Seq: 100},
	}
}

func TestTheFormatIsThatOfTheGoldenFiles(t *testing.T) {
	for _, c := range allCodecs {
		path := filepath.Join("testdata", "v1", c.String()+".run")
		want := goldenRecords()
		if *updateGolden {
			fs, _, _ := build(t, WriterOptions{Codec: c, BlockBytes: BlockBytesLeast}, want)
			if err := os.WriteFile(path, content(t, fs), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		it := mustOpen(t, b, ReaderOptions{}).Iter(IterOptions{})
		for i := range want {
			if !it.Next() || !same(it.Record(), &want[i]) {
				t.Errorf("%v: record %d: %+v", c, i, it.Record())
			}
		}
		// What a compressor makes of the same bytes may change with its version; the rest may not.
		if fs, _, _ := build(t, WriterOptions{Codec: c, BlockBytes: BlockBytesLeast}, want); c == CodecNone && !bytes.Equal(content(t, fs), b) {
			t.Error("the writer writes other bytes than before")
		}
	}
}
