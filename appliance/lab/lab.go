// Package lab runs whole Drawbridge networks on one machine: every peer, host, switch and router is a network
// namespace, every daemon the real program. It builds them from a topology file, starts the network the way an
// operator would (init, token, join, run), breaks things on request and cleans up after itself, also after having
// been killed. `drawbridge lab` and `drawbridge demo` are its commands.
package lab
