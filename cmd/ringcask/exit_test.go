package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/ringcask/ringcask/client"
	"github.com/ringcask/ringcask/internal/wire"
)

func TestEveryErrorHasItsExitCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{client.ErrNotFound, 1},
		{usagef("no"), 2},
		{errors.New("connection refused"), 3},
		{context.DeadlineExceeded, 3},
		{&violatedError{"lost"}, 4},
		{&interruptedError{syscall.SIGINT}, 130},
		{&interruptedError{syscall.SIGTERM}, 143},
	} {
		if got := exitCode(tc.err); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.err, got, tc.want)
		}
		if got := exitCode(fmt.Errorf("wrapped: %w", tc.err)); tc.err != nil && got != tc.want {
			t.Errorf("wrapped %v: %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestEveryCodeOfANodeHasItsExitCode(t *testing.T) {
	for _, code := range wire.Codes() {
		want := exitCluster
		if code == client.CodeBadRequest || code == client.CodeTooLarge {
			want = exitUsage
		}
		if got := exitCode(fmt.Errorf("put: %w", &client.Error{Code: code})); got != want {
			t.Errorf("%v: %d, want %d", code, got, want)
		}
	}
}
