// Package rpc serves the client port: MessagePack-RPC over TCP, the face of a node that the Go client and MessagePack-RPC clients in
// other languages talk to. It translates between the messages of internal/wire (docs/format/rpc.md) and the requests of the
// coordinator; it decides nothing.
//
// # A connection
//
//	accept ─→ read a batch ─→ admitted ─→ a goroutine asks the store ─→ answer appended ─→ written with others
//	                       └→ refused: the fault is the answer
//
// A ping is answered by the reader itself, unadmitted: it tells the node's time, which the deadlines of requests go by.
//
// Requests are pipelined and answered in any order. What a client sends is bounded by bytes, depth and elements of a
// message, by the time that a message may take to arrive, and by the receive budget that all connections share; what is under way by the
// node's admission; what waits to be read by SendBytesMax, past which the connection is closed. A message that is no MessagePack-RPC
// request ends its connection, after an answer if it had an id; a request that is wrong in itself is answered with bad_request.
//
// # Draining
//
// When the context of Serve ends, the port closes, further requests on open connections are refused as unavailable (effect
// none, so that clients go elsewhere), those under way are finished for at most DrainTimeout, their answers are written, and then the
// connections close. Serve returns when the last handler has.
//
// # Concurrency
//
// A connection has a reader and a writer (wire.Link); each admitted request has a goroutine of its own, so that a slow one holds up
// none behind it. Serve owns them all and waits for them.
package rpc
