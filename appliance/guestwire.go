package appliance

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/alone"
	"github.com/drawbridge-net/drawbridge/failover/alone/runner"
	"github.com/drawbridge-net/drawbridge/forwarder"
)

// overheardFrames is how many frames of neighbours wait for ALONE; more than that say nothing new.
const overheardFrames = 64

// guestWire is a guest port as ALONE sees it: it speaks and hears through the forwarder, so that a TAP device, whose
// wire is not an interface that a packet socket could be put on, is watched like any other.
type guestWire struct {
	attached *forwarder.Attached
	heard    <-chan drawbridge.Frame
	mac      drawbridge.MAC
	once     sync.Once
	cut      chan struct{}
}

var _ runner.Wire = (*guestWire)(nil)

// Receive implements runner.Wire.
func (w *guestWire) Receive() (drawbridge.Frame, error) {
	select {
	case f := <-w.heard:
		return f, nil
	case <-w.cut:
		return nil, os.ErrClosed
	}
}

var errNotTaken = errors.New("the port did not take the frame")

// Send implements runner.Wire.
func (w *guestWire) Send(f drawbridge.Frame) error {
	if !w.attached.Speak(f) {
		return errNotTaken
	}
	return nil
}

// MAC implements runner.Wire.
func (w *guestWire) MAC() (drawbridge.MAC, error) { return w.mac, nil }

// Interrupt implements runner.Wire.
func (w *guestWire) Interrupt() { w.once.Do(func() { close(w.cut) }) }

// Close implements runner.Wire.
func (w *guestWire) Close() error {
	w.Interrupt()
	return nil
}

// guestMAC is the source of hellos on a guest port: locally administered, and no address of an interface, which a
// bridge behind the port would take for a loop of its own.
func guestMAC(peer drawbridge.PeerID, port alone.PortID) (m drawbridge.MAC) {
	m[0] = 0x02
	binary.BigEndian.PutUint32(m[1:], uint32(peer))
	m[5] = byte(port)
	return m
}

// overhear copies what ALONE wants of the frames between neighbours: its own, without VLAN tags, and those of bridges.
func (p *port) overhear(f drawbridge.Frame) {
	kept := append(drawbridge.Frame(nil), f[:12]...)
	if body := forwarder.ALONE(f); body != nil {
		kept = append(binary.BigEndian.AppendUint16(kept, alone.EtherType), body...)
	} else {
		kept = append(kept, f[12:min(len(f), 64)]...)
	}
	select {
	case p.heard <- kept:
	default:
	}
}

// wireOf is what ALONE opens on a guest port.
func (p *port) wireOf(a *forwarder.Attached) func() (runner.Wire, error) {
	return func() (runner.Wire, error) {
		return &guestWire{attached: a, heard: p.heard, mac: guestMAC(p.node.creds.ID(), p.aloneID()), cut: make(chan struct{})}, nil
	}
}
