package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

var _ forwarder.Tap = (*Tap)(nil)

// recording runs a capture in a synctest bubble: offer shows frames while it runs.
func recording(t *testing.T, c Config, offer func(taps [2]*Tap)) (file []byte, counts Counts) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		capture := New(c)
		taps := [2]*Tap{capture.Tap(Interface{Name: "eth1", Description: "segment office"}), capture.Tap(Interface{Name: "tap0"})}
		ctx, stop := context.WithCancel(t.Context())
		var out bytes.Buffer
		result := make(chan error)
		go func() { result <- capture.Run(ctx, &out) }()
		synctest.Wait()
		offer(taps)
		synctest.Wait()
		stop()
		if err := <-result; err != nil {
			t.Error(err)
		}
		file, counts = out.Bytes(), capture.Counts()
	})
	if int64(len(file)) != counts.Bytes {
		t.Errorf("%d bytes, counted %d", len(file), counts.Bytes)
	}
	return file, counts
}

// packet is one as gopacket reads it.
type packet struct {
	data []byte
	info gopacket.CaptureInfo
}

func read(t *testing.T, file []byte) (r *pcapgo.NgReader, packets []packet) {
	t.Helper()
	r, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return r, packets
		}
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, packet{data, info})
	}
}

// options of every block of a kind, by code: gopacket does not read all of them.
func options(t *testing.T, file []byte, kind uint32) (all []map[uint16][]byte) {
	t.Helper()
	for len(file) > 0 {
		length := binary.LittleEndian.Uint32(file[4:])
		block := file[:length]
		if binary.LittleEndian.Uint32(block[length-4:]) != length || length%4 != 0 {
			t.Fatal("a block's lengths differ")
		}
		if binary.LittleEndian.Uint32(block) == kind {
			at := map[uint32]uint32{blockSection: 24, blockInterface: 16, blockStats: 20}[kind]
			if kind == blockPacket {
				at = 28 + (binary.LittleEndian.Uint32(block[20:])+3)/4*4
			}
			all = append(all, optionsAt(block[at:length-4]))
		}
		file = file[length:]
	}
	return all
}

func optionsAt(b []byte) map[uint16][]byte {
	found := map[uint16][]byte{}
	for {
		code, length := binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
		if code == optionEnd {
			return found
		}
		found[code] = b[4 : 4+length]
		b = b[4+(length+3)/4*4:]
	}
}

func TestAFileSaysWhatCrossedWhichPortWhichWay(t *testing.T) {
	filter, _ := Compile("greater 1")
	start := time.Unix(1700000000, 123456789)
	ticks := 0
	file, counts := recording(t, Config{Comment: "why is it slow", Filter: filter, Now: func() time.Time {
		ticks++
		return start.Add(time.Duration(ticks))
	}}, func(taps [2]*Tap) {
		for i := range 3 {
			p := porttest.Numbered(i)
			taps[i%2].Offer(forwarder.Direction(i%2), &p)
			clear(p.Frame) // the port's next batch
		}
	})
	r, packets := read(t, file)
	if len(packets) != 3 || counts != (Counts{Frames: 3, Bytes: int64(len(file))}) {
		t.Fatalf("%d packets, counts %+v", len(packets), counts)
	}
	flags := options(t, file, blockPacket)
	for i, p := range packets {
		if porttest.Number(p.data) != i || p.info.InterfaceIndex != i%2 || p.info.Length != 60 || !p.info.Timestamp.Equal(start.Add(time.Duration(i+1))) {
			t.Errorf("packet %d: %+v", i, p.info)
		}
		if got := flags[i][packetFlags][0]; got != byte(i%2+1) {
			t.Errorf("packet %d: direction %d", i, got)
		}
	}
	about, _ := r.Interface(0)
	if about.Name != "eth1" || about.Description != "segment office" || about.LinkType != layers.LinkTypeEthernet || about.TimestampResolution != 9 {
		t.Errorf("interface %+v", about)
	}
	if got := string(options(t, file, blockInterface)[0][interfaceOnly]); got != "\x00greater 1" {
		t.Errorf("filter %q", got)
	}
	if got := string(options(t, file, blockSection)[0][optionComment]); got != "why is it slow" {
		t.Errorf("comment %q", got)
	}
	if got := options(t, file, blockStats)[0][statsTaken]; binary.LittleEndian.Uint64(got) != 2 {
		t.Errorf("statistics %x", got)
	}
}

func TestTheFilterDecides(t *testing.T) {
	filter, err := Compile("outbound and tcp")
	if err != nil {
		t.Fatal(err)
	}
	file, _ := recording(t, Config{Filter: filter}, func(taps [2]*Tap) {
		tcp, other := porttest.Super(drawbridge.GSOTCPv4, 10, 0), porttest.Numbered(1)
		taps[0].Offer(forwarder.Inbound, &tcp)
		taps[0].Offer(forwarder.Outbound, &other)
		taps[1].Offer(forwarder.Outbound, &tcp)
	})
	if _, packets := read(t, file); len(packets) != 1 || packets[0].info.InterfaceIndex != 1 {
		t.Errorf("%d packets", len(packets))
	}
}

// TestChecksumsAreFinished: a reader would take a partial one for damage. What crossed the port stays as it was.
func TestChecksumsAreFinished(t *testing.T) {
	partial := porttest.Super(drawbridge.GSOTCPv4, 100, 0)
	partial.Offload.GSO = drawbridge.GSONone
	super := porttest.Tagged(porttest.Super(drawbridge.GSOTCPv6, 5000, 1440), 0x8100, 42)
	before := bytes.Clone(partial.Frame)
	file, _ := recording(t, Config{}, func(taps [2]*Tap) {
		taps[0].Offer(forwarder.Inbound, &partial)
		taps[0].Offer(forwarder.Inbound, &super)
	})
	_, packets := read(t, file)
	for i, p := range packets {
		if err := porttest.Correct(p.data); err != nil {
			t.Errorf("packet %d: %v", i, err)
		}
	}
	if len(packets) != 2 || len(packets[1].data) != len(super.Frame) || !bytes.Equal(before, partial.Frame) {
		t.Errorf("%d packets", len(packets))
	}
	if got := string(options(t, file, blockPacket)[1][optionComment]); got != "super-frame: 4 TCPv6 segments of 1440 bytes" {
		t.Errorf("comment %q", got)
	}
}

func TestSuperFramesAsOnAWire(t *testing.T) {
	super, broken := porttest.Super(drawbridge.GSOTCPv4, 5000, 1460), porttest.Super(drawbridge.GSOTCPv4, 5000, 0)
	file, counts := recording(t, Config{Segments: true}, func(taps [2]*Tap) {
		taps[0].Offer(forwarder.Inbound, &super)
		taps[0].Offer(forwarder.Inbound, &broken)
	})
	_, packets := read(t, file)
	if len(packets) != 5 || counts.Frames != 5 {
		t.Fatalf("%d packets, counts %+v", len(packets), counts)
	}
	for i, p := range packets[:4] {
		if err := porttest.Correct(p.data); err != nil || len(p.data) > 1514 {
			t.Errorf("segment %d: %d bytes, %v", i, len(p.data), err)
		}
	}
	if len(packets[4].data) != len(broken.Frame) {
		t.Error("what cannot be cut is not shown as it was")
	}
}

func TestSnapKeepsTheBeginning(t *testing.T) {
	super := porttest.Super(drawbridge.GSOTCPv4, 5000, 1460)
	file, _ := recording(t, Config{Snap: 66, Segments: true}, func(taps [2]*Tap) { taps[0].Offer(forwarder.Inbound, &super) })
	_, packets := read(t, file)
	if len(packets) != 1 || !bytes.Equal(packets[0].data, super.Frame[:66]) || packets[0].info.Length != len(super.Frame) {
		t.Errorf("%+v", packets)
	}
}

func TestLimitsEndTheRecording(t *testing.T) {
	for _, c := range []Config{{MaxFrames: 2}, {MaxBytes: 500}} {
		synctest.Test(t, func(t *testing.T) {
			capture := New(c)
			tap := capture.Tap(Interface{Name: "eth1"})
			result := make(chan error)
			var out bytes.Buffer
			go func() { result <- capture.Run(t.Context(), &out) }()
			synctest.Wait()
			for i := range 10 {
				p := porttest.Numbered(i)
				tap.Offer(forwarder.Inbound, &p)
			}
			if err := <-result; err != nil {
				t.Error(err)
			}
			_, packets := read(t, out.Bytes())
			if c.MaxFrames > 0 && len(packets) != 2 || c.MaxBytes > 0 && (out.Len() < 500 || out.Len() > 700) {
				t.Errorf("%d packets, %d bytes", len(packets), out.Len())
			}
		})
	}
}

// gate is a writer that waits until it is opened.
type gate struct {
	open chan struct{}
	bytes.Buffer
}

func (g *gate) Write(b []byte) (int, error) {
	<-g.open
	return g.Buffer.Write(b)
}

// TestWhatTheWriterCannotKeepUpWithIsLostAndCounted, in the file too, at the place where it is missing.
func TestWhatTheWriterCannotKeepUpWithIsLostAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		capture := New(Config{Buffer: 1 << 14})
		tap := capture.Tap(Interface{Name: "eth1"})
		out := &gate{open: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- capture.Run(ctx, out) }()
		synctest.Wait()
		const offered = 1000
		for i := range offered {
			p := porttest.Numbered(i)
			tap.Offer(forwarder.Inbound, &p)
		}
		lost := capture.Counts().Lost
		if lost == 0 || lost == offered {
			t.Fatalf("%d of %d lost", lost, offered)
		}
		close(out.open)
		synctest.Wait()
		stop()
		if err := <-result; err != nil {
			t.Error(err)
		}
		_, packets := read(t, out.Bytes())
		if len(packets) != offered-int(lost) {
			t.Errorf("%d packets and %d lost of %d", len(packets), lost, offered)
		}
		var told uint64
		for _, o := range options(t, out.Bytes(), blockPacket) {
			if missed := o[packetMissed]; missed != nil {
				told += binary.LittleEndian.Uint64(missed)
			}
		}
		stats := options(t, out.Bytes(), blockStats)[0]
		if told != lost || binary.LittleEndian.Uint64(stats[statsMissed]) != lost || binary.LittleEndian.Uint64(stats[statsTaken]) != offered {
			t.Errorf("the file tells of %d lost and %x", told, stats)
		}
	})
}

type hungUp struct{}

func (hungUp) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestAReaderThatHangsUpEndsTheRecording(t *testing.T) {
	if err := New(Config{}).Run(t.Context(), hungUp{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

func TestOneRunAtATimeAndAnotherAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		capture := New(Config{})
		tap := capture.Tap(Interface{})
		p := porttest.Numbered(1)
		for range 2 {
			tap.Offer(forwarder.Inbound, &p) // nobody records
			ctx, stop := context.WithCancel(t.Context())
			result := make(chan error)
			var out bytes.Buffer
			go func() { result <- capture.Run(ctx, &out) }()
			synctest.Wait()
			if err := capture.Run(ctx, io.Discard); !errors.Is(err, ErrRunning) {
				t.Errorf("%v", err)
			}
			tap.Offer(forwarder.Inbound, &p)
			stop()
			if err := <-result; err != nil {
				t.Error(err)
			}
			if _, packets := read(t, out.Bytes()); len(packets) != 1 {
				t.Errorf("%d packets", len(packets))
			}
		}
	})
}

// TestManyPortsOneRing lets goroutines race for a small ring: nothing may be torn, lost uncounted, or out of order.
func TestManyPortsOneRing(t *testing.T) {
	const ports, frames = 4, 5000
	capture := New(Config{Buffer: 1 << 15})
	ctx, stop := context.WithCancel(t.Context())
	var out bytes.Buffer
	var taps [ports]*Tap
	for i := range taps {
		taps[i] = capture.Tap(Interface{})
	}
	result := make(chan error)
	go func() { result <- capture.Run(ctx, &out) }()
	var offering sync.WaitGroup
	for _, tap := range taps {
		offering.Go(func() {
			for capture.ring.Load() == nil { // until Run runs
			}
			for i := range frames {
				p := porttest.Numbered(i)
				p.Frame = append(p.Frame, bytes.Repeat([]byte{byte(i)}, i%700)...)
				tap.Offer(forwarder.Inbound, &p)
			}
		})
	}
	offering.Wait()
	stop()
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	_, packets := read(t, out.Bytes())
	if lost := capture.Counts().Lost; len(packets)+int(lost) != ports*frames {
		t.Errorf("%d packets and %d lost of %d", len(packets), lost, ports*frames)
	}
	last := [ports]int{-1, -1, -1, -1}
	for _, p := range packets {
		number, port := porttest.Number(p.data), p.info.InterfaceIndex
		if number <= last[port] || len(p.data) != 60+number%700 || len(p.data) > 60 && p.data[len(p.data)-1] != byte(number) {
			t.Fatalf("port %d: frame %d of %d bytes after %d", port, number, len(p.data), last[port])
		}
		last[port] = number
	}
}

// TestARecordThatNoRingHolds must not wait for room that never comes.
func TestARecordThatNoRingHolds(t *testing.T) {
	_, counts := recording(t, Config{Buffer: 1000}, func(taps [2]*Tap) {
		p := porttest.Super(drawbridge.GSOTCPv4, 5000, 1460)
		taps[0].Offer(forwarder.Inbound, &p)
	})
	if counts.Lost != 1 {
		t.Errorf("%+v", counts)
	}
}

func TestOfferAllocatesNothing(t *testing.T) {
	capture := New(Config{Buffer: 1 << 16})
	tap := capture.Tap(Interface{})
	p := porttest.Numbered(1)
	offer := func() { tap.Offer(forwarder.Inbound, &p) }
	if n := testing.AllocsPerRun(100, offer); n != 0 {
		t.Errorf("%v allocations while nobody records", n)
	}
	r := newRing(1 << 16)
	capture.ring.Store(r)
	if n := testing.AllocsPerRun(100, func() {
		offer()
		r.release(r.next())
	}); n != 0 {
		t.Errorf("%v allocations while somebody records", n)
	}
}

func BenchmarkOffer(b *testing.B) {
	filter, _ := Compile("tcp port 22")
	for name, p := range map[string]drawbridge.Packet{"small": porttest.Numbered(1), "super": porttest.Super(drawbridge.GSOTCPv4, 60000, 1448)} {
		for _, c := range []Config{{}, {Filter: filter}, {Snap: 96}} {
			capture := New(c)
			tap := capture.Tap(Interface{})
			b.Run("idle, "+name, func(b *testing.B) {
				for b.Loop() {
					tap.Offer(forwarder.Inbound, &p)
				}
			})
			r := newRing(1 << 20)
			capture.ring.Store(r)
			b.Run("recording, "+name+", "+map[bool]string{true: "filtered", false: "taken"}[c.Filter != nil]+map[bool]string{true: ", snap"}[c.Snap > 0], func(b *testing.B) {
				for b.Loop() {
					tap.Offer(forwarder.Inbound, &p)
					if record := r.next(); record != nil {
						r.release(record)
					}
				}
			})
		}
	}
}
