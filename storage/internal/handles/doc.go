// Package handles bounds how many files are open at once. A File is one for its reader whether or not it has a handle: what was
// closed to make room for others is opened again, by its path, when it is read next.
//
// # States of a File
//
//	          Adopt                    Pool.Open
//	            │                          │
//	            ▼       Release            ▼        room is needed
//	held: open, exempt ────────▶ pooled: open, counted ────────▶ closed
//	            ▲                    │    ▲                        │ │
//	            └─────── Hold ───────┘    └───── the next call ────┘ │
//	            └────────────────────── Hold ────────────────────────┘
//
// Pooled Files are those that the bound is for; which of them goes is chosen by a clock: the hand passes over one that was used
// since it came by last, and over one that is in the middle of a call. Where all are, the bound is passed for that time.
//
// A path must mean the same file for as long as a File may be opened by it. Before it comes to mean another, or none, the File
// is to be held. The size and the content of a pooled file must be final and durable: it is opened for reading only, and
// what closing it says is of no interest.
//
// # Concurrency and cost
//
// All methods but Close may be called at once. A call on an open File costs two atomic additions and no lock, and allocates
// nothing. Opening holds a lock of the File, and that of the Pool only while it looks for what to close.
package handles
