package forwarder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/failover"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// running runs a guest port on a wire with a station, over a sink. It is for synctest bubbles.
func running(t *testing.T, queues ...Port) (at *Attached, port *porttest.Port, station *station, ended chan error, stop func()) {
	t.Helper()
	w := newFabric(t).wire()
	port, station = w.Attach("port"), w.station(1)
	at, err := New(Config{Self: 1, Overlay: sink{}}).Attach(PortConfig{Port: port, Queues: queues, VNI: 7})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended = make(chan error, 1)
	go func() { ended <- at.Run(ctx) }()
	return at, port, station, ended, cancel
}

func (s *station) write(t *testing.T, dst drawbridge.MAC, note int) {
	t.Helper()
	if n, err := s.port.WriteBatch([]drawbridge.Packet{{Frame: frame(dst, s.mac, note)}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

func TestRunEndsWithItsPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, port, s, ended, _ := running(t)
		s.write(t, drawbridge.Broadcast, 1)
		synctest.Wait()
		if n := at.rxFrames.Load(); n != 1 {
			t.Errorf("%d frames taken", n)
		}
		port.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestRunEndsWhenDetached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, _, s, ended, _ := running(t)
		synctest.Wait()
		at.Detach()
		s.write(t, drawbridge.Broadcast, 1) // what the next read brings is the end
		if err := <-ended; err != nil || at.rxFrames.Load() != 0 {
			t.Error(err, at.rxFrames.Load())
		}
	})
}

func TestRunWaitsWhileTheInterfaceIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, port, s, ended, stop := running(t)
		port.Down(true)
		<-time.After(10 * downAgain)
		port.Down(false)
		<-time.After(downAgain)
		s.write(t, drawbridge.Broadcast, 1)
		synctest.Wait()
		if n := at.rxFrames.Load(); n != 1 {
			t.Errorf("%d frames taken after it came up", n)
		}
		port.Down(true)
		synctest.Wait()
		stop() // while it waits
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// gone is a queue whose interface was deleted.
type gone struct{ sink }

func (gone) ReadBatch([]drawbridge.Packet) (int, error) {
	return 0, fmt.Errorf("queue 1 is gone: %w", syscall.ENODEV)
}

func TestRunTellsWhyAQueueEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, port, _, ended, _ := running(t, gone{})
		synctest.Wait()
		port.Close()
		if err := <-ended; !errors.Is(err, syscall.ENODEV) {
			t.Error(err)
		}
	})
}

// exchange is an overlay of running switches: each has a goroutine that receives, as in the mesh.
type exchange struct {
	mu  sync.Mutex // guards what follows
	all map[drawbridge.PeerID]chan carried
}

// member is the exchange as one peer sees it.
type member struct {
	*exchange
	id drawbridge.PeerID
}

func (m member) Sender() Sender            { return memberSender{m} }
func (m member) MTU(drawbridge.PeerID) int { return 1500 }

type memberSender struct{ member }

func (s memberSender) Send(h *drawbridge.Header, p *drawbridge.Packet) {
	c := carried{*h, drawbridge.Packet{Frame: bytes.Clone(p.Frame), Offload: p.Offload}}
	clear(p.Frame)
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, to := range s.all {
		if id != s.id && (h.Dest == 0 || h.Dest == id) {
			select {
			case to <- c:
			default: // as a socket whose queue is full
			}
		}
	}
}

func (memberSender) Flush() {}
func (memberSender) Close() {}

// join makes a running switch.
func (x *exchange) join(group *sync.WaitGroup, id drawbridge.PeerID) *Switch {
	sw := New(Config{Self: id, Overlay: member{x, id}})
	in := make(chan carried, 64)
	x.mu.Lock()
	x.all[id] = in
	x.mu.Unlock()
	group.Go(func() {
		r := sw.Receiver()
		for c := range in {
			c := carried{c.header, drawbridge.Packet{Frame: bytes.Clone(c.packet.Frame)}}
			r.Deliver(&c.header, &c.packet)
			r.Flush()
		}
	})
	return sw
}

// traffic is two running switches, a guest port on one and a segment port on the other, whose stations talk.
type traffic struct {
	*testing.T
	sws          []*Switch
	guests, vlan *wire
	stations     []*station
	gate         *failover.Gate
	group        sync.WaitGroup
	shown        counting
}

// counting is a tap that counts.
type counting struct{ shown atomic.Int64 }

func (c *counting) Offer(Direction, *drawbridge.Packet) { c.shown.Add(1) }

// TestEverythingMayChangeDuringTraffic attaches, detaches, opens, shuts, flushes, ages and watches while frames go
// both ways; the race detector and the contract of porttest, which spoils frames after their time, are the judges.
func TestEverythingMayChangeDuringTraffic(t *testing.T) {
	x := &exchange{all: map[drawbridge.PeerID]chan carried{}}
	var receivers sync.WaitGroup
	f := newFabric(t)
	v := &traffic{T: t, sws: []*Switch{x.join(&receivers, 1), x.join(&receivers, 2)}, guests: f.wire(), vlan: f.wire()}
	v.stations = []*station{v.guests.station(100), v.vlan.station(101)}
	v.gate = failover.NewGate(nil, func() failover.Boottime { return 1 })
	for i := range 100 {
		v.change(i)
	}
	v.group.Wait()
	for _, in := range x.all {
		close(in)
	}
	receivers.Wait()
	for _, sw := range v.sws {
		for _, m := range sw.MACs() {
			if m.Port != "" {
				t.Errorf("%+v is still at a port that was detached", m)
			}
		}
	}
	if v.shown.shown.Load() == 0 {
		t.Error("the taps saw nothing: there was no traffic")
	}
}

// talk has both stations say something, and looks at what they got.
func (v *traffic) talk(round int) {
	for i, s := range v.stations {
		for note := range 30 {
			dst := []drawbridge.MAC{drawbridge.Broadcast, address(101 - i), address(note)}[note%3]
			_, _ = s.port.WriteBatch([]drawbridge.Packet{{Frame: frame(dst, s.mac, round*30+note)}})
		}
		for _, p := range s.port.Drain() {
			if p.Frame.EtherType() != 0x88b5 {
				v.Fatalf("a frame was spoilt on its way: %x", p.Frame[:20])
			}
		}
	}
}

// change attaches a port to each switch, does everything that can be done to them while they run, and detaches them
// before or after they are closed.
func (v *traffic) change(round int) {
	p, q := v.guests.Attach("guest"), v.vlan.Attach("vlan")
	a, err := v.sws[0].Attach(PortConfig{Port: p, VNI: 7})
	if err != nil {
		v.Fatal(err)
	}
	b, err := v.sws[1].Attach(PortConfig{Port: q, VNI: 7, Segment: 9, SegmentName: "office", Gate: v.gate})
	if err != nil {
		v.Fatal(err)
	}
	v.group.Go(func() { _ = a.Run(v.Context()) })
	v.group.Go(func() { _ = b.Run(v.Context()) })
	end := a.Capture(&v.shown, false)
	v.gate.Open(drawbridge.Epoch(round+1), failover.Forever)
	v.talk(2 * round)
	for a.rxFrames.Load() == 0 {
		runtime.Gosched()
	}
	v.sws[round%2].Flush(func(m MAC) bool { return m.MAC != drawbridge.Broadcast })
	v.sws[0].SetSegment(9, 7, 2, drawbridge.Epoch(round+1))
	v.gate.Shut()
	v.talk(2*round + 1)
	v.sws[0].Age()
	v.sws[0].MACs()
	v.sws[1].Ports()
	end()
	if round%2 == 0 {
		a.Detach()
		b.Detach()
	}
	_ = p.Close()
	_ = q.Close()
	a.Detach()
	b.Detach()
}
