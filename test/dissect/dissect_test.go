package dissect

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/lease"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
)

const clearLen = 11

// clear is what the clear header of a data datagram must show.
func clear(d []byte) map[string]string {
	return map[string]string{
		"drawbridge.version": "1", "drawbridge.kind": fmt.Sprint(d[0] & 15), "drawbridge.key": fmt.Sprintf("0x%08x", binary.BigEndian.Uint32(d[1:])),
		"drawbridge.thread": fmt.Sprint(d[5]), "drawbridge.counter": fmt.Sprint(binary.BigEndian.Uint64(append(make([]byte, 3), d[6:11]...))),
	}
}

func TestSealedDatagramsShowTheirHeader(t *testing.T) {
	all := exchange(t, secure.CipherAES128GCM)
	names := []string{"heartbeat", "frame", "bundle"}
	var frames [][]byte
	for _, name := range names {
		frames = append(frames, overUDP(t, 6630, all[name]))
	}
	for i, p := range dissected(t, frames...) {
		d, name := all[names[i]], names[i]
		want := clear(d)
		want["drawbridge.open"] = ""
		want["drawbridge.sealed"] = colons(d[clearLen : len(d)-secure.TagLen])
		want["drawbridge.tag"] = colons(d[len(d)-secure.TagLen:])
		p.expect(t, name, want)
	}
}

// colons is how tshark writes octets.
func colons(b []byte) string { return net.HardwareAddr(b).String() }

func TestDatagramsWithoutACipherShowEverything(t *testing.T) {
	all := exchange(t, secure.CipherNone)
	names := []string{"heartbeat", "frame", "flood", "bundle", "slice"}
	var frames [][]byte
	for _, name := range names {
		frames = append(frames, overUDP(t, 6630, all[name]))
	}
	for i, p := range dissected(t, frames...) {
		d, name := all[names[i]], names[i]
		want := clear(d)
		want["drawbridge.open"], want["drawbridge.sealed"] = "1", ""
		plain := d[clearLen : len(d)-secure.TagLen]
		be := binary.BigEndian
		switch name {
		case "heartbeat":
			want["drawbridge.heartbeat.sequence"] = fmt.Sprint(be.Uint32(plain))
			want["drawbridge.heartbeat.sent"] = fmt.Sprint(be.Uint64(plain[4:]))
			want["drawbridge.heartbeat.echo"] = fmt.Sprint(be.Uint64(plain[12:]))
			want["drawbridge.heartbeat.held"] = fmt.Sprint(be.Uint32(plain[20:]))
			want["drawbridge.heartbeat.largest"] = fmt.Sprint(be.Uint16(plain[24:]))
			want["drawbridge.heartbeat.lost"] = fmt.Sprint(plain[26])
		case "frame": // captured on a segment, for the neighbour
			want["drawbridge.vni"], want["drawbridge.origin"], want["drawbridge.segment"], want["drawbridge.epoch"] = "77", "0x0a0a0a0a", "0x00000002", "3.7"
			want["drawbridge.hops"], want["drawbridge.flags"], want["arp.dst.proto_ipv4"] = "16", "0x04", "192.0.2.2"
			want["drawbridge.flags.segment"], want["drawbridge.flags.flood"] = "1", "0"
		case "flood":
			want["drawbridge.flags"], want["drawbridge.flags.flood"], want["drawbridge.vni"], want["drawbridge.segment"] = "0x20", "1", "78", ""
		case "bundle":
			want["drawbridge.bundle.length"], want["drawbridge.vni"], want["arp.dst.proto_ipv4"] = "55 55", "79 80", "192.0.2.2 192.0.2.2"
		case "slice":
			want["drawbridge.flags.piece"], want["drawbridge.piece.index"], want["drawbridge.piece.header_len"] = "1", "0", "54"
			want["drawbridge.offload.type"], want["drawbridge.checksum_start"], want["drawbridge.vni"] = "1", "34", "81"
			if total := p.one("drawbridge.piece.total"); total == "" || total == "1" || p.one("drawbridge.headers") == "" || p.one("drawbridge.payload") == "" {
				t.Errorf("slice: %v", p)
			}
		}
		p.expect(t, name, want)
	}
}

func TestLeaseMessages(t *testing.T) {
	counter := uint64(0x70bf)
	random := func() uint64 { counter++; return counter }
	c, err := lease.NewChannel(0x0a0a0a0a, 0x0c0c0c0c, bytes.Repeat([]byte{7}, 32), 0x5e55, random)
	if err != nil {
		t.Fatal(err)
	}
	ask := c.Seal(nil, &lease.Message{Class: lease.Request, Generation: 3, Floor: 2, Stamp: 1_000_000_000, Entries: []lease.Entry{
		{Kind: lease.Renew, Segment: 2, Epoch: drawbridge.MakeEpoch(3, 7), Micros: 40_000},
		{Kind: lease.Release, Segment: 5, Epoch: drawbridge.MakeEpoch(3, 6), Peer: 0x0d0d0d0d},
	}})
	answer := c.Seal(nil, &lease.Message{Class: lease.Answer, Generation: 3, Floor: 2, Stamp: 5, Clock: 6, Entries: []lease.Entry{
		{Kind: lease.Refuse, Reason: lease.Promised, Flags: lease.Tenured, Segment: 2, Epoch: drawbridge.MakeEpoch(3, 8), Micros: 900, Peer: 0x0e0e0e0e, Seen: drawbridge.MakeEpoch(3, 7)},
	}})
	challenge := c.Challenge(nil)
	list := c.Seal(nil, readsLists(t, c, &lease.Message{Class: lease.Request, Generation: 3, Floor: 2, Entries: []lease.Entry{
		{Kind: lease.Renew, Segment: 2, Epoch: drawbridge.MakeEpoch(3, 7), Micros: 40_000},
		{Kind: lease.Renew, Segment: 4, Epoch: drawbridge.MakeEpoch(2, 8), Micros: 40_000},
		{Kind: lease.Renew, Segment: 6, Epoch: drawbridge.MakeEpoch(3, 9), Micros: 40_000},
		{Kind: lease.Probe},
	}}))
	p := dissected(t, overUDP(t, lease.Port, ask), overUDP(t, lease.Port, answer), overUDP(t, lease.Port, challenge), overUDP(t, lease.Port, list))
	p[0].expect(t, "request", map[string]string{
		"drawbridge.lease.version": "1", "drawbridge.lease.class": "1", "drawbridge.lease.count": "2", "drawbridge.lease.sender": "0x0a0a0a0a", "drawbridge.lease.receiver": "0x0c0c0c0c",
		"drawbridge.lease.generation": "3", "drawbridge.lease.floor": "2", "drawbridge.lease.session": "0x0000000000005e55", "drawbridge.lease.offer": "0x00000000000070c0", "drawbridge.lease.sequence": "1",
		"drawbridge.lease.stamp": "1000000000", "drawbridge.lease.clock": "0", "drawbridge.lease.kind": "2 3", "drawbridge.lease.epoch": "3.7 3.6", "drawbridge.lease.segment": "0x00000002 0x00000005",
		"drawbridge.lease.flags.lists": "1 1", "drawbridge.lease.micros": "40000 0", "drawbridge.lease.peer": "0x00000000 0x0d0d0d0d", "drawbridge.lease.tag": colons(ask[len(ask)-16:]),
	})
	p[1].expect(t, "answer", map[string]string{
		"drawbridge.lease.class": "2", "drawbridge.lease.kind": "18", "drawbridge.lease.reason": "3", "drawbridge.lease.flags.tenure": "1", "drawbridge.lease.seen": "3.7", "drawbridge.lease.clock": "6", "drawbridge.lease.sequence": "2",
	})
	p[2].expect(t, "challenge", map[string]string{"drawbridge.lease.class": "3", "drawbridge.lease.count": "0", "drawbridge.lease.kind": ""})
	p[3].expect(t, "list", map[string]string{
		"drawbridge.lease.count": "3", "drawbridge.lease.kind": "5 4", "drawbridge.lease.more": "2", "drawbridge.lease.segment": "0x00000002 0x00000004 0x00000006 0x00000000",
		"drawbridge.lease.epoch": "3.7 2.8 3.9 0.0", "drawbridge.lease.tag": colons(list[len(list)-16:]),
	})
}

// readsLists has the peer of c say that it reads lists, and answers m.
func readsLists(t *testing.T, c *lease.Channel, m *lease.Message) *lease.Message {
	far, err := lease.NewChannel(0x0c0c0c0c, 0x0a0a0a0a, bytes.Repeat([]byte{7}, 32), 1, func() uint64 { return 1 })
	if err != nil {
		t.Fatal(err)
	}
	var got lease.Message
	if err := far.Open(c.Seal(nil, m), &got); !errors.Is(err, lease.ErrSession) {
		t.Fatal(err)
	}
	if err := c.Open(far.Challenge(nil), &got); err != nil {
		t.Fatal(err)
	}
	if err := far.Open(c.Seal(nil, m), &got); err != nil {
		t.Fatal(err)
	}
	if err := c.Open(far.Seal(nil, m), &got); err != nil {
		t.Fatal(err)
	}
	return m
}

// onWire puts an ALONE frame onto a VLAN, or onto none.
func onWire(t *testing.T, vlan uint16, payload []byte) []byte {
	head := &layers.Ethernet{SrcMAC: here, DstMAC: net.HardwareAddr(alone.Group[:]), EthernetType: alone.EtherType}
	if vlan == 0 {
		return built(t, head, gopacket.Payload(payload))
	}
	head.EthernetType = layers.EthernetTypeDot1Q
	return built(t, head, &layers.Dot1Q{VLANIdentifier: vlan, Type: alone.EtherType}, gopacket.Payload(payload))
}

func TestALONEFrames(t *testing.T) {
	codec := alone.NewCodec(drawbridge.NetworkID{1}, [32]byte{2})
	hello := codec.Append(nil, alone.Frame{
		Kind: alone.Hello, State: alone.Active, Score: 100, Network: codec.Network, From: alone.Place{Peer: 0x01020304, Port: 1}, Boot: 7, Segment: 0x0a0b0c0d,
		Epoch: drawbridge.MakeEpoch(2, 5), Sequence: 9, Nonce: 1_000_000, Interval: 10, Dead: 35, Injected: 100, Captured: 200, Listed: []alone.Listed{{Key: 0xdeadbeef, Age: 17}, {Key: 1, Age: 2}},
	})
	loop := codec.Append(nil, alone.Frame{Kind: alone.Loop, State: alone.Blocked, Network: codec.Network, From: alone.Place{Peer: 4, Port: alone.FirstGuest + 1}, Nonce: 0xabc})
	p := dissected(t, onWire(t, 0, hello), onWire(t, 42, loop))
	p[0].expect(t, "hello", map[string]string{
		"drawbridge.alone.version": "1", "drawbridge.alone.kind": "1", "drawbridge.alone.state": "3", "drawbridge.alone.score": "100", "drawbridge.alone.network": colons(codec.Network[:]),
		"drawbridge.alone.peer": "0x01020304", "drawbridge.alone.boot": "7", "drawbridge.alone.port": "0x00000001", "drawbridge.alone.port.guest": "0", "drawbridge.alone.segment": "0x0a0b0c0d",
		"drawbridge.alone.epoch": "2.5", "drawbridge.alone.sequence": "9", "drawbridge.alone.clock": "1000000", "drawbridge.alone.interval": "10", "drawbridge.alone.dead": "35",
		"drawbridge.alone.injected": "100", "drawbridge.alone.captured": "200", "drawbridge.alone.neighbours": "2", "drawbridge.alone.neighbour": "0xdeadbeef 0x00000001", "drawbridge.alone.neighbour.age": "17 2",
		"drawbridge.alone.tag": colons(hello[112:128]),
	})
	p[1].expect(t, "loop", map[string]string{
		"drawbridge.alone.kind": "2", "drawbridge.alone.state": "5", "drawbridge.alone.nonce": "0x0000000000000abc", "drawbridge.alone.clock": "", "drawbridge.alone.port.guest": "1", "vlan.id": "42",
	})
}

// The control link is TLS, and shows which of our protocols it is for.
func TestControlLinkIsTLS(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		defer a.Close()
		_ = tls.Client(a, &tls.Config{ServerName: "x", NextProtos: []string{"drawbridge/1"}, InsecureSkipVerify: true}).Handshake() // only its first record matters
	}()
	hello := make([]byte, 4096)
	n, err := b.Read(hello)
	if err != nil {
		t.Fatal(err)
	}
	ip := ends
	ip.Protocol = layers.IPProtocolTCP
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 6630, Seq: 1, ACK: true, PSH: true, Window: 1000}
	if err := tcp.SetNetworkLayerForChecksum(&ip); err != nil {
		t.Fatal(err)
	}
	frame := built(t, &layers.Ethernet{SrcMAC: here, DstMAC: there, EthernetType: layers.EthernetTypeIPv4}, &ip, tcp, gopacket.Payload(hello[:n]))
	dissected(t, frame)[0].expect(t, "client hello", map[string]string{"tls.handshake.extensions_alpn_str": "drawbridge/1"})
}

// Whatever is cut off or garbled is told as malformed or left alone; the script never fails.
func TestGarbage(t *testing.T) {
	c, err := lease.NewChannel(1, 2, make([]byte, 32), 1, func() uint64 { return 1 })
	if err != nil {
		t.Fatal(err)
	}
	message := c.Seal(nil, &lease.Message{Class: lease.Request, Entries: []lease.Entry{{Kind: 99, Reason: 99}}})
	codec := alone.NewCodec(drawbridge.NetworkID{}, [32]byte{})
	hello := codec.Append(nil, alone.Frame{Kind: 99, State: 99, Network: codec.Network})
	hello[76] = 200 // neighbours
	var frames [][]byte
	for n := range len(message) {
		frames = append(frames, overUDP(t, lease.Port, message[:n]))
	}
	for n := range len(hello) + 1 {
		frames = append(frames, onWire(t, 0, hello[:n]))
	}
	for kind := range byte(5) {
		for flags := 0; flags < 256; flags += 5 { // every flag with few and with many octets before it
			for _, n := range []int{0, 12, 13, 16, 40} {
				d := append(bytes.Repeat([]byte{0x10 | kind}, clearLen), bytes.Repeat([]byte{byte(flags)}, n)...)
				frames = append(frames, overUDP(t, 6630, append(d, make([]byte, 16)...)))
			}
		}
	}
	malformed := 0
	for _, p := range dissected(t, frames...) {
		for name := range p {
			if name == "drawbridge.malformed" || name == "drawbridge.lease.malformed" || name == "drawbridge.alone.malformed" {
				malformed++
			}
		}
	}
	if malformed < 100 {
		t.Errorf("%d of %d are malformed", malformed, len(frames))
	}
}

// The display filters of docs/how-to/capture.md are ones that Wireshark takes.
func TestFiltersOfThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/capture.md")
	if err != nil {
		t.Fatal(err)
	}
	var filters []string
	for _, m := range regexp.MustCompile("\\| `(drawbridge\\.[^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		filters = append(filters, "("+strings.ReplaceAll(m[1], `\|`, "|")+")")
	}
	if len(filters) < 8 {
		t.Errorf("the page has %d filters", len(filters))
	}
	codec := alone.NewCodec(drawbridge.NetworkID{}, [32]byte{})
	hello := codec.Append(nil, alone.Frame{Kind: alone.Hello, State: alone.Active, Network: codec.Network})
	filtered(t, strings.Join(filters, " || "), 1, onWire(t, 0, hello), onWire(t, 0, []byte("somebody else's")))
}
