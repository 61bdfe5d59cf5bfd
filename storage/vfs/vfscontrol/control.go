// Package vfscontrol is a file system that fails when a file says so: how a test has the disk of another process get full, fail or slow.
//
// The file holds a Control as JSON and is read again, at most every Interval, by whatever operation comes then; while it is missing nothing
// fails. There are no memory mappings here, so that each read and write is one that can fail.
package vfscontrol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Interval is how long a change of the control file may take to be noticed.
const Interval = 10 * time.Millisecond

// Control says what fails. The zero Control is that nothing does.
type Control struct {
	// Scarce says that no bytes are free, though writes still succeed: a disk that is about to be full.
	Scarce bool `json:"scarce,omitempty"`
	// Full leaves no room: nothing can be created or written, and everything can be read and removed.
	Full bool `json:"full,omitempty"`
	// FailShare of the operations on files and names fail with an I/O error, of 1.
	FailShare float64 `json:"fail_share,omitempty"`
	// SyncDelay is how much longer each sync takes.
	SyncDelay time.Duration `json:"sync_delay,omitempty"`
}

// Write sets what fails from now on.
func Write(path string, c Control) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	temp := path + ".tmp"
	if err := os.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

func read(path string) (c Control, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		err = fmt.Errorf("vfscontrol: %s: %w", path, err)
	}
	return c, err
}
