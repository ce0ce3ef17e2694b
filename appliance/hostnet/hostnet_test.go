package hostnet

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/test/netlab"
)

// inside runs f in a namespace of its own, with a bridge br0 and one end of a wire, eth0, whose other end is far0.
func inside(t *testing.T, f func(n *netlab.Namespace)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	const name = "hostnettest"
	if err := netlab.Delete(name); err != nil {
		t.Fatal(err)
	}
	n, err := netlab.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(n.Close(), netlab.Delete(name)); err != nil {
			t.Error(err)
		}
	}()
	if err := errors.Join(n.Bridge("br0"), netlab.Wire(netlab.End{In: n, Name: "eth0", MAC: mac}, netlab.End{In: n, Name: "far0"})); err != nil {
		t.Fatal(err)
	}
	if err := n.Do(func() error { f(n); return nil }); err != nil {
		t.Fatal(err)
	}
}

var mac = drawbridge.MAC{2, 0, 0, 0, 0, 7}

func TestInterfacesAreFoundAndSet(t *testing.T) {
	inside(t, func(n *netlab.Namespace) {
		if err := errors.Join(SetMTU("eth0", 1400), SetPromiscuous("eth0", true), Enslave("eth0", "br0"), SetUp("eth0")); err != nil {
			t.Error(err)
			return
		}
		i, err := Find("eth0")
		if err != nil || i.MAC != mac || i.MTU != 1400 || !i.Up || !i.Carrier || !i.Promiscuous || i.Kind != "veth" || i.Master == 0 {
			t.Errorf("%+v, %v", i, err)
		}
		if br, err := FindIndex(i.Master); err != nil || br.Name != "br0" || br.Kind != "bridge" {
			t.Errorf("master: %+v, %v", br, err)
		}
		if err := errors.Join(Release("eth0"), SetDown("far0"), SetPromiscuous("eth0", false)); err != nil {
			t.Error(err)
		}
		if i, err := Find("eth0"); err != nil || i.Master != 0 || i.Carrier || !i.Up || i.Promiscuous {
			t.Errorf("%+v, %v", i, err)
		}
	})
}

func TestMissingInterfaceNamesThoseThatExist(t *testing.T) {
	inside(t, func(*netlab.Namespace) {
		_, byName := Find("eth9")
		_, byIndex := FindIndex(999)
		for _, err := range []error{byName, byIndex, SetUp("eth9"), Enslave("eth9", "br0"), Enslave("eth0", "eth9")} {
			if !errors.Is(err, ErrNoInterface) || !strings.Contains(err.Error(), "lo, br0") {
				t.Errorf("error is %v", err)
			}
		}
		if err := Enslave("eth0", "far0"); err == nil || !strings.Contains(err.Error(), "veth, not a bridge") {
			t.Errorf("error is %v", err)
		}
	})
}

func TestTAPHasItsQueuesAndGoesWithItsFiles(t *testing.T) {
	inside(t, func(*netlab.Namespace) {
		files, i, err := OpenTAP(TAP{Name: "dbtap%d", Queues: 3, Vnet: true, MAC: mac, MTU: 1400, Bridge: "br0"})
		if err != nil {
			t.Error(err)
			return
		}
		if len(files) != 3 || i.Name != "dbtap0" || i.MAC != mac || i.MTU != 1400 || !i.Up || i.Master == 0 || i.Kind != "tuntap" {
			t.Errorf("%d files, %+v", len(files), i)
		}
		if err := files[0].SetReadDeadline(time.Now()); err != nil {
			t.Errorf("the runtime does not poll it: %v", err)
		}
		if _, _, err := OpenTAP(TAP{Name: "dbtap0"}); err == nil {
			t.Error("took a device that is in use")
		}
		if _, _, err := OpenTAP(TAP{Name: "eth0"}); err == nil || !strings.Contains(err.Error(), "another kind") {
			t.Errorf("error is %v", err)
		}
		if _, _, err := OpenTAP(TAP{Name: strings.Repeat("x", 16)}); err == nil || !strings.Contains(err.Error(), "1 to 15 bytes") {
			t.Errorf("error is %v", err)
		}
		closeAll(files)
		if _, err := Find("dbtap0"); !errors.Is(err, ErrNoInterface) {
			t.Errorf("after closing: %v", err)
		}
	})
}

func TestWatchTellsEveryChangeOnce(t *testing.T) {
	inside(t, func(n *netlab.Namespace) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var story []string
		err := Watch(ctx, func(i Interface, gone bool) {
			if i.Name != "eth0" && i.Name != "lo" {
				return
			}
			switch {
			case i.Name == "lo":
				if err := n.MTU("eth0", 1300); err != nil { // lo comes first, so this is heard as a change or as the state
					t.Error(err)
				}
			case gone:
				story = append(story, "gone")
				cancel()
			case i.MTU == 1300 && i.Up:
				story = append(story, "1300")
				if err := SetDown("eth0"); err != nil {
					t.Error(err)
				}
			case !i.Up:
				story = append(story, "down")
				if err := n.Remove("eth0"); err != nil {
					t.Error(err)
				}
			}
		})
		if got := strings.Join(story, " "); err != nil || got != "1300 down gone" {
			t.Errorf("heard %q, %v", got, err)
		}
	})
}

// TestTheHookIsAddedOnce: whoever finds it there adds none, so that nothing which is being sent is lost.
func TestTheHookIsAddedOnce(t *testing.T) {
	inside(t, func(*netlab.Namespace) {
		if n := hooks(t); n != 0 {
			t.Errorf("%d hooks to begin with: the test is blind", n)
		}
		for range 2 {
			if err := Hook("eth0"); err != nil {
				t.Error(err)
			}
			if n := hooks(t); n != 1 {
				t.Errorf("%d hooks", n)
			}
		}
		if err := Hook("eth9"); err == nil || !strings.Contains(err.Error(), "eth9") {
			t.Errorf("no interface: %v", err)
		}
	})
}

// hooks counts those of eth0.
func hooks(t *testing.T) (n int) {
	t.Helper()
	l, err := netlink.LinkByName("eth0")
	if err != nil {
		t.Error(err)
		return -1
	}
	all, err := netlink.QdiscList(l)
	if err != nil {
		t.Error(err)
	}
	for _, q := range all {
		if q.Type() == "clsact" {
			n++
		}
	}
	return n
}
