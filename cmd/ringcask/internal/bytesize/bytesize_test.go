package bytesize

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParseReadsWhatPeopleWrite(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "1KiB": 1024, "1kib": 1024, "64 KB": 64_000, " 256MiB ": 256 << 20, "2gb": 2e9,
		"1TiB": 1 << 40, "9223372036854775807": math.MaxInt64,
	} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestParseRefusesWhatIsNoAmount(t *testing.T) {
	for _, text := range []string{"", "B", "KiB", "-1", "1.5MiB", "1e3", "ten", "1 PiB", "9223372036854775808", "9000000TiB", "1 2"} {
		if got, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %d, want an error", text, got)
		}
	}
}

func TestParseUndoesFormat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "n") << rapid.IntRange(0, 3).Draw(t, "shift")
		if n < 0 {
			t.Skip("shifted out of range")
		}
		if got, err := Parse(Format(n)); err != nil || got != n {
			t.Fatalf("Parse(Format(%d)) = %d, %v", n, got, err)
		}
	})
}

func TestApproximateKeepsThreeDigits(t *testing.T) {
	for n, want := range map[float64]string{0: "0 B", 999: "999 B", 1000: "1.00 KB", 37_234_567: "37.2 MB", 537_234_567: "537 MB", 2.5e12: "2.50 TB"} {
		if got := Approximate(n); got != want {
			t.Errorf("Approximate(%v) = %q, want %q", n, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"1", "256MiB", "KiB", "99999999999TB", " 1 b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := Parse(text)
		if err == nil && n < 0 {
			t.Fatalf("Parse(%q) = %d", text, n)
		}
	})
}
