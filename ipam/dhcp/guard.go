package dhcp

import (
	"encoding/binary"

	"github.com/drawbridge-net/drawbridge"
)

// Answer is a kind of message that only servers and routers send.
type Answer uint8

// Answers are only ever appended.
const (
	NoAnswer Answer = iota
	Answer4
	Answer6
	AnswerRouter
	AnswerHidden // a frame made so that nobody on the way can tell whether it is one of those (RFC 7113)
)

func (a Answer) String() string {
	return [...]string{"none", "dhcpv4", "dhcpv6", "router-advertisement", "hidden"}[min(a, AnswerHidden)]
}

// Foreign reports whether the frame is an answer of a DHCP server or an advertisement of a router. The server's own
// answers are injected at a guest port and never cross, so whatever crosses is foreign.
func Foreign(frame []byte) bool { return AnswerOf(frame) != NoAnswer }

// deepest is how many VLAN tags and extension headers are looked through. More than that is a disguise.
const deepest = 8

// AnswerOf tells which kind of answer a frame is. It looks through VLAN tags and IPv6 extension headers and allocates
// nothing: it is meant for every frame that crosses.
func AnswerOf(frame []byte) Answer {
	if len(frame) < drawbridge.MinFrame {
		return NoAnswer
	}
	etherType, b := drawbridge.Frame(frame).EtherType(), frame[drawbridge.MinFrame:]
	for range deepest {
		switch etherType {
		case etherTypeIPv4:
			return answer4(b)
		case etherTypeIPv6:
			return answer6(b)
		case etherTypeVLAN, 0x88a8, 0x9100, 0x9200:
			if len(b) < 4 {
				return NoAnswer
			}
			etherType, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		default:
			return NoAnswer
		}
	}
	return AnswerHidden
}

// answer4: anything for the clients' port, and replies for the servers' port, which are for a relay agent.
func answer4(b []byte) Answer {
	if len(b) < headerIPv4 || b[9] != protoUDP || b[6]&0x1f != 0 || b[7] != 0 {
		return NoAnswer // a later fragment does nothing without the first, which has the ports
	}
	head := int(b[0]&0xf) * 4
	if len(b) < head+headerUDP {
		return NoAnswer
	}
	switch u := b[head:]; binary.BigEndian.Uint16(u[2:]) {
	case client4:
		return Answer4
	case server4:
		const reply = 2
		if len(u) > headerUDP && u[headerUDP] == reply || len(u) == headerUDP && b[6]&0x20 != 0 {
			return Answer4
		}
	}
	return NoAnswer
}

// answer6 walks the chain of headers. A first fragment that ends before the message begins is hiding it.
func answer6(b []byte) Answer {
	if len(b) < headerIPv6 {
		return NoAnswer
	}
	next, rest, fragment := b[6], b[headerIPv6:], false
	for range deepest {
		switch next {
		case protoUDP, protoICMPv6:
			if len(rest) < headerUDP {
				return hidden(fragment)
			}
			return message6(next, rest)
		case 0, 43, 60, 135, 139, 140, 44, 51: // options, routing, mobility, HIP, Shim6; fragment; authentication
			if len(rest) < 8 {
				return hidden(fragment)
			}
			if next == 44 {
				if binary.BigEndian.Uint16(rest[2:])>>3 != 0 {
					return NoAnswer
				}
				fragment = true
			}
			size := headerSize(next, rest[1])
			if len(rest) < size {
				return hidden(fragment)
			}
			next, rest = rest[0], rest[size:]
		default:
			return NoAnswer
		}
	}
	return AnswerHidden
}

func hidden(fragment bool) Answer {
	if fragment {
		return AnswerHidden
	}
	return NoAnswer // cut short: no station reads it
}

func headerSize(kind, length byte) int {
	switch kind {
	case 44:
		return 8
	case 51:
		return (int(length) + 2) * 4
	}
	return (int(length) + 1) * 8
}

func message6(next byte, m []byte) Answer {
	if next == protoICMPv6 {
		if m[0] == typeRA {
			return AnswerRouter
		}
		return NoAnswer
	}
	switch binary.BigEndian.Uint16(m[2:]) {
	case client6:
		return Answer6
	case server6:
		if len(m) == headerUDP {
			return AnswerHidden
		}
		switch m[headerUDP] {
		case 2, 7, 10, 13: // Advertise, Reply, Reconfigure, Relay-reply
			return Answer6
		}
	}
	return NoAnswer
}
