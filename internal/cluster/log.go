package cluster

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// saidMax bounds the memory of what was logged; past it all is forgotten, and so may be said again.
const saidMax = 256

// logWriter takes memberlist's lines. Its warnings and errors are logged as warnings when they are said first, for a
// stranger that keeps calling must not fill the log, and everything else for debugging.
type logWriter struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]struct{}
}

func newLogWriter(log *slog.Logger) *logWriter {
	return &logWriter{log: log, said: make(map[string]struct{})}
}

// Write implements io.Writer for a log.Logger, which writes one line at a time.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := parseLine(line)
	if level > slog.LevelDebug && !w.firstTime(text) {
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, "gossip: "+text)
	return len(line), nil
}

// firstTime says whether a line was not logged lately. Lines are the same that differ only in whom they came from: a
// connection has another port each time.
func (w *logWriter) firstTime(text string) bool {
	text, _, _ = strings.Cut(text, " from=")
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.said[text]; ok {
		return false
	}
	if len(w.said) >= saidMax {
		clear(w.said)
	}
	w.said[text] = struct{}{}
	return true
}

// parseLine takes "2006/01/02 15:04:05 [WARN] memberlist: text" apart.
func parseLine(line []byte) (slog.Level, string) {
	level := slog.LevelDebug
	_, rest, found := bytes.Cut(line, []byte("["))
	name, text, ended := bytes.Cut(rest, []byte("]"))
	if !found || !ended {
		return level, string(bytes.TrimSpace(line))
	}
	if string(name) == "WARN" || string(name) == "ERR" || string(name) == "ERROR" {
		level = slog.LevelWarn
	}
	return level, strings.TrimPrefix(strings.TrimSpace(string(text)), "memberlist: ")
}
