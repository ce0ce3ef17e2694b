package kernel

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// ear remembers what it hears.
type ear struct {
	learned chan Place
	tooBig  chan drawbridge.Frame
	answer  drawbridge.Frame
}

func newEar() *ear {
	return &ear{learned: make(chan Place, 64), tooBig: make(chan drawbridge.Frame, 64)}
}

func (r *ear) Learned(_ drawbridge.MAC, p Place) {
	select {
	case r.learned <- p:
	default:
	}
}

func (r *ear) TooBig(_ int, f drawbridge.Frame, _ int) drawbridge.Frame {
	select {
	case r.tooBig <- bytes.Clone(f):
	default:
	}
	return r.answer
}

// listen runs the events of a peer until the test ends.
func listen(t *testing.T, d *node, r *ear) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		done <- d.ns.Do(func() error {
			close(ready)
			return d.e.Run(ctx, r)
		})
	}()
	<-ready
	t.Cleanup(func() {
		stop()
		must(t, <-done)
	})
}

func receive[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing was heard")
	}
	return v
}

func TestAddressesAreLearnedAndTold(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	d, r := l.nodes[2], newEar()
	listen(t, d, r)
	a, b := l.nodes[1].host, d.host
	meet(l, a, b)
	if p := receive(t, r.learned); p != (Place{Origin: 1}) {
		t.Errorf("the first address is at %v, want behind peer 1", p)
	}
	if p := receive(t, r.learned); p != (Place{Origin: 2, Port: d.ports["lan0"]}) {
		t.Errorf("the second address is at %v, want at the port", p)
	}
	all, err := d.e.MACs()
	must(t, err)
	if len(all) != 2 {
		t.Errorf("%d addresses, want 2: %v", len(all), all)
	}
	n, err := d.e.Forget(func(s Station) bool { return s.MAC == a.mac })
	must(t, err)
	if n != 1 {
		t.Errorf("%d forgotten, want 1", n)
	}
	if n, err := d.e.Age(); n != 0 || err != nil {
		t.Errorf("%d aged, %v: nothing is old", n, err)
	}
	must(t, d.e.SetMAC(a.mac, Place{Origin: 1}))
	sent := l.count(2, "sent")
	f := b.frame(a.mac)
	b.send(f)
	a.copies(nil, f)
	if n := l.count(2, "sent") - sent; n != 1 {
		t.Errorf("%d frames sent to an address that was set, want 1", n)
	}
}

func TestFramesThatFitNoTunnelAreAnswered(t *testing.T) {
	l := newLab(t, 2, [2]Short{1, 2})
	d, r := l.nodes[1], newEar()
	a, b := d.host, l.nodes[2].host
	meet(l, a, b)
	r.answer = b.frame(a.mac)
	listen(t, d, r)
	big := func(flags, proto byte, tags ...uint32) drawbridge.Frame {
		f := a.frame(b.mac, tags...)[:12+4*len(tags)]
		f = append(f, 0x08, 0, 0x45, 0, 8, 0, 0, 0, flags, 0, 64, proto, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
		return append(f, make([]byte, 2028)...)
	}
	for _, f := range []drawbridge.Frame{big(0x40, 17), big(0x40, 17, 0x81000005), big(0x40, 17, 0x88a80005, 0x81000006)} {
		a.send(f)
		if got := receive(t, r.tooBig); !bytes.HasPrefix(f, got) || len(got) < 1280 {
			t.Errorf("the frame was handed on as %x, %d octets", got[:20], len(got))
		}
		a.copies(nil, r.answer)
	}
	for _, f := range []drawbridge.Frame{big(0, 17), big(0x40, 6)} { // may be fragmented; TCP
		mark := a.frame(drawbridge.Broadcast)
		a.send(f)
		a.send(mark)
		if b.copies(f, mark) != 1 {
			t.Errorf("a frame that may be fragmented did not arrive: %x", f[:36])
		}
	}
	if n := l.count(1, "told_too_big"); n != 3 {
		t.Errorf("told_too_big counts %d, want 3", n)
	}
}

func FuzzEvents(f *testing.F) {
	r := binary.NativeEndian.AppendUint32(nil, kindLearned)
	f.Add(append(r, make([]byte, 28)...))
	p := binary.NativeEndian.AppendUint32(nil, kindPunted)
	for _, n := range []uint32{3, 1450, 2000, 0x8100002a} {
		p = binary.NativeEndian.AppendUint32(p, n)
	}
	f.Add(append(p, make([]byte, puntedBytes+4)...))
	f.Add([]byte{})
	f.Fuzz(func(_ *testing.T, raw []byte) {
		hear(raw, &ear{answer: make(drawbridge.Frame, 60)}, func(int, drawbridge.Frame) {})
	})
}
