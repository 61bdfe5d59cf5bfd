package completion

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Shells are the shells that Script knows.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Script returns the completion script of a shell for the application.
func Script(shell string, app *kong.Application) (string, error) {
	commands := commandsOf(app)
	switch shell {
	case "bash":
		return bash(app.Name, commands), nil
	case "zsh":
		return zsh(app.Name, commands), nil
	case "fish":
		return fish(app.Name, commands), nil
	}
	return "", fmt.Errorf("no completion for %q, only for %s", shell, strings.Join(Shells(), ", "))
}

// command is what a script needs to know of one command.
type command struct {
	name, help string
	flags      []option
	// values is the fixed set of the first argument, if it has one; files says that it names a file.
	values []string
	files  bool
}

// option is one flag.
type option struct {
	name, short, help string
	// takesValue says that a value follows; values is its fixed set, if it has one; files says that it names a file.
	takesValue bool
	values     []string
	files      bool
}

func commandsOf(app *kong.Application) []command {
	var commands []command
	for _, node := range app.Leaves(true) {
		c := command{name: node.Name, help: sentence(node.Help)}
		if len(node.Positional) > 0 {
			c.values, c.files = valuesOf(node.Positional[0])
		}
		for _, group := range node.AllFlags(true) {
			for _, f := range group {
				o := option{name: f.Name, help: sentence(f.Help), takesValue: !f.IsBool()}
				if f.Short != 0 {
					o.short = string(f.Short)
				}
				o.values, o.files = valuesOf(f.Value)
				c.flags = append(c.flags, o)
			}
		}
		slices.SortFunc(c.flags, func(a, b option) int { return strings.Compare(a.name, b.name) })
		commands = append(commands, c)
	}
	return commands
}

// valuesOf returns the fixed set of a value, or whether it names a file.
func valuesOf(v *kong.Value) (values []string, files bool) {
	if v.Enum != "" {
		values = v.EnumSlice()
	}
	return values, v.Tag.Type == "path" || v.Tag.Get("predict") == "file"
}

// sentence is the first line of a help text without its full stop.
func sentence(help string) string {
	first, _, _ := strings.Cut(help, "\n")
	return strings.TrimSuffix(first, ".")
}

// quote makes text one word of a POSIX shell.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
