package transit

import (
	"bytes"
	"testing"

	drawbridge "github.com/drawbridge-net/drawbridge"

	"pgregory.net/rapid"
)

// TestAMemberThatDoesNotKeepToTheProtocol takes true pieces of frames, changes their meta and their length,
// loses and repeats some, and wants no panic, nothing that would hurt a port, and nothing changed between
// Deliver and Flush.
func TestAMemberThatDoesNotKeepToTheProtocol(t *testing.T) {
	v6 := superFrame{v6: true, tags: 1, payload: 900, mss: 100}
	uso := superFrame{udp: true, payload: 900, mss: 100}
	var all [][]byte
	for _, p := range []drawbridge.Packet{tcpFrame(900, 100), v6.packet(), uso.packet(), {Frame: frameOf(900)}, {Frame: frameOf(60)}} {
		all = append(all, slicesOf(t, p, 300)...)
	}
	n := newStill(t, 1)
	links := []*Link{n.neighbour(2, 7), n.neighbour(4, 8)}
	check := &checker{}
	n.r.recv = check
	rapid.Check(t, func(t *rapid.T) {
		check.t, n.r.pieces, n.r.pending, n.r.head = t, fragments{}, nil, 0
		for range rapid.IntRange(1, 30).Draw(t, "datagrams") {
			from := rapid.IntRange(0, len(all)-1).Draw(t, "from")
			for i := from; i < min(len(all), from+rapid.IntRange(1, 5).Draw(t, "run")); i++ {
				plain := mutate(t, all[i])
				l := links[rapid.IntRange(0, 1).Draw(t, "link")]
				if rapid.IntRange(0, 7).Draw(t, "control") == 0 {
					n.r.control(controlFrame{l, plain})
				} else {
					n.r.datagram(n.seal(l, kindFrame, plain), -1)
				}
			}
		}
		forget(n.r.relay)
		n.r.finish()
	})
	if n.Drops()["malformed"] == 0 {
		t.Error("nothing was malformed")
	}
}

// mutate changes some of a plain text that is in order.
func mutate(t *rapid.T, plain []byte) []byte {
	var m meta
	payload, _ := m.parse(plain)
	payload = bytes.Clone(payload)
	octet := rapid.OneOf(rapid.ByteRange(0, 12), rapid.Byte())
	m.origin = 2
	for range rapid.IntRange(0, 2).Draw(t, "changes") {
		switch rapid.IntRange(0, 9).Draw(t, "what") {
		case 0:
			m.flags = octet.Draw(t, "flags")
		case 1:
			m.flags ^= 1 << rapid.IntRange(0, 7).Draw(t, "flag")
		case 2:
			m.offload = octet.Draw(t, "offload")
		case 3:
			m.csumStart = octet.Draw(t, "start")
		case 4:
			m.mss = rapid.OneOf(rapid.Uint16Range(0, 3), rapid.Uint16()).Draw(t, "mss")
		case 5:
			m.index = octet.Draw(t, "index")
		case 6:
			m.total = octet.Draw(t, "total")
		case 7:
			m.headerLen = octet.Draw(t, "headers")
		case 8:
			payload = payload[:rapid.IntRange(0, len(payload)).Draw(t, "shorter")]
		case 9:
			payload = append(payload, make([]byte, rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 65300)).Draw(t, "longer"))...)
		}
	}
	return m.append(payload)
}

// TestFramesAreBounded sends pieces that are each good and make up more than a frame can be.
func TestFramesAreBounded(t *testing.T) {
	headers := tcpFrame(100, 50).Frame[:54]
	for name, m := range map[string]meta{
		"slices":    {flags: flagPiece | flagOffload | flagMSS, offload: owedChecksum | 1, csumStart: 34, mss: 1400, total: 2, headerLen: 54},
		"fragments": {flags: flagPiece, total: 2},
	} {
		t.Run(name, func(t *testing.T) {
			n := newStill(t, 1)
			l := n.neighbour(2, 7)
			m.origin = 2
			var all [][]byte
			for range 2 {
				plain := append(make([]byte, 60000), headers[:m.headerLen]...)
				all = append(all, n.seal(l, kindFrame, m.append(plain)))
				m.index++
				m.seq++
			}
			if got := n.hear(all...); len(got) != 0 {
				t.Errorf("a frame of %d bytes", len(got[0].packet.Frame))
			}
			if d := n.Drops(); d["malformed"] != 1 {
				t.Errorf("drops %v", d)
			}
		})
	}
	t.Run("control", func(t *testing.T) {
		n := newStill(t, 1)
		l := n.neighbour(2, 7)
		l.HandleControl((&meta{origin: 2, total: 1}).append(append([]byte{controlFrameMsg}, make([]byte, 1<<17)...)))
		if len(n.tcp) != 0 || n.Drops()["malformed"] != 1 {
			t.Errorf("queued %d, drops %v", len(n.tcp), n.Drops())
		}
	})
}
