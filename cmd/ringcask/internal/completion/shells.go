package completion

import (
	"fmt"
	"strings"
)

func bash(name string, commands []command, groups []group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# bash completion of %s: source <(%s completion bash)\n\n", name, name)
	fmt.Fprintf(&b, "_%s() {\n", name)
	b.WriteString(`    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd= word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in -*) continue ;; esac
        cmd="${cmd:+$cmd }$word"
`)
	for _, g := range groups {
		fmt.Fprintf(&b, "        [[ $cmd == %s ]] && continue\n", quote(g.name))
	}
	b.WriteString(`        break
    done
    COMPREPLY=()
    case $cmd in
`)
	for _, g := range groups {
		fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -W %s -- \"$cur\")) ;;\n", quote(g.name), quote(strings.Join(g.names, " ")))
	}
	var names []string
	for _, c := range firsts(commands, groups) {
		names = append(names, c.name)
	}
	for _, c := range commands {
		fmt.Fprintf(&b, "    %s)\n", quote(c.path()))
		var flags []string
		b.WriteString("        case $prev in\n")
		for _, f := range c.flags {
			flags = append(flags, "--"+f.name)
			patterns := "--" + f.name
			if f.short != "" {
				patterns += "|-" + f.short
			}
			switch {
			case len(f.values) > 0:
				fmt.Fprintf(&b, "        %s) COMPREPLY=($(compgen -W %s -- \"$cur\")); return ;;\n",
					patterns, quote(strings.Join(f.values, " ")))
			case f.takesValue && !f.files:
				fmt.Fprintf(&b, "        %s) compopt +o default; return ;;\n", patterns)
			case f.files:
				fmt.Fprintf(&b, "        %s) return ;;\n", patterns)
			}
		}
		b.WriteString("        esac\n")
		fmt.Fprintf(&b, "        case $cur in -*) COMPREPLY=($(compgen -W %s -- \"$cur\")); return ;; esac\n",
			quote(strings.Join(flags, " ")))
		switch {
		case len(c.values) > 0:
			fmt.Fprintf(&b, "        COMPREPLY=($(compgen -W %s -- \"$cur\"))\n", quote(strings.Join(c.values, " ")))
		case !c.files:
			b.WriteString("        compopt +o default\n")
		}
		b.WriteString("        ;;\n")
	}
	fmt.Fprintf(&b, "    *) COMPREPLY=($(compgen -W %s -- \"$cur\")) ;;\n",
		quote(strings.Join(append(names, "--help", "--version"), " ")))
	fmt.Fprintf(&b, "    esac\n}\ncomplete -o default -F _%s %s\n", name, name)
	return b.String()
}

// zshText makes text safe inside a specification of _arguments or _describe.
var zshText = strings.NewReplacer(`\`, `\\`, `:`, `\:`, `[`, `\[`, `]`, `\]`)

func zsh(name string, commands []command, groups []group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# zsh completion of %s: source <(%s completion zsh)\n\n", name, name, name)
	fmt.Fprintf(&b, "_%s() {\n    local -a commands\n    commands=(\n", name)
	for _, c := range firsts(commands, groups) {
		fmt.Fprintf(&b, "        %s\n", quote(c.name+":"+zshText.Replace(c.help)))
	}
	b.WriteString(`    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    local cmd=$words[2]
`)
	for _, g := range groups {
		fmt.Fprintf(&b, "    if [[ $cmd == %s ]]; then\n        if (( CURRENT == 3 )); then\n            compadd %s\n            return\n        fi\n", quote(g.name), strings.Join(g.names, " "))
		b.WriteString("        cmd=\"$cmd $words[3]\"\n        shift words\n        (( CURRENT-- ))\n    fi\n")
	}
	b.WriteString("    case $cmd in\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "    %s) _arguments -s", quote(c.path()))
		for _, f := range c.flags {
			fmt.Fprintf(&b, " \\\n        %s", quote("--"+f.name+zshValue(f)))
		}
		action := ""
		switch {
		case len(c.values) > 0:
			action = "(" + strings.Join(c.values, " ") + ")"
		case c.files:
			action = "_files"
		}
		fmt.Fprintf(&b, " \\\n        %s ;;\n", quote("*::argument:"+action))
	}
	fmt.Fprintf(&b, "    esac\n}\ncompdef _%s %s\n", name, name)
	return b.String()
}

// zshValue describes a flag and what follows it.
func zshValue(f option) string {
	text := "[" + zshText.Replace(f.help) + "]"
	switch {
	case len(f.values) > 0:
		return "=" + text + ":value:(" + strings.Join(f.values, " ") + ")"
	case f.files:
		return "=" + text + ":file:_files"
	case f.takesValue:
		return "=" + text + ":value:"
	}
	return text
}

func fish(name string, commands []command, groups []group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion of %s: %s completion fish | source\n\n", name, name)
	for _, c := range firsts(commands, groups) {
		fmt.Fprintf(&b, "complete -c %s -f -n __fish_use_subcommand -a %s -d %s\n", name, c.name, fishQuote(c.help))
	}
	for _, g := range groups {
		fmt.Fprintf(&b, "complete -c %s -f -n '__fish_seen_subcommand_from %s; and not __fish_seen_subcommand_from %s' -a %s\n",
			name, g.name, strings.Join(g.names, " "), fishQuote(strings.Join(g.names, " ")))
	}
	for _, c := range commands {
		begin := fmt.Sprintf("complete -c %s -n '__fish_seen_subcommand_from %s'", name, c.name)
		if c.group != "" {
			begin = fmt.Sprintf("complete -c %s -n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s'", name, c.group, c.name)
		}
		switch {
		case len(c.values) > 0:
			fmt.Fprintf(&b, "%s -f -a %s\n", begin, fishQuote(strings.Join(c.values, " ")))
		case !c.files:
			fmt.Fprintf(&b, "%s -f\n", begin)
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "%s -l %s", begin, f.name)
			if f.short != "" {
				fmt.Fprintf(&b, " -s %s", f.short)
			}
			switch {
			case len(f.values) > 0:
				fmt.Fprintf(&b, " -x -a %s", fishQuote(strings.Join(f.values, " ")))
			case f.files:
				b.WriteString(" -r -F")
			case f.takesValue:
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuote(f.help))
		}
	}
	return b.String()
}

// fishQuote makes text one word of fish.
func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}
