// Package wire is how ringcask's messages look on a socket, and how they get there: MessagePack values, the MessagePack-RPC
// envelope around them, the connection that carries them ([Link]) and the messages of the client port. It knows no store,
// no coordinator and no topology; it translates between bytes and plain structs.
//
// # Vocabulary
//
//	message    one whole MessagePack-RPC array: a request, a response or a notification
//	frame      a message with a length and a checksum before it, as peers send it
//	link       one connection with its reader, its outgoing buffer and its writer
//	batch      all the messages that one read brought whole
//	fault      an error as it crosses a wire: code, effect, text
//
// # Layout
//
// Clients speak the public MessagePack-RPC protocol as a bare stream (docs/format/rpc.md):
//
//	request        [0, id, method, params]
//	response       [1, id, error, result]
//	notification   [2, method, params]
//
// Peers put the same messages in frames (docs/format/frame.md), after a preamble in each direction:
//
//	preamble   "RCPEER" u16 version
//	frame      u32 length · u32 crc32c(payload) · payload        integers big-endian
//
// # Bytes from strangers
//
// Nothing is allocated because a header says so. [Scanner] finds where a message ends without recursion and within limits of
// bytes, depth and elements; [Reader] checks every declared length against the bytes that are left and against the limit that its caller names, and
// returns byte strings as slices of the message. Decoders are straight-line code of a fixed depth, so no input can make
// them recurse, and each is a fuzz target. Integers are range-checked and trailing bytes are an error.
//
// The values of requests and answers are encoded by hand; what is rare, such as the members of a status, is written by
// vmihailenco/msgpack. Its low-level calls, behind the same budget, take about twice as long for a put (BenchmarkPutByLibrary
// against BenchmarkPutByHand), because every byte passes through an interface, and copy each byte string. The tests hold
// both to the same bytes.
//
// # Concurrency
//
// A Reader, a Writer and a Scanner belong to one goroutine. A Link is safe for concurrent use; see [Link].
//
// Sources: the MessagePack specification (github.com/msgpack/msgpack/blob/master/spec.md) and MessagePack-RPC
// (github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md).
package wire
