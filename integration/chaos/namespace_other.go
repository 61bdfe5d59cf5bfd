//go:build !linux

package chaos

import (
	"context"
	"errors"
	"io"
	"net"
)

// namespace is a network namespace, which this operating system does not have.
type namespace struct{}

func openNamespace(net.IP) (*namespace, io.ReadWriteCloser, error) {
	return nil, nil, errors.ErrUnsupported
}

func (*namespace) close() error { return nil }

func (*namespace) enter() error { return errors.ErrUnsupported }

func (*namespace) dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
