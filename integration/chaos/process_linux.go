package chaos

import "syscall"

// attributes have a process end with this one, whatever becomes of it, and leave it alone when a terminal interrupts this one's group.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
