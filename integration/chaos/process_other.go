//go:build !linux

package chaos

import "syscall"

// attributes leave a process alone when a terminal interrupts this one's group.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
