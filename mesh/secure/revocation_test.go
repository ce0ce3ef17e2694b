package secure

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"pgregory.net/rapid"
)

// authority makes one without a state directory.
func authority(t interface{ Fatal(...any) }) *Authority {
	ca, err := newAuthority("office", noon)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func unsaved([]byte) error { return nil }

// merged is the set that comes of these snapshots, in this order.
func merged(t interface{ Fatal(...any) }, n Network, snapshots ...[]byte) *Revocations {
	r := newRevocations(n, unsaved)
	for _, b := range snapshots {
		if _, err := r.Merge(b); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// TestRevocationsEndAlike: in any order, any number of times, in any grouping, all end with the same bytes,
// also when two voters removed the same peer in different seconds or under different names.
func TestRevocationsEndAlike(t *testing.T) {
	ca := authority(t)
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) []byte {
			id := drawbridge.PeerID(rapid.Uint32Range(1, 4).Draw(t, "id"))
			name := drawbridge.PeerName(rapid.SampledFrom([]string{"b", "c"}).Draw(t, "name"))
			return ca.revoke(name, id, noon.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "second"))*time.Second))
		})
		all := rapid.SliceOfN(draw, 1, 8).Draw(t, "snapshots")
		want := merged(t, ca.network, all...)

		order := rapid.Permutation(all).Draw(t, "another order")
		if got := merged(t, ca.network, order...); !bytes.Equal(got.Snapshot(), want.Snapshot()) {
			t.Fatal("the order matters")
		}
		if got := merged(t, ca.network, append(order, all...)...); !bytes.Equal(got.Snapshot(), want.Snapshot()) {
			t.Fatal("repetition matters")
		}
		cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
		left, right := merged(t, ca.network, all[:cut]...), merged(t, ca.network, all[cut:]...)
		for _, pair := range [][2]*Revocations{{left, right}, {right, left}} {
			if got := merged(t, ca.network, pair[0].Snapshot(), pair[1].Snapshot()); !bytes.Equal(got.Snapshot(), want.Snapshot()) {
				t.Fatal("grouping matters")
			}
		}
		if news, err := want.Merge(want.Snapshot()); err != nil || news != nil {
			t.Fatalf("merging itself was news: %v, %v", news, err)
		}
	})
}

func TestMergeReportsNewsOnceAndSavesThemFirst(t *testing.T) {
	ca := authority(t)
	var saved [][]byte
	r := newRevocations(ca.network, func(b []byte) error { saved = append(saved, b); return nil })
	b := ca.revoke("b", 2, noon)
	news, err := r.Merge(b)
	if err != nil || len(news) != 1 || news[0].ID != 2 || news[0].Name != "b" || !news[0].At.Equal(noon) {
		t.Fatalf("news are %+v, %v", news, err)
	}
	if len(saved) != 1 || !bytes.Equal(saved[0], b) || !r.Revoked(2) || r.Revoked(3) {
		t.Errorf("saved %x", saved)
	}
	if news, err := r.Merge(b); err != nil || news != nil || len(saved) != 1 {
		t.Errorf("again: %v, %v, saved %d times", news, err, len(saved))
	}
	if news, err := r.Merge(ca.revoke("b", 2, noon.Add(-time.Hour))); err != nil || news != nil || len(saved) != 2 {
		t.Errorf("the same peer, earlier: %v, %v, saved %d times", news, err, len(saved))
	}
}

// TestRevocationCountsWithoutADisk: and what could not be saved is saved by the next merge.
func TestRevocationCountsWithoutADisk(t *testing.T) {
	ca := authority(t)
	full := errors.New("disk full")
	var saved []byte
	r := newRevocations(ca.network, func(b []byte) error { return full })
	b := ca.revoke("b", 2, noon)
	if _, err := r.Merge(b); !errors.Is(err, full) || !r.Revoked(2) {
		t.Fatalf("error %v, revoked %v", err, r.Revoked(2))
	}
	r.save = func(b []byte) error { saved = b; return nil }
	if _, err := r.Merge(b); err != nil || !bytes.Equal(saved, b) {
		t.Errorf("saved %x, %v", saved, err)
	}
}

// TestOneBadEntryRefusesAll, also when the peer it names is known already.
func TestOneBadEntryRefusesAll(t *testing.T) {
	ca, stranger := authority(t), authority(t)
	known := merged(t, ca.network, ca.revoke("b", 2, noon))
	both := func(a, b []byte) []byte { return append(append([]byte{1, 0, 2}, a[3:]...), b[3:]...) }
	forgedNew := both(ca.revoke("a", 1, noon), stranger.revoke("c", 3, noon))
	forgedKnown := both(ca.revoke("a", 1, noon), stranger.revoke("b", 2, noon.Add(time.Hour)))
	for name, b := range map[string][]byte{"new": forgedNew, "known": forgedKnown} {
		before := known.Snapshot()
		_, err := known.Merge(b)
		mustSay(t, err, ErrForged, `"office"`)
		if !bytes.Equal(known.Snapshot(), before) {
			t.Errorf("%s: half of it was taken", name)
		}
	}
}

// TestNoOtherSignatureIsARevocation: neither one for another network nor one over the bare fields.
func TestNoOtherSignatureIsARevocation(t *testing.T) {
	ca := authority(t)
	elsewhere := *ca
	elsewhere.network.ID[0] ^= 1
	_, err := merged(t, ca.network).Merge(elsewhere.revoke("b", 2, noon))
	mustSay(t, err, ErrForged)

	v := Revocation{ID: 2, Name: "b", At: noon}
	copy(v.signature[:], ed25519.Sign(ca.key, v.appendBody(nil)))
	_, err = merged(t, ca.network).Merge(encodeRevocations(map[drawbridge.PeerID]Revocation{2: v}))
	mustSay(t, err, ErrForged)
}

func TestListIsOldestFirst(t *testing.T) {
	ca := authority(t)
	r := merged(t, ca.network, ca.revoke("c", 1, noon.Add(time.Hour)), ca.revoke("b", 9, noon), ca.revoke("a", 3, noon))
	var ids []drawbridge.PeerID
	for _, v := range r.List() {
		ids = append(ids, v.ID)
	}
	if !slices.Equal(ids, []drawbridge.PeerID{3, 9, 1}) {
		t.Errorf("list is %v", ids)
	}
}

func TestRevocationsAreBounded(t *testing.T) {
	ca := authority(t)
	r := newRevocations(ca.network, unsaved)
	for id := range drawbridge.PeerID(maxRevocations) {
		r.set[id+10] = Revocation{ID: id + 10, Name: drawbridge.PeerName(bytes.Repeat([]byte("n"), 63)), At: noon}
	}
	if n := len(r.Snapshot()); n > 1<<20 {
		t.Errorf("the largest snapshot has %d bytes", n)
	}
	if _, err := r.Merge(ca.revoke("b", 2, noon)); err == nil || r.Revoked(2) {
		t.Errorf("one more was taken: %v", err)
	}
}

func TestOnlyTheAuthorityRevokesAndNotItself(t *testing.T) {
	a := found(t, "office", "a")
	b := member(t, a, "b", Gateway, noon)
	mustSay(t, b.Revoke("a", a.ID(), noon), ErrNoAuthority, "peer a")
	if err := a.Revoke("a", a.ID(), noon); err == nil || a.Revocations.Revoked(a.ID()) {
		t.Errorf("a peer revoked itself: %v", err)
	}
}

func TestRevocationsSurviveARestart(t *testing.T) {
	a := found(t, "office", "a")
	if err := a.Revoke("b", 2, noon); err != nil {
		t.Fatal(err)
	}
	want := a.Revocations.Snapshot()
	a.Close()
	again, err := Open(a.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if !again.Revocations.Revoked(2) || !bytes.Equal(again.Revocations.Snapshot(), want) {
		t.Errorf("read back %+v", again.Revocations.List())
	}
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	ca := authority(t)
	good := merged(t, ca.network, ca.revoke("b", 2, noon), ca.revoke("c", 3, noon)).Snapshot()
	one := ca.revoke("b", 2, noon)
	change := func(at int, to byte) []byte { b := bytes.Clone(good); b[at] = to; return b }
	for name, b := range map[string][]byte{
		"empty":         nil,
		"later version": change(0, 2),
		"truncated":     good[:len(good)-1],
		"too many":      binary.BigEndian.AppendUint16([]byte{1}, maxRevocations+1),
		"more follows":  append(bytes.Clone(good), 0),
		"name too long": change(3+12, 255),
		"no name":       change(3+13, ' '),
		"twice":         append(append([]byte{1, 0, 2}, one[3:]...), one[3:]...),
	} {
		_, err := merged(t, ca.network).Merge(b)
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzRevocations(f *testing.F) {
	ca := authority(f)
	f.Add(merged(f, ca.network).Snapshot())
	f.Add(ca.revoke("b", 2, noon))
	f.Add(merged(f, ca.network, ca.revoke("b", 2, noon), ca.revoke("c", 3, noon)).Snapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseRevocations(b)
		if err != nil {
			mustSay(t, err, ErrProtocol)
			return
		}
		set := map[drawbridge.PeerID]Revocation{}
		for _, v := range all {
			set[v.ID] = v
		}
		if got := encodeRevocations(set); !bytes.Equal(got, b) {
			t.Errorf("%x reads as %+v", b, all)
		}
	})
}
