// Package run writes and reads runs. A run is an immutable file of records in key order, which a merge of log segments
// writes: what LevelDB calls a sorted table. Keys, metas and values stand together in blocks, so that a read of one
// key is a read of one block, none at all where the file is mapped, and a scan is sequential. The package knows nothing of
// the log, of what else holds a key, or of when to merge.
//
// # Vocabulary
//
//	record       a key with its meta, value, sequence number and flags
//	block        records that are stored, compressed and checked together: 4 KiB, or one larger record
//	raw content  a block's bytes before compression
//	fingerprint  one byte of a key's hash
//	separator    a short string above every key of the blocks before, and not above any key of the block
//	sparse index a separator, an offset and a length for each block
//	bucket       a number that the caller computes of a key
//	filter       says for certain that a key is absent, or that it may be there
//	damage       bytes that are not those that were written
//
// # Layout
//
//	header │ block │ block │ … │ sparse index │ filter │ [buckets] │ trailer
//
//	block      checksum, codec, lengths │ raw content, or what it compresses to
//	raw        count │ fingerprint … │ slot … │ record …
//	record     checksum, lengths, seq, flags │ key, meta, value
//
// docs/format/run.md has it byte by byte. Nothing is padded. Every byte of the file is under a CRC32C that begins with
// the ids of the engine and the run and is shifted by its place, so that nothing passes that belongs elsewhere.
//
// # Reading a key
//
// The filter (one cache line), the sparse index (eight-byte heads of separators side by side, in three levels), the
// block's fingerprints, and the one record whose fingerprint fits. A record that is found answers for itself by its own
// checksum, for the block's would take longer than everything else. That a key is absent is said only by a block
// whose whole checksum was right: a damaged key or fingerprint never turns into absence. An iterator checks a block
// once, when it comes to it.
//
// Damage is a *DamageError with the bounds of the keys that it may touch. It never hides, nor is it spread: all other blocks are
// read as before. A block that was found to be damaged is so for everyone from then on: a record that still stands whole in it is not
// shown to one who looks it up, for iterators, and so merges, pass over the block, and what is neither lost nor kept would be missed.
// What a length claims is never allocated before it was compared with the size of the file or a named limit.
//
// # Finding a bucket
//
// If the writer is told what a key's bucket is, the run lists for each record its bucket and its block, in the order of the
// buckets: three bytes a record, of which next to nothing is in memory. Damage to the list touches no key, for whoever has the
// blocks can do without it.
//
// # Concurrency
//
// Any number of goroutines may use a Reader. A Writer, an Iterator and a Buffer each serve one at a time. Nothing runs
// in the background.
//
// # Costs
//
// Measured with 1 million records of 16-byte keys and 128-byte values, half of which compresses, everything in the page
// cache, on two cores that others kept busy (go test -bench . here):
//
//	                           none     s2    lz4   gzip   zstd
//	file, bytes a record        160    101    103     98     96
//	write, ns a record          225    285    485   2100   1100
//	Get, mapped, µs             0.6    6.2    6.5    125     17
//	Get, ReadAt, µs             1.9    8.7    6.9    125     16
//	scan, mapped, ns a record    38    180     90   1500    220
//
// A key that is absent costs 0.07 µs. An uncompressed run takes 16 bytes a record beside its content, of which 1.25 are
// the filter and one the index and the heads of blocks. In memory it is 19 bytes a block and the filter, 2 bytes for each
// of these records; opening a run of 5 million takes 12 to 17 ms. The filter lets about 1 % of absent keys pass.
//
// # Sources
//
// Chang et al., "Bigtable: A Distributed Storage System for Structured Data", OSDI 2006 (SSTables: blocks, a sparse index,
// Bloom filters); Putze, Sanders and Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007 (blocked filters);
// Bayer and Unterauer, "Prefix B-Trees", 1977 (shortest separators).
package run
