package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/settings"
)

var update = flag.Bool("update", false, "rewrite the generated tables of the manual")

func testModel(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := newParser(&app{stdout: io.Discard, stderr: io.Discard}, newCLI())
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

// checkBlocks compares the generated blocks of a page with the code.
func checkBlocks(t *testing.T, page string, blocks map[string]string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", page)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, want := range blocks {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->"
		before, rest, found := strings.Cut(text, begin)
		got, after, ended := strings.Cut(rest, end)
		switch {
		case !found || !ended:
			t.Errorf("docs/%s has no block %q", page, name)
		case got == want:
		case *update:
			text = before + begin + want + end + after
		default:
			t.Errorf("docs/%s, block %q, is not as the code has it (-update rewrites it); want:\n%s", page, name, want)
		}
	}
	if *update && text != string(data) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// cell makes text fit for a cell of a Markdown table.
func cell(text string) string {
	return strings.TrimSuffix(strings.NewReplacer("|", `\|`, "\n", " ").Replace(text), ".")
}

func flagRow(f *kong.Flag) string {
	name := "--" + f.Name
	if f.Short != 0 {
		name = "-" + string(f.Short) + ", " + name
	}
	if !f.IsBool() {
		name += " " + f.FormatPlaceHolder()
	}
	return fmt.Sprintf("| `%s` | %s |\n", strings.ReplaceAll(name, "|", `\|`), cell(f.Help))
}

func TestTheManualHasEveryCommandArgumentAndFlag(t *testing.T) {
	model := testModel(t)
	blocks := map[string]string{}
	common := ""
	for _, node := range model.Leaves(true) {
		rows := ""
		for _, arg := range node.Positional {
			rows += fmt.Sprintf("| `%s` | %s |\n", arg.Summary(), cell(arg.Help))
		}
		for _, f := range node.Flags {
			switch {
			case f.Hidden || f.Group != nil && f.Group.Key == "settings":
			case f.Group != nil && f.Group.Key == "connection":
				if row := flagRow(f); !strings.Contains(common, row) {
					common += row
				}
			default:
				rows += flagRow(f)
			}
		}
		head := "| argument or flag | |\n|---|---|\n"
		if rows == "" {
			head = ""
		}
		blocks[strings.TrimPrefix(node.FullPath(), "ringcask ")] = fmt.Sprintf("`%s`\n\n%s%s", "ringcask "+node.Summary(), head, rows)
	}
	blocks["common"] = "| flag | |\n|---|---|\n" + common
	checkBlocks(t, "cli.md", blocks)
}

// example is a command line of ours in a line of code: what stands before a pipe, a redirection or a comment.
var example = regexp.MustCompile(`(?:^|\| |<\()(?:\./|go run \./cmd/)?ringcask ([^|<>#()]+)`)

func TestEveryExampleIsACommandLine(t *testing.T) {
	texts := map[string]string{}
	for _, page := range []string{"README.md", "docs/chaos.md", "docs/cli.md", "docs/configuration.md", "docs/operations.md"} {
		data, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		texts[page] = string(data)
	}
	for _, node := range testModel(t).Leaves(true) {
		texts[node.FullPath()+" --help"] = node.Detail
	}
	seen := 0
	for where, text := range texts {
		fenced := false
		for line := range strings.Lines(text) {
			fenced = fenced != strings.HasPrefix(line, "```")
			if !fenced && !strings.HasPrefix(line, "    ") && !strings.HasPrefix(line, "\t") || strings.Contains(line, "…") {
				continue
			}
			for _, found := range example.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
				seen++
				if err := parses(strings.Fields(found[1])); err != nil {
					t.Errorf("%s: %s: %v", where, strings.TrimSpace(line), err)
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("found only %d examples", seen)
	}
	if parses([]string{"--addr", "127.0.0.1:8091", "get", "cart"}) == nil {
		t.Error("a flag that is no flag of the program passes")
	}
}

// parses says what is wrong with a command line, without running it.
func parses(args []string) error {
	parser, err := newParser(&app{stdout: io.Discard, stderr: io.Discard}, newCLI())
	if err != nil {
		return err
	}
	_, err = parser.Parse(args)
	return err
}

func TestTheManualHasEverySettingWithItsDefault(t *testing.T) {
	table := "| name | unit | default | meaning |\n|---|---|---|---|\n"
	for _, s := range settings.Table() {
		if s.ForTests {
			continue
		}
		fallback := s.Default()
		if fallback == "" {
			fallback = "–"
		}
		table += fmt.Sprintf("| `%s` | %s | %s | %s |\n", s.Name, cell(string(s.Unit)), cell(fallback), cell(s.Help))
	}
	checkBlocks(t, "configuration.md", map[string]string{"settings": table})
}

func TestEveryVisibleFlagAndArgumentIsExplained(t *testing.T) {
	for _, node := range testModel(t).Leaves(false) {
		if node.Help == "" {
			t.Errorf("%s has no help", node.Name)
		}
		for _, v := range node.Values() {
			if v.Help == "" || !strings.HasSuffix(v.Help, ".") {
				t.Errorf("%s: the help of %s is %q, want a sentence", node.Name, v.Summary(), v.Help)
			}
		}
	}
}
