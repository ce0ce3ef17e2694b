package e2e

import (
	"bytes"
	"context"
	little "encoding/binary"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// TestARecordingInTheKernel shows and counts what the kernel carries at the active gateway's port, both ways.
func TestARecordingInTheKernel(t *testing.T) {
	b := up(t, "default")
	must(t, b.EnterKernel(t.Context()))
	b.reach(t, 0)
	active, _ := b.gateways(t)
	port := func() web.Port {
		all, err := b.api(active).Ports(within(t, reachLimit))
		must(t, err)
		return all[0]
	}
	before := port()
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var file bytes.Buffer
	recorded := make(chan struct{})
	go func() { // ends by the time that it was given
		_ = b.api(active).Capture(ctx, web.CaptureRequest{Port: before.Name}, &file)
		close(recorded)
	}()
	r := b.carried(t, func() error { <-ctx.Done(); return nil })
	<-recorded
	const enough = 100 // of some thousands: the machine may be busy
	in, out := directions(file.Bytes())
	t.Logf("%d broadcasts were sent; the recording has %d frames in and %d out", r.Sent, in, out)
	if in < enough || out < enough || !r.Single() {
		t.Errorf("the recording has %d frames in and %d out: %+v", in, out, r)
	}
	eventually(t, reachLimit, "the port's counts", func() bool {
		now := port()
		return now.Traffic.RxFrames >= before.Traffic.RxFrames+enough && now.Traffic.TxFrames >= before.Traffic.TxFrames+enough
	})
}

// directions counts the frames of a pcapng file by its flags option (draft-ietf-opsawg-pcapng §4.3.1).
func directions(file []byte) (in, out int) {
	const packet, flags, inbound, outbound = 6, 2, 1, 2
	word := little.LittleEndian.Uint32
	for len(file) >= 12 {
		n := word(file[4:])
		if n < 12 || int(n) > len(file) {
			break
		}
		if block := file[:n-4]; word(block) == packet {
			for at := 28 + (word(block[20:])+3)&^3; int(at)+8 <= len(block); at += 4 + (uint32(little.LittleEndian.Uint16(block[at+2:]))+3)&^3 {
				if little.LittleEndian.Uint16(block[at:]) != flags {
					continue
				}
				switch word(block[at+4:]) & 3 {
				case inbound:
					in++
				case outbound:
					out++
				}
			}
		}
		file = file[n:]
	}
	return in, out
}
