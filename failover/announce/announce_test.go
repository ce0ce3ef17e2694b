package announce

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// TestFrameIsReverseARP has the frame read by gopacket.
func TestFrameIsReverseARP(t *testing.T) {
	station := drawbridge.MAC{2, 0, 0x5e, 0x10, 0, 1}
	f := Frame(station)
	if len(f) != minFrame {
		t.Fatalf("%d bytes", len(f))
	}
	eth := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if eth.EthernetType != 0x8035 || !bytes.Equal(eth.SrcMAC, station[:]) || !bytes.Equal(eth.DstMAC, drawbridge.Broadcast[:]) {
		t.Errorf("%+v", eth)
	}
	arp := gopacket.NewPacket(f[14:], layers.LayerTypeARP, gopacket.Default).Layer(layers.LayerTypeARP).(*layers.ARP)
	if arp.Operation != 3 || !bytes.Equal(arp.SourceHwAddress, station[:]) || !bytes.Equal(arp.DstHwAddress, station[:]) {
		t.Errorf("%+v", arp)
	}
}
