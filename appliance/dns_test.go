package appliance

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/config"
)

// questionFrame is a UDP datagram from a guest to 10.43.0.254.
func questionFrame(port uint16, payload []byte) drawbridge.Frame {
	f := make(drawbridge.Frame, atDNS, atDNS+len(payload))
	copy(f, []byte{2, 0xdb, 0x53, 0, 0, 7, 2, 0, 0, 0, 0, 9, 8, 0, 0x45})
	f[atIP+9] = 17
	copy(f[atIP+12:], []byte{10, 43, 0, 9, 10, 43, 0, 254, 0x99, 0x99})
	binary.BigEndian.PutUint16(f[atUDP+2:], port)
	binary.BigEndian.PutUint16(f[atUDP+4:], uint16(8+len(payload)))
	return append(f, payload...)
}

func TestAnAnswerGoesBackToWhoAsked(t *testing.T) {
	out := answerFrame(questionFrame(53, []byte("question")), []byte("the answer"))
	sum := uint32(0)
	for i := atIP; i < atUDP; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(out[i:]))
	}
	if sum>>16+sum&0xffff != 0xffff {
		t.Errorf("checksum of % x", out[atIP:atUDP])
	}
	if out.Dst() != (drawbridge.MAC{2, 0, 0, 0, 0, 9}) || !bytes.Equal(out[atIP+12:atUDP], []byte{10, 43, 0, 254, 10, 43, 0, 9}) ||
		!bytes.Equal(out[atUDP:atUDP+6], []byte{0, 53, 0x99, 0x99, 0, 18}) || string(out[atDNS:]) != "the answer" {
		t.Errorf("% x", out)
	}
}

// TestOnlyQuestionsToThePeersAreTaken: those to other resolvers go on.
func TestOnlyQuestionsToThePeersAreTaken(t *testing.T) {
	m := (&Node{}).openNames()
	p := &port{guest: &config.Guest{Interface: "eth7", VNI: 7}}
	if m.take(questionFrame(53, nil), p) {
		t.Error("taken without a zone")
	}
	m.zones.Store(&map[drawbridge.VNI]*zone{7: {server: netip.MustParseAddr("10.43.0.254")}})
	if !m.take(questionFrame(53, []byte("question")), p) || len(m.queue) != 1 {
		t.Error("not taken")
	}
	elsewhere := questionFrame(53, nil)
	elsewhere[atIP+19] = 53
	for _, f := range []drawbridge.Frame{elsewhere, questionFrame(5353, nil), questionFrame(53, nil)[:atDNS-1], nil} {
		if m.take(f, p) {
			t.Errorf("taken: % x", f)
		}
	}
}
