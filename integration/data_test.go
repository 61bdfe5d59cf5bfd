package integration

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/ringcask/ringcask/client"
)

const sampleFile = "testdata/packages.jsonl.gz"

// record is one line of the sample.
type record struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	line  string
}

var sample = sync.OnceValues(func() ([]record, error) {
	b, err := os.ReadFile(sampleFile)
	if err != nil {
		return nil, err
	}
	gz, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var all []record
	lines := bufio.NewScanner(gz)
	for lines.Scan() {
		r := record{line: lines.Text() + "\n"}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, lines.Err()
})

// records are the 2,000 records of the sample.
func records(t testing.TB) []record {
	t.Helper()
	all, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2000 {
		t.Fatalf("the sample has %d records", len(all))
	}
	return all
}

// verifyAll reads every record through the client at R=2 and compares its bytes.
func verifyAll(t testing.TB, c *client.Client, via string, want []record) {
	t.Helper()
	const step = 100
	for i := 0; i < len(want); i += step {
		part := want[i:min(i+step, len(want))]
		keys := make([][]byte, len(part))
		for j, r := range part {
			keys[j] = []byte(r.Key)
		}
		got, err := c.GetMany(context.Background(), keys, &client.GetOptions{R: client.Level(2)})
		if err != nil {
			t.Fatalf("via %s: %v", via, err)
		}
		for j, r := range part {
			switch {
			case got[j].Err != nil:
				t.Fatalf("via %s: %s: %v", via, r.Key, got[j].Err)
			case string(got[j].Value.Value) != r.Value:
				t.Fatalf("via %s: %s reads back as %.60q, want %.60q", via, r.Key, got[j].Value.Value, r.Value)
			}
		}
	}
}

// withPrefix are the sorted keys of the records with the prefix.
func withPrefix(all []record, prefix string) map[string]string {
	m := map[string]string{}
	for _, r := range all {
		if strings.HasPrefix(r.Key, prefix) {
			m[r.Key] = r.Value
		}
	}
	return m
}

// checkScan compares JSON Lines of {"key","value"} with what is wanted, and their order.
func checkScan(t testing.TB, what, jsonLines string, want map[string]string) {
	t.Helper()
	last, n := "", 0
	for line := range strings.Lines(jsonLines) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s: %q: %v", what, line, err)
		}
		if r.Key <= last {
			t.Fatalf("%s: %q after %q", what, r.Key, last)
		}
		if v, ok := want[r.Key]; !ok || v != r.Value {
			t.Fatalf("%s: %q has value %.60q, want %.60q", what, r.Key, r.Value, v)
		}
		last = r.Key
		n++
	}
	if n != len(want) {
		t.Fatalf("%s: %d records, want %d", what, n, len(want))
	}
}
