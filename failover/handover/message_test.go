package handover

import (
	"errors"
	"reflect"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

func samples() []Message {
	frame := drawbridge.Packet{Frame: append(make([]byte, 12), 8, 0, 1, 2, 3), Offload: drawbridge.Offload{Flags: 1, GSO: 4, HeaderLen: 54, SegmentSize: 1400, ChecksumStart: 34, ChecksumOffset: 16}}
	return []Message{
		{Kind: Prepare, ID: 7, Segment: 2, VNI: 3, Epoch: drawbridge.MakeEpoch(3, 4), Micros: 250000},
		{Kind: Ready, ID: 7},
		{Kind: Refuse, ID: 7, Text: "maintenance"},
		{Kind: Stations, Stations: []Station{{MAC: drawbridge.MAC{2, 0, 0, 0, 0, 1}, Peer: 9, Age: 12}, {MAC: drawbridge.MAC{2, 0, 0, 0, 0, 2}}}},
		{Kind: Frame, Direction: Captured, Packet: frame},
		{Kind: Frame, Direction: Injected, Flood: true, Packet: frame},
		{Kind: Seen, Direction: Injected, Hashes: []uint64{1, 1 << 63}},
		{Kind: Shut, ID: 7, Epoch: 5},
		{Kind: Opened, ID: 7, Epoch: 6},
		{Kind: End, Phase: 2},
		{Kind: Abort, ID: 7},
		{Kind: Turn, Turned: Turned{1, 2, 3}},
		{Kind: Account, Counts: Counts{1, 2, 3, 4}},
	}
}

func TestMessagesSurviveTheTrip(t *testing.T) {
	for _, want := range samples() {
		var got Message
		if err := Parse(want.Append(nil), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v\nbecame %+v: %v", want, got, err)
		}
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	good := samples()[0].Append(nil)
	for what, b := range map[string][]byte{
		"nothing":     nil,
		"short":       good[:len(good)-1],
		"long":        append(good[:len(good):len(good)], 0),
		"version":     append([]byte{2}, good[1:]...),
		"kind":        append([]byte{1, 99}, good[2:]...),
		"not zero":    append([]byte{1, 1, 1}, good[3:]...),
		"long body":   {1, 2, 0, 0, 0xff, 0, 0, 0},
		"direction":   (&Message{Kind: Seen, Direction: 3}).Append(nil),
		"phase":       (&Message{Kind: End, Phase: 3}).Append(nil),
		"short frame": (&Message{Kind: Frame, Direction: 1, Packet: drawbridge.Packet{Frame: make([]byte, 13)}}).Append(nil),
	} {
		if err := Parse(b, new(Message)); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, m := range samples() {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again Message
		if Parse(b, &m) != nil {
			return
		}
		if err := Parse(m.Append(nil), &again); err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v\nbecame %+v: %v", m, again, err)
		}
	})
}

func TestAListCountsCopies(t *testing.T) {
	var l List
	if l.Take(1) {
		t.Error("took from nothing")
	}
	for _, h := range []uint64{1, 1, 2} {
		if !l.Add(h) {
			t.Fatal("full")
		}
	}
	if len(l.All()) != 3 {
		t.Errorf("%v", l.All())
	}
	for i, want := range []bool{true, true, false} {
		if l.Take(1) != want {
			t.Errorf("copy %d: want %v", i+1, want)
		}
	}
	if !l.Take(2) || l.Len() != 0 {
		t.Error("copies were not counted")
	}
	for h := range uint64(maxListed) {
		l.Add(h)
	}
	if l.Add(7) || Hash([]byte("a")) != 0xaf63dc4c8601ec8c {
		t.Error("no bound, or not FNV-1a")
	}
}
