package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/devcluster"
)

// planOf lays out the cluster of a `ringcask dev` command line, without starting it.
func planOf(t *testing.T, environ []string, args ...string) ([]devcluster.Node, error) {
	t.Helper()
	c := newCLI()
	parser, err := newParser(&app{}, c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"dev"}, args...)); err != nil {
		return nil, err
	}
	return c.Dev.plan(environ)
}

func TestDevPassesSettingsOnInTheNodesCommands(t *testing.T) {
	nodes, err := planOf(t, []string{"RINGCASK_TIMEOUT=9s", "RINGCASK_SYNC=interval"}, "--dir=some/where", "--sync=never", "--replicas=2", "--nodes=2", "--ordered")
	if err != nil {
		t.Fatal(err)
	}
	command := nodes[1].Command
	for _, want := range []string{"serve", "--id=n2", "--rpc-addr=127.0.0.1:8091", "--sync=never", "--timeout=9s", "--replicas=2", "--ordered=true", "--drain-timeout=3s"} {
		if !slices.Contains(command, want) {
			t.Errorf("no %s in %q", want, command)
		}
	}
	if !filepath.IsAbs(command[0]) || !slices.ContainsFunc(command, func(arg string) bool {
		dir, ok := strings.CutPrefix(arg, "--dir=")
		return ok && filepath.IsAbs(dir) && strings.HasSuffix(dir, "some/where/n2")
	}) {
		t.Errorf("paths are not absolute: %q", command)
	}
	if slices.ContainsFunc(command, func(arg string) bool { return strings.Contains(arg, devcluster.ParentFlag) }) {
		t.Errorf("the command depends on an inherited descriptor: %q", command)
	}
	if kept := withoutSettings([]string{"PATH=/bin", "RINGCASK_SYNC=never"}); !slices.Equal(kept, []string{"PATH=/bin"}) {
		t.Errorf("the nodes inherit %q", kept)
	}
}

func TestTheCommandsOfDevAreCommandLinesOfServe(t *testing.T) {
	nodes, err := planOf(t, nil, "--dir="+t.TempDir(), "--nodes=3", "--segment-bytes-max=1MiB")
	if err != nil {
		t.Fatal(err)
	}
	got := runCLI(t, nil, "", append(nodes[2].Command[1:], "--print-config")...)
	lines := strings.Join(strings.Fields(got.stdout), " ")
	for _, want := range []string{"id: n3 ", "members: n1=127.0.0.1:8083,n2=127.0.0.1:8093,n3=127.0.0.1:8103 ", "segment-bytes-max: 1MiB ", "replicas: 3 # default"} {
		if got.code != exitDone || !strings.Contains(lines, want) {
			t.Errorf("no %q in %+v", want, got)
		}
	}
}

func TestDevRefusesAnotherNumberOfNodesThanTheDirectoryHas(t *testing.T) {
	dir := t.TempDir()
	nodes, err := planOf(t, nil, "--dir="+dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := devcluster.WriteManifest(dir, nodes); err != nil {
		t.Fatal(err)
	}
	if _, err := planOf(t, nil, "--dir="+dir); err != nil {
		t.Error(err)
	}
	if got := runCLI(t, nil, "", "dev", "--dir="+dir, "--nodes=5"); got.code != exitUsage || !strings.Contains(got.stderr, "was made with 3 nodes, not 5") {
		t.Errorf("%+v", got)
	}
}

func TestDevStartsNothingWhenAPortIsTaken(t *testing.T) {
	taken := listen(t)
	dir := filepath.Join(t.TempDir(), "data")
	_, port, _ := strings.Cut(taken, ":")
	got := runCLI(t, nil, "", "dev", "--dir="+dir, "--nodes=1", "--base-port="+port)
	if got.code != exitCluster || !strings.Contains(got.stderr, "port "+port+", for HTTP of node n1, cannot be used") || got.stdout != "" {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was started: %v", err)
	}
}

func TestTheGreetingSaysWhatRunsAndHowToTalkToIt(t *testing.T) {
	nodes, err := planOf(t, nil, "--dir=/srv/data", "--base-port=9000")
	if err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		nodes[i].PID = 100 + i
	}
	var out bytes.Buffer
	(&devCommand{Dir: "/srv/data", BasePort: 9000}).greet(&out, nodes, time.Second)
	for _, want := range []string{"n2    101  http://127.0.0.1:9010  127.0.0.1:9011  127.0.0.1:9013  /srv/data/n2", "3 nodes are ready", "get --addr 127.0.0.1:9001 greeting", "/srv/data/dev.json", "kill -9 102"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, &out)
		}
	}
}

func TestANodesCommandCanBePastedIntoAShell(t *testing.T) {
	if got, want := shellCommand([]string{"/a b/ringcask", "serve", "--id=it's", "--r=2"}), `'/a b/ringcask' serve '--id=it'\''s' --r=2`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestANodeDrainsWhenItsParentsPipeCloses(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(read.Fd())) // what a child would inherit
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	watch, err := watchParent(fd, cancel)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close()
	if ctx.Err() != nil {
		t.Error("it drains while the parent lives")
	}
	if err := errors.Join(write.Close(), read.Close()); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), errParentGone) {
		t.Error(context.Cause(ctx))
	}
}

func TestWatchingTheParentEndsWithTheNode(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	fd, err := syscall.Dup(int(read.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	watch, err := watchParent(fd, cancel)
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Close(); err != nil { // the leak check of TestMain sees whether the goroutine ends
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("closing counts as the parent's end")
	}
}
