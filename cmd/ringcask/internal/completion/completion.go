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
	groups := groupsOf(app)
	switch shell {
	case "bash":
		return bash(app.Name, commands, groups), nil
	case "zsh":
		return zsh(app.Name, commands, groups), nil
	case "fish":
		return fish(app.Name, commands, groups), nil
	}
	return "", fmt.Errorf("no completion for %q, only for %s", shell, strings.Join(Shells(), ", "))
}

// command is what a script needs to know of one command.
type command struct {
	// name is the command's own; group is that of the command that it is under, if any.
	name, group, help string
	flags             []option
	// values is the fixed set of the first argument, if it has one; files says that it names a file.
	values []string
	files  bool
}

// path is what is typed to run the command.
func (c *command) path() string { return strings.TrimSpace(c.group + " " + c.name) }

// group is a command that only has others under it.
type group struct {
	name, help string
	names      []string
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
		if node.Parent != nil && node.Parent.Type == kong.CommandNode {
			c.group = node.Parent.Name
		}
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

func groupsOf(app *kong.Application) (groups []group) {
	for _, node := range app.Children {
		if node.Hidden || len(node.Children) == 0 {
			continue
		}
		g := group{name: node.Name, help: sentence(node.Help)}
		for _, child := range node.Children {
			if !child.Hidden {
				g.names = append(g.names, child.Name)
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// firsts are what can be typed first: commands and groups, with their help.
func firsts(commands []command, groups []group) (all []command) {
	for _, c := range commands {
		if c.group == "" {
			all = append(all, c)
		}
	}
	for _, g := range groups {
		all = append(all, command{name: g.name, help: g.help})
	}
	return all
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
