package alone

import (
	"encoding/hex"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

// bpdu is a bridge protocol frame of a kind, with flags.
func bpdu(version, kind, flags string) drawbridge.Frame {
	b, err := hex.DecodeString("0180c2000000" + "020000000001" + "0026" + "424203" + "0000" + version + kind + flags +
		"8000020000000001" + "00000000" + "8000020000000001" + "8001" + "0000" + "1400" + "0200" + "0f00" + "0000000000000000")
	if err != nil {
		panic(err)
	}
	return b
}

func TestTopologyChangeIsRead(t *testing.T) {
	for name, c := range map[string]struct {
		frame drawbridge.Frame
		want  bool
	}{
		"configuration":            {bpdu("00", "00", "00"), false},
		"configuration, changed":   {bpdu("00", "00", "01"), true},
		"configuration, answered":  {bpdu("00", "00", "80"), false}, // acknowledges a notification
		"rapid":                    {bpdu("02", "02", "3c"), false},
		"rapid, changed":           {bpdu("02", "02", "3d"), true},
		"multiple trees, changed":  {bpdu("03", "02", "7d"), true},
		"notification":             {bpdu("00", "80", "00"), true},
		"notification, no padding": {bpdu("00", "80", "")[:21], true},
		"cut before the flags":     {bpdu("02", "02", "3d")[:21], false},
		"unknown type":             {bpdu("02", "07", "01"), false},
		"nothing":                  {nil, false},
	} {
		if got := TopologyChange(c.frame); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	other := bpdu("02", "02", "3d")
	other[5] = 0x0e // LLDP's group
	if TopologyChange(other) || BridgeProtocol(other) {
		t.Error("a frame to another group was taken for one of bridges")
	}
}

func FuzzTopologyChange(f *testing.F) {
	f.Add([]byte(bpdu("02", "02", "3d")))
	f.Add([]byte(bpdu("00", "80", "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if TopologyChange(b) && !BridgeProtocol(b) {
			t.Errorf("%x", b)
		}
	})
}
