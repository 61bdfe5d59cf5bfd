// Package settings turns a YAML file, RINGCASK_* environment variables and command line flags into a node.Config, and
// remembers where each value came from.
//
// # One table
//
// table.go lists every setting once: its name, unit, meaning, and the field of node.Config that it sets. The flags of
// `ringcask serve` and `ringcask dev`, the variables, the keys of the file, --print-config and docs/configuration.md
// are all made from that table, so they cannot disagree. A test holds the table against the fields of node.Config.
//
// A setting's name is in kebab-case: replicas, http-addr. Its flag is --http-addr, its variable RINGCASK_HTTP_ADDR, its
// key in the file http-addr.
//
// # Priority
//
// default < file < environment < flag. A setting that is given nowhere stays at the zero value in the resolved
// configuration, which node.Config.WithDefaults replaces.
//
// # Strictness
//
// A key of the file or a RINGCASK_ variable that is no setting is an error that names it and the setting whose name
// is nearest: a misspelt setting must never be a silent default. Whether a value makes sense is
// node.Config.Validate's to say; here it only has to be of its kind. An empty value, in the file or the environment,
// is an error too.
//
// The package keeps no state and is safe for concurrent use.
package settings
