// Package integration holds the black-box tests: real node processes, built from cmd/ringcask, on real sockets of the loopback
// interface with real files, killed for real. Each test states a promise of the README and tries to break it.
//
// The tests find free ports, bound their loops, and end their own processes by pid. They are skipped with -short.
package integration
