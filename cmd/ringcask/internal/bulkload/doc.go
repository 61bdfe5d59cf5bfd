// Package bulkload writes a stream of records as fast as a store takes them: batched, several batches at once, in
// bounded memory.
//
// # Order
//
// Each key belongs to one worker, chosen by a hash of the key. A worker sends one batch at a time and a batch has no
// key twice, so of two records with the same key the later one is sent after the earlier one was answered: the last
// one in the file wins. Records with different keys are written in any order.
//
//	              ┌ pending batch ─▶ queue of 1 ─▶ worker 0 ─▶ Store.WriteBatch
//	records ─▶ hash(key)
//	              └ pending batch ─▶ queue of 1 ─▶ worker 1 ─▶ …
//
// # Bounds
//
// At most three batches of each worker are held at once (filling, queued, under way), so memory stays under
// 3 × Concurrency × (BatchBytes + one record). When all are full, reading waits.
//
// # Ends
//
// A cancelled context stops reading and leaves what was not yet sent unsent; batches under way are waited for, so that
// the summary tells what is known. The package retries nothing: the store's client has its own rule for that.
package bulkload
