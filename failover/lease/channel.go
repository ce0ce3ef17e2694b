package lease

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"

	"github.com/drawbridge-net/drawbridge"
)

// Errors of Open. A datagram with ErrSession is authentic, but may be a recording: it is answered with a challenge.
var (
	ErrForged   = errors.New("lease datagram is not authentic: the keys of the two peers differ, or it was changed")
	ErrSession  = errors.New("lease datagram of an unknown session")
	ErrReplayed = errors.New("lease datagram seen before")
)

// Channel seals datagrams to one peer and opens those from it, under the key of the pair. One goroutine uses it.
type Channel struct {
	self, peer drawbridge.PeerID
	mac        hash.Hash
	sum        [sha256.Size]byte
	random     func() uint64

	session  uint64 // of this run
	sequence uint64
	token    uint64 // what the peer offered
	offer    uint64 // what the peer must send to begin a session

	bound    uint64 // session of the peer; 0 before first contact
	lists    bool   // it reads lists
	highest  uint64 // its highest sequence
	window   uint64 // bit i: highest-i has been seen
	stranger uint64 // offer in the datagram that was last refused with ErrSession
}

// NewChannel begins this run's part of a channel. The session must be random, the same for all channels of a run or not,
// and random must be unpredictable; key has at least 16 octets.
func NewChannel(self, peer drawbridge.PeerID, key []byte, session uint64, random func() uint64) (*Channel, error) {
	if len(key) < tagLen || session == 0 || self == peer {
		return nil, fmt.Errorf("lease channel from %v to %v with a key of %d octets and session %d: want %d octets, a session and two peers", self, peer, len(key), session, tagLen)
	}
	return &Channel{self: self, peer: peer, mac: hmac.New(sha256.New, key), session: session, random: random, offer: random()}, nil
}

// Fits is how many of the first entries fit in one datagram; of renewals and grants more, if the peer reads lists.
func (c *Channel) Fits(all []Entry) (n int) {
	for room := maxEntries; n < len(all) && room > 0; {
		k := c.alike(all[n:], room)
		n, room = n+k, room-places(k)
	}
	return n
}

func (c *Channel) alike(all []Entry, room int) int {
	if !c.lists {
		return 1
	}
	return alike(all, room)
}

// Seal appends m as a datagram to b, which should be empty and have room for MaxDatagram. Its entries must fit.
func (c *Channel) Seal(b []byte, m *Message) []byte {
	return c.seal(b, m, c.token)
}

// Challenge appends the answer to the datagram that Open refused last with ErrSession.
func (c *Channel) Challenge(b []byte) []byte {
	return c.seal(b, &Message{Class: Challenge}, c.stranger)
}

func (c *Channel) seal(b []byte, m *Message, token uint64) []byte {
	c.sequence++
	h := header{
		class: m.Class, sender: c.self, receiver: c.peer, generation: m.Generation, floor: m.Floor,
		session: c.session, token: token, offer: c.offer, sequence: c.sequence, stamp: m.Stamp, clock: m.Clock,
	}
	start := len(b)
	b = h.append(b)
	room := maxEntries
	for all := m.Entries; len(all) > 0; {
		n := c.alike(all, room)
		b = appendList(b, all[:n])
		all, room = all[n:], room-places(n)
	}
	setCount(b[start:], maxEntries-room)
	return append(b, c.tag(b[start:])...)
}

// tag is the truncated HMAC of b (RFC 2104 §5); it is overwritten by the next one.
func (c *Channel) tag(b []byte) []byte {
	c.mac.Reset()
	c.mac.Write(b) // never fails, by the contract of hash.Hash
	return c.mac.Sum(c.sum[:0])[:tagLen]
}

// Open reads a datagram into m, whose Entries it reuses, if it is authentic, for this peer and new.
func (c *Channel) Open(b []byte, m *Message) error {
	h, err := parseHeader(b)
	if err != nil {
		return err
	}
	body := b[:len(b)-tagLen]
	if h.sender != c.peer || h.receiver != c.self || !hmac.Equal(c.tag(body), b[len(body):]) {
		return ErrForged
	}
	if err := c.fresh(&h); err != nil {
		return err
	}
	c.token = h.offer
	*m = Message{Class: h.class, Generation: h.generation, Floor: h.floor, Stamp: h.stamp, Clock: h.clock, Entries: m.Entries[:0]}
	if h.count > 0 {
		c.lists = binary.BigEndian.Uint16(body[headerLen+2:])&readsLists != 0
	}
	m.Entries, err = appendParsed(m.Entries, body[headerLen:])
	return err
}

// fresh tells new datagrams from recordings, and begins a session when it is proven to be of now.
func (c *Channel) fresh(h *header) error {
	switch {
	case h.session != c.bound && h.token != c.offer:
		c.stranger = h.offer
		return ErrSession
	case h.session != c.bound:
		c.bound, c.highest, c.window, c.lists = h.session, h.sequence, ^uint64(0), false
		c.offer = c.random()
		return nil
	case h.sequence > c.highest:
		c.window = c.window<<min(h.sequence-c.highest, 64) | 1
		c.highest = h.sequence
		return nil
	}
	behind := c.highest - h.sequence
	if behind >= 64 || c.window&(1<<behind) != 0 {
		return ErrReplayed
	}
	c.window |= 1 << behind
	return nil
}
