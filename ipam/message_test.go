package ipam

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

var (
	donor  = Holder{0x0a0a0a0a, 0x1111}
	taker  = Holder{0x0b0b0b0b, 0x2222}
	office = Shape{netip.MustParsePrefix("10.1.0.0/24"), 4}
)

// example is the message of docs/protocol/ipam.md.
var example = Message{
	Kind: State, From: donor, To: taker, Decision: 3, Stamp: 40, Heard: 7, Subnet: office, Digest: 0x0123456789abcdef,
	Statuses: []Status{{donor, 5, 6, 100, never}},
	Runs:     []Run{{8, 2, false, Register{MakeGeneration(1, 1), taker, donor}}},
}

func TestWorkedExample(t *testing.T) {
	text, err := os.ReadFile("../docs/protocol/ipam.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindSubmatch(text)
	if block == nil {
		t.Fatal("docs/protocol/ipam.md has no hex block")
	}
	var octets string
	for line := range strings.Lines(string(block[1])) {
		octets += strings.Join(strings.Fields(strings.Split(line, "|")[0])[1:], "")
	}
	want, err := hex.DecodeString(octets)
	if err != nil {
		t.Fatal(err)
	}
	if got := example.Append(nil); !bytes.Equal(got, want) {
		t.Errorf("wrote\n%s\ndocumented\n%s", hex.Dump(got), hex.Dump(want))
	}
	if m, err := ParseMessage(want); err != nil || !reflect.DeepEqual(*m, example) {
		t.Errorf("read %+v, %v", m, err)
	}
}

func messages() []Message {
	six := Shape{netip.MustParsePrefix("fd00::/64"), 54}
	whole := example
	whole.Complete, whole.Pls = true, true
	whole.Runs = []Run{{0, 16, true, Register{MakeGeneration(1, 0), donor, Holder{}}}}
	whole.Loans = []Loan{{77, 9}}
	return []Message{
		example, whole,
		{Kind: Digest, From: donor, To: taker, Subnet: six, Digest: 1},
		{Kind: Ask, From: taker, To: donor, Subnet: six, Number: 9, What: askThis, Offset: 1 << 60, Owner: "host-é", Many: 3},
		{Kind: Offer, From: donor, To: taker, Subnet: office, Number: 9, Serial: 4, Offset: 255},
		{Kind: Refuse, From: donor, To: taker, Subnet: office, Number: 9, Reason: whyTaken, Peer: 5, Text: "printer"},
		{Kind: Fence, From: donor, To: taker, Decision: 8},
	}
}

func TestMessagesSurvive(t *testing.T) {
	for _, m := range messages() {
		b := m.Append(nil)
		got, err := ParseMessage(b)
		if err != nil || !reflect.DeepEqual(*got, m) {
			t.Errorf("%+v\nread as %+v, %v", m, got, err)
		}
		for n := range b {
			if _, err := ParseMessage(b[:n]); err == nil {
				t.Errorf("kind %d cut to %d octets is taken", m.Kind, n)
			}
		}
		if _, err := ParseMessage(append(b, 0)); err == nil {
			t.Errorf("kind %d with an octet more is taken", m.Kind)
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	for _, m := range messages() {
		f.Add(m.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err == nil && !bytes.Equal(m.Append(nil), b) {
			t.Errorf("%x is written as %x", b, m.Append(nil))
		}
	})
}
