package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover/gate"
	"github.com/drawbridge-net/drawbridge/forwarder/afpacket"
)

// numbered counts which frames of a test have come.
type numbered struct {
	mu   sync.Mutex // guards seen
	seen []int
}

// marker begins the body of a numbered frame.
var marker = []byte("number")

func (n *numbered) note(f drawbridge.Frame) {
	if at := 14 + len(marker); len(f) >= at+4 && bytes.Equal(f[14:at], marker) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.seen[binary.BigEndian.Uint32(f[at:])]++
	}
}

func (n *numbered) sum() (all int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.seen {
		all += c
	}
	return all
}

// TestEachFrameIsTakenByOne changes the engine as fast as it can, on any processor, while a station sends: the socket of user space and the programs never take
// the same frame, and never leave one to each other.
func TestEachFrameIsTakenByOne(t *testing.T) {
	const frames = 400
	l := newLab(t, 2, [2]Short{1, 2})
	d, far := l.nodes[1], l.nodes[2].host
	must(t, unix.SetsockoptInt(far.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20))
	var user *afpacket.Port
	must(t, d.ns.Do(func() (err error) {
		user, err = afpacket.Open(afpacket.Config{Interface: "lan0", Promiscuous: true})
		return err
	}))
	must(t, user.Share(func(fd int) error { return d.e.Share(d.ports["lan0"], fd) }))
	byUser, byKernel := &numbered{seen: make([]int, frames+1)}, &numbered{seen: make([]int, frames+1)}
	var reading sync.WaitGroup
	reading.Go(func() {
		for ps := make([]drawbridge.Packet, 64); ; {
			n, err := user.ReadBatch(ps)
			if err != nil {
				return
			}
			for _, p := range ps[:n] {
				byUser.note(p.Frame)
			}
		}
	})
	over := make(chan struct{})
	reading.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
			}
			if f := far.hear(time.Now().Add(10 * time.Millisecond)); f != nil {
				byKernel.note(f)
			}
		}
	})
	var changes atomic.Int64
	var failed error
	var changing sync.WaitGroup
	sent := make(chan struct{})
	changing.Go(func() {
		runtime.LockOSThread() // and left so: the thread ends
		var anywhere unix.CPUSet
		for cpu := range 1024 {
			anywhere.Set(cpu)
		}
		failed = unix.SchedSetaffinity(0, &anywhere)
		for {
			select {
			case <-sent:
				return
			default:
				failed = errors.Join(failed, d.e.Take(Entry(rand.IntN(int(Known)+1))))
				changes.Add(1)
			}
		}
	})
	whole := l.table(1)
	to := whole.Peers[2]
	to.Whole = true
	whole.Peers[2] = to
	must(t, d.e.Apply(whole), d.e.SetMAC(far.mac, Place{Origin: 2}), l.nodes[2].e.SetMAC(far.mac, Place{Origin: 2, Port: l.nodes[2].ports["lan0"]}))
	send := func(i int, etherType uint16) {
		f := d.host.frame([]drawbridge.MAC{drawbridge.Broadcast, far.mac}[i%2])
		binary.BigEndian.PutUint16(f[12:], etherType)
		copy(f[14:], marker)
		binary.BigEndian.PutUint32(f[14+len(marker):], uint32(i))
		d.host.send(f)
	}
	for i := range frames {
		for last := changes.Load(); changes.Load() == last; { // however busy the machine is
			time.Sleep(time.Microsecond)
		}
		send(i, 0x88b5)
	}
	close(sent)
	changing.Wait()
	must(t, failed, d.e.Take(Everything))
	send(frames, 0x88b6) // neighbours are heard by user space always
	for until := time.Now().Add(patience); byUser.sum()+byKernel.sum() <= frames && time.Now().Before(until); {
		time.Sleep(time.Millisecond)
	}
	close(over)
	must(t, user.Close())
	reading.Wait()
	lost, doubled := 0, 0
	for i := range frames + 1 {
		switch n := byUser.seen[i] + byKernel.seen[i]; {
		case n == 0:
			lost++
		case n > 1:
			doubled++
		}
	}
	t.Logf("%d changes, %d frames by user space, %d by the kernel", changes.Load(), byUser.sum(), byKernel.sum())
	if lost+doubled > 0 || byUser.sum() < 2 || byKernel.sum() == 0 || byKernel.seen[frames] > 0 {
		t.Errorf("%d frames were lost and %d taken twice", lost, doubled)
		l.dump()
	}
}

// TestTheFilterChooses: from_port goes by what the filter before it has chosen, for one frame, whatever is decided meanwhile; and user space
// gets from a segment what the gate lets through.
func TestTheFilterChooses(t *testing.T) {
	d := newDry(t)
	must(t, d.e.SetMAC(guest(1), Place{Origin: dryFirst}))
	hello := append(dryFrame(drawbridge.Broadcast, guest(2))[:12], 0x88, 0xb6, 0)
	hello = append(hello, make([]byte, 64)...)
	for m, p := range map[drawbridge.MAC]Place{
		guest(5): {Origin: dryFar}, guest(6): {Origin: dryGateway, Segment: theSegment}, guest(7): {Origin: dryGuests, Port: nowhere + 3},
		guest(8): {}, guest(9): {Origin: dryFirst, Segment: theSegment + 1},
	} {
		must(t, d.e.SetMAC(m, p))
	}
	const whole, none = 1<<32 - 1, 0
	for _, c := range []struct {
		name            string
		frame           []byte
		segment         bool  // where
		before, after   Entry // what the kernel takes in when the filter is asked, and the program
		open, held      bool
		filter, verdict uint32
	}{
		{"user space", dryFrame(guest(1), guest(3)), false, Nothing, Nothing, false, false, whole, unspec},
		{"the kernel", dryFrame(guest(1), guest(3)), false, Everything, Everything, false, false, none, redirect},
		{"user space, then the kernel", dryFrame(guest(1), guest(3)), false, Nothing, Everything, false, false, whole, unspec},
		{"the kernel, then user space", dryFrame(guest(1), guest(3)), false, Everything, Nothing, false, false, none, redirect},
		{"neighbours beside the kernel", hello, false, Everything, Everything, false, false, whole, unspec},
		{"neighbours beside user space", hello, false, Nothing, Nothing, false, false, whole, unspec},
		{"a segment in user space", dryFrame(guest(1), guest(4)), true, Nothing, Nothing, true, false, whole, unspec},
		{"a segment whose gate is shut", dryFrame(guest(1), guest(4)), true, Nothing, Nothing, false, false, none, unspec},
		{"a segment that is being moved", dryFrame(guest(1), guest(4)), true, Nothing, Nothing, false, true, whole, unspec},
		{"a segment in the kernel", dryFrame(guest(1), guest(4)), true, Everything, Everything, true, false, none, redirect},
		{"known, at a peer in the kernel", dryFrame(guest(1), guest(3)), false, Known, Known, false, false, none, redirect},
		{"known, and nothing any more", dryFrame(guest(1), guest(3)), false, Known, Nothing, false, false, none, redirect},
		{"known, and everything then", dryFrame(guest(5), guest(3)), false, Known, Everything, false, false, whole, unspec},
		{"known, at a peer in user space", dryFrame(guest(5), guest(3)), false, Known, Known, false, false, whole, unspec},
		{"known, at a port here", dryFrame(guest(7), guest(3)), false, Known, Known, false, false, none, redirect},
		{"known, at a peer without a number", dryFrame(guest(8), guest(3)), false, Known, Known, false, false, whole, unspec},
		{"known, at a segment", dryFrame(guest(6), guest(3)), false, Known, Known, false, false, none, redirect},
		{"known, at a segment that nobody bridges", dryFrame(guest(9), guest(3)), false, Known, Known, false, false, whole, unspec},
		{"not known", dryFrame(guest(10), guest(3)), false, Known, Known, false, false, whole, unspec},
		{"for many", dryFrame(drawbridge.Broadcast, guest(3)), false, Known, Known, false, false, whole, unspec},
		{"neighbours beside both", hello, false, Known, Known, false, false, whole, unspec},
		{"known, from a segment", dryFrame(guest(1), guest(4)), true, Known, Known, true, false, none, redirect},
		{"known, from a segment whose gate is shut", dryFrame(guest(1), guest(4)), true, Known, Known, false, false, none, unspec},
		{"known, from a segment that is being moved", dryFrame(guest(1), guest(4)), true, Known, Known, true, true, whole, unspec},
		{"for many, from a segment", dryFrame(drawbridge.Broadcast, guest(4)), true, Known, Known, true, false, whole, unspec},
		{"for many, from a segment whose gate is shut", dryFrame(drawbridge.Broadcast, guest(4)), true, Known, Known, false, false, none, unspec},
	} {
		t.Run(c.name, func(t *testing.T) {
			choose, port := d.choices[0], d.guest
			if c.segment {
				choose, port = d.choices[1], d.segment
			}
			d.gate.Shut()
			if d.gate.Hold(0); c.held {
				d.gate.Hold(gate.Now().Add(time.Hour))
			}
			if c.open && !d.gate.Open(9, gate.Now().Add(time.Hour)) {
				t.Fatal("the gate does not open")
			}
			must(t, d.e.Take(c.before))
			// A test run shows a filter the frame without its link header, which a packet socket has put back.
			if got, err := choose.Run(&ebpf.RunOptions{Data: append(make([]byte, 14), c.frame...)}); err != nil || got != c.filter {
				t.Errorf("the filter keeps %d, want %d (%v)", got, c.filter, err)
			}
			must(t, d.e.Take(c.after))
			if got, _ := d.run(t, port, c.frame, skb{}); got != c.verdict {
				t.Errorf("verdict %d, want %d", got, c.verdict)
			}
			must(t, d.e.Take(Nothing))
			if got, _ := d.run(t, port, dryFrame(guest(1), guest(3)), skb{}); got != unspec {
				t.Errorf("the next frame goes by the choice of the one before: verdict %d", got)
			}
		})
	}
	must(t, d.e.Take(Known))
	for _, c := range []struct {
		to      drawbridge.MAC
		verdict uint32
	}{{guest(1), redirect}, {guest(5), unspec}, {guest(10), unspec}, {drawbridge.Broadcast, unspec}} {
		if got, _ := d.run(t, d.guest, dryFrame(c.to, guest(3)), skb{}); got != c.verdict {
			t.Errorf("a frame for %s beside no filter: verdict %d, want %d", c.to, got, c.verdict)
		}
	}
}

// TestBothLearnByOneRule: what user space tells of addresses has the effect of frames that the programs see, whichever of the two it was
// before, also for whether a frame is an echo.
func TestBothLearnByOneRule(t *testing.T) {
	d := newDry(t)
	d.e.options.Settle = 300 * time.Millisecond
	rng := rand.New(rand.NewPCG(7, 7))
	here, there := Place{Origin: dryGuests, Port: dryGuestPort}, Place{Origin: dryFirst}
	for i := range 400 {
		m := guest(byte(i))
		m[3], m[2] = byte(i>>8), 0x77
		last, silent := rng.IntN(2) == 0, rng.IntN(2) == 0
		at := here
		if !last {
			at = there
		}
		must(t, d.e.SetMAC(m, at))
		if silent {
			var row place
			must(t, d.e.maps[mapMACs].Lookup(mac{MAC: m}, &row))
			row.Seen -= uint64(time.Second)
			must(t, d.e.maps[mapMACs].Put(mac{MAC: m}, row))
		}
		now, byProgram := rng.IntN(2) == 0, rng.IntN(2) == 0
		var echo bool
		switch {
		case byProgram && now:
			_, rose := d.run(t, d.guest, dryFrame(guest(1), m), skb{})
			echo = rose["echo"] > 0
		case byProgram:
			_, rose := d.run(t, d.mesh, dryFrame(guest(1), m), skb{CB: [5]uint32{dryFirst | dryGuests<<12, dryFirst, 255}})
			echo = rose["echo"] > 0
		default:
			at = there
			if now {
				at = here
			}
			var err error
			echo, err = d.e.Spoke(m, at)
			must(t, err)
		}
		if want := last != now && !silent; echo != want {
			t.Errorf("spoke here %v, then %v, silent in between %v, by a program %v: echo %v", last, now, silent, byProgram, echo)
		}
		var row place
		must(t, d.e.maps[mapMACs].Lookup(mac{MAC: m}, &row))
		if is := row.Port != 0; is != (now && !echo || last && echo) {
			t.Errorf("case %d: it is here: %v", i, is)
		}
	}
	if echo, err := d.e.Spoke(guest(200), Place{}); echo || err != nil {
		t.Errorf("at a peer without a number: %v %v", echo, err)
	}
	if echo, err := d.e.Spoke(guest(200), here); !echo || err != nil {
		t.Errorf("an echo of one at a peer without a number: %v %v", echo, err)
	}
	if echo, err := d.e.Spoke(guest(200), there); echo || err != nil {
		t.Errorf("at that peer when it has one: %v %v", echo, err)
	}
}
