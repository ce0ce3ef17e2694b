// Package wire is the bytes that peers send each other on control links: messages, the records by which each
// peer describes itself, and the digests by which two peers find out whose knowledge is older. It turns values
// into bytes and back, strictly and with hard limits, and decides nothing.
package wire
