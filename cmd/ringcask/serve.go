package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/settings"
	"github.com/ringcask/ringcask/node"
)

type serveCommand struct {
	Config           string `type:"path" env:"RINGCASK_CONFIG" placeholder:"FILE" help:"Read settings from this YAML file."`
	PrintConfig      bool   `help:"Print every setting and where its value comes from, and exit."`
	ExitWithParentFD int    `name:"exit-with-parent-fd" default:"-1" hidden:"" help:"Drain when this inherited descriptor reads end of file."`

	Settings kong.Plugins `embed:""`
	flags    *settings.Flags
}

func (*serveCommand) Help() string {
	return `Settings come from a YAML file, from RINGCASK_* environment variables and from flags, in rising priority, all under
the same names: replicas in the file, RINGCASK_REPLICAS, --replicas. A name that is no setting is an error.

SIGTERM or SIGINT drains: the node stops taking requests, finishes those under way, and exits with 0. A second signal ends it
at once.

	ringcask serve --id n1 --dir /var/lib/ringcask --members n1=127.0.0.1:8083
	ringcask serve --config /etc/ringcask.yaml --print-config
`
}

// clientVariables are the RINGCASK_ variables that are no settings of a node.
var clientVariables = []string{"RINGCASK_ADDR", "RINGCASK_CONFIG"}

func (s *serveCommand) Run(a *app) error {
	resolved, err := s.resolve(a.environ)
	if err != nil {
		return err
	}
	if s.PrintConfig {
		return resolved.Print(a.stdout)
	}
	cfg := resolved.Config.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return usagef("settings: %w", err)
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return usagef("log-level: %w", err)
	}
	ctx, cancel := context.WithCancelCause(a.ctx)
	defer cancel(nil)
	if s.ExitWithParentFD >= 0 {
		watch, err := watchParent(s.ExitWithParentFD, cancel)
		if err != nil {
			return err
		}
		defer watch.Close()
	}
	logger := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level})).With("node", cfg.ID)
	return serve(ctx, cfg, logger)
}

// resolve puts the settings together.
func (s *serveCommand) resolve(environ []string) (*settings.Resolved, error) {
	var file []settings.Given
	if s.Config != "" {
		var err error
		if file, err = settings.File(s.Config); err != nil {
			return nil, &usageError{err}
		}
	}
	variables, err := settings.Environment(environ, clientVariables...)
	if err != nil {
		return nil, &usageError{err}
	}
	resolved, err := settings.Resolve(file, variables, s.flags.Given())
	if err != nil {
		return nil, &usageError{err}
	}
	return resolved, nil
}

// serve runs a node until ctx ends and it has drained.
func serve(ctx context.Context, cfg node.Config, logger *slog.Logger) error {
	n, err := node.Open(cfg, node.Options{Logger: logger})
	if err != nil {
		return err
	}
	if err := n.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// errParentGone is why a node drains whose owner died.
var errParentGone = errors.New("the process that started this node is gone")

// watchParent calls cancel once fd, the read end of a pipe that the parent holds open, reads end of file. The file
// that it returns must be closed when that is no longer of interest.
func watchParent(fd int, cancel context.CancelCauseFunc) (*os.File, error) {
	// Only a descriptor in non-blocking mode lets Close interrupt the read.
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, usagef("--exit-with-parent-fd %d: %w", fd, err)
	}
	syscall.CloseOnExec(fd)
	watch := os.NewFile(uintptr(fd), "parent")
	go func() {
		if _, err := io.Copy(io.Discard, watch); err == nil {
			cancel(fmt.Errorf("drain: %w", errParentGone))
		}
	}()
	return watch, nil
}
