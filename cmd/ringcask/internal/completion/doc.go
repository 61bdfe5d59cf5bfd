// Package completion writes shell completion scripts from the model of a command line.
//
// The scripts are complete in themselves: pressing Tab starts no ringcask process and asks no server. They
// complete the names of commands and flags, the values of flags that have a fixed set, and file names where a
// command takes a file; hidden flags and commands are left out. A script is only as fresh as the binary that wrote it,
// so shells should run `ringcask completion SHELL` when they start.
//
// The libraries for this (jotaen/kong-completion on posener/complete) run the binary at every Tab, and print
// instructions rather than a script to source.
package completion
