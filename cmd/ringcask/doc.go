// Command ringcask is the one binary of the store: the server, a development cluster on one machine, and the commands
// of a client.
//
// The commands translate and print; they decide nothing. `serve` hands a configuration to package node, the client
// commands call package client. What has logic of its own is a package under internal:
//
//	settings     file, environment and flags into a node's configuration
//	devcluster   the processes of `ringcask dev`
//	records      JSON Lines of keys and values
//	bulkload     many records into a store, batched, in order for each key
//	completion   shell completion from the command line's model
//	bytesize     "256MiB"
//
// # Exit codes
//
// 0 done, 1 the key was not found, 2 the command or its input was wrong, 3 the cluster or a node failed, 128 + the
// signal's number when a client command was interrupted. Servers that a signal made drain end with 0. exit.go has the
// one table.
//
// # Signals
//
// The first SIGINT or SIGTERM cancels the command's context: servers drain, loads finish what is under way. A second
// one, unless it comes with the first, ends the process at once.
//
// docs/cli.md describes each command, docs/configuration.md each setting. Both are held against the code by tests.
package main
