package chaos

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// script is a process that runs a shell script, which says "up" when it can be told to stop.
func script(t *testing.T, text string) *process {
	t.Helper()
	p := &process{id: "n1", log: filepath.Join(t.TempDir(), "n1.log"), binary: "/bin/sh", args: []string{"-c", text}, died: func(*process, string) {}}
	if err := p.start(); err != nil {
		t.Skip(err)
	}
	t.Cleanup(p.kill)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if said, err := os.ReadFile(p.log); err != nil || strings.Contains(string(said), "up") {
			return p
		}
	}
	return p
}

func TestAnEndThatWasAskedForMustBeAGoodOne(t *testing.T) {
	good := script(t, `trap 'exit 0' TERM; echo up; while :; do sleep 0.01; done`)
	if err := good.stop(); err != nil {
		t.Error(err)
	}
	if err := good.stop(); err != nil {
		t.Errorf("stopped already: %v", err)
	}
	bad := script(t, `trap 'exit 66' TERM; echo up; while :; do sleep 0.01; done`)
	if err := bad.stop(); err == nil || !strings.Contains(err.Error(), "exit status 66") {
		t.Errorf("of an end with 66: %v", err)
	}
}

func TestNobodyWaitsForAProcessThatHasEnded(t *testing.T) {
	p := script(t, `echo up; exit 3`)
	p.place = place{http: "127.0.0.1:1", dial: new(net.Dialer).DialContext}
	began := time.Now()
	err := (&cluster{}).awaitReady(t.Context(), time.Hour, p)
	if err == nil || !strings.Contains(err.Error(), "n1 ended before it was ready") {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("that took %v", took)
	}
}
