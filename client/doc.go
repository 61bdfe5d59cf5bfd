// Package client is the Go client of ringcask. It speaks the client port's protocol (docs/format/rpc.md) and knows the
// cluster: it routes each key straight to a replica, goes on with another node when one fails, and retries what may be retried.
//
//	c, err := client.New(client.Options{Addrs: []string{"127.0.0.1:8081"}})
//	…
//	defer c.Close()
//	_, err = c.Put(ctx, []byte("k"), []byte("v"), nil)
//	v, err := c.Get(ctx, []byte("k"), nil)        // errors.Is(err, client.ErrNotFound)
//	for kv, err := range c.Range(ctx, client.RangeOptions{Prefix: []byte("a/")}) { … }
//
// # What is retried
//
// Only clients retry; nodes never do. An attempt ends with a fault from a node or with a broken, silent or refused
// connection, and each has an effect:
//
//	effect              read     write without context   write with context
//	none                again    again                   again
//	unknown, applied    –        again, marked retried   never
//
// "Again" means on another node first, within the deadline and Options.RetriesMax, and only where another try could end
// differently (not for bad_request, too_large, too_many_siblings, unauthorized, forbidden). A write without a context overwrites, so that doing it
// twice leaves what doing it once leaves, unless another client wrote in between; who minds sets Options.NoUnknownRetries. The error of
// a call has the gravest effect of its attempts. An overloaded node is left alone for as long as it asked, give or take chance.
//
// # Nodes that fail
//
// A broken connection or an attempt that timed out takes a node out of the choice until it answers a ping, which is tried in the
// background with growing pauses. So a node that hangs (SIGSTOP, a dead link) costs the calls that were with it one attempt's
// timeout, and later ones nothing. That timeout follows what the node's answers usually take: see Options.AttemptTimeout. If every node
// is out, they are tried all the same.
//
// # The clock
//
// Every answer carries the node's hybrid clock; the client sends the greatest it has seen with each request, so that of two
// puts by one client the second always wins, whatever the nodes' clocks say.
//
// # Deadlines
//
// Each attempt carries its deadline by the clock of its node, which refuses what it finds later: a node that hangs and goes on does not
// bring back what was meanwhile written again elsewhere. For that every connection begins with a ping that asks for the node's time, and asks again now
// and then. Clocks may be set as they like; a node that does not tell its time gets the time limit alone.
//
// # Concurrency
//
// A Client is safe for concurrent use and pipelines: many requests are under way on each of a few connections. It starts
// goroutines with its first call (two for each connection, one for each node that is out, one while the topology is read); Close ends and awaits them.
package client
