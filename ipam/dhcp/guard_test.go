package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/drawbridge-net/drawbridge"
)

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tagged puts VLAN tags into a frame.
func tagged(f drawbridge.Frame, protocols ...uint16) drawbridge.Frame {
	out := slices.Clone(f[:12])
	for _, p := range protocols {
		out = binary.BigEndian.AppendUint16(out, p)
		out = append(out, 0, 7)
	}
	return append(out, f[12:]...)
}

// extended puts an extension header of that kind between the IPv6 header and the rest.
func extended(f drawbridge.Frame, kind byte, header ...byte) drawbridge.Frame {
	out := slices.Clone(f[:54])
	header[0], out[20] = out[20], kind
	binary.BigEndian.PutUint16(out[18:], binary.BigEndian.Uint16(out[18:])+uint16(len(header)))
	return append(append(out, header...), f[54:]...)
}

const (
	first, later = 0x01, 0x08 // fragment offset and more-fragments, low octet
	options      = "\x00\x00\x01\x04\x00\x00\x00\x00"
)

func fragment(f drawbridge.Frame, offset byte) drawbridge.Frame {
	return extended(f, 44, 0, 0, 0, offset, 1, 2, 3, 4)
}

func TestForeign(t *testing.T) {
	link := Link{MAC: serverMAC, Four: subnet4(), Six: subnet6()}
	ra := link.advertisement(allNodes, groupMAC(allNodes), 600e9)
	offer := datagram{src: bob, dst: alice, from: addr("192.0.2.9"), to: addr("192.0.2.10"), ports: [2]uint16{67, 68}, payload: append([]byte{2}, make([]byte, 299)...)}
	toRelay, oddPort := offer, offer
	toRelay.ports[1], oddPort.ports[0] = 67, 4711
	reply := datagram{src: bob, dst: alice, from: linkLocal(bob), to: linkLocal(alice), ports: [2]uint16{547, 546}, payload: []byte{7, 1, 2, 3}}
	relayReply := reply
	relayReply.ports[1], relayReply.payload = 547, []byte{13, 0}
	truncated := fragment(ra, first)[:54+8]
	nested := ra
	for range 9 {
		nested = extended(nested, 60, []byte(options)...)
	}
	for name, c := range map[string]struct {
		frame drawbridge.Frame
		want  Answer
	}{
		"offer":                     {offer.frame(), Answer4},
		"offer in a VLAN":           {tagged(offer.frame(), 0x8100), Answer4},
		"offer in two":              {tagged(offer.frame(), 0x88a8, 0x8100), Answer4},
		"offer in nine":             {tagged(offer.frame(), 0x8100, 0x8100, 0x8100, 0x8100, 0x8100, 0x8100, 0x8100, 0x8100, 0x8100), AnswerHidden},
		"offer from an odd port":    {oddPort.frame(), Answer4},
		"answer to a relay":         {toRelay.frame(), Answer4},
		"discover":                  {frame4(message(dhcpv4.MessageTypeDiscover, alice)).Frame, NoAnswer},
		"reply":                     {reply.frame(), Answer6},
		"reply to a relay":          {relayReply.frame(), Answer6},
		"solicit":                   {frame6(say6(dhcpv6.MessageTypeSolicit, nil)).Frame, NoAnswer},
		"advertisement":             {ra, AnswerRouter},
		"behind options":            {extended(ra, 0, []byte(options)...), AnswerRouter},
		"behind two":                {extended(extended(ra, 60, []byte(options)...), 0, []byte(options)...), AnswerRouter},
		"in its first fragment":     {fragment(ra, first), AnswerRouter},
		"atomic fragment":           {fragment(ra, 0), AnswerRouter},
		"later fragment":            {fragment(ra, later), NoAnswer},
		"cut off in the first":      {truncated, AnswerHidden},
		"behind nine":               {nested, AnswerHidden},
		"solicitation of a router":  {rs(linkLocal(alice)).Frame, NoAnswer},
		"runt":                      {ra[:13], NoAnswer},
		"IPv6 header only":          {ra[:54], NoAnswer},
		"other UDP":                 {datagram{from: addr("192.0.2.9"), to: addr("192.0.2.10"), ports: [2]uint16{67, 53}}.frame(), NoAnswer},
		"offer's later fragment":    {func() drawbridge.Frame { f := offer.frame(); f[21] = 1; return f }(), NoAnswer},
		"offer with IP options":     {bytesOf(t, `02000000000a 02000000000b 0800 46c0 0020 0000 0000 40 11 0000 c0000209 c000020a 94040000 0043 0044 0008 0000`), Answer4},
		"Debian's isc-dhcp-server":  {bytesOf(t, iscOffer), Answer4},
		"Linux router advertising":  {bytesOf(t, radvd), AnswerRouter},
		"an ICMPv6 echo, far along": {extended(datagram{from: linkLocal(alice), to: linkLocal(bob), payload: []byte{128, 0, 0, 0, 0, 0, 0, 1}}.frame6(protoICMPv6, 2), 43, []byte(options)...), NoAnswer},
	} {
		if got := AnswerOf(c.frame); got != c.want || Foreign(c.frame) != (c.want != NoAnswer) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Packets as other programs send them, cut after the part that matters.
const (
	iscOffer = `02000000000a 02000000000b 0800 4510 0148 0000 0000 80 11 b6ad c0000201 c000020a 0043 0044 0134 0000
		02 01 06 00 12345678 0000 0000 00000000 c000020a 00000000 00000000 02000000000a`
	radvd = `333300000001 02000000000b 86dd 6000 0000 0020 3a ff fe80000000000000000000fffe00000b ff020000000000000000000000000001
		86 00 1234 40 00 0708 00000000 00000000 01 01 02000000000b 05 01 0000 000005dc`
)

func TestGuardAllocatesNothing(t *testing.T) {
	link := Link{MAC: serverMAC, Six: subnet6()}
	ra := extended(link.advertisement(allNodes, groupMAC(allNodes), 600e9), 0, []byte(options)...)
	s := New(Config{Leases: newBook()})
	if n := testing.AllocsPerRun(100, func() { Foreign(ra); s.Wants(ra, "guest") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAnswerOf(f *testing.F) {
	link := Link{MAC: serverMAC, Six: subnet6()}
	ra := link.advertisement(allNodes, groupMAC(allNodes), 600e9)
	f.Add([]byte(ra))
	f.Add([]byte(fragment(ra, first)))
	f.Add([]byte(tagged(ra, 0x8100)))
	f.Add(bytesOf(f, iscOffer))
	f.Add(bytesOf(f, radvd))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := AnswerOf(b); len(b) >= 14 && got != NoAnswer && AnswerOf(tagged(b, 0x8100)) == NoAnswer {
			t.Fatalf("%s hides behind a tag", got)
		}
	})
}

func BenchmarkForeign(b *testing.B) {
	tcp := make([]byte, 1514)
	copy(tcp, bytesOf(b, `02000000000a 02000000000b 0800 4510 05dc 0000 0000 80 06 b6ad c0000201 c000020a`))
	link := Link{MAC: serverMAC, Six: subnet6()}
	ra := link.advertisement(allNodes, groupMAC(allNodes), 600e9)
	s := New(Config{Leases: newBook()})
	b.Run("tcp", func(b *testing.B) {
		for b.Loop() {
			Foreign(tcp)
		}
	})
	b.Run("advertisement", func(b *testing.B) {
		for b.Loop() {
			Foreign(ra)
		}
	})
	b.Run("wants", func(b *testing.B) {
		for b.Loop() {
			s.Wants(tcp, "guest")
		}
	})
}
