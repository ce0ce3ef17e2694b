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
var stranger = plan{network: "stranger", underlay: "198.51.100.0/24", gateways: []string{"g"}}

// another builds another network, which is removed after the row, and answers its lab's name when its gateway is active.
func (f *field) another() (labName string) {
	f.t.Helper()
	path := filepath.Join(f.t.TempDir(), "stranger.toml")
	must(f.t, os.WriteFile(path, []byte(stranger.topology()), 0o600))
	b := up(f.t, path)
	eventually(f.t, reachLimit, "the gateway of the other network is active", func() bool { return b.active(f.t, "g") == "g" })
	return b.Name
}

// triple has three gateways; two may fail.
var triple = plan{
	witnesses: []string{"x", "w"}, gateways: []string{"a", "b", "c"}, hosts: []place{{"x1", "x"}, {"host1", "vlan"}},
}

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
var couple = plan{gateways: []string{"a", "b"}, peers: []string{"x"}, hosts: []place{{"x1", "x"}, {"host1", "vlan"}}}

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
var twice = plan{
	witnesses: []string{"w"}, peers: []string{"x"}, gateways: []string{"a", "b"}, segments: []place{{"office", "vlan"}, {"plant", "other"}},
	hosts: []place{{"x1", "x"}, {"host1", "vlan"}, {"host2", "other"}},
}

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
