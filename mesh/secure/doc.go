// Package secure says who a peer is and keeps what peers say to each other private. Its identity half holds
// the peer's Ed25519 key, the network's certificate authority, join tokens, revocations and the TLS
// configurations of control links and of joining (docs/protocol/join.md); its session half derives and
// rotates the keys of data links and keeps replay windows (docs/protocol/mesh.md, "Data").
package secure
