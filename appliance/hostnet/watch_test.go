package hostnet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// linkMessage is what the kernel would say of eth0, number 7, switched on.
func linkMessage(name string, carrier bool, losses uint32) []byte {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index, m.Flags = 7, unix.IFF_UP
	if carrier {
		m.Flags |= unix.IFF_LOWER_UP
	}
	b := slices.Concat(m.Serialize(), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)).Serialize())
	return append(b, nl.NewRtAttr(unix.IFLA_CARRIER_DOWN_COUNT, binary.NativeEndian.AppendUint32(nil, losses)).Serialize()...)
}

// recorder writes down what a watcher tells.
type recorder struct{ story []string }

func (r *recorder) heard(i Interface, gone bool) {
	r.story = append(r.story, fmt.Sprintf("%s %v %d %v", i.Name, i.Carrier, i.Losses, gone))
}

// TestLossOfCarrierWithinOneMessage: nothing but the counter tells of it.
func TestLossOfCarrierWithinOneMessage(t *testing.T) {
	var r recorder
	w := watcher{heard: r.heard, known: map[int]Interface{}}
	for _, losses := range []uint32{3, 3, 4, 4, 0} { // the counter is 32 bits wide
		w.read(syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.RTM_NEWLINK}, Data: linkMessage("eth0", true, losses)})
	}
	if want := []string{"eth0 true 3 false", "eth0 true 4 false", "eth0 true 0 false"}; !slices.Equal(r.story, want) {
		t.Errorf("heard %q", r.story)
	}
}

func TestInterrupted(t *testing.T) {
	up := Interface{Index: 7, Carrier: true, Losses: 1}
	for _, c := range []struct {
		now  Interface
		want bool
	}{
		{Interface{Index: 7, Carrier: true, Losses: 1, MTU: 1400}, false},
		{Interface{Index: 7, Carrier: true, Losses: 2}, true},
		{Interface{Index: 8, Carrier: true, Losses: 1}, true},
	} {
		if got := c.now.Interrupted(up); got != c.want {
			t.Errorf("%+v: %v", c.now, got)
		}
	}
}

// TestWatchTellsWhatIsGoneBeforeItsNameReturns: or a port would take its new interface for lost.
func TestWatchTellsWhatIsGoneBeforeItsNameReturns(t *testing.T) {
	var r recorder
	w := watcher{heard: r.heard, known: map[int]Interface{}}
	w.compare([]Interface{{Index: 2, Name: "eth0"}, {Index: 3, Name: "eth1"}})
	r.story = nil
	w.compare([]Interface{{Index: 1, Name: "eth1"}, {Index: 3, Name: "eth0"}}) // 2 was removed, 3 renamed, 1 is new
	want := []string{"eth0 false 0 true", "eth1 false 0 true", "eth1 false 0 false", "eth0 false 0 false"}
	if len(r.story) > len(want) { // the renamed one may be told twice to be gone
		r.story = slices.Compact(r.story)
	}
	if !slices.Equal(r.story, want) {
		t.Errorf("heard %q", r.story)
	}
}

// TestWatchTellsLossesThatTheKernelMerges: a card's carrier that goes twice within a second is told of once, when it has
// long been back.
func TestWatchTellsLossesThatTheKernelMerges(t *testing.T) {
	const flaps = 20
	inside(t, func(*netlab.Namespace) {
		files, tap, err := OpenTAP(TAP{Name: "dbtap0"})
		if err != nil {
			t.Error(err)
			return
		}
		defer closeAll(files)
		flap := func() (err error) {
			for range flaps {
				err = errors.Join(err, carry(files[0], 0), carry(files[0], 1))
			}
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var first, last Interface
		lost, silent := false, false
		err = Watch(ctx, func(i Interface, _ bool) {
			if i.Index != tap.Index {
				return
			}
			if first.Index == 0 {
				first, last = i, i
				if err := flap(); err != nil {
					t.Error(err)
				}
				return
			}
			lost = lost || i.Interrupted(last)
			silent = silent || last.Carrier && i.Carrier && i.Interrupted(last)
			last = i
			if i.Carrier && i.Losses-first.Losses == flaps {
				cancel()
			}
		})
		t.Logf("seen by the counter only: %v", silent)
		if err != nil || !lost || !last.Carrier || last.Losses-first.Losses != flaps {
			t.Errorf("first %+v, last %+v, %v", first, last, err)
		}
	})
}

// carry takes a TAP device's carrier away, or gives it back.
func carry(f *os.File, on int) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return errors.Join(c.Control(func(fd uintptr) { err = unix.IoctlSetPointerInt(int(fd), unix.TUNSETCARRIER, on) }), err)
}

func FuzzParseLink(f *testing.F) {
	f.Add(linkMessage("eth0", true, 3))
	f.Add([]byte(strings.Repeat("\x04", unix.SizeofIfInfomsg+3)))
	f.Add(linkMessage("eth0", false, 3)[:unix.SizeofIfInfomsg+2])
	f.Add([]byte("```\x00\xef\xff\xff_``\x00\x00\x00\x00\x00\x00\t\x00\x03\x00\x00\x00\b\x00\x00\x00")) // longer than what is left
	f.Fuzz(func(t *testing.T, m []byte) {
		if i, err := parseLink(m); err == nil && len(m) < unix.SizeofIfInfomsg {
			t.Errorf("%x is %+v", m, i)
		}
	})
}
