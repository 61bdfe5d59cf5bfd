package main

import (
	"io"

	"github.com/ringcask/ringcask/cmd/ringcask/internal/completion"
)

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (*completionCommand) Help() string {
	return `Source the script when the shell starts.

	echo 'source <(ringcask completion bash)' >> ~/.bashrc
	echo 'source <(ringcask completion zsh)' >> ~/.zshrc
	ringcask completion fish > ~/.config/fish/completions/ringcask.fish
`
}

func (c *completionCommand) Run(a *app) error {
	script, err := completion.Script(c.Shell, a.model)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.stdout, script)
	return err
}
