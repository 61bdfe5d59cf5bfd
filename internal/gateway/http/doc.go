// Package httpgw is the HTTP/JSON face of a node: it turns requests under /kv into calls of the coordinator and their
// outcomes into JSON, raw bytes or lines of JSON, and shows the node's status, health and metrics. It translates and
// never decides: quorums, versions and conflicts are the coordinator's. It is in the directory http, but is not called
// so because that is net/http's name. docs/http.md is its manual page.
//
// # A request
//
//	route      by the raw path: what follows /kv/ is the key, percent-encoded bytes of any value. No path is cleaned
//	params     every query parameter is known and valid, or the request is refused
//	admission  bounds requests under way and what they hold; the bytes of a body count as they arrive, so that a
//	           client that declares much and sends little holds little
//	body       limited before it is read, read within MessageTimeout
//	store      one call, with an absolute deadline
//	answer     encoded into one buffer and written at once; ranges as lines are written page by page
//
// # Bounds
//
// Header bytes, connections, idle time, the time a message takes to arrive, body sizes, pages and timeouts are all
// bounded: see Options. A streamed range holds one page at a time, and gives up on a client that does not take one
// within MessageTimeout.
//
// # Concurrency
//
// A Gateway may serve any number of requests at once. Serve owns the goroutines that net/http starts, and returns when
// they have ended or DrainTimeout is over.
package httpgw
