package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/drawbridge-net/drawbridge"
)

func sample() Record {
	return Record{
		Name: "west", ID: 0x0a0b0c0d, UID: 0x1122334455667788, Version: 7, StartedAt: 1_700_000_000,
		Roles: 3, Software: "drawbridge 0.1", Features: 1,
		Endpoints: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8042"), netip.MustParseAddrPort("[2001:db8::1]:8042")},
		Links:     []Link{{Peer: 1, Metric: 400, MTU: 1450}, {Peer: 9, Metric: 12_000, MTU: 1400, Flags: LinkTCP}},
		Ports: []Port{{
			Kind: PortSegment, Name: "lan", VNI: 0xabcdef, Segment: 5, SegmentName: "office", Open: true, Ready: true,
			Epoch: drawbridge.MakeEpoch(2, 3), Cause: "lease", Since: 1_700_000_000_123, Reasons: []string{"carrier lost"},
		}},
	}
}

// anyRecord draws records that no writer should produce: unsorted, doubled, too long, with hostile texts.
func anyRecord(t *rapid.T) Record {
	text := rapid.OneOf(rapid.String(), rapid.Just(strings.Repeat("ü", 100)), rapid.Just("\xff\x00\n"))
	texts := rapid.SliceOfN(text, 0, 12)
	address := rapid.SampledFrom([]netip.AddrPort{
		{},
		netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("[::ffff:10.0.0.1]:1"),
		netip.MustParseAddrPort("[fe80::1%eth0]:2"), netip.MustParseAddrPort("[2001:db8::2]:3"),
	})
	link := rapid.Custom(func(t *rapid.T) Link {
		return Link{
			Peer: drawbridge.PeerID(rapid.Uint32Max(20).Draw(t, "peer")), Metric: rapid.Uint32().Draw(t, "metric"),
			MTU: rapid.Uint16().Draw(t, "mtu"), Flags: rapid.Uint8().Draw(t, "flags"),
		}
	})
	port := rapid.Custom(func(t *rapid.T) Port {
		return Port{
			Kind: rapid.Uint8Max(3).Draw(t, "kind"), Name: text.Draw(t, "name"), VNI: drawbridge.VNI(rapid.Uint32().Draw(t, "vni")),
			Segment: drawbridge.SegmentID(rapid.Uint32().Draw(t, "segment")), SegmentName: text.Draw(t, "segment name"),
			Open: rapid.Bool().Draw(t, "open"), Ready: rapid.Bool().Draw(t, "ready"), Epoch: drawbridge.Epoch(rapid.Uint64().Draw(t, "epoch")),
			Cause: text.Draw(t, "cause"), Since: rapid.Int64().Draw(t, "since"), Reasons: texts.Draw(t, "reasons"),
		}
	})
	return Record{
		Name: drawbridge.PeerName(text.Draw(t, "peer name")), ID: drawbridge.PeerID(rapid.Uint32Min(1).Draw(t, "id")),
		UID: drawbridge.PeerUID(rapid.Uint64().Draw(t, "uid")), Version: rapid.Uint64().Draw(t, "version"),
		StartedAt: rapid.Int64().Draw(t, "started"), Roles: rapid.Uint8().Draw(t, "roles"), Software: text.Draw(t, "software"),
		Features: rapid.Uint64().Draw(t, "features"), Endpoints: rapid.SliceOfN(address, 0, 20).Draw(t, "endpoints"),
		Links: rapid.SliceOf(link).Draw(t, "links"), Ports: rapid.SliceOf(port).Draw(t, "ports"), Gone: rapid.Bool().Draw(t, "gone"),
	}
}

func TestRecordRoundTrip(t *testing.T) {
	want := sample()
	got, err := ParseRecord(AppendRecord(nil, &want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestEveryRecordCanBeReadAndIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		b := AppendRecord(nil, &r)
		got, err := ParseRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if want := Canonical(r); !reflect.DeepEqual(got, want) {
			t.Fatalf("read %+v, want %+v", got, want)
		}
		if !bytes.Equal(AppendRecord(nil, &got), b) {
			t.Fatal("the second writing differs from the first")
		}
		later, err := ParseRecord(append(slices.Clone(b), "what a later version adds"...))
		if err != nil || !reflect.DeepEqual(later, got) {
			t.Fatalf("with a tail: %+v, %v", later, err)
		}
	})
}

func TestRecordAtEveryLimitFits(t *testing.T) {
	r := Record{ID: math.MaxUint32, Name: drawbridge.PeerName(strings.Repeat("n", 2*MaxName)), Software: strings.Repeat("s", 2*MaxName)}
	for i := range 2 * MaxLinks {
		r.Links = append(r.Links, Link{Peer: drawbridge.PeerID(i)})
	}
	for i := range 2 * MaxEndpoints {
		r.Endpoints = append(r.Endpoints, netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(i)))
	}
	for i := range 2 * MaxPorts {
		long := strings.Repeat(string(rune('a'+i%26)), 2*MaxReason)
		r.Ports = append(r.Ports, Port{Kind: uint8(i), Name: long, SegmentName: long, Cause: long, Reasons: slices.Repeat([]string{long}, 2*MaxReasons)})
	}
	b := AppendRecord(nil, &r)
	if got, err := ParseRecord(b); err != nil || len(got.Links) != MaxLinks || len(got.Ports) != MaxPorts {
		t.Fatalf("%d bytes: %d links, %d ports, %v", len(b), len(got.Links), len(got.Ports), err)
	}
}

func TestParseRecordRefuses(t *testing.T) {
	good := sample()
	for name, change := range map[string]func(b []byte) []byte{
		"nothing":             func([]byte) []byte { return nil },
		"a cut":               func(b []byte) []byte { return b[:len(b)-1] },
		"another format":      func(b []byte) []byte { b[0] = 2; return b },
		"peer 0":              func(b []byte) []byte { copy(b[1:5], make([]byte, 4)); return b },
		"unknown flag":        func(b []byte) []byte { b[38] |= 2; return b },
		"control character":   func(b []byte) []byte { b[40] = '\n'; return b },
		"invalid UTF-8":       func(b []byte) []byte { b[40] = 0xff; return b },
		"links out of order":  func(b []byte) []byte { return bytes.Replace(b, []byte{0, 0, 0, 9, 0}, []byte{0, 0, 0, 1, 0}, 1) },
		"link to itself":      func(b []byte) []byte { return bytes.Replace(b, []byte{0, 0, 0, 9, 0}, []byte{10, 11, 12, 13, 0}, 1) },
		"an address of 5":     func(b []byte) []byte { return bytes.Replace(b, []byte{4, 192}, []byte{5, 192}, 1) },
		"more than MaxRecord": func(b []byte) []byte { return append(b, make([]byte, MaxRecord)...) },
	} {
		b := change(AppendRecord(nil, &good))
		if _, err := ParseRecord(b); !errors.Is(err, ErrRecord) && !errors.Is(err, ErrRecordFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSignedRecord(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _ := ed25519.GenerateKey(nil)
	r := sample()
	sealed := SealRecord(&r, []byte("certificate"), key)
	s, err := ParseSigned(sealed)
	if err != nil || string(s.Certificate) != "certificate" || !s.VerifySignature(pub) {
		t.Fatalf("%+v, %v", s, err)
	}
	if s.VerifySignature(other) || s.VerifySignature(nil) {
		t.Error("verified by another key")
	}
	if got, err := ParseRecord(s.Body); err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("body: %+v, %v", got, err)
	}
	for i := range s.Body {
		s.Body[i] ^= 1
		if s.VerifySignature(pub) {
			t.Fatalf("byte %d changed and still verified", i)
		}
		s.Body[i] ^= 1
	}
	if (SignedRecord{Body: s.Body, Signature: ed25519.Sign(key, s.Body)}).VerifySignature(pub) {
		t.Error("a signature without the context verified")
	}
}

func TestParseSignedRefuses(t *testing.T) {
	r := sample()
	sealed := SealRecord(&r, []byte("certificate"), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	for i := range sealed {
		if _, err := ParseSigned(sealed[:i]); !errors.Is(err, ErrRecord) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := ParseSigned(append(sealed, 0)); !errors.Is(err, ErrRecord) {
		t.Errorf("with a tail: %v", err)
	}
}

func TestDigest(t *testing.T) {
	want := []DigestEntry{{1, 2, 3}, {4, 5, 6}}
	b := AppendDigest(nil, want)
	if got, err := ParseDigest(append(b, 1)); err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := ParseDigest(b[:len(b)-1]); !errors.Is(err, ErrRecord) {
		t.Errorf("cut: %v", err)
	}
	if _, err := ParseDigest(AppendDigest(nil, []DigestEntry{{4, 5, 6}, {1, 2, 3}})); !errors.Is(err, ErrRecord) {
		t.Errorf("unsorted: %v", err)
	}
}

func TestNewer(t *testing.T) {
	rising := []DigestEntry{{ID: 1}, {ID: 1, UID: 9}, {ID: 1, UID: 3, Version: 1}, {ID: 1, UID: 4, Version: 1}}
	for i, a := range rising {
		for j, b := range rising {
			if a.Newer(b) != (i > j) {
				t.Errorf("%v newer than %v: %v", a, b, a.Newer(b))
			}
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	r := sample()
	f.Add(AppendRecord(nil, &r))
	f.Add(AppendRecord(nil, &Record{ID: 1, Gone: true}))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, AppendRecord(nil, &r)) {
			t.Fatalf("%x was read as %+v, which has another form", b, r)
		}
	})
}

func FuzzParseSigned(f *testing.F) {
	r := sample()
	f.Add(SealRecord(&r, []byte("certificate"), ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSigned(b)
		if err == nil && len(s.Body)+len(s.Certificate)+len(s.Signature)+6 != len(b) {
			t.Fatalf("%x: parts do not add up", b)
		}
		s.VerifySignature(make([]byte, ed25519.PublicKeySize))
	})
}

func FuzzParseDigest(f *testing.F) {
	f.Add(AppendDigest(nil, []DigestEntry{{1, 2, 3}, {4, 5, 6}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDigest(b); err == nil && !bytes.HasPrefix(b, AppendDigest(nil, d)) {
			t.Fatalf("%x was read as %v", b, d)
		}
	})
}

func BenchmarkParseRecord(b *testing.B) {
	r := sample()
	bytes := AppendRecord(nil, &r)
	for b.Loop() {
		if _, err := ParseRecord(bytes); err != nil {
			b.Fatal(err)
		}
	}
}

func TestACauseThatIsTooLongEndsBetweenWords(t *testing.T) {
	const cause = "lease 9.4 ended 00:44:19.695 <- no majority <- b is silent for 33 ms"
	got := canonicalPort(Port{Cause: cause}).Cause
	if want := "lease 9.4 ended 00:44:19.695 <- no majority <- b is silent…"; got != want {
		t.Errorf("cause is %q, want %q", got, want)
	}
	if again := canonicalPort(Port{Cause: got}).Cause; again != got {
		t.Errorf("shortened twice it is %q", again)
	}
	if long := canonicalPort(Port{Cause: strings.Repeat("ü", MaxName)}).Cause; len(long) > MaxName || !strings.HasSuffix(long, "ü…") {
		t.Errorf("one long word becomes %q", long)
	}
}
