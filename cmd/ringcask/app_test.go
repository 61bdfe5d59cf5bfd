package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ran is what a command line did.
type ran struct {
	code           int
	stdout, stderr string
}

// runCLI runs a command line with its own environment and standard input.
func runCLI(t *testing.T, environ []string, stdin string, args ...string) ran {
	t.Helper()
	return runCLIContext(t, t.Context(), environ, stdin, args...)
}

func runCLIContext(t *testing.T, ctx context.Context, environ []string, stdin string, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(&app{ctx: ctx, stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr, environ: environ}, args)
	return ran{code, stdout.String(), stderr.String()}
}

func TestHelpAndVersionAreNoErrors(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"put", "--help"}, {"serve", "--help"}, {"--version"}} {
		if got := runCLI(t, nil, "", args...); got.code != exitDone || got.stdout == "" || got.stderr != "" {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if got := runCLI(t, nil, "", "--version"); !strings.HasPrefix(got.stdout, "ringcask 0.") {
		t.Errorf("%q", got.stdout)
	}
}

func TestHelpOfEveryCommandShowsAnExample(t *testing.T) {
	for _, node := range testModel(t).Leaves(true) {
		got := runCLI(t, nil, "", append(strings.Fields(node.FullPath())[1:], "--help")...)
		if !strings.Contains(strings.Join(strings.Fields(got.stdout), " "), node.FullPath()) || !strings.Contains(got.stdout, "Usage:") {
			t.Errorf("%s has no example:\n%s", node.FullPath(), got.stdout)
		}
		if !strings.Contains(node.Detail, node.FullPath()) {
			t.Errorf("%s has no example:\n%s", node.FullPath(), node.Detail)
		}
	}
}

func TestAWrongCommandLineExitsWith2AndSaysWhereHelpIs(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, `Try "ringcask --help"`},
		{[]string{"fly"}, `Try "ringcask --help"`},
		{[]string{"put"}, `Try "ringcask put --help"`},
		{[]string{"put", "a", "1", "--frobnicate"}, "unknown flag --frobnicate"},
		{[]string{"scan", "--limit", "many"}, "--limit"},
		{[]string{"get", "a", "-o", "xml"}, "human"},
		{[]string{"completion", "tcsh"}, "bash"},
		{[]string{"serve", "extra"}, `unexpected argument extra`},
		{[]string{"dev", "--nodes", "0"}, "between 1 and 100 nodes"},
		{[]string{"dev", "--base-port", "65530", "--dir", "x"}, "choose a base port"},
	} {
		if got := runCLI(t, nil, "", tc.args...); got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, tc.want) {
			t.Errorf("%q: %+v, want %s", tc.args, got, tc.want)
		}
	}
}

func TestPrintConfigShowsEverySourceInItsPriority(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ringcask.yaml")
	if err := os.WriteFile(file, []byte("id: from-file\ntimeout: 1s\nsync: never\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runCLI(t, []string{"RINGCASK_TIMEOUT=2s", "RINGCASK_SYNC=interval", "RINGCASK_ADDR=x:1"}, "",
		"serve", "--config", file, "--sync", "always", "--insecure", "--print-config")
	lines := strings.Join(strings.Fields(got.stdout), " ")
	for _, want := range []string{
		"id: from-file # file " + file + ":1", "timeout: 2s # environment RINGCASK_TIMEOUT", "sync: always # flag --sync",
		"partitions: 256 # default", "insecure: true # flag --insecure",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in:\n%s", want, got.stdout)
		}
	}
	if got.code != exitDone || got.stderr != "" {
		t.Errorf("%+v", got)
	}
}

func TestServeRefusesWrongSettingsWith2(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ringcask.yaml")
	if err := os.WriteFile(file, []byte("replica: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := []string{"serve", "--id=n1", "--dir=" + dir, "--members=n1=127.0.0.1:1"}
	for _, tc := range []struct {
		environ, args []string
		want          string
	}{
		{nil, []string{"serve"}, "dir is required"},
		{nil, append(good, "--config", file), `:1: unknown setting "replica" (did you mean "replicas"?)`},
		{nil, append(good, "--config", filepath.Join(dir, "absent")), "absent"},
		{[]string{"RINGCASK_COLOR=1"}, good, "unknown variable RINGCASK_COLOR"},
		{[]string{"RINGCASK_SYNC="}, good, "sync: has no value"},
		{nil, append(good, "--sync=sometimes"), "sometimes"},
		{nil, append(good, "--http-addr=0.0.0.0:8080"), "insecure"},
		{nil, append(good, "--replicas=2"), "replicas is 2"},
		{nil, append(good, "--members=n1"), `"n1" is not a member`},
		{nil, append(good, "--log-level=loud"), "loud"},
		{nil, append(good, "--exit-with-parent-fd=7777"), "7777"},
	} {
		if got := runCLI(t, tc.environ, "", tc.args...); got.code != exitUsage || !strings.Contains(got.stderr, tc.want) {
			t.Errorf("%q %q: %+v, want %s", tc.environ, tc.args, got, tc.want)
		}
	}
}

func TestCompletionScriptsKnowEveryCommand(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		got := runCLI(t, nil, "", "completion", shell)
		for _, node := range testModel(t).Leaves(true) {
			if got.code != exitDone || !strings.Contains(got.stdout, node.Name) {
				t.Errorf("%s: code %d, or no %s", shell, got.code, node.Name)
			}
		}
		if strings.Contains(got.stdout, "exit-with-parent-fd") {
			t.Errorf("%s completes a hidden flag", shell)
		}
	}
}
