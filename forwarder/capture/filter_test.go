package capture

import (
	"errors"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/forwarder/porttest"
)

// specimens are frames by name. 198.18.0.1 or fd00::1 sends to 198.18.0.2 or fd00::2, ports 4000 to 5000.
func specimens() map[string]drawbridge.Frame {
	with := func(gso uint8, at int, value byte) drawbridge.Frame {
		f := porttest.Super(gso, 20, 0).Frame
		f[at] = value
		return f
	}
	arp := append(drawbridge.Broadcast[:], porttest.Src[:]...)
	arp = append(arp, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 198, 18, 0, 1, 0, 0, 0, 0, 0, 0, 198, 18, 0, 2)
	return map[string]drawbridge.Frame{
		"arp":      append(arp, make([]byte, 18)...),
		"tcp4":     porttest.Super(drawbridge.GSOTCPv4, 20, 0).Frame,
		"syn4":     with(drawbridge.GSOTCPv4, 14+20+13, 2),
		"fragment": with(drawbridge.GSOTCPv4, 14+7, 5),
		"tcp6":     porttest.Super(drawbridge.GSOTCPv6, 20, 0).Frame,
		"udp4":     porttest.Super(drawbridge.GSOUDP, 20, 0).Frame,
		"udp6":     with(drawbridge.GSOTCPv6, 20, protoUDP),
		"icmp":     with(drawbridge.GSOUDP, 23, protoICMP),
		"icmp6":    with(drawbridge.GSOTCPv6, 20, protoICMP6),
		"sctp":     with(drawbridge.GSOUDP, 23, protoSCTP),
		"other":    porttest.Numbered(1).Frame,
	}
}

// TestExpressionsMeanWhatLibpcapSays: the names were checked against tcpdump 4.99's programs for the same frames.
func TestExpressionsMeanWhatLibpcapSays(t *testing.T) {
	const all = "arp fragment icmp icmp6 other sctp syn4 tcp4 tcp6 udp4 udp6"
	for expression, want := range map[string]string{
		"arp":                                 "arp",
		"ip":                                  "fragment icmp sctp syn4 tcp4 udp4",
		"ip6":                                 "icmp6 tcp6 udp6",
		"tcp":                                 "fragment syn4 tcp4 tcp6",
		"udp":                                 "udp4 udp6",
		"icmp":                                "icmp",
		"icmp6":                               "icmp6",
		"sctp":                                "sctp",
		"port 5000":                           "sctp syn4 tcp4 tcp6 udp4 udp6",
		"tcp port 5000":                       "syn4 tcp4 tcp6",
		"udp dst port 5000":                   "udp4 udp6",
		"udp src port 5000":                   "",
		"src port 4000":                       "sctp syn4 tcp4 tcp6 udp4 udp6",
		"src and dst port 4000":               "",
		"src or dst port 4000":                "sctp syn4 tcp4 tcp6 udp4 udp6",
		"portrange 3999-4001":                 "sctp syn4 tcp4 tcp6 udp4 udp6",
		"tcp portrange 4001-4999":             "",
		"host 198.18.0.1":                     "arp fragment icmp sctp syn4 tcp4 udp4",
		"198.18.0.1":                          "arp fragment icmp sctp syn4 tcp4 udp4",
		"ip host 198.18.0.1":                  "fragment icmp sctp syn4 tcp4 udp4",
		"arp host 198.18.0.1":                 "arp",
		"src host 198.18.0.2":                 "",
		"dst 198.18.0.2":                      "arp fragment icmp sctp syn4 tcp4 udp4",
		"src 198.18.0.1 and dst 198.18.0.2":   "arp fragment icmp sctp syn4 tcp4 udp4",
		"host fd00:0:0:0:0:0:0:2":             "icmp6 tcp6 udp6",
		"dst host fd00::1":                    "",
		"net 198.18.0.0/16":                   "arp fragment icmp sctp syn4 tcp4 udp4",
		"net 198.18":                          "arp fragment icmp sctp syn4 tcp4 udp4",
		"src net 10":                          "",
		"net fd00::/16":                       "icmp6 tcp6 udp6",
		"ether host 02:00:00:00:00:01":        all[4:],
		"ether src 02:00:00:00:00:02":         all,
		"ether proto 0x88b5":                  "other",
		`ether proto \arp`:                    "arp",
		"ip proto 17":                         "udp4",
		"ip6 proto 17":                        "udp6",
		"proto 17":                            "udp4 udp6",
		`ip proto \tcp`:                       "fragment syn4 tcp4",
		"broadcast":                           "arp",
		"ether multicast":                     "arp",
		"less 60":                             "arp other",
		"greater 64":                          "fragment icmp6 syn4 tcp4 tcp6 udp6",
		"not arp":                             all[4:],
		"! tcp && ! udp":                      "arp icmp icmp6 other sctp",
		"not (tcp or udp)":                    "arp icmp icmp6 other sctp",
		"tcp and not port 5000":               "fragment",
		"(tcp or udp) and host 198.18.0.1":    "fragment syn4 tcp4 udp4",
		"arp or tcp and ip6":                  "tcp6", // joined from the left
		"arp or (tcp and ip6)":                "arp tcp6",
		"udp port 67 or 5000 or arp":          "arp udp4 udp6",
		"not host 198.18.0.1 and tcp":         "tcp6",
		"tcp[tcpflags] & tcp-syn != 0":        "syn4",
		"tcp[tcpflags] & (tcp-syn|tcp-ack)=0": "",
		"tcp[13] = 2":                         "syn4",
		"tcp[0:2] = 4000":                     "syn4 tcp4 tcp6", // libpcap's does not look into IPv6
		"(tcp[0:2] = 4000 or arp)":            "arp syn4 tcp4 tcp6",
		"udp[4:2] == 28":                      "udp4",
		"ip[2:2] - 20 = 28":                   "icmp sctp udp4",
		"ether[0] & 1 != 0":                   "arp",
		"arp[6:2] = 1":                        "arp",
		"len <= 60 and len > 59":              "arp other",
		"ip[0] << 2 & 0x3c = 5 * 4":           "fragment icmp sctp syn4 tcp4 udp4",
		"ip[9] / 0 = 1":                       "",
		"inbound":                             all,
		"outbound":                            "",
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		var got []string
		for _, name := range strings.Fields(all) {
			if f.Match(forwarder.Inbound, specimens()[name]) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != strings.TrimSpace(want) {
			t.Errorf("%s: %v, want %s", expression, got, want)
		}
	}
}

func TestTagsAreLookedThrough(t *testing.T) {
	p := porttest.Super(drawbridge.GSOTCPv4, 20, 0)
	tagged := porttest.Tagged(porttest.Tagged(p, typeVLAN, 7), typeSVLAN, 3<<13|42).Frame
	for expression, want := range map[string][2]bool{
		"vlan":                    {false, true},
		"vlan 42":                 {false, true},
		"vlan 7":                  {false, true},
		"vlan 43":                 {false, false},
		"vlan 42 and tcp":         {false, true},
		"tcp port 5000":           {true, true},
		"tcp[2:2] = 5000":         {true, true},
		"ip[9] = 6":               {true, true},
		"ether proto 0x0800":      {true, true},
		"vlan and host 10.0.0.1":  {false, false},
		"not vlan":                {true, false},
		"(vlan) or (icmp)":        {false, true},
		"ether[12:2] = 0x88a8":    {false, true},
		"vlan 42 and (arp or ip)": {false, true},
	} {
		f, err := Compile(expression)
		if err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		got := [2]bool{f.Match(forwarder.Inbound, p.Frame), f.Match(forwarder.Inbound, tagged)}
		if got != want {
			t.Errorf("%s: untagged, tagged %v, want %v", expression, got, want)
		}
	}
}

func TestExpressionsThatAreNone(t *testing.T) {
	for _, expression := range []string{
		"garbage", "tcp and", "and tcp", "port abc", "port 65536", "host", "host example.org", "(tcp", "tcp)", "tcp udp",
		"net 10.1.2.3/8", "net 10/33", "ether host 1.2.3.4", "ether net 02:00:00:00:00:00", "tcp host 1.2.3.4", "ip port 5",
		"portrange 5", "vlan 5000", "less x", "tcp[13", "tcp[13] & 2", "tcp[0:3] = 1", "tcp[0:] = 1", "5 = ", "ether",
		"src", "ether proto \\tcp", "ip proto 256", "tcp proto 5", "host 1.2.3.4 5", "§", "not", "tcp[x] = 1", "()",
		"host -", "port [", strings.Repeat("(", 100) + "tcp" + strings.Repeat(")", 100), strings.Repeat("not ", 100) + "tcp",
		strings.Repeat("tcp or ", 600) + "tcp", "src port and dst port 5", "ip proto", "portrange a-5", "portrange 5-a", "ip6 proto \\x",
	} {
		if f, err := Compile(expression); !errors.Is(err, ErrFilter) || f != nil {
			t.Errorf("%q: %v, %v", expression, f, err)
		}
	}
}

func TestNoExpressionTakesEverything(t *testing.T) {
	f, err := Compile("  ")
	if f != nil || err != nil || !f.Match(forwarder.Outbound, nil) || f.String() != "" {
		t.Errorf("%v, %v", f, err)
	}
	if f, err = Compile("port 53"); err != nil || f.String() != "port 53" {
		t.Errorf("%v, %v", f, err)
	}
}

// TestFramesCutAnywhere: a filter sees what a guest sends, which may be anything.
func TestFramesCutAnywhere(t *testing.T) {
	var filters []*Filter
	for _, expression := range []string{"port 5000", "host 1.2.3.4", "arp host 1.2.3.4", "tcp[13] & 2 != 0", "vlan 5", "broadcast", "ether src 02:00:00:00:00:02", "multicast"} {
		f, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		filters = append(filters, f)
	}
	for _, frame := range specimens() {
		tagged := porttest.Tagged(drawbridge.Packet{Frame: frame}, typeVLAN, 5).Frame
		for length := range tagged {
			for _, f := range filters {
				f.Match(forwarder.Inbound, tagged[:length:length])
			}
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"tcp port 80", "not (arp or ip6) and vlan 5", "tcp[tcpflags] & tcp-syn != 0", "src or dst net 10/8", "portrange 1-2", "((1 + 2)) < ip[2:2]"} {
		f.Add(s, []byte(specimens()["tcp4"]))
	}
	f.Fuzz(func(t *testing.T, expression string, frame []byte) {
		filter, err := Compile(expression)
		if err != nil && !errors.Is(err, ErrFilter) {
			t.Fatal(err)
		}
		filter.Match(forwarder.Inbound, frame)
	})
}

func BenchmarkMatch(b *testing.B) {
	f, err := Compile("tcp port 22 or (udp and host 198.18.0.7)")
	if err != nil {
		b.Fatal(err)
	}
	frame := specimens()["udp4"]
	b.ReportAllocs()
	for b.Loop() {
		f.Match(forwarder.Inbound, frame)
	}
}
