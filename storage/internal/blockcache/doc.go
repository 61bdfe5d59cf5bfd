// Package blockcache keeps byte blocks that were read from files, bounded in bytes. A block is named by its file and
// offset. It is not a cache of values that change: blocks are immutable and the ids of files are never reused, so that
// whatever is found is what the file holds, and nothing is ever invalidated.
//
// # Policy
//
// The cache is split into shards by a hash of the name. Each runs S3-FIFO (Yang et al., "FIFO queues are all you need
// for cache eviction", SOSP 2023, §4) over bytes:
//
//	Put ──▶ small, a tenth ──── hit twice ─────▶ main ──▶ evicted, unless hit since it last came round
//	          │ not hit twice                     ▲
//	          ▼                                   │
//	        evicted, its hash remembered ── Put ──┘
//
// A scan passes through the small queue and leaves the main one alone. A hit moves nothing: it counts up to three.
//
// # What the bound includes
//
//	blocks          cap of each, not what the allocator rounds it up to: a block should be an allocation of its own
//	bookkeeping     68 bytes for each block that there is a slot for: slots grow by a quarter, and halve when
//	                blocks get larger
//
// The sum is never above BytesMax, not for a moment. Not included are some 5 KB for a cache as such, blocks that were
// evicted while a reader still holds them, and garbage not yet collected, such as the old bookkeeping while it is
// being resized.
//
// # Concurrency
//
// All methods may be called at once. Get and Put take the lock of one shard, Drop and Stats that of each shard in
// turn. There are no goroutines.
//
// # Why not a library
//
// github.com/maypok86/otter/v2 (v2.4.0) hits as often on Zipfian traces, within a point. Against it stand: what it
// holds passes its bound until a write buffer is worked off, by a goroutine or in bursts; 121 bytes of bookkeeping for
// each block are not in the bound; a file can be dropped only block by block, by a walk over all of them; and a hit
// takes 76 ns where here it takes 35 to 45.
package blockcache
