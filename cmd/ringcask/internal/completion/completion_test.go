package completion

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// model is a small command line with one of everything.
func model(t *testing.T) *kong.Application {
	t.Helper()
	var cli struct {
		Put struct {
			Key    string `arg:""`
			Output string `short:"o" enum:"human,json" default:"human" help:"It's [the] form: human or json."`
			File   string `type:"path" help:"A file."`
			W      string `help:"A level."`
			Force  bool   `help:"A switch."`
			Secret string `hidden:""`
		} `cmd:"" help:"Store a value."`
		Load struct {
			File string `arg:"" predict:"file"`
		} `cmd:"" help:"Load a file."`
		Completion struct {
			Shell string `arg:"" enum:"bash,zsh,fish"`
		} `cmd:"" help:"Print a script."`
		Cluster struct {
			Verify struct {
				Wait string `help:"A time."`
			} `cmd:"" help:"Compare."`
			Move struct {
				Output string `enum:"human,json" default:"human"`
			} `cmd:"" help:"Move."`
		} `cmd:"" help:"All members."`
		Hidden struct{} `cmd:"" hidden:""`
	}
	k, err := kong.New(&cli, kong.Name("ringcask"))
	if err != nil {
		t.Fatal(err)
	}
	return k.Model
}

func script(t *testing.T, shell string) string {
	t.Helper()
	s, err := Script(shell, model(t))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestBashCompletesCommandsFlagsAndFixedValues(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("no bash here")
	}
	for line, want := range map[string]string{
		"":                       "cluster completion load put --help --version",
		"p":                      "put",
		"put --f":                "--file --force",
		"put --output ":          "human json",
		"put -o j":               "json",
		"put key --w ":           "",
		"put --force --":         "--file --force --help --output --w",
		"completion ":            "bash zsh fish",
		"completion z":           "zsh",
		"cl":                     "cluster",
		"cluster ":               "verify move",
		"cluster --":             "",
		"cluster v":              "verify",
		"cluster verify --":      "--wait --help",
		"cluster move --output ": "human json",
		"verify --":              "--help --version",
		"hid":                    "",
		"put --secr":             "",
		"put --file ":            "",
		"load --help --output x": "",
	} {
		words := append([]string{"ringcask"}, strings.Split(line, " ")...)
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, quote(w))
		}
		program := "compopt() { :; }\n" + script(t, "bash") + "\nCOMP_WORDS=(" + strings.Join(quoted, " ") + ")\nCOMP_CWORD=$((${#COMP_WORDS[@]}-1))\n_ringcask\necho \"${COMPREPLY[*]}\""
		out, err := exec.Command("bash", "-u", "-c", program).CombinedOutput()
		got := strings.Fields(string(out))
		if err != nil || !sameWords(got, strings.Fields(want)) {
			t.Errorf("%q completes to %q, %v; want %q", line, got, err, want)
		}
	}
}

func sameWords(got, want []string) bool {
	seen := map[string]int{}
	for _, w := range got {
		seen[w]++
	}
	for _, w := range want {
		seen[w]--
	}
	for _, n := range seen {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestTheScriptsParse(t *testing.T) {
	for _, tc := range []struct{ shell, option string }{{"bash", "-n"}, {"zsh", "-n"}, {"fish", "--no-execute"}} {
		t.Run(tc.shell, func(t *testing.T) {
			path, err := exec.LookPath(tc.shell)
			if err != nil {
				t.Skip("not installed here")
			}
			cmd := exec.Command(path, tc.option)
			cmd.Stdin = strings.NewReader(script(t, tc.shell))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestEveryShellIsToldOfEveryVisibleFlagAndOfNoHiddenOne(t *testing.T) {
	for _, shell := range Shells() {
		s := script(t, shell)
		for _, want := range []string{"put", "load", "completion", "cluster", "verify", "wait", "output", "file", "force", "human json"} {
			if !strings.Contains(s, want) {
				t.Errorf("%s knows nothing of %s", shell, want)
			}
		}
		if strings.Contains(s, "secret") || strings.Contains(s, "hidden") {
			t.Errorf("%s tells of what is hidden", shell)
		}
	}
	if !strings.Contains(script(t, "zsh"), `[It'\''s \[the\] form\: human or json]`) || !strings.Contains(script(t, "fish"), `'It\'s [the] form: human or json'`) {
		t.Error("help texts are not quoted for their shell")
	}
}

func TestAnUnknownShellIsRefused(t *testing.T) {
	if _, err := Script("tcsh", model(t)); err == nil || !strings.Contains(err.Error(), "bash, zsh, fish") {
		t.Errorf("%v", err)
	}
}
