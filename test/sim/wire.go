package sim

import "github.com/drawbridge-net/drawbridge/failover/alone"

// mac is an Ethernet address, numbered from 0; everybody is all of them.
type mac int16

const everybody mac = -1

// kind is what a frame carries.
type kind uint8

const (
	probe    kind = iota // of a station; counted
	announce             // reverse ARP of a new active gateway
	hello                // of ALONE
	marker               // of a planned move
	hail                 // first frame of a new active gateway into the overlay
)

// frame is an Ethernet frame. It is never changed, and passed on by reference.
type frame struct {
	src, dst mac
	kind     kind
	record   *record      // of a probe
	alone    *alone.Frame // of a hello
}

// same reports whether two frames have the same octets.
func (f *frame) same(o *frame) bool {
	return f == o || f.kind == announce && o.kind == announce && f.src == o.src
}

// ethernet is a physical switch: it learns where addresses are and floods what it does not know. It runs no spanning tree,
// so nobody may cable two of them twice.
type ethernet struct {
	w     *world
	jacks []*jack
	table []*jack // by address
}

// jack is one port of a switch and the cable in it.
type jack struct {
	on     *ethernet
	delay  int64        // ns from the switch to the device
	device func(*frame) // who hears; nil on a trunk
	trunk  *jack        // of the other switch

	down     bool // no carrier
	deaf     bool // the device hears nothing
	mute     bool // the switch hears nothing of the device
	reflects bool // the device hears what it says
}

func (w *world) newSwitch() *ethernet {
	return &ethernet{w: w, table: make([]*jack, maxStations)}
}

func (e *ethernet) plug(device func(*frame)) *jack {
	j := &jack{on: e, device: device, delay: 5e3 + 2e3*int64(len(e.jacks))}
	e.jacks = append(e.jacks, j)
	return j
}

// cable connects two switches; it is down at first.
func cable(a, b *ethernet) *jack {
	j, k := a.plug(nil), b.plug(nil)
	j.trunk, k.trunk = k, j
	j.setDown(true)
	return j
}

// setDown takes the carrier of a jack, or of both ends of a trunk, away or gives it back.
func (j *jack) setDown(down bool) {
	for _, j := range []*jack{j, j.trunk} {
		if j == nil {
			continue
		}
		j.down = down
		for m, at := range j.on.table {
			if at == j {
				j.on.table[m] = nil
			}
		}
	}
}

// send takes a frame that the device says.
func (j *jack) send(f *frame) {
	if j.down || j.mute {
		return
	}
	e := j.on
	e.table[f.src] = j
	if j.reflects {
		j.hand(f)
	}
	if f.dst != everybody {
		if to := e.table[f.dst]; to != nil {
			if to != j {
				to.hand(f)
			}
			return
		}
	}
	for _, to := range e.jacks {
		if to != j {
			to.hand(f)
		}
	}
}

// hand passes a frame to what is at the other end of the cable.
func (j *jack) hand(f *frame) {
	if j.down || j.deaf {
		return
	}
	w := j.on.w
	w.queue.push(w.now+j.delay, func() {
		switch {
		case j.down:
		case j.trunk != nil:
			j.trunk.send(f)
		default:
			j.device(f)
		}
	})
}
