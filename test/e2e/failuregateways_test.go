package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/drawbridge-net/drawbridge/web"
)

// Rows of the failure table that need other gateways than two of one segment beside a witness.

// stranger is a network of one gateway. Its VLAN is a switch of its own until somebody plugs a cable in.
const stranger = `
network = "stranger"

[[switch]]
name = "net"
subnet = "198.51.100.0/24"

[[switch]]
name = "vlan"

[[node]]
name = "g"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }]
`

// another builds another network, which is removed after the row, and answers its lab's name when its gateway is active.
func (f *field) another() (labName string) {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "stranger.toml")
	must(f.t, os.WriteFile(path, []byte(stranger), 0o600))
	b := up(f.t, path)
	eventually(f.t, reachLimit, "the gateway of the other network is active", func() bool { return b.active(f.t, "g") == "g" })
	return b.Name
}

// triple has three gateways; two may fail.
const triple = `
[[switch]]
name = "net"
subnet = "192.0.2.0/24"

[[switch]]
name = "vlan"

[[node]]
name = "x"
roles = ["voter"]
underlay = ["net"]

[[node]]
name = "w"
roles = ["voter"]
underlay = ["net"]

[[node]]
name = "a"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }]

[[node]]
name = "b"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }]

[[node]]
name = "c"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }]

[[host]]
name = "x1"
at = "x"

[[host]]
name = "host1"
at = "vlan"
`

var failuresOfThree = []failure{
	{
		name: "active machine of three dies", layer: "lease", active: "B or C",
		strike: func(f *field) { f.powerOff("A") }, mend: func(f *field) { f.start("A") },
		signals: []signal{{"any", "gate_open", "taken"}},
	},
	{
		name: "active machine of three dies, then the one that took over", layer: "lease", active: "C",
		strike: func(f *field) {
			f.powerOff("A")
			eventually(f.t, reachLimit, "another is active", func() bool { return f.as("B or C") })
			if f.holder() == f.c {
				f.b, f.c = f.c, f.b
			}
			f.powerOff("B")
		},
		mend:    func(f *field) { f.start("A"); f.start("B") },
		signals: []signal{{"B", "gate_open", "taken"}, {"C", "gate_open", "taken"}},
	},
}

// TestFailuresOfThreeGateways: one of them is active, whichever die.
func TestFailuresOfThreeGateways(t *testing.T) {
	f := newField(t, "triple", triple)
	f.reach(t, 0)
	f.each(t, failuresOfThree)
}

// couple is two gateways that are all voters.
const couple = `
[[switch]]
name = "net"
subnet = "192.0.2.0/24"

[[switch]]
name = "vlan"

[[node]]
name = "a"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }]

[[node]]
name = "b"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }]

[[node]]
name = "x"
underlay = ["net"]

[[host]]
name = "x1"
at = "x"

[[host]]
name = "host1"
at = "vlan"
`

var failuresOfACouple = []failure{
	{
		name: "two voters do not hear each other, policy segment", layer: "policy", active: "A", policy: "segment", lasts: elected,
		strike: func(f *field) { f.cut("A", "B") }, mend: func(f *field) { f.heal("A", "B") },
		signals: []signal{{"A", "regent", "UNSAFE"}},
	},
	{
		name: "one of two voters dies, the active one, policy segment", layer: "policy", active: "B", policy: "segment", lasts: elected,
		strike: func(f *field) { f.powerOff("A") }, mend: func(f *field) { f.start("A") },
		signals: []signal{{"B", "regent", "UNSAFE"}},
	},
	{
		name: "one of two voters dies, the passive one, policy segment", layer: "policy", active: "A", policy: "segment", lasts: elected,
		strike: func(f *field) { f.powerOff("B") }, mend: func(f *field) { f.start("B") },
		signals: []signal{{"A", "regent", "UNSAFE"}},
	},
}

// TestFailuresOfACouple: without a witness the segment itself may decide.
func TestFailuresOfACouple(t *testing.T) {
	f := newField(t, "couple", couple)
	f.reach(t, 0)
	f.each(t, failuresOfACouple)
}

// twice is a pair with two segments in one overlay.
const twice = `
[[switch]]
name = "net"
subnet = "192.0.2.0/24"

[[switch]]
name = "vlan"

[[switch]]
name = "other"

[[node]]
name = "w"
roles = ["voter"]
underlay = ["net"]

[[node]]
name = "x"
underlay = ["net"]

[[node]]
name = "a"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }, { name = "plant", switch = "other" }]

[[node]]
name = "b"
roles = ["gateway", "voter"]
underlay = ["net"]
segment = [{ name = "office", switch = "vlan" }, { name = "plant", switch = "other" }]

[[host]]
name = "x1"
at = "x"

[[host]]
name = "host1"
at = "vlan"

[[host]]
name = "host2"
at = "other"
`

var failuresOfTwoSegments = []failure{
	{
		name: "two segments of one pair on one VLAN", layer: "ALONE", active: "A or B", copies: untilFound,
		strike: func(f *field) { f.patch("vlan", f.Name, "other") }, mend: func(f *field) { f.unpatch("vlan"); f.unblock("A"); f.unblock("B") },
		signals: []signal{{"any", "alone", "same_wire"}, {"any", "alone", "two_segments"}},
	},
}

// TestFailuresOfTwoSegments cables together what are two segments to the gateways.
func TestFailuresOfTwoSegments(t *testing.T) {
	f := newField(t, "twice", twice)
	eventually(t, talkLimit, "both segments are bridged", func() bool {
		segments, err := f.api(observer).Segments(within(t, reachLimit))
		must(t, err)
		return len(segments) == 2 && !slices.ContainsFunc(segments, func(s web.Segment) bool { return s.Active == nil })
	})
	f.reach(t, 0)
	f.each(t, failuresOfTwoSegments)
}
