// Package chaos runs a cluster of real node processes, lets things go wrong as a plan of integration/fault says, has clients do what
// integration/workload has for them meanwhile, and judges what came of it when everything is healed.
//
//	workload ─▶ client ─▶ proxy ─▶ node i ─▶ proxy i→j ─▶ node j
//	                                 │
//	                                 └─▶ data directory, on a file system that fails when told to
//
// # The network
//
// Each directed pair of nodes has proxies of its own: one for the links between peers, one for gossip by TCP, and a forwarder for gossip by
// UDP. Node i is told (setting test-routes) to dial node j there; its member list is everybody's. What i sends to j goes forward through
// the proxies i→j, and backward through j→i where j has made the connection: so one direction can be cut alone. What is cut is swallowed:
// connections stay, and nothing arrives, as where a cable is pulled. The connections that were cut end when the netsplit does. The
// harness itself asks the nodes how they are over HTTP, past all proxies.
//
// With Options.Namespaces there are no proxies, but a router of IPv4 packets between network namespaces, one for each node and one for the
// clients (proxies.go and namespaces.go are the two networks). What is cut is sent again by TCP, and connections outlive a short netsplit.
//
// # A run
//
//	start ─▶ workloads and faults ─▶ all faults end ─▶ replicas converge ─▶ final reads ─▶ nodes stop ─▶ what they store is compared
//
// A fault that destroys data begins only once everything that was destroyed before is there again and nothing is known to be
// under-replicated; it waits for that for a bounded time, and is skipped after it.
package chaos
