// Package devcluster runs the nodes of a development cluster as processes of this machine.
//
// # Layout
//
// Node i, from 0, is called n<i+1> and has ten ports from BasePort + 10·i: +0 HTTP, +1 MessagePack-RPC, +2 kept for
// RESP, +3 peers, +4 gossip. Its data directory is DIR/n<i+1>, which also has its log, node.log.
// DIR/dev.json is the manifest: what was started, so that scripts find the nodes, and the command that starts each
// again by hand.
//
// # Life
//
//	Plan ─▶ CheckPorts ─▶ Start ─▶ WaitReady ─▶ WriteManifest ─▶ … ─▶ Stop
//
// A node that ends is reported and never started again: the point of a development cluster is to try failures. Stop
// asks with SIGTERM, and after StopGrace ends with SIGKILL what has not gone.
//
// # No orphans
//
// Each node has a process group of its own, so that Ctrl-C in the terminal reaches the cluster's owner only, which then
// stops the nodes in order. Should the owner die without a chance to do so (SIGKILL), the nodes notice: each inherits
// the read end of a pipe whose write end only the owner holds, and drains when it reads end of file. This needs
// no parent-death signal, which Linux ties to a thread, and works the same on every Unix. The recorded commands
// have no such pipe: a node that is started by hand ends by hand.
package devcluster
