package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestTheBarShowsRateAndHowLongItWillTake(t *testing.T) {
	input := strings.Repeat("x", 1000)
	for total, want := range map[int64][]string{
		int64(len(input)): {"100%", "1,234 records", "/s", "ETA"},
		-1:                nil, // what has no end has no bar that stays
	} {
		var shown bytes.Buffer
		p := (&app{stderr: &shown, stderrTerminal: true}).newProgress(total, func() (int64, int64) { return 1234, 5678 })
		p.start()
		if _, err := io.Copy(io.Discard, p.read(strings.NewReader(input))); err != nil {
			t.Error(err)
		}
		p.stop()
		for _, part := range want {
			if !strings.Contains(shown.String(), part) {
				t.Errorf("a bar of %d bytes lacks %q: %q", total, part, shown.String())
			}
		}
	}
}

func TestWithoutATerminalNothingIsShown(t *testing.T) {
	var shown bytes.Buffer
	p := (&app{stderr: &shown}).newProgress(10, func() (int64, int64) { return 1, 1 })
	p.start()
	p.stop()
	if shown.Len() > 0 {
		t.Errorf("%q", shown.String())
	}
}
