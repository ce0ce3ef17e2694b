package appliance

import (
	"errors"
	"slices"
	"sync"
	"syscall"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/afpacket"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// watchIfKernel is watchKernel for a port that the kernel may carry.
func (p *port) watchIfKernel(tap forwarder.Tap, beforeGate bool) (unwatch func(), err error) {
	if !slices.Contains(p.node.inKernel(), p.vni()) || p.noKernel() != "" {
		return func() {}, nil
	}
	return p.watchKernel(tap, beforeGate)
}

// watchKernel shows a tap what the kernel engine carries at the port, while that carries it, until unwatch is called: the switch
// never sees it. Two sockets beside the switch's own read every frame meanwhile, so a recording costs what the engine
// saves. Each direction is in order; of the two together, a frame may be noted some microseconds late.
func (p *port) watchKernel(tap forwarder.Tap, beforeGate bool) (unwatch func(), err error) {
	in, err := afpacket.Open(afpacket.Config{Interface: p.interfaceName(), Promiscuous: true})
	if err != nil {
		return nil, err
	}
	out, err := afpacket.Open(afpacket.Config{Interface: p.interfaceName(), Leaving: kernel.Mark})
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	var watching sync.WaitGroup
	watching.Go(func() { p.watchOne(in, tap, forwarder.Inbound, beforeGate) })
	watching.Go(func() { p.watchOne(out, tap, forwarder.Outbound, true) }) // what leaves has passed the gate
	return func() {
		_, _ = in.Close(), out.Close() // of sockets, which have nothing to lose
		watching.Wait()
	}, nil
}

// watchOne shows one direction until the socket is closed.
func (p *port) watchOne(from *afpacket.Port, tap forwarder.Tap, d forwarder.Direction, beforeGate bool) {
	ps := make([]drawbridge.Packet, 64)
	for {
		n, err := from.ReadBatch(ps)
		switch {
		case errors.Is(err, syscall.ENETDOWN):
			time.Sleep(reopenEvery)
		case err != nil:
			return
		case d == forwarder.Outbound || p.node.engines.path(p.vni()).takes() && (beforeGate || p.passes()):
			for i := range ps[:n] {
				tap.Offer(d, &ps[i])
			}
		}
	}
}

// passes reports whether frames pass the port at the moment: by its gate, or, on a guest port, by ALONE.
func (p *port) passes() bool {
	if p.gate != nil {
		_, open := p.gate.Permit()
		return open
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.blocked
}
