package afpacket

import "golang.org/x/sys/unix"

// reason says why a frame went no further. The order is that of reasonNames.
type reason int

const (
	truncated reason = iota // longer than a super-frame may be (BIG TCP): the interface's gso_max_size is above 64 KiB
	malformed               // its offload does not fit its contents, or nobody can express it, as a tunnel's or SCTP's
	busy                    // the send queue is full, a queueing discipline dropped it, or a gate at the egress is shut
	tooBig                  // longer than the MTU
	down                    // the interface is down or gone
	refused                 // the kernel said no in another way
	reasons
)

var reasonNames = [reasons]string{"truncated", "malformed", "busy", "too-big", "down", "refused"}

// Drops counts frames that were lost since Open, by reason. "queue-full" are those that arrived while the receive
// queue was full; a kernel gate's refusals are not among them, the gate counts its own.
func (p *Port) Drops() map[string]uint64 {
	counts := make(map[string]uint64, reasons+1)
	for i, name := range reasonNames {
		counts[name] = p.drops[i].Load()
	}
	p.statsMu.Lock()
	defer p.statsMu.Unlock()
	if fd, ok := p.file.Enter(); ok {
		defer p.file.Leave()
		if s, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			p.missed += uint64(s.Drops)
		}
	}
	counts["queue-full"] = p.missed
	return counts
}

func (p *Port) drop(r reason, frames int) { p.drops[r].Add(uint64(frames)) }
