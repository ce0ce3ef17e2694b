package afpacket

import (
	"testing"

	"golang.org/x/net/bpf"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// spoken is a frame between neighbours.
var spoken = drawbridge.Packet{Frame: append(append(append(drawbridge.Frame{1, 0x80, 0xc2, 0, 0, 0}, porttest.Src[:]...), 0, 38), make([]byte, 46)...)}

// TestHush leaves a port what neighbours say, and gives it everything again, with the filter that it was opened with.
func TestHush(t *testing.T) {
	for name, filter := range map[string]func(int) error{
		"no filter": nil,
		"a filter":  func(fd int) error { return attach(fd, []bpf.Instruction{bpf.RetConstant{Val: 1<<32 - 1}}) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, Config{}, Config{Filter: filter})
			for i := range 3 {
				if err := b.Hush(true); err != nil {
					t.Fatal(err)
				}
				give(t, a, porttest.Numbered(1), porttest.Tagged(porttest.Numbered(2), 0x8100, 7), spoken)
				if err := b.Hush(false); err != nil {
					t.Fatal(err)
				}
				give(t, a, porttest.Numbered(10+i))
				got := takeN(t, b, 2)
				same(t, "between neighbours", got[0], spoken)
				same(t, "afterwards", got[1], porttest.Numbered(10+i))
			}
		})
	}
}

// TestTheFirstFilterComesBack, as it is a gate.
func TestTheFirstFilterComesBack(t *testing.T) {
	opened := 0
	a, b := pair(t, Config{}, Config{Filter: func(fd int) error {
		opened++
		return attach(fd, neighbours())
	}})
	if err := b.Hush(true); err != nil {
		t.Fatal(err)
	}
	if err := b.Hush(false); err != nil {
		t.Fatal(err)
	}
	give(t, a, porttest.Numbered(1), spoken)
	same(t, "through the filter", takeN(t, b, 1)[0], spoken)
	if opened != 2 {
		t.Errorf("the filter was attached %d times, want 2", opened)
	}
}

// TestLeaving: a recording of what an engine gives out sees its frames, and neither the host's own nor what arrives.
func TestLeaving(t *testing.T) {
	a, b := pair(t, Config{Mark: 7}, Config{})
	out, own := open(t, Config{Interface: "v0", Leaving: 7}), open(t, Config{Interface: "v0"})
	give(t, own, porttest.Numbered(1))
	give(t, b, porttest.Numbered(2))
	tagged := porttest.Tagged(porttest.Numbered(3), 0x8100, 9)
	give(t, a, tagged, porttest.Numbered(4))
	got := takeN(t, out, 2)
	same(t, "with the mark", got[0], tagged)
	same(t, "with the mark", got[1], porttest.Numbered(4))
}

// silent takes all that it is given.
type silent struct{ forwarder.Port }

func (silent) Name() string                                   { return "silent" }
func (silent) WriteBatch(ps []drawbridge.Packet) (int, error) { return len(ps), nil }

// FuzzNeighbours compares the filter with the switch, which speaks nothing else to its neighbours. The kernel has taken the
// outermost tag out.
func FuzzNeighbours(f *testing.F) {
	a, err := forwarder.New(forwarder.Config{}).Attach(forwarder.PortConfig{Port: silent{}})
	if err != nil {
		f.Fatal(err)
	}
	vm, err := bpf.NewVM(neighbours())
	if err != nil {
		f.Fatal(err)
	}
	for _, etherType := range []uint16{0x88b6, 0x88cc, 0x8809, 0x8808, 0x0800, 38} {
		for _, tags := range []byte{0, 1, 2, 3} {
			for _, dst := range []drawbridge.MAC{drawbridge.Broadcast, porttest.Dst, {1, 0x80, 0xc2, 0, 0, 15}, {1, 0x80, 0xc2, 0, 0, 16}, {1, 0, 0xc, 0xcc, 0xcc, 0xcd}, {1, 0, 0xc, 0xcc, 0xcc, 0xce}} {
				f.Add(dst[:], tags, byte(etherType>>8), byte(etherType))
			}
		}
	}
	f.Fuzz(func(t *testing.T, dst []byte, tags, high, low byte) {
		frame := make(drawbridge.Frame, 12, 64)
		copy(frame, dst)
		for i := range tags % 3 {
			frame = append(frame, [][]byte{{0x81, 0, 0, 7}, {0x88, 0xa8, 0, 9}}[i%2]...)
		}
		frame = append(append(frame, high, low), make([]byte, 46)...)
		n, err := vm.Run(frame)
		if err != nil {
			t.Fatal(err)
		}
		// A third tag in line, which random octets may be, only the filter looks behind.
		if kept := n > 0; kept != a.Speak(frame) && frame.EtherType() != 0x8100 && frame.EtherType() != 0x88a8 {
			t.Errorf("%x: kept by the filter: %v", frame[:24], kept)
		}
	})
}
