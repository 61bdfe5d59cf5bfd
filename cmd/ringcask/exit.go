package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/ringcask/ringcask/client"
)

// The exit codes.
const (
	exitDone     = 0
	exitNotFound = 1
	exitUsage    = 2
	exitCluster  = 3
	// exitViolated is for a chaos run that found something that must not be.
	exitViolated = 4
	// exitSignal is added to the number of the signal that interrupted a client command.
	exitSignal = 128
)

// usageError is a mistake of the caller: in the command line, a setting, or an input file.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// interruptedError is the signal that ended a command's context.
type interruptedError struct{ signal syscall.Signal }

func (e *interruptedError) Error() string {
	return fmt.Sprintf("interrupted by signal %d (%v)", int(e.signal), e.signal)
}

// exitCode is the one table from errors to exit codes.
func exitCode(err error) int {
	var (
		usage       *usageError
		interrupted *interruptedError
		failed      *client.Error
		violated    *violatedError
	)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &violated):
		return exitViolated
	case errors.Is(err, client.ErrNotFound):
		return exitNotFound
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &interrupted):
		return exitSignal + int(interrupted.signal)
	case errors.As(err, &failed) && (failed.Code == client.CodeBadRequest || failed.Code == client.CodeTooLarge):
		return exitUsage
	}
	return exitCluster
}

// report prints an error, and hint on a line of its own if there is one, and returns the exit code.
func (a *app) report(err error, hint string) int {
	if err == nil {
		return exitDone
	}
	if cause := context.Cause(a.ctx); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	switch {
	case errors.Is(err, client.ErrNotFound): // the exit code says it: there is nothing to print
	case a.jsonErrors:
		var o object
		if writeErr := o.add("error", describe(err)).writeTo(a.stderr); writeErr != nil {
			return exitCluster
		}
	default:
		fmt.Fprintln(a.stderr, "ringcask:", err)
	}
	if hint != "" {
		fmt.Fprintln(a.stderr, hint)
	}
	return exitCode(err)
}

// description is an error for programs, in the words of the HTTP interface.
type description struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Effect  string `json:"effect"`
	Need    int    `json:"need,omitempty"`
	Got     int    `json:"got,omitempty"`
}

// describe finds the words for an error. What never left this process has no effect.
func describe(err error) description {
	var failed *client.Error
	switch {
	case errors.As(err, &failed):
		return description{failed.Code.String(), failed.Message, failed.Effect.String(), failed.Need, failed.Got}
	case exitCode(err) == exitUsage:
		return description{Code: client.CodeBadRequest.String(), Message: err.Error(), Effect: client.EffectNone.String()}
	}
	return description{Code: client.CodeInternal.String(), Message: err.Error(), Effect: client.EffectNone.String()}
}
