package dissect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

const script = "../../docs/wireshark/drawbridge.lua"

var (
	here  = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	there = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	ends  = layers.IPv4{Version: 4, TTL: 64, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2}}
)

func built(t *testing.T, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(b.Bytes())
}

// overUDP puts a datagram onto an Ethernet.
func overUDP(t *testing.T, port layers.UDPPort, datagram []byte) []byte {
	ip := ends
	ip.Protocol = layers.IPProtocolUDP
	udp := &layers.UDP{SrcPort: port, DstPort: port}
	if err := udp.SetNetworkLayerForChecksum(&ip); err != nil {
		t.Fatal(err)
	}
	return built(t, &layers.Ethernet{SrcMAC: here, DstMAC: there, EthernetType: layers.EthernetTypeIPv4}, &ip, udp, gopacket.Payload(datagram))
}

// packet is what tshark says of one: every field by name, the first of those that occur more than once behind [0].
type packet map[string][]string

func (p packet) one(name string) string {
	if len(p[name]) == 0 {
		return ""
	}
	return p[name][0]
}

// dissected has tshark read frames.
func dissected(t *testing.T, frames ...[]byte) (all []packet) {
	t.Helper()
	return filtered(t, "", len(frames), frames...)
}

// filtered has it show those that pass a display filter, of which there must be a number.
func filtered(t *testing.T, filter string, number int, frames ...[]byte) (all []packet) {
	t.Helper()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed here: make dissector installs it and runs this test")
	}
	path := filepath.Join(t.TempDir(), "x.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pcapgo.NewWriter(f)
	if err := w.WriteFileHeader(65536, layers.LinkTypeEthernet); err != nil {
		t.Fatal(err)
	}
	for i, b := range frames {
		if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(int64(i), 0), CaptureLength: len(b), Length: len(b)}, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), tshark, "-X", "lua_script:"+script, "-r", path, "-Y", filter, "-T", "json", "--no-duplicate-keys")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || strings.Contains(said.String(), "Lua") || bytes.Contains(out, []byte("Lua Error")) {
		t.Fatalf("tshark: %v\n%s\n%.2000s", err, said.String(), out)
	}
	var doc []struct {
		Source struct{ Layers map[string]any } `json:"_source"`
	}
	if err := json.Unmarshal(out, &doc); err != nil || len(doc) != number {
		t.Fatalf("%d packets of %d, %v", len(doc), number, err)
	}
	for _, d := range doc {
		p := packet{}
		p.collect("", d.Source.Layers)
		all = append(all, p)
	}
	return all
}

// collect flattens a tree of fields.
func (p packet) collect(name string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			p.collect(key, x)
		}
	case []any:
		for _, x := range v {
			p.collect(name, x)
		}
	default:
		p[name] = append(p[name], fmt.Sprint(v))
	}
}

// expect compares what is named.
func (p packet) expect(t *testing.T, what string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got := strings.Join(p[name], " "); got != value {
			t.Errorf("%s: %s is %q, want %q", what, name, got, value)
		}
	}
	for name := range p {
		if strings.HasSuffix(name, ".malformed") || name == "_ws.malformed" {
			t.Errorf("%s: malformed", what)
		}
	}
}
