package transit

import "time"

// baseDatagram is what every path is taken to carry: the minimum of IPv6, 1,280, less its header and UDP's.
const baseDatagram = 1280 - 40 - 8

// controlDatagram is how large a piece may be that rides the control link.
const controlDatagram = 16 << 10

// candidates are UDP payloads that fill the MTUs found in practice, over IPv4 (less 28) and IPv6 (less 48):
// tunnels from 1,400 up, PPPoE 1,492, Ethernet 1,500, cloud jumbo 4,096 and 8,500, jumbo 9,000.
var candidates = [...]int{1352, 1372, 1392, 1412, 1424, 1432, 1444, 1452, 1464, 1472, 4068, 8472, 8952, 8972}

// Times of the search: all candidates when a path is new and every searchAgain; a full-sized heartbeat
// every confirmEvery; largestFor is the period over which the receiver reports what it heard, so a path
// that became narrower is known within two of them and confirmEvery.
const (
	searchAgain  = 30 * time.Second
	confirmEvery = time.Second
	largestFor   = 2 * time.Second
	narrowAfter  = 2*largestFor + confirmEvery
)

// pathMTU searches for the largest datagram that arrives, by padded heartbeats (RFC 8899). No ICMP message
// is believed. The caller guards it.
type pathMTU struct {
	searchAt  time.Duration // when the candidates go out next
	left      int           // rounds left of a new path's first search
	confirmAt time.Duration
	goodAt    time.Duration // when the size in use was last confirmed
}

// searchRounds is how often the candidates are sent for a new path, at doubled intervals from searchSoon:
// 0, 0.2, 0.6, 1.4 and 3 s. A burst may be lost.
const (
	searchRounds = 5
	searchSoon   = 100 * time.Millisecond
)

// begin searches anew.
func (m *pathMTU) begin() { *m = pathMTU{left: searchRounds} }

// probes lists the sizes to try now; nil almost always.
func (m *pathMTU) probes(now time.Duration) []int {
	if now < m.searchAt {
		return nil
	}
	m.searchAt = now + searchAgain
	if m.left > 0 {
		m.left--
		m.searchAt = now + searchSoon<<(searchRounds-m.left)
	}
	return candidates[:]
}

// confirm is the size of the next regular heartbeat: 0 for a small one, else what is in use.
func (m *pathMTU) confirm(now time.Duration, inUse int) int {
	if now < m.confirmAt {
		return 0
	}
	m.confirmAt = now + confirmEvery
	return inUse
}

// heard learns the largest datagram that the far end heard of late, and answers the size to use. The far end
// may say anything; messages have room for what we would have tried.
func (m *pathMTU) heard(now time.Duration, largest, inUse int) (size int, changed bool) {
	largest = min(largest, candidates[len(candidates)-1])
	if largest >= inUse {
		m.goodAt = now
		return largest, largest > inUse
	}
	if now-m.goodAt < narrowAfter {
		return inUse, false
	}
	m.goodAt = now
	return max(largest, baseDatagram), inUse > baseDatagram
}

// refused learns that our own interface does not take a datagram of this size, and answers what to use.
func (m *pathMTU) refused(size, inUse int) (int, bool) {
	if size > inUse {
		return inUse, false // a probe
	}
	fits := baseDatagram
	for _, c := range candidates {
		if c < size {
			fits = max(fits, c)
		}
	}
	return fits, fits < inUse
}
