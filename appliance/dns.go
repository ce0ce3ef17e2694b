package appliance

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/ipam"
	"github.com/drawbridge-net/drawbridge/ipam/dns"
)

// names answers guests that ask the peers' own address about names: what other guests call themselves, under the domain
// of the subnet. It is asked by frames, as the address is on no interface.
type names struct {
	node   *Node
	zones  atomic.Pointer[map[drawbridge.VNI]*zone] // replaced whole
	queue  chan question
	serial atomic.Uint32

	mu    sync.Mutex // guards what follows; held while other peers are asked
	read  time.Time
	hosts map[string][]netip.Addr
	of    map[netip.Addr][]string
}

// zone is what guests of an overlay are answered.
type zone struct {
	prefix netip.Prefix
	server netip.Addr
	domain string
	dns    *dns.Server
}

// question is one on its way to an answer.
type question struct {
	zone  *zone
	port  string
	frame drawbridge.Frame
}

func (n *Node) openNames() *names {
	m := &names{node: n, queue: make(chan question, 64)}
	m.zones.Store(&map[drawbridge.VNI]*zone{})
	return m
}

// configure serves the zones of a configuration: subnets of IPv4 with a domain (option 15).
func (m *names) configure(d *netconfig.Document) {
	old, next := *m.zones.Load(), map[drawbridge.VNI]*zone{}
	for _, s := range d.Subnets {
		o, ok := d.Overlay(s.Overlay)
		prefix, err := netip.ParsePrefix(s.CIDR)
		domain := strings.Join(option(s, 15), "")
		if !ok || err != nil || !prefix.Addr().Is4() || domain == "" || next[o.VNI] != nil {
			continue
		}
		z := &zone{prefix: prefix, server: serverOf(s), domain: domain}
		if was := old[o.VNI]; was != nil && was.prefix == z.prefix && was.server == z.server && was.domain == z.domain {
			next[o.VNI] = was
			continue
		}
		if z.dns, err = dns.New(dns.Config{Zone: domain, Subnets: []netip.Prefix{prefix}, Self: []netip.Addr{z.server}}, m); err != nil {
			m.node.log.Error("names of guests are not answered", "reason", err)
			continue
		}
		next[o.VNI] = z
	}
	m.zones.Store(&next)
}

// headers of a question: Ethernet, IPv4 without options, UDP.
const (
	atIP  = 14
	atUDP = atIP + 20
	atDNS = atUDP + 8
)

// take keeps a question to the server's address, and reports whether it was one. It does not wait.
func (m *names) take(f drawbridge.Frame, p *port) bool {
	if len(f) < atDNS || binary.BigEndian.Uint16(f[12:]) != 0x0800 || f[atIP] != 0x45 || f[atIP+9] != 17 || binary.BigEndian.Uint16(f[atUDP+2:]) != 53 {
		return false
	}
	z := (*m.zones.Load())[p.guest.VNI]
	if z == nil || netip.AddrFrom4([4]byte(f[atIP+16:])) != z.server {
		return false
	}
	select {
	case m.queue <- question{z, p.name(), slices.Clone(f)}:
	default: // the guest asks again
	}
	return true
}

// run answers until ctx ends.
func (m *names) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-m.queue:
			m.refresh(ctx)
			size := int(binary.BigEndian.Uint16(q.frame[atUDP+4:]))
			if size < 8 || atUDP+size > len(q.frame) {
				continue
			}
			if reply := q.zone.dns.Answer(ctx, q.frame[atDNS:atUDP+size], false); reply != nil {
				m.node.injectGuest(q.port, answerFrame(q.frame, reply))
			}
		}
	}
}

// answerFrame turns the headers of a question round. UDP goes without a checksum, as RFC 768 allows.
func answerFrame(f, reply []byte) drawbridge.Frame {
	out := append(make(drawbridge.Frame, 0, atDNS+len(reply)), f[6:12]...)
	out = append(append(out, f[:6]...), f[12:atIP]...)
	out = append(out, 0x45, 0)
	out = binary.BigEndian.AppendUint16(out, uint16(20+8+len(reply)))
	out = append(out, 0, 0, 0x40, 0, 64, 17, 0, 0)
	out = append(append(out, f[atIP+16:atIP+20]...), f[atIP+12:atIP+16]...)
	binary.BigEndian.PutUint16(out[atIP+10:], headerSum(out[atIP:atUDP]))
	out = append(append(out, f[atUDP+2:atUDP+4]...), f[atUDP:atUDP+2]...)
	out = binary.BigEndian.AppendUint16(out, uint16(8+len(reply)))
	return append(append(out, 0, 0), reply...)
}

// headerSum is the checksum of an IPv4 header whose own is zero (RFC 791 §3.1).
func headerSum(h []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	sum = sum>>16 + sum&0xffff
	return ^uint16(sum>>16 + sum)
}

// refresh asks all peers who has which address, when the last time is longer ago than answers live.
func (m *names) refresh(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.read) < dns.DefaultTTL {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, wantedFor)
	defer cancel()
	all, err := m.node.Addresses(ctx, true)
	if err != nil {
		return
	}
	m.read, m.hosts, m.of = time.Now(), map[string][]netip.Addr{}, map[netip.Addr][]string{}
	m.serial.Store(uint32(m.read.Unix()))
	for _, a := range all {
		addr, err := netip.ParseAddr(a.Address)
		if given := a.Use == ipam.Mine.String() || a.Use == ipam.Borrowed.String(); err != nil || !given || a.Host == "" {
			continue
		}
		m.hosts[a.Host] = append(m.hosts[a.Host], addr)
		m.of[addr] = append(m.of[addr], a.Host)
	}
}

// Addrs implements dns.Names.
func (m *names) Addrs(name string) (addrs []netip.Addr, exists bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	addrs = m.hosts[name]
	return addrs, len(addrs) > 0 || name == ""
}

// Names implements dns.Names.
func (m *names) Names(addr netip.Addr) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[addr]
}

// Serial implements dns.Names.
func (m *names) Serial() uint32 { return m.serial.Load() }
