package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/config"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
)

// healthy is a gateway on which there is nothing to say.
func healthy() *Facts {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return &Facts{
		Taken: now, Version: "1", Root: true,
		NodeFile: NodeFile{Path: "/etc/drawbridge/drawbridge.toml"},
		Ports:    []Port{{Name: "eth1.42", Segment: "office", Interface: "eth1", VLAN: 42}, {Name: "tap0", Interface: "tap0", TAP: true, Bridge: "br0"}},
		Interfaces: []Interface{
			{Name: "eth0", Kind: "device", MAC: "02:00:00:00:00:01", MTU: 1600, Up: true, Carrier: true},
			{Name: "eth1", Kind: "device", MAC: "02:00:00:00:00:02", MTU: 1400, Up: true, Carrier: true},
			{Name: "br0", Kind: "bridge", MTU: 1400, Up: true},
			{Name: "tap0", Kind: "tun", MTU: 1400, Up: true, Carrier: true, Master: "br0"},
		},
		Uplinks:  []Uplink{{To: "192.0.2.2:6630", Interface: "eth0", MTU: 1600, Asked: true}},
		Wires:    []Wire{{Interface: "eth1", Listened: Listening}},
		Clock:    Clock{Now: now, Tick: usualTick, Source: "tsc", Resolution: 1, Newest: now.Add(-time.Hour)},
		Kernel:   Kernel{Release: "6.12", RTRuntime: 950000},
		Buffers:  Buffers{Want: wantBuffer, Force: true},
		Listen:   []Listen{{Address: "0.0.0.0:6630", Port: 6630}},
		Firewall: Firewall{Tool: "nft"},
		Disk:     Disk{Path: "/var/lib/drawbridge", Free: 4 << 30, Total: 8 << 30, Voter: true, Syncs: []time.Duration{time.Millisecond}},
		Daemon:   Daemon{Running: true, Name: "a", Version: "1", Links: []Link{{Peer: "b", Path: "udp", Dialled: true}}},
	}
}

func TestAHealthyHostIsLeftAlone(t *testing.T) {
	r := Judge(healthy())
	if !r.OK {
		t.Error("not OK")
	}
	asked := map[string]bool{}
	for _, x := range r.Results {
		asked[x.Check] = true
		if x.State != OK || x.Remedy != "" || x.Found == "" {
			t.Errorf("%+v", x)
		}
	}
	for _, c := range Checks {
		if !asked[c.Name] {
			t.Errorf("check %s says nothing", c.Name)
		}
	}
}

var hello = BPDU{Version: 2, Root: "32768.02:00:00:00:00:aa", Bridge: "32768.02:00:00:00:00:aa", Port: 0x8001, Forwarding: true}

// Each row is one disease: what it does to a healthy host, which check finds it, and what it says to do.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		ail    func(*Facts)
		check  string
		state  string
		remedy string
	}{
		"no node file":         {func(f *Facts) { f.NodeFile.Missing = true }, "node-file", Wrong, "drawbridge init"},
		"misspelt key":         {func(f *Facts) { f.NodeFile.Error = "line 3: nmae" }, "node-file", Wrong, "correct it"},
		"nothing to do":        {func(f *Facts) { f.Ports = nil }, "node-file", Advice, "witness"},
		"interface gone":       {func(f *Facts) { f.Interfaces[1].Name = "enp1s0" }, "interface", Wrong, "driver"},
		"interface down":       {func(f *Facts) { f.Interfaces[1].Up = false }, "interface", Wrong, "ip link set eth1 up"},
		"unplugged":            {func(f *Facts) { f.Interfaces[1].Carrier = false }, "interface", Wrong, "cable"},
		"no guests' bridge":    {func(f *Facts) { f.Interfaces[2].Name = "br9" }, "interface", Wrong, "ip link add br0"},
		"guests' bridge down":  {func(f *Facts) { f.Interfaces[2].Up = false }, "interface", Wrong, "ip link set br0 up"},
		"both ports bridged":   {func(f *Facts) { f.Interfaces[1].Master = "br0" }, "bridge", Wrong, "nomaster"},
		"uplink with guests":   {func(f *Facts) { f.Interfaces[0].Master = "br0" }, "bridge", Advice, "bridge of their own"},
		"LRO":                  {func(f *Facts) { f.Interfaces[1].Features = []string{"rx-lro"} }, "offload", Wrong, "ethtool -K eth1 lro off"},
		"GRO in hardware":      {func(f *Facts) { f.Interfaces[1].Features = []string{"rx-gro-hw"} }, "offload", Advice, "rx-gro-hw off"},
		"narrow underlay":      {func(f *Facts) { f.Uplinks[0].MTU = 1200 }, "mtu", Wrong, "1280"},
		"no route":             {func(f *Facts) { f.Uplinks[0] = Uplink{To: "x:1", Error: "network is unreachable"} }, "mtu", Wrong, "route"},
		"wide segment":         {func(f *Facts) { f.Interfaces[1].MTU = 1501 }, "mtu", Advice, "MTU 1500 in guests"},
		"no other peer":        {func(f *Facts) { f.Uplinks = nil }, "mtu", Unknown, "joined"},
		"STP":                  {func(f *Facts) { f.Wires[0].BPDUs, f.Wires[0].Last = 2, &hello }, "stp", Advice, "portfast"},
		"STP blocks":           {func(f *Facts) { b := hello; b.Forwarding = false; f.Wires[0].BPDUs, f.Wires[0].Last = 2, &b }, "stp", Wrong, "wait 30 s"},
		"not listened":         {func(f *Facts) { f.Wires[0].Listened = 0 }, "stp", Unknown, "--quick"},
		"may not listen":       {func(f *Facts) { f.Wires[0].Error = "operation not permitted" }, "stp", Unknown, "root"},
		"twin":                 {func(f *Facts) { f.Wires[0].Twins = 3 }, "twin", Wrong, "cloned"},
		"NetworkManager":       {func(f *Facts) { f.Interfaces[1].Managers = []string{NetworkManager} }, "managed", Wrong, "interface-name:eth1"},
		"networkd":             {func(f *Facts) { f.Interfaces[1].Managers = []string{Networkd} }, "managed", Advice, "Unmanaged=yes"},
		"clock of 1970":        {func(f *Facts) { f.Clock.Now = time.Unix(0, 0) }, "clock", Wrong, "timedatectl"},
		"clock set back":       {func(f *Facts) { f.Clock.Newest = f.Clock.Now.Add(time.Hour) }, "clock", Wrong, "timedatectl"},
		"no NTP":               {func(f *Facts) { f.Clock.Unsynchronised = true }, "clock", Advice, "chrony"},
		"tick":                 {func(f *Facts) { f.Clock.Tick = 9900 }, "clock", Wrong, "--tick 10000"},
		"drift":                {func(f *Facts) { f.Clock.Drift = -6000 }, "clock", Wrong, "slews"},
		"no boot time":         {func(f *Facts) { f.Clock.Behind = true }, "clock", Wrong, "another host"},
		"rough clock":          {func(f *Facts) { f.Clock.Resolution = 4 * time.Millisecond }, "clock", Wrong, "highres"},
		"slow clock":           {func(f *Facts) { f.Clock.Source = "hpet" }, "clock", Advice, "tsc"},
		"soft gate":            {func(f *Facts) { f.Kernel.Gate = "operation not permitted" }, "kernel", Advice, "CAP_BPF"},
		"gate, who knows":      {func(f *Facts) { f.Kernel.Gate, f.Root = "operation not permitted", false }, "kernel", Unknown, "root"},
		"no packet sockets":    {func(f *Facts) { f.Kernel.Packet = "address family not supported" }, "kernel", Wrong, "CONFIG_PACKET"},
		"no vnet":              {func(f *Facts) { f.Kernel.Vnet = "protocol not available" }, "kernel", Advice, "5.10"},
		"no GSO":               {func(f *Facts) { f.Kernel.GSO = "protocol not available" }, "kernel", Advice, "4.18"},
		"no TAP":               {func(f *Facts) { f.Kernel.TUN = "no such file" }, "kernel", Wrong, "modprobe tun"},
		"no real time":         {func(f *Facts) { f.Kernel.Realtime = "operation not permitted" }, "realtime", Wrong, "LimitRTPRIO"},
		"real time throttled":  {func(f *Facts) { f.Kernel.RTRuntime = 0 }, "realtime", Wrong, "sched_rt_runtime_us"},
		"no slack":             {func(f *Facts) { f.Kernel.Slack = "permission denied" }, "realtime", Advice, "TimerSlackNSec"},
		"small buffers":        {func(f *Facts) { f.Buffers.Force, f.Buffers.ReceiveMax = false, 212992 }, "buffers", Advice, "sysctl -w net.core.rmem_max"},
		"port taken":           {func(f *Facts) { f.Daemon.Running = false; f.Listen[0].UDP = "address already in use" }, "udp-port", Wrong, "ss -tulpn"},
		"UDP blocked":          {func(f *Facts) { f.Daemon.Links[0].Path = "tcp" }, "udp-port", Wrong, "let UDP pass"},
		"nobody there":         {func(f *Facts) { f.Daemon.Running = false; f.Uplinks[0].TCP = "connection refused" }, "udp-port", Wrong, "firewall"},
		"firewall":             {func(f *Facts) { f.Firewall.Chains = []Chain{{Name: "inet filter input", Drops: true}} }, "firewall", Wrong, "nft insert rule inet filter input udp dport 6630 accept"},
		"firewall, who knows":  {func(f *Facts) { f.Firewall.Error = "not permitted" }, "firewall", Unknown, "root"},
		"full disk":            {func(f *Facts) { f.Disk.Free = 1 << 20 }, "disk", Wrong, "make room"},
		"filling disk":         {func(f *Facts) { f.Disk.Free = 100 << 20 }, "disk", Advice, "make room"},
		"read-only disk":       {func(f *Facts) { f.Disk.Error = "read-only file system" }, "disk", Wrong, "mount"},
		"slow disk of a voter": {func(f *Facts) { f.Disk.Syncs = []time.Duration{400 * time.Millisecond} }, "disk", Wrong, "SD card"},
		"slow disk":            {func(f *Facts) { f.Disk.Voter, f.Disk.Syncs = false, []time.Duration{400 * time.Millisecond} }, "disk", Advice, "SD card"},
		"daemon dead":          {func(f *Facts) { f.Daemon = Daemon{Error: "refused"} }, "daemon", Wrong, "systemctl start"},
		"daemon complains":     {func(f *Facts) { f.Daemon.Problems = []Problem{{"peer b is unreachable", "see whether it runs"}} }, "daemon", Wrong, "see whether"},
		"old daemon":           {func(f *Facts) { f.Daemon.Version = "0" }, "daemon", Advice, "restart"},
		"leftovers":            {func(f *Facts) { f.Leftovers = []Leftover{{Pinned, "/sys/fs/bpf/drawbridge/x", "no daemon"}} }, "leftovers", Wrong, "--clean"},
	} {
		f := healthy()
		c.ail(f)
		r := Judge(f)
		found := slices.ContainsFunc(r.Results, func(x Result) bool {
			return x.Check == c.check && x.State == c.state && strings.Contains(x.Remedy, c.remedy)
		})
		if !found {
			t.Errorf("%s: no %s of %s with remedy %q in %+v", name, c.state, c.check, c.remedy, Worst(r.Results)[:3])
		}
		if c.state == Wrong && r.OK {
			t.Errorf("%s: the report is OK", name)
		}
		for _, x := range r.Results {
			if x.Found == "" || (x.Remedy == "") != (x.State == OK) {
				t.Errorf("%s: %+v", name, x)
			}
		}
	}
}

// A member of a bridge is on a segment's wire when its VLAN is.
func TestBridgesOnVLANs(t *testing.T) {
	for _, c := range []struct {
		port, member uint16
		want         string
	}{{42, 42, Wrong}, {42, 43, OK}, {0, 43, Wrong}, {42, 0, Wrong}} {
		f := healthy()
		f.Ports[0].VLAN = c.port
		f.Interfaces = append(f.Interfaces, Interface{Name: "v", Kind: "vlan", Parent: "eth1", VLAN: c.member, Master: "br0", Up: true})
		if got := judgeBridges(f)[0]; got.State != c.want {
			t.Errorf("port on %d, member on %d: %+v", c.port, c.member, got)
		}
	}
	f := healthy()
	f.Ports[1].Bridge = ""
	f.Interfaces[1].Master, f.Interfaces[3].Master = "br0", ""
	if got := judgeBridges(f)[0]; got.State != Advice {
		t.Errorf("a segment port in a bridge: %+v", got)
	}
	f.Ports = append(f.Ports, Port{Name: "eth0", Segment: "lab", Interface: "eth0"})
	f.Interfaces[0].Master = "br0"
	if got := judgeBridges(f)[0]; got.State != Wrong {
		t.Errorf("two segments in a bridge: %+v", got)
	}
}

func TestFirewallRules(t *testing.T) {
	text, err := os.ReadFile("testdata/nft.json")
	if err != nil {
		t.Fatal(err)
	}
	chains, err := ParseNft(text)
	if err != nil || len(chains) != 2 {
		t.Fatalf("%+v, %v", chains, err)
	}
	shut, open := chains[0], chains[1]
	if !shut.Drops || shut.Opaque || shut.lets(6630) || !shut.lets(53) || !shut.lets(60005) || !shut.lets(443) || shut.lets(22) {
		t.Errorf("%+v", shut)
	}
	if open.Name != "ip plain input" || open.Drops {
		t.Errorf("%+v", open)
	}
	if _, err := ParseNft([]byte("{")); err == nil {
		t.Error("half a document")
	}
	old := ParseIptables("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 6630 -j ACCEPT\n-A INPUT -p udp -m multiport --dports 53,6000:6001 -j ACCEPT\n")[0]
	if !old.Drops || old.lets(6630) || !old.lets(53) || !old.lets(6001) || old.Opaque {
		t.Errorf("%+v", old)
	}
	if any := ParseIptables("-P INPUT DROP\n-A INPUT -j ACCEPT\n")[0]; !any.Opaque {
		t.Errorf("%+v", any)
	}
}

// hex of captures: RSTP of a Linux bridge, STP of 1998, a notification, PVST+ with its tag.
var bpdus = map[string]struct {
	frame string
	want  BPDU
}{
	"RSTP": {
		"\x01\x80\xc2\x00\x00\x00\x02\x00\x00\x00\x00\xaa\x00\x27\x42\x42\x03\x00\x00\x02\x02\x3c\x80\x00\x02\x00\x00\x00\x00\xaa\x00\x00\x00\x00\x80\x00\x02\x00\x00\x00\x00\xaa\x80\x01\x00\x00\x14\x00\x02\x00\x0f\x00\x00",
		BPDU{Version: 2, Learning: true, Forwarding: true, Root: "32768.02:00:00:00:00:aa", Bridge: "32768.02:00:00:00:00:aa", Port: 0x8001, Forward: 15},
	},
	"STP": {
		"\x01\x80\xc2\x00\x00\x00\x02\x00\x00\x00\x00\xaa\x00\x26\x42\x42\x03\x00\x00\x00\x00\x01\x80\x00\x02\x00\x00\x00\x00\xaa\x00\x00\x00\x00\x80\x00\x02\x00\x00\x00\x00\xaa\x80\x01\x00\x00\x14\x00\x02\x00\x0f\x00",
		BPDU{Change: true, Root: "32768.02:00:00:00:00:aa", Bridge: "32768.02:00:00:00:00:aa", Port: 0x8001, Forward: 15},
	},
	"notification": {"\x01\x80\xc2\x00\x00\x00\x02\x00\x00\x00\x00\xaa\x00\x07\x42\x42\x03\x00\x00\x00\x80", BPDU{Change: true}},
	"PVST": {
		"\x01\x00\x0c\xcc\xcc\xcd\x02\x00\x00\x00\x00\xaa\x81\x00\x00\x2a\x00\x32\xaa\xaa\x03\x00\x00\x0c\x01\x0b\x00\x00\x02\x02\x0e\x80\x2a\x02\x00\x00\x00\x00\xaa\x00\x00\x00\x00\x80\x2a\x02\x00\x00\x00\x00\xaa\x80\x01\x00\x00\x14\x00\x02\x00\x0f\x00\x00",
		BPDU{Version: 2, PVST: true, Root: "32810.02:00:00:00:00:aa", Bridge: "32810.02:00:00:00:00:aa", Port: 0x8001, Forward: 15},
	},
}

func TestParseBPDU(t *testing.T) {
	for name, c := range bpdus {
		got, err := ParseBPDU([]byte(c.frame))
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
		for n := range len(c.frame) - 3 { // the last three octets of RSTP and PVST are not read
			_, _ = ParseBPDU([]byte(c.frame[:n]))
		}
	}
	if _, err := ParseBPDU([]byte(strings.Repeat("x", 60))); err == nil {
		t.Error("garbage is a BPDU")
	}
}

func FuzzParseBPDU(f *testing.F) {
	for _, c := range bpdus {
		f.Add([]byte(c.frame))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := ParseBPDU(b); err == nil && len(b) < 21 {
			t.Errorf("%x is %+v", b, got)
		}
	})
}

func FuzzParseNft(f *testing.F) {
	text, err := os.ReadFile("testdata/nft.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = ParseNft(b) })
}

// Reports go into bundles and to scripts: facts survive JSON.
func TestFactsAreJSON(t *testing.T) {
	text, err := json.Marshal(Judge(healthy()))
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text, &back); err != nil || len(back.Facts.Interfaces) != 4 || !back.Facts.Taken.Equal(healthy().Taken) {
		t.Errorf("%+v, %v", back, err)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhatOthersWriteDown(t *testing.T) {
	root := t.TempDir()
	put(t, root+"/run/NetworkManager/devices/3", "[device]\nmanaged=true\n")
	put(t, root+"/run/systemd/netif/links/3", "ADMIN_STATE=configured\nOPER_STATE=routable\n")
	put(t, root+"/run/systemd/netif/links/4", "ADMIN_STATE=unmanaged\n")
	put(t, root+"/proc/net/vlan/office", "office  VID: 42\t REORDER_HDR: 1\nDevice: eth1\nINGRESS priority mappings: 0:0\n")
	g := &gatherer{o: Options{Root: root}}
	if got := g.managers(3); !slices.Equal(got, []string{NetworkManager, Networkd}) {
		t.Error(got)
	}
	if got := g.managers(4); got != nil {
		t.Error(got)
	}
	if parent, id := g.vlan("office"); parent != "eth1" || id != 42 {
		t.Error(parent, id)
	}
}

// Whatever this host is, its facts are gathered and judged, and nothing stays behind.
func TestGather(t *testing.T) {
	dir := t.TempDir()
	put(t, dir+"/d.toml", fmt.Sprintf("state_dir = %q\nsocket = %q\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:16630\"]\njoin = [\"127.0.0.1:9\"]\n[[segment]]\nname = \"office\"\ninterface = \"lo\"\n", dir, dir+"/s"))
	f := Gather(t.Context(), Options{NodeFile: dir + "/d.toml", Daemon: func(_ context.Context, socket string) Daemon { return Daemon{Socket: socket} }})
	if len(f.Uplinks) != 1 || f.Uplinks[0].Interface != "lo" || f.Uplinks[0].TCP == "" || f.Clock.Behind || len(f.Disk.Syncs) != syncs || f.Kernel.Release == "" {
		t.Errorf("%+v", f)
	}
	for _, x := range Judge(f).Results {
		if x.Check == "node-file" && x.State != OK {
			t.Errorf("%+v", x)
		}
	}
	if left, _ := filepath.Glob(dir + "/.doctor-*"); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestCleanRemovesWhatIsDeadAndNothingElse(t *testing.T) {
	root := t.TempDir()
	here, err := kernel.Namespace()
	if err != nil {
		t.Fatal(err)
	}
	put(t, root+PinnedAt+"/"+here+"/dbk1/life", "")
	put(t, root+PinnedAt+"/elsewhere/dbk1/life", "")
	put(t, root+"/alive.sock", "not a socket")
	listen := func(name string) *net.UnixListener {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: root + name})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		return l
	}
	_ = listen("/dead.sock").Close()
	alive := listen("/live.sock")
	defer alive.Close()
	g := &gatherer{o: Options{Root: root}, cfg: &config.Config{Socket: root + "/dead.sock"}}
	if got := g.leftovers(true); len(got) != 1 {
		t.Errorf("while the daemon runs: %+v", got)
	}
	var ours []Leftover // not gates on interfaces of the host that runs the test
	for _, l := range g.leftovers(false) {
		if l.Kind != Filter {
			ours = append(ours, l)
		}
	}
	if len(ours) != 4 {
		t.Errorf("%+v", ours)
	}
	removed, err := Clean(append(ours, Leftover{Socket, root + "/live.sock", ""}, Leftover{Socket, root + "/alive.sock", ""}))
	if err == nil || len(removed) != 4 {
		t.Errorf("%+v, %v", removed, err)
	}
	for _, name := range []string{"/live.sock", "/alive.sock"} {
		if _, err := os.Stat(root + name); err != nil {
			t.Error(err)
		}
	}
	if all, _ := filepath.Glob(root + PinnedAt + "/*"); len(all) != 1 || filepath.Base(all[0]) != "elsewhere" {
		t.Errorf("pinned objects: %v; want those of another network namespace", all)
	}
}

// The page that people read has every check.
func TestChecksAreDescribed(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/troubleshoot.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Checks {
		if row := fmt.Sprintf("| `%s` | %s |\n", c.Name, c.About); !strings.Contains(string(page), row) {
			t.Errorf("docs/how-to/troubleshoot.md has no row %s", row)
		}
	}
}
