package afpacket

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// wire joins two guests through two ports, each on the host's end of a veth pair, with a loop where the switch and
// the mesh would be.
type wire struct {
	guests      [2]*porttest.Guest
	ports       [2]*Port
	supers, all atomic.Uint64
}

func newWire(t testing.TB, a, b Config) *wire {
	t.Helper()
	porttest.Namespace(t)
	w := new(wire)
	for i, c := range []Config{a, b} {
		host, guest := fmt.Sprintf("h%d", i), fmt.Sprintf("g%d", i)
		porttest.Run(t, "ip link add "+host+" type veth peer name "+guest)
		w.guests[i] = porttest.NewGuest(t, i+1)
		w.guests[i].Adopt(t, guest)
		porttest.Up(t, host)
		c.Interface = host
		w.ports[i] = open(t, c)
	}
	var pumps sync.WaitGroup
	for i := range w.ports {
		pumps.Go(func() { w.pump(t, w.ports[i], w.ports[1-i]) })
	}
	t.Cleanup(func() {
		for _, p := range w.ports {
			p.Close()
		}
		pumps.Wait()
	})
	return w
}

func (w *wire) pump(t testing.TB, from, to *Port) {
	ps := make([]drawbridge.Packet, 64)
	for {
		n, err := from.ReadBatch(ps)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("read: %v", err)
			return
		}
		for _, p := range ps[:n] {
			if p.Offload.GSO != drawbridge.GSONone {
				w.supers.Add(1)
			}
		}
		w.all.Add(uint64(n))
		if _, err := to.WriteBatch(ps[:n]); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	}
}

// TestTwoStacksTalkTCP: what two Linux stacks say through two ports arrives, in whatever form the ports work. A wrong
// checksum, length or segment would stop the stream, for the receiving stack checks them.
func TestTwoStacksTalkTCP(t *testing.T) {
	for name, c := range map[string][2]Config{
		"virtio-net headers": {{}, {}},
		"plain":              {{Plain: true}, {Plain: true}},
		"mixed":              {{}, {Plain: true}},
	} {
		for _, address := range []string{"198.18.0.2", "fd00::2"} {
			t.Run(name+", "+address, func(t *testing.T) {
				w := newWire(t, c[0], c[1])
				porttest.TransferTCP(t, w.guests[0], w.guests[1], address, 1<<20)
				if w.supers.Load() == 0 {
					t.Error("no super-frame passed: the stacks were not asked for what they can do")
				}
			})
		}
	}
}

// TestPartialChecksumsPass holds that a datagram on a veth pair has no checksum of its own: it is the far side that
// completes it.
func TestPartialChecksumsPass(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	watch := open(t, Config{Interface: "h0"})
	porttest.SendUDP(t, w.guests[0], w.guests[1], 100, 0)
	ps := make([]drawbridge.Packet, 16)
	n, err := watch.ReadBatch(ps)
	for ; err == nil; n, err = watch.ReadBatch(ps) {
		for _, pk := range ps[:n] {
			if pk.Frame.EtherType() != 0x0800 || pk.Frame[23] != 17 {
				continue // the stack's own: ARP, ICMPv6
			}
			if pk.Offload.Flags&drawbridge.NeedsChecksum == 0 {
				t.Errorf("%+v: want a partial checksum", pk.Offload)
			}
			return
		}
	}
	t.Error(err)
}

// TestDatagramSegmentation: one system call of the guest's, one frame on the way, many datagrams at the end.
func TestDatagramSegmentation(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	for i, length := range porttest.SendUDP(t, w.guests[0], w.guests[1], 20000, 1200) {
		if want := min(1200, 20000-1200*i); length != want {
			t.Errorf("datagram %d has %d bytes, want %d", i, length, want)
		}
	}
	if w.supers.Load() == 0 {
		t.Error("no super-frame passed")
	}
}

// TestATunnelInsideIsCut: a guest's VXLAN device sends super-frames whose segmentation is the tunnel's, which a
// virtio-net header cannot say. Dropped, its streams would crawl: 27 s for this one, measured.
func TestATunnelInsideIsCut(t *testing.T) {
	w := newWire(t, Config{}, Config{})
	porttest.TransferTCP(t, w.guests[0], w.guests[1], porttest.VXLAN(t, w.guests[0], w.guests[1]), 1<<20)
	for _, p := range w.ports {
		if drops := p.Drops(); drops["malformed"] != 0 {
			t.Errorf("%s: drops %v", p.Name(), drops)
		}
	}
}
