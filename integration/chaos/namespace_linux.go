package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace that this process made, with a loopback interface and one that leads to the router. It has no name, and
// is gone when nothing is in it and it was closed, or this process ends.
type namespace struct {
	// file stands for it.
	file *os.File
}

// tunName is what the interface to the router is called in each namespace.
const tunName = "router"

// openNamespace makes a namespace with an address, and returns the end of its interface that packets are read from and written to.
func openNamespace(addr net.IP) (ns *namespace, end io.ReadWriteCloser, err error) {
	err = onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		ns = &namespace{file}
		if end, err = openTUN(addr); err != nil {
			_ = ns.close() // nothing was done with it
		}
		return err
	})
	return ns, end, err
}

func (ns *namespace) close() error { return ns.file.Close() }

// enter has the thread that calls it be in the namespace.
func (ns *namespace) enter() error {
	file, err := ns.file.SyscallConn() // which is not closed meanwhile
	if err != nil {
		return err
	}
	var errEnter error
	err = file.Control(func(fd uintptr) { errEnter = os.NewSyscallError("setns", unix.Setns(int(fd), unix.CLONE_NEWNET)) })
	return errors.Join(err, errEnter)
}

// dial dials from within the namespace. The address must be one of numbers.
func (ns *namespace) dial(ctx context.Context, network, addr string) (c net.Conn, err error) {
	err = onThread(func() error {
		if err := ns.enter(); err != nil {
			return err
		}
		var d net.Dialer
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// onThread does something on a thread of its own, which ends with it, so that nobody else is surprised by what was changed of the thread.
// (The process's first thread cannot end, and is never used again.)
func onThread(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- do()
	}()
	return <-done
}

// openTUN makes a TUN interface in the namespace of the thread that calls it, and has it and the loopback interface take packets.
func openTUN(addr net.IP) (end io.ReadWriteCloser, err error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/dev/net/tun", Err: err}
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd) // nothing was written to it
		}
	}()
	control, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(control)
	up := uint16(unix.IFF_UP)
	for _, s := range []struct {
		fd      int
		request uint
		device  string
		addr    net.IP
		flags   uint16
	}{
		{fd, unix.TUNSETIFF, tunName, nil, unix.IFF_TUN | unix.IFF_NO_PI},
		{control, unix.SIOCSIFADDR, tunName, addr, 0},
		{control, unix.SIOCSIFNETMASK, tunName, net.IP(net.CIDRMask(24, 32)), 0},
		{control, unix.SIOCSIFFLAGS, tunName, nil, up},
		{control, unix.SIOCSIFFLAGS, "lo", nil, up},
	} {
		request, err := unix.NewIfreq(s.device)
		if err != nil {
			return nil, err
		}
		if s.addr == nil {
			request.SetUint16(s.flags)
		} else if err := request.SetInet4Addr(s.addr); err != nil {
			return nil, err
		}
		if err := unix.IoctlIfreq(s.fd, s.request, request); err != nil {
			return nil, fmt.Errorf("interface %s: %w", s.device, os.NewSyscallError("ioctl", err))
		}
	}
	return os.NewFile(uintptr(fd), tunName), nil
}
