package client

import (
	"context"

	"github.com/ringcask/ringcask/internal/wire"
)

// Status asks the node at a client address for its status; the empty address is any node. The error is an *Error.
func (c *Client) Status(ctx context.Context, addr string) (*Status, error) {
	status := new(Status)
	params := wire.PlainRequest{}
	q := &request{
		method: wire.MethodStatus, safe: safeRead, options: &params.Options, params: params.Encode,
		result: func(r *wire.Reader) (uint64, error) { return 0, status.Decode(r) },
	}
	if addr != "" {
		q.only = c.node(c.routing.Load().all, addr)
		defer func() {
			if !c.needs(q.only) {
				q.only.retire()
			}
		}()
	}
	if err := c.do(ctx, q); err != nil {
		return nil, err
	}
	return status, nil
}

// Topology asks for the members and the partition table. The error is an *Error.
func (c *Client) Topology(ctx context.Context) (*Topology, error) {
	topology := new(Topology)
	params := wire.PlainRequest{}
	err := c.do(ctx, &request{
		method: wire.MethodTopology, safe: safeRead, options: &params.Options, params: params.Encode,
		result: func(r *wire.Reader) (uint64, error) { return 0, topology.Decode(r) },
	})
	if err != nil {
		return nil, err
	}
	return topology, nil
}
