package alone

import (
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/drawbridge-net/drawbridge"
)

var testCodec = Codec{Network: [8]byte([]byte("network!"))}

// example is the frame of the worked example in docs/protocol/alone.md.
var example = Frame{
	Kind: Hello, State: Active, Score: 100, Network: testCodec.Network, From: Place{0x01020304, 1}, Boot: 7, Segment: 0x0a0b0c0d,
	Epoch: drawbridge.MakeEpoch(2, 5), Sequence: 9, Nonce: 1_000_000, Interval: 10, Dead: 35, Injected: 100, Captured: 200,
	Listed: []Listed{{Key: 0xdeadbeef, Age: 17}},
}

func TestTheWorkedExampleIsWhatIsSent(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol/alone.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```hex\n(.*?)```").FindSubmatch(doc)
	if block == nil {
		t.Fatal("docs/protocol/alone.md has no hex example")
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(block[1])), ""))
	if err != nil {
		t.Fatal(err)
	}
	got := testCodec.Append(nil, example)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	back, err := testCodec.Parse(want)
	if err != nil || !reflect.DeepEqual(back, example) {
		t.Errorf("parsed %+v, %v\nwant   %+v", back, err, example)
	}
}

func TestFramesAreRefusedWithTheReason(t *testing.T) {
	good := testCodec.Append(nil, example)
	for name, row := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"truncated":       {func(b []byte) []byte { return b[:Size-1] }, ErrTruncated},
		"empty":           {func([]byte) []byte { return nil }, ErrTruncated},
		"another magic":   {func(b []byte) []byte { b[0] = 'a'; return b }, ErrMagic},
		"another version": {func(b []byte) []byte { b[4] = 2; return b }, ErrVersion},
		"another network": {func(b []byte) []byte { b[8] ^= 1; return b }, ErrNetwork},
		"a forged epoch":  {func(b []byte) []byte { b[47] ^= 1; return b }, ErrTag},
		"a forged tag":    {func(b []byte) []byte { b[127] ^= 1; return b }, ErrTag},
		"padding behind":  {func(b []byte) []byte { return append(b, 1, 2, 3) }, nil},
		"kind zero":       {func([]byte) []byte { f := example; f.Kind = 0; return testCodec.Append(nil, f) }, ErrField},
		"state 9":         {func([]byte) []byte { f := example; f.State = 9; return testCodec.Append(nil, f) }, ErrField},
		"no interval":     {func([]byte) []byte { f := example; f.Interval = 0; return testCodec.Append(nil, f) }, ErrField},
	} {
		if _, err := testCodec.Parse(row.change(append([]byte(nil), good...))); !errors.Is(err, row.want) || (row.want == nil) != (err == nil) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(testCodec.Append(nil, example))
	f.Add([]byte("ALNE"))
	f.Add(make([]byte, Size))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := testCodec.Parse(b)
		if err != nil {
			return
		}
		again, err := testCodec.Parse(testCodec.Append(nil, got))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
	})
}
