package mesh

import (
	"net"
	"net/netip"
	"sync"
)

// Callers that have not proven who they are, at a time: so much costs us a flood of strangers, 0.5 ms of a
// core each, and one of them cannot keep all others out.
const (
	maxCallers     = 128
	maxFromOneSite = 16 // from one IPv4 address, or one IPv6 /64
)

// door counts callers. The zero value is ready.
type door struct {
	mu    sync.Mutex
	all   int
	sites map[netip.Prefix]int
}

// enter reports whether a caller may come in; then leave has to follow.
func (d *door) enter(from net.Addr) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := site(from)
	if d.all >= maxCallers || d.sites[s] >= maxFromOneSite {
		return false
	}
	if d.sites == nil {
		d.sites = map[netip.Prefix]int{}
	}
	d.all++
	d.sites[s]++
	return true
}

func (d *door) leave(from net.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := site(from)
	d.all--
	if d.sites[s]--; d.sites[s] == 0 {
		delete(d.sites, s)
	}
}

func site(from net.Addr) netip.Prefix {
	a, _ := addrPort(from)
	bits := 64
	if a.Addr().Is4() {
		bits = 32
	}
	p, _ := a.Addr().Prefix(bits) // the zero prefix for what is no IP address
	return p
}
