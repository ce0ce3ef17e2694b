//go:build image

package images

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/lab/probe"
)

// site is three appliances: two gateways on a trunk, and a voter with a guest network.
type site struct {
	t                       *testing.T
	trunk, guests, underlay *hub
	disks                   map[string]string
	vms                     map[string]*vm
}

const (
	vlanHost  = "drawbridge-image-vlan"
	guestHost = "drawbridge-image-guest"
	between   = 10 * time.Millisecond // of two numbered broadcasts of a host
)

var hosts = []probe.Host{
	{Name: "vlan", Netns: vlanHost, Interface: "eth0", Addrs: []netip.Addr{netip.MustParseAddr("10.42.0.10")}},
	{Name: "guest", Netns: guestHost, Interface: "eth0", Addrs: []netip.Addr{netip.MustParseAddr("10.42.0.20")}},
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, trunk: newHub(t), guests: newHub(t), underlay: newHub(t), disks: map[string]string{}, vms: map[string]*vm{}}
	s.trunk.host(vlanHost, 42, netip.MustParsePrefix("10.42.0.10/24"))
	s.guests.host(guestHost, 0, netip.MustParsePrefix("10.42.0.20/24"))
	return s
}

// files is what a machine is handed over: its number is its address.
func files(name string, number int, more map[string]string) map[string]string {
	port := "\n[[segment]]\nname = \"office\"\ninterface = \"ens5\"\nvlan = 42\n"
	if name == "w" {
		port = "\n[[guest]]\ninterface = \"ens5\"\n"
	}
	all := map[string]string{
		"drawbridge.toml":     fmt.Sprintf("name = %q\nconsole = \"0.0.0.0:8630\"\nadvertise = [\"192.168.77.%d:6630\"]\n%s", name, number, port),
		"10-underlay.network": fmt.Sprintf("[Match]\nName=ens6\n\n[Network]\nAddress=192.168.77.%d/24\nLinkLocalAddressing=no\n", number),
	}
	for k, v := range more {
		all[k] = v
	}
	return all
}

// power switches a machine on; one that was on before needs no stick.
func (s *site) power(name string, more ...string) *vm {
	s.t.Helper()
	if s.disks[name] == "" {
		s.disks[name] = newDisk(s.t)
	}
	wire := s.trunk
	if name == "w" {
		wire = s.guests
	}
	v := launch(s.t, machine{processors: "1", sockets: []string{wire.cable(), s.underlay.cable()}}, s.disks[name], more...)
	s.vms[name] = v
	return v
}

// segment is what a machine says of the only segment.
type segment struct {
	Active   *string `json:"active"`
	Since    string  `json:"since"`
	Cause    string  `json:"cause"`
	Gateways []struct {
		Peer    string   `json:"peer"`
		Ready   bool     `json:"ready"`
		Reasons []string `json:"reasons"`
	} `json:"gateways"`
}

var array = regexp.MustCompile(`(?s)\[.*\]`)

func (s *site) segment(on string) (g segment) {
	s.t.Helper()
	said := s.vms[on].do("drawbridge segments --json")
	var all []segment
	if err := json.Unmarshal([]byte(array.FindString(said)), &all); err != nil || len(all) != 1 {
		s.t.Logf("segments on %s: %v: %s", on, err, said)
		return segment{}
	}
	return all[0]
}

// active waits until somebody is whom ok takes, and until so many gateways are ready.
func (s *site) active(on string, ready int, ok func(string) bool) string {
	s.t.Helper()
	who := ""
	s.vms[on].try("an active gateway", func() error {
		g := s.segment(on)
		n := 0
		for _, p := range g.Gateways {
			if p.Ready {
				n++
			}
		}
		if g.Active == nil || !ok(*g.Active) || n < ready {
			return fmt.Errorf("%+v", g)
		}
		who = *g.Active
		return nil
	})
	return who
}

func anybody(string) bool { return true }

// reach waits until the hosts hear each other.
func (s *site) reach() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	r, err := probe.Ping(ctx, hosts, 56)
	if err != nil || !r.OK() {
		s.t.Fatalf("the hosts do not hear each other: %v %v; a: %s", r, err, s.vms["w"].screen())
	}
}

// counted sends numbered broadcasts from both hosts while do goes on, and looks for copies.
func (s *site) counted(what string, do func()) {
	s.t.Helper()
	c, err := probe.Count(hosts)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(s.t.Context())
	sent := make(chan error, len(hosts))
	for _, h := range hosts {
		go func() { sent <- c.Send(ctx, h.Name, 1<<30, between) }()
	}
	do()
	<-time.After(3 * time.Second)
	cancel()
	for range hosts {
		if err := <-sent; err != nil {
			s.t.Error(err)
		}
	}
	b, err := c.Finish(3 * time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range b.Hosts {
		s.t.Logf("%s: at %s %d came, %d lost, at most %d in a row (%s), %d twice, %d came back", what, h.Host, h.Once, h.Missed, h.Gap,
			time.Duration(h.Gap)*between, h.Twice, h.Echoes)
		if h.Once == 0 {
			s.t.Errorf("%s: nothing came at %s", what, h.Host)
		}
	}
	if !b.Single() {
		s.t.Errorf("%s: frames came twice or back: %+v", what, b)
	}
}

// unhurried is what three machines need that two processors emulate: messages between them were on their way for half a second.
const unhurried = "[timers]\\nprofile = \"custom\"\\nrenew = \"500ms\"\\nterm = \"3s\"\\n\\n[[overlay]]\\nname = \"lan\"\\nvni = 1\\n"

// form makes one network of the three: a founds it, b and w join by token. w has more disks.
func (s *site) form(more ...string) {
	s.t.Helper()
	a := s.power("a", medium(s.t, files("a", 1, map[string]string{"network": "home\n"})))
	a.booted()
	a.expect(untilGood, "END=0")
	a.expect("printf '"+unhurried+"' >/run/network.toml; drawbridge config apply /run/network.toml", "version 1 (.|\n)*END=0")
	for i, name := range []string{"b", "w"} {
		role := map[string]string{"b": "gateway,voter", "w": "voter"}[name]
		said := a.expect("drawbridge token create -q --role "+role, "dbt1")
		token := regexp.MustCompile(`dbt1\S+`).FindString(said)
		disks := []string{medium(s.t, files(name, i+2, map[string]string{"token": token + "\n"}))}
		if name == "w" {
			disks = append(disks, more...)
		}
		s.power(name, disks...)
	}
	for _, name := range []string{"b", "w"} {
		s.vms[name].booted()
		s.vms[name].expect("until drawbridge status | grep -q 'ready *yes'; do sleep 1; done; drawbridge status", "^"+name+" .* in network home")
	}
	s.vms["b"].expect("until [ $(drawbridge peers | grep -c -E '^(a|w) ') = 2 ]; do sleep 1; done; drawbridge peers", "END=0")
}

// TestNetwork is a network of three appliances that join by token, with hosts on its VLAN and among its guests: an order
// to switch over, a loss of power of the active gateway, a reset of it, and its return.
func TestNetwork(t *testing.T) {
	s := newSite(t)
	s.form()
	s.vms["b"].expect("ip -d link show | grep -c 'vlan protocol 802.1Q id 42'", "END=")
	first := s.active("w", 2, anybody)
	s.reach()
	s.counted("quiet", func() { <-time.After(10 * time.Second) })

	second := first
	s.counted("switchover", func() {
		<-time.After(2 * time.Second)
		s.vms["w"].expect("until drawbridge switchover office --wait; do sleep 2; done", "END=0")
		second = s.active("w", 1, func(p string) bool { return p != first })
	})
	s.counted("power of "+second+" is cut", func() {
		<-time.After(2 * time.Second)
		s.vms[second].cut()
		s.active("w", 1, func(p string) bool { return p == first })
		<-time.After(5 * time.Second)
	})
	s.counted(second+" comes back", func() {
		v := s.power(second)
		v.booted()
		v.expect("until drawbridge status | grep -q 'ready *yes'; do sleep 1; done", "END=0")
		s.active("w", 2, anybody)
	})
	third := s.active("w", 2, anybody)
	s.counted(third+" is reset", func() {
		<-time.After(2 * time.Second)
		s.vms[third].reset()
		s.active("w", 1, func(p string) bool { return p != third })
		<-time.After(5 * time.Second)
	})
	if t.Failed() {
		t.Log(strings.Join([]string{s.vms["w"].do("drawbridge events | tail -60")}, "\n"))
	}
}
