package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"
)

func aHello() Hello {
	return Hello{
		ID: 0x01020304, UID: 0x1122334455667788, Network: [16]byte{0xaa, 15: 0xbb}, Serial: 7, Features: 3,
		Name: "host1", Software: "drawbridge 1.0",
		Endpoints: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:6630"), netip.MustParseAddrPort("[2001:db8::1]:6630")},
		Seen:      netip.MustParseAddrPort("198.51.100.7:40000"),
	}
}

func TestHelloReadsBack(t *testing.T) {
	want := aHello()
	b := want.Append(nil)
	got, err := ParseHello(append(b, "of a later version"...))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for n := range b {
		if _, err := ParseHello(b[:n]); !errors.Is(err, ErrMessage) {
			t.Fatalf("the first %d bytes: %v", n, err)
		}
	}
	b[0]++
	if _, err := ParseHello(b); !errors.Is(err, ErrMessage) {
		t.Errorf("another format: %v", err)
	}
}

func TestMessagesReadBackInOrder(t *testing.T) {
	b := AppendMessage(nil, KindPing, AppendNonce(nil, 9))
	b = AppendMessage(b, KindLeave, nil)
	b = AppendMessage(b, 200, []byte("unknown"))
	r := bytes.NewReader(b)
	for _, want := range []Kind{KindPing, KindLeave, 200} {
		if k, _, err := ReadMessage(r, nil); k != want || err != nil {
			t.Fatalf("%v, %v, want %v", k, err, want)
		}
	}
	if r.Len() != 0 {
		t.Errorf("%d bytes left", r.Len())
	}
}

func TestOversizeMessageIsRefusedBeforeItIsRead(t *testing.T) {
	for _, head := range []string{"\x00\x00\x00\x00\x09", "\x00\x10\x00\x01\x09", "\xff\xff\xff\xff\x09"} {
		if _, _, err := ReadMessage(bytes.NewReader([]byte(head)), nil); !errors.Is(err, ErrMessage) {
			t.Errorf("% x: %v", head, err)
		}
	}
}

func TestRecordsThatDoNotFitGoIntoTheNextMessage(t *testing.T) {
	big := bytes.Repeat([]byte{1}, 300<<10)
	all := [][]byte{big, big, {2}, big, big}
	var got [][]byte
	for rest := all; len(rest) > 0; {
		var body []byte
		body, rest = AppendRecords(nil, rest)
		if 1+len(body) > MaxMessage {
			t.Fatalf("message of %d bytes", 1+len(body))
		}
		part, err := ParseRecords(body)
		if err != nil || len(part) == 0 {
			t.Fatal(len(part), err)
		}
		got = append(got, part...)
	}
	if !reflect.DeepEqual(got, all) {
		t.Errorf("got %d records, want %d", len(got), len(all))
	}
}

func TestStreamHeaderReadsBack(t *testing.T) {
	want := Stream{From: 1, To: 2, Hops: 3, Service: "membership"}
	b := want.Append(nil)
	r := bytes.NewReader(append(b, "what follows"...))
	if got, err := ReadStream(r); got != want || err != nil || r.Len() != len("what follows") {
		t.Errorf("%+v, %v, %d left", got, err, r.Len())
	}
	b[0] = 9
	if _, err := ReadStream(bytes.NewReader(b)); !errors.Is(err, ErrMessage) {
		t.Error(err)
	}
}

// FuzzMessage feeds every codec of the control link. What parses and is written again must parse to the same.
func FuzzMessage(f *testing.F) {
	h := aHello()
	f.Add(byte(KindHello), h.Append(nil))
	f.Add(byte(KindRefuse), Refuse{RefuseFull, "full"}.Append(nil))
	records, _ := AppendRecords(nil, [][]byte{{1, 2}, {3}})
	f.Add(byte(KindRecords), records)
	f.Add(byte(KindDigest), Digest{true, []DigestEntry{{1, 2, 3}}}.Append(nil))
	packet := Routed{From: 1, To: 2, Hops: 3, Payload: AppendChannel(nil, "lease", []byte("x"))}
	f.Add(byte(KindPacket), packet.Append(nil))
	f.Add(byte(KindChannel), packet.Append(nil))
	f.Add(byte(KindPing), AppendNonce(nil, 9))
	f.Add(byte(0), Stream{1, 2, 3, "raft"}.Append(nil))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		framed := AppendMessage(nil, Kind(kind), b)
		if k, body, err := ReadMessage(bytes.NewReader(framed), nil); len(b) < MaxMessage && (err != nil || byte(k) != kind || !bytes.Equal(body, b)) {
			t.Fatalf("frame: %v %v", k, err)
		}
		again, once, twice := reparse(Kind(kind), b)
		if again != nil && !reflect.DeepEqual(once, twice) {
			t.Fatalf("%v: %+v, read again %+v", Kind(kind), once, twice)
		}
	})
}

// reparse parses b, writes what it found and parses that; nil when b is refused.
func reparse(k Kind, b []byte) (again []byte, once, twice any) {
	var err error
	switch k {
	case KindHello:
		var h Hello
		if h, err = ParseHello(b); err == nil {
			h.Endpoints = canonicalEndpoints(h.Endpoints)
			again, once = h.Append(nil), h
			twice, _ = ParseHello(again)
		}
	case KindRefuse:
		var r Refuse
		if r, err = ParseRefuse(b); err == nil {
			again, once = r.Append(nil), r
			twice, _ = ParseRefuse(again)
		}
	case KindRecords:
		var r [][]byte
		if r, err = ParseRecords(b); err == nil {
			once = r
			again, _ = AppendRecords(nil, r)
			twice, _ = ParseRecords(again)
		}
	case KindDigest:
		var d Digest
		if d, err = ParseDigestMessage(b); err == nil {
			again, once = d.Append(nil), d
			twice, _ = ParseDigestMessage(again)
		}
	case KindPacket, KindChannel:
		var r Routed
		if r, err = ParseRouted(k, b); err == nil {
			ParseChannel(r.Payload)
			again, once = r.Append(nil), r
			twice, _ = ParseRouted(k, again)
		}
	case KindPing, KindPong:
		ParseNonce(k, b)
	default:
		ReadStream(bytes.NewReader(b))
	}
	return again, once, twice
}
