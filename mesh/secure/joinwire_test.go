package secure

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// TestGreetingStopsBeforeTheSecret: what the joining host checks, at a given time, before it tells anything.
func TestGreetingStopsBeforeTheSecret(t *testing.T) {
	a := found(t, "office", "a")
	voter, err := a.CA.Issue("v", a.Public(), Voter, noon)
	if err != nil {
		t.Fatal(err)
	}
	of := func(roles Roles) contact {
		return contact{a.Network, Peer{Name: "v", Roles: roles, Cert: voter}}
	}
	hello := func(now time.Time) greeting { return greeting{Version: 1, Peer: "v", Time: now, Voter: true} }
	deaf := hello(noon)
	deaf.Voter, deaf.Voters = false, []string{"x:1"}
	later := hello(noon)
	later.Version = 2
	tests := map[string]struct {
		contact contact
		hello   greeting
		now     time.Time
		want    error
		words   []string
	}{
		"good":                      {of(Voter), hello(noon), noon, nil, nil},
		"clock behind, just":        {of(Voter), hello(noon), noon.Add(-MaxSkew), nil, nil},
		"clock ahead, just":         {of(Voter), hello(noon), noon.Add(MaxSkew), nil, nil},
		"clock behind":              {of(Voter), hello(noon), noon.Add(-MaxSkew - time.Second), ErrClock, []string{"10m1s behind peer v", "2026-03-01T11:49:59Z"}},
		"clock ahead":               {of(Voter), hello(noon), noon.Add(MaxSkew + time.Second), ErrClock, []string{"10m1s ahead of peer v"}},
		"clock never set":           {of(Voter), hello(noon), time.Unix(60, 0), ErrClock, []string{"behind peer v", "1970-01-01T00:01:00Z", "set the clock"}},
		"contact has expired":       {of(Voter), hello(noon.Add(peerLife + time.Hour)), noon.Add(peerLife + time.Hour), ErrExpired, []string{"certificate of v"}},
		"both before the signing":   {of(Voter), hello(noon.Add(-time.Hour)), noon.Add(-time.Hour), ErrClock, []string{"at least 1h0m0s behind"}},
		"not a voter":               {of(Voter), deaf, noon, ErrNotVoter, []string{"x:1"}},
		"says it is, is not signed": {of(Gateway), hello(noon), noon, ErrNotVoter, nil},
		"later version":             {of(Voter), later, noon, ErrProtocol, []string{"version 2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { mustSay(t, tt.contact.welcomes(tt.hello, tt.now), tt.want, tt.words...) })
	}
}

// joinPipe is the two ends of a TLS connection of the join protocol.
func joinPipe(t testing.TB, a *Credentials) (client, server *tls.Conn) {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	config := base(JoinProtocol)
	config.InsecureSkipVerify = true
	client, server = tls.Client(near, config), tls.Server(far, a.ServerTLS(nil))
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(t.Context()) }()
	if err := errors.Join(client.HandshakeContext(t.Context()), <-done); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func requestOn(t testing.TB, conn *tls.Conn) request {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	j := joining{token: exampleToken(), name: "b", key: key}
	r, err := j.request(conn.ConnectionState())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRequestProvesItsKey(t *testing.T) {
	client, server := joinPipe(t, found(t, "office", "a"))
	r := requestOn(t, client)
	c, err := r.claim(server.ConnectionState())
	if err != nil || c.name != "b" || c.token != exampleToken().ID || !c.key.Equal(ed25519.PublicKey(r.Key)) {
		t.Fatalf("claim is %+v, %v", c, err)
	}
	stranger := requestOn(t, client)
	for name, change := range map[string]func(*request){
		"another key":   func(r *request) { r.Key = stranger.Key },
		"another name":  func(r *request) { r.Name = "c" },
		"another token": func(r *request) { r.Token = "0000000000" },
		"no proof":      func(r *request) { r.Proof = nil },
		"no key":        func(r *request) { r.Key = nil },
		"later version": func(r *request) { r.Version = 2 },
		"token's form":  func(r *request) { r.Token = "?" },
	} {
		bad := r
		change(&bad)
		if _, err := bad.claim(server.ConnectionState()); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, elsewhere := joinPipe(t, found(t, "office", "a"))
	_, err = r.claim(elsewhere.ConnectionState())
	mustSay(t, err, ErrProtocol, "possession") // overheard on one connection, repeated on another
}

func TestAnswersThatAreNotWhatWasAsked(t *testing.T) {
	a := found(t, "office", "a")
	twin := twinOf(t, a.Network)
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	j := joining{name: "b", key: key}
	issue := func(ca *Authority, name drawbridge.PeerName, roles Roles) []byte {
		cert, err := ca.Issue(name, key.Public().(ed25519.PublicKey), roles, noon)
		if err != nil {
			t.Fatal(err)
		}
		return cert.Raw
	}
	for name, tt := range map[string]struct {
		answer answer
		want   error
	}{
		"good":              {answer{Certificate: issue(a.CA, "b", 0)}, nil},
		"voter":             {answer{Certificate: issue(a.CA, "b", Voter), AuthorityKey: a.CA.key.Seed()}, nil},
		"nothing":           {answer{}, ErrCertificate},
		"another name":      {answer{Certificate: issue(a.CA, "c", 0)}, ErrCertificate},
		"another key":       {answer{Certificate: a.Certificate().Raw}, ErrCertificate},
		"voter, no key":     {answer{Certificate: issue(a.CA, "b", Voter)}, ErrProtocol},
		"voter, wrong key":  {answer{Certificate: issue(a.CA, "b", Voter), AuthorityKey: twin.key.Seed()}, ErrForged},
		"voter, short key":  {answer{Certificate: issue(a.CA, "b", Voter), AuthorityKey: []byte{1}}, ErrProtocol},
		"needless key":      {answer{Certificate: issue(a.CA, "b", 0), AuthorityKey: twin.key.Seed()}, nil},
		"signed by another": {answer{Certificate: issue(twin, "b", 0)}, ErrForged},
	} {
		got, err := j.accept(a.Network, tt.answer)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (got.ca != nil) != (name == "voter") {
			t.Errorf("%s: authority is %v", name, got.ca)
		}
	}
}

// TestRefusalsTravel: every condition arrives as itself, with the text of the contact.
func TestRefusalsTravel(t *testing.T) {
	for _, r := range refusals {
		got := refuse(fmt.Errorf("token 12: %w", r.err)).refusal("a")
		mustSay(t, got, r.err, "peer a refused: ")
	}
	inner := refuse(errors.New("open /var/lib/x: disk full"))
	if inner.Code != codeInternal || strings.Contains(inner.Text, "/var") {
		t.Errorf("our own trouble is told as %+v", inner)
	}
	mustSay(t, answer{Code: "later", Text: "no"}.refusal("a"), ErrProtocol, "no (later)")
	if err := (answer{}).refusal("a"); err != nil {
		t.Error(err)
	}
}

func TestMessagesReadBack(t *testing.T) {
	var b bytes.Buffer
	want := greeting{Version: 1, Peer: "a", Time: noon, Voters: []string{"b:1"}}
	if err := writeMessage(&b, want); err != nil {
		t.Fatal(err)
	}
	var got greeting
	if err := readMessage(&b, &got); err != nil || fmt.Sprint(got) != fmt.Sprint(want) || b.Len() != 0 {
		t.Errorf("read %+v, %v", got, err)
	}
}

func TestDamagedMessages(t *testing.T) {
	var r request
	for name, b := range map[string][]byte{
		"empty":    {0, 0, 0, 0},
		"too long": binary.BigEndian.AppendUint32(nil, maxJoinSize+1),
		"not JSON": {0, 0, 0, 1, '?'},
		"a list":   {0, 0, 0, 2, '[', ']'},
	} {
		if err := readMessage(bytes.NewReader(b), &r); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, b := range [][]byte{nil, {0, 0}, {0, 0, 0, 9, '{'}} {
		if err := readMessage(bytes.NewReader(b), &r); err == nil {
			t.Errorf("%x was read", b)
		}
	}
}

func TestVerdictsTravel(t *testing.T) {
	for code, cause := range verdictErrors {
		if cause == nil {
			continue
		}
		v, err := parseVerdict(verdictOn(fmt.Errorf("peer b: %w", cause), noon).append(nil))
		if err != nil || int(v.code) != code || !v.at.Equal(noon) {
			t.Errorf("%v travels as %+v, %v", cause, v, err)
		}
		mustSay(t, v.refusal(Peer{Name: "a"}), cause, "refused by peer a")
	}
	if v := verdictOn(nil, noon); v.code != accepted || v.refusal(Peer{}) != nil {
		t.Errorf("accepting is %+v", v)
	}
	if v := verdictOn(&OtherNetworkError{}, noon); v.code != otherNetwork || v.refusal(Peer{}) == nil {
		t.Errorf("another network is %+v", v)
	}
	if v := verdictOn(errors.New("?"), noon); v.code != badCertificate {
		t.Errorf("anything else is %+v", v)
	}
	mustSay(t, verdict{200, noon}.refusal(Peer{Name: "a"}), ErrCertificate, "reason 200")
	for _, b := range [][]byte{nil, {1}, make([]byte, verdictSize), append(verdictOn(nil, noon).append(nil), 0)} {
		if _, err := parseVerdict(b); !errors.Is(err, ErrProtocol) {
			t.Errorf("%x: %v", b, err)
		}
	}
}

// exampleRevocations is one removal by the authority whose seed is 32 octets of 0x42.
func exampleRevocations() []byte {
	ca := Authority{network: exampleToken().Network, key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{0x42}, 32))}
	return ca.revoke("lost", 0x01020304, noon)
}

// TestExamplesOfTheProtocol reads the hexadecimal examples of docs/protocol/join.md, in both directions.
func TestExamplesOfTheProtocol(t *testing.T) {
	doc, err := os.ReadFile("../../docs/protocol/join.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{
		"token":       exampleToken().marshal(),
		"revocations": exampleRevocations(),
		"verdict":     verdict{revokedPeer, noon}.append(nil),
	}
	for name, bytes := range want {
		block := regexp.MustCompile("(?s)```hex " + name + "\n(.*?)```").FindSubmatch(doc)
		if block == nil {
			t.Errorf("there is no example %q; it is\n%s", name, hex.Dump(bytes))
			continue
		}
		if got := unhex(t, string(block[1])); hex.EncodeToString(got) != hex.EncodeToString(bytes) {
			t.Errorf("example %q is\n%swant\n%s", name, hex.Dump(got), hex.Dump(bytes))
		}
	}
	if !strings.Contains(string(doc), exampleToken().String()) {
		t.Errorf("the text of the token is not there: %s", exampleToken())
	}
	for _, r := range refusals {
		if !strings.Contains(string(doc), "`"+r.code+"`") {
			t.Errorf("code %s is not there", r.code)
		}
	}
}

// unhex reads hexadecimal octets; "#" begins a remark.
func unhex(t *testing.T, s string) []byte {
	t.Helper()
	digits := regexp.MustCompile(`#.*|\s`).ReplaceAllString(s, "")
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzJoinMessages(f *testing.F) {
	for _, m := range []any{
		greeting{Version: 1, Peer: "a", Time: noon, Voters: []string{"b:1"}},
		request{Version: 1, Token: "a0a1a2a3a4", Secret: make([]byte, 16), Name: "b", Key: make([]byte, 32), Proof: make([]byte, 64)},
		answer{Certificate: []byte{1}, AuthorityKey: []byte{2}},
		answer{Code: "token_used", Text: "no"},
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, m); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	ca := authority(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		var hello greeting
		var r request
		var a answer
		if readMessage(bytes.NewReader(b), &hello) == nil {
			(contact{ca.network, Peer{Cert: ca.network.Authority}}).welcomes(hello, noon)
		}
		if readMessage(bytes.NewReader(b), &r) == nil && r.valid() == nil && PeerIDOf(r.Key) == 0 {
			t.Errorf("valid: %+v", r)
		}
		if readMessage(bytes.NewReader(b), &a) == nil && a.refusal("a") == nil {
			if _, err := (&joining{name: "b"}).accept(ca.network, a); err == nil {
				t.Errorf("accepted %+v", a)
			}
		}
		if again, err := json.Marshal(r); err != nil {
			t.Errorf("%s cannot be written again: %v", again, err)
		}
	})
}

func FuzzVerdict(f *testing.F) {
	f.Add(verdictOn(nil, noon).append(nil))
	f.Add(verdictOn(ErrRevoked, noon).append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := parseVerdict(b)
		if err != nil {
			mustSay(t, err, ErrProtocol)
			return
		}
		if !bytes.Equal(v.append(nil), b) {
			t.Errorf("%x reads as %+v", b, v)
		}
		if (v.refusal(Peer{}) == nil) != (v.code == accepted) {
			t.Errorf("%x: %v", b, v.refusal(Peer{}))
		}
	})
}

// TestTheAuthoritysKeyLeavesForVotersOnly: seen on the wire, as a joining host that is no voter throws it away.
func TestTheAuthoritysKeyLeavesForVotersOnly(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	for _, roles := range []Roles{0, Gateway, Voter, Voter | Gateway} {
		t.Run(roles.String(), func(t *testing.T) {
			client, server := joinPipe(t, a.Credentials)
			go a.Admit(t.Context(), server)
			key, err := newKey()
			if err != nil {
				t.Fatal(err)
			}
			j := joining{token: inviteTo(t, a, TokenSpec{Roles: roles}), name: drawbridge.PeerName(fmt.Sprintf("p%d", roles)), key: key}
			var hello greeting
			var got answer
			r, err := j.request(client.ConnectionState())
			if err = errors.Join(err, readMessage(client, &hello), writeMessage(client, r), readMessage(client, &got)); err != nil {
				t.Fatal(err)
			}
			if got.Code != "" || (len(got.AuthorityKey) != 0) != roles.Has(Voter) {
				t.Errorf("answer has a key of %d bytes, code %q", len(got.AuthorityKey), got.Code)
			}
		})
	}
}
