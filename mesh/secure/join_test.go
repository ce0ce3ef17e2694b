package secure

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// town is the addresses that answer: who stands behind each of them.
type town map[string]*Admission

// dial connects to the admission at addr over a pipe, through Accept as in the product.
func (w town) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	a, ok := w[addr]
	if !ok {
		return nil, fmt.Errorf("dial %s: connection refused", addr)
	}
	near, far := net.Pipe()
	go serveJoin(context.WithoutCancel(ctx), a, far)
	return near, nil
}

func serveJoin(ctx context.Context, a *Admission, raw net.Conn) (Peer, error) {
	conn, _, err := a.Credentials.Accept(ctx, raw, nil)
	if err != nil {
		return Peer{}, err
	}
	return a.Admit(ctx, conn)
}

// voterAt opens the door of c, which must hold the authority's key.
func voterAt(t testing.TB, c *Credentials) *Admission {
	t.Helper()
	return &Admission{Credentials: c, Tokens: openTokens(t, c)}
}

func (w town) join(t testing.TB, tok Token, name drawbridge.PeerName, dir string) (*Credentials, error) {
	t.Helper()
	c, err := Join(t.Context(), tok, name, dir, JoinOptions{Dial: w.dial})
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

func mustJoin(t testing.TB, w town, tok Token, name drawbridge.PeerName) *Credentials {
	t.Helper()
	c, err := w.join(t, tok, name, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func inviteTo(t testing.TB, a *Admission, spec TokenSpec) Token {
	t.Helper()
	return newToken(t, a.Tokens, spec, time.Now())
}

func TestJoinOverLoopback(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	admitted := make(chan Peer, 1)
	go func() {
		raw, err := port.Accept()
		if err == nil {
			p, _ := serveJoin(t.Context(), a, raw)
			admitted <- p
		}
	}()
	tok := inviteTo(t, a, TokenSpec{Addrs: []string{port.Addr().String()}, Roles: Gateway})
	parsed, err := ParseToken(tok.String()) // as it arrives
	if err != nil {
		t.Fatal(err)
	}
	b, err := Join(t.Context(), parsed, "b", t.TempDir(), JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if p := <-admitted; p.Name != "b" || p.ID != b.ID() || p.Roles != Gateway {
		t.Errorf("the door admitted %+v", p)
	}
	if b.CA != nil || b.Self().Roles != Gateway || b.Network.ID != a.Credentials.Network.ID {
		t.Errorf("joined as %+v of %s", b.Self(), b.Network)
	}
	if client, server := shakeHands(t, b.Connect, a.Credentials.Accept); client.err != nil || server.peer.Name != "b" {
		t.Errorf("then: %v, %v", client.err, server.err)
	}
}

// TestVoterGetsTheAuthority: a voter that joined can do all that the founder can, also after a restart.
func TestVoterGetsTheAuthority(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	w := town{"a:7946": a}
	b := mustJoin(t, w, inviteTo(t, a, TokenSpec{Roles: Voter}), "b")
	b.Close()
	b, err := Open(b.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.CA == nil || !b.CA.key.Equal(a.Credentials.CA.key) {
		t.Fatal("no authority's key")
	}
	w["b:7946"] = voterAt(t, b)
	c := mustJoin(t, w, inviteTo(t, w["b:7946"], TokenSpec{Addrs: []string{"b:7946"}}), "c")
	if client, server := shakeHands(t, c.Connect, a.Credentials.Accept); client.err != nil || server.err != nil {
		t.Errorf("the founder does not know who b admitted: %v, %v", client.err, server.err)
	}
	if c.CA != nil {
		t.Error("a plain peer has the authority's key")
	}
	if _, err := os.Stat(filepath.Join(c.Dir(), authorityFile)); !missing(err) {
		t.Errorf("a plain peer has the authority's key on disk: %v", err)
	}
}

// TestContactNamesTheVoters: a token may name any peer; one that cannot admit sends us on.
func TestContactNamesTheVoters(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	b := &Admission{Credentials: member(t, a.Credentials, "b", Gateway, time.Now()), Voters: func() []string { return []string{"gone:1", "a:1"} }}
	w := town{"a:1": a, "b:1": b}
	var heard []string
	opts := JoinOptions{Dial: w.dial, Progress: func(addr string, err error) { heard = append(heard, fmt.Sprintf("%s failed=%v", addr, err != nil)) }}
	c, err := Join(t.Context(), inviteTo(t, a, TokenSpec{Addrs: []string{"b:1"}}), "c", t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := "b:1 failed=false; b:1 failed=true; gone:1 failed=false; gone:1 failed=true; a:1 failed=false"
	if got := strings.Join(heard, "; "); got != want {
		t.Errorf("progress was %s, want %s", got, want)
	}
}

func TestContactThatKnowsNoVoter(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	b := &Admission{Credentials: member(t, a.Credentials, "b", 0, time.Now())}
	w := town{"b:1": b}
	tok := inviteTo(t, a, TokenSpec{Addrs: []string{"b:1"}})
	_, err := w.join(t, tok, "c", t.TempDir())
	mustSay(t, err, ErrNotVoter, "peer b is not a voter", "use the address of a voter")
	var not *NotVoterError
	if !errors.As(err, &not) || not.Contact != "b" || errors.Is(err, ErrUnreachable) {
		t.Errorf("error is %v", err)
	}
	b.Voters = func() []string { return []string{"far:9"} }
	_, err = w.join(t, tok, "c", t.TempDir())
	mustSay(t, err, ErrNotVoter, "far:9")
}

// TestContactsThatNameEachOther: peers that send us round in circles, or to ever new addresses, are bounded.
func TestContactsThatNameEachOther(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	b := &Admission{Credentials: member(t, a.Credentials, "b", 0, time.Now())}
	calls := 0
	b.Voters = func() (addrs []string) {
		for i := range 3 * maxTokenAddrs {
			addrs = append(addrs, fmt.Sprintf("b:%d", 1+calls*100+i))
		}
		return append(addrs, "not an address")
	}
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		calls++
		return town{"b:1": b}.dial(ctx, network, "b:1")
	}
	_, err := Join(t.Context(), inviteTo(t, a, TokenSpec{Addrs: []string{"b:1"}}), "c", t.TempDir(), JoinOptions{Dial: dial})
	mustSay(t, err, ErrNotVoter)
	if calls != maxContacts {
		t.Errorf("%d calls, want %d", calls, maxContacts)
	}
}

func TestNobodyAnswers(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	_, err := town{}.join(t, inviteTo(t, a, TokenSpec{Addrs: []string{"x:1", "y:2"}}), "b", t.TempDir())
	mustSay(t, err, ErrUnreachable, "x:1", "y:2", `"office"`)
}

// TestSecondAddressServes when the first is a voter that does not know the token.
func TestSecondAddressServes(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	w := town{"a:1": a}
	w["b:1"] = voterAt(t, mustJoin(t, w, inviteTo(t, a, TokenSpec{Roles: Voter, Addrs: []string{"a:1"}}), "b"))
	tok := inviteTo(t, a, TokenSpec{Addrs: []string{"b:1", "a:1"}})
	mustJoin(t, w, tok, "c")
	delete(w, "a:1")
	_, err := w.join(t, tok, "d", t.TempDir())
	mustSay(t, err, ErrTokenGone, "peer b refused")
}

func TestRefusalsReachTheJoiningHost(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	a.Peers = func() map[drawbridge.PeerName]drawbridge.PeerID {
		return map[drawbridge.PeerName]drawbridge.PeerID{"known": 7}
	}
	w := town{"a:7946": a}
	used := inviteTo(t, a, TokenSpec{})
	mustJoin(t, w, used, "first")
	gone := inviteTo(t, a, TokenSpec{})
	if err := a.Tokens.Revoke(gone.ID); err != nil {
		t.Fatal(err)
	}
	over := newToken(t, a.Tokens, TokenSpec{}, time.Now().Add(-2*time.Hour))
	good := inviteTo(t, a, TokenSpec{Uses: 9})
	guessed := good
	guessed.Secret[0] ^= 1
	for name, tt := range map[string]struct {
		token Token
		peer  drawbridge.PeerName
		want  error
	}{
		"used":                      {used, "b", ErrTokenUsed},
		"revoked":                   {gone, "b", ErrTokenGone},
		"expired":                   {over, "b", ErrTokenOver},
		"guessed":                   {guessed, "b", ErrTokenGone},
		"name of who joined":        {good, "first", ErrNameTaken},
		"name of the contact":       {good, "a", ErrNameTaken},
		"name that the mesh knows":  {good, "known", ErrNameTaken},
		"no name at all":            {good, "B!", drawbridge.ErrName},
		"token that nobody created": {Token{Network: good.Network, KeyHash: good.KeyHash, Addrs: good.Addrs}, "b", ErrTokenGone},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			_, err := w.join(t, tt.token, tt.peer, dir)
			mustSay(t, err, tt.want)
			if _, err := Open(dir); !errors.Is(err, ErrUnfinished) && !errors.Is(err, ErrNoIdentity) {
				t.Errorf("then the directory opens with %v", err)
			}
		})
	}
	if len(a.Tokens.Issued()) != 1 {
		t.Errorf("refusals signed: %+v", a.Tokens.Issued())
	}
}

func TestJoinWantsAWholeToken(t *testing.T) {
	dir := t.TempDir()
	_, err := town{}.join(t, Token{}, "b", dir)
	mustSay(t, err, ErrTokenForm)
}

// TestTokenOfAnotherNetwork: the address belongs to another network by now; both are named, and the secret
// is not told.
func TestTokenOfAnotherNetwork(t *testing.T) {
	office, plant := voterAt(t, found(t, "office", "a")), voterAt(t, found(t, "plant", "a"))
	_, err := town{"a:7946": plant}.join(t, inviteTo(t, office, TokenSpec{}), "b", t.TempDir())
	mustMix(t, err, office.Credentials.Network, plant.Credentials.Network)
	if errors.Is(err, ErrUnreachable) {
		t.Errorf("%v: but somebody answered", err)
	}
}

// TestTwinOfTheNetwork has the right name and id, but not the key that the token pins.
func TestTwinOfTheNetwork(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	tok := inviteTo(t, a, TokenSpec{})
	tok.KeyHash[0] ^= 1
	_, err := town{"a:7946": a}.join(t, tok, "b", t.TempDir())
	mustSay(t, err, ErrForged, tok.ID.String(), `"office"`)
}

func TestSomethingElseAnswers(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		go func() { far.Write([]byte("SSH-2.0-OpenSSH_10.0\r\n")); far.Close() }()
		return near, nil
	}
	_, err := Join(t.Context(), inviteTo(t, a, TokenSpec{}), "b", t.TempDir(), JoinOptions{Dial: dial})
	mustSay(t, err, ErrUnreachable, "TLS handshake")
}

// TestInterruptedJoinIsRepeated for each moment at which the joining host may lose power, and the one at
// which only the answer is lost. It costs one use in all.
func TestInterruptedJoinIsRepeated(t *testing.T) {
	for _, lost := range [][]string{
		{certFile}, {certFile, authorityFile}, {certFile, authorityFile, networkFile}, // written in the opposite order
	} {
		for _, roles := range []Roles{0, Voter} {
			t.Run(fmt.Sprint(roles, " before ", lost), func(t *testing.T) {
				a := voterAt(t, found(t, "office", "a"))
				w := town{"a:7946": a}
				tok := inviteTo(t, a, TokenSpec{Roles: roles})
				b := mustJoin(t, w, tok, "b")
				b.Close()
				for _, file := range lost {
					if err := os.Remove(filepath.Join(b.Dir(), file)); err != nil && !missing(err) {
						t.Fatal(err)
					}
				}
				_, err := Open(b.Dir())
				mustSay(t, err, ErrUnfinished, "drawbridge join")
				again, err := w.join(t, tok, "b", b.Dir())
				if err != nil {
					t.Fatal(err)
				}
				if again.ID() != b.ID() || again.Self().Roles != roles || (again.CA != nil) != roles.Has(Voter) {
					t.Errorf("came back as %+v", again.Self())
				}
				if len(a.Tokens.Issued()) != 1 || a.Tokens.List()[0].Left != 0 {
					t.Errorf("it cost %+v", a.Tokens.List())
				}
			})
		}
	}
}

// TestAnswerIsLost: the door has signed, but the line breaks before the answer arrives.
func TestAnswerIsLost(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	w := town{"a:7946": a}
	tok := inviteTo(t, a, TokenSpec{})
	dir := t.TempDir()
	var line net.Conn
	a.Peers = func() map[drawbridge.PeerName]drawbridge.PeerID { line.Close(); return nil } // asked before signing
	breaks := func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		line, err = w.dial(ctx, network, addr)
		return line, err
	}
	if _, err := Join(t.Context(), tok, "b", dir, JoinOptions{Dial: breaks}); err == nil {
		t.Fatal("joined without an answer")
	}
	if left := a.Tokens.List()[0].Left; left != 0 {
		t.Fatalf("%d uses are left: nothing was signed", left)
	}
	if c, err := w.join(t, tok, "b", dir); err != nil || c.Name != "b" {
		t.Errorf("repeated: %v", err)
	}
}

func TestJoinRefusesADirectoryInUse(t *testing.T) {
	a, plant := voterAt(t, found(t, "office", "a")), found(t, "plant", "p")
	w := town{"a:7946": a}
	plant.Close()
	_, err := w.join(t, inviteTo(t, a, TokenSpec{}), "b", plant.Dir())
	mustSay(t, err, ErrHasIdentity, "peer p", `"plant"`, plant.Dir())

	if err := os.Remove(filepath.Join(plant.Dir(), certFile)); err != nil { // half of a voter of plant
		t.Fatal(err)
	}
	_, err = w.join(t, inviteTo(t, a, TokenSpec{}), "b", plant.Dir())
	mustSay(t, err, ErrHasIdentity)
}

// TestAnotherKeyIsDrawnWhenTheIDIsTaken: ids have 32 bits, so this happens in large networks.
func TestAnotherKeyIsDrawnWhenTheIDIsTaken(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	w := town{"a:7946": a}
	dir := t.TempDir()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, keyFile), encodeKey(key), 0o600); err != nil {
		t.Fatal(err)
	}
	taken := PeerIDOf(key.Public().(ed25519.PublicKey))
	a.Peers = func() map[drawbridge.PeerName]drawbridge.PeerID {
		return map[drawbridge.PeerName]drawbridge.PeerID{"other": taken}
	}
	b, err := w.join(t, inviteTo(t, a, TokenSpec{}), "b", dir)
	if err != nil {
		t.Fatal(err)
	}
	if b.ID() == taken {
		t.Error("two peers have one id")
	}
}

// TestRemovedPeerJoinsAnew: not with its key, but a new one may take its name.
func TestRemovedPeerJoinsAnew(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	w := town{"a:7946": a}
	tok := inviteTo(t, a, TokenSpec{Uses: 3})
	b := mustJoin(t, w, tok, "b")
	a.Peers = func() map[drawbridge.PeerName]drawbridge.PeerID {
		return map[drawbridge.PeerName]drawbridge.PeerID{"b": b.ID()} // the mesh has not forgotten it yet
	}
	if err := a.Credentials.Revoke("b", b.ID(), time.Now()); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := os.Remove(filepath.Join(b.Dir(), certFile)); err != nil {
		t.Fatal(err)
	}
	_, err := w.join(t, tok, "b", b.Dir())
	mustSay(t, err, ErrRevoked, "new key")
	if next := mustJoin(t, w, tok, "b"); next.ID() == b.ID() {
		t.Error("the old key came back")
	}
}

// TestManyJoinAtOnce over one door, as `drawbridge lab` does.
func TestManyJoinAtOnce(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	w := town{"a:7946": a}
	tok := inviteTo(t, a, TokenSpec{Uses: 8})
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		dir := t.TempDir()
		wg.Go(func() { _, errs[i] = w.join(t, tok, drawbridge.PeerName(fmt.Sprintf("p%d", i)), dir) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil || len(a.Tokens.Issued()) != 8 {
		t.Errorf("%d joined: %v", len(a.Tokens.Issued()), err)
	}
}

// TestJoiningCanBeCancelled while the contact is silent.
func TestJoiningCanBeCancelled(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	tok := inviteTo(t, a, TokenSpec{Addrs: []string{"x:1", "y:1"}})
	ctx, cancel := context.WithCancel(t.Context())
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, _ := net.Pipe()
		cancel()
		return near, nil
	}
	dir := t.TempDir()
	_, err := Join(ctx, tok, "b", dir, JoinOptions{Dial: dial})
	mustSay(t, err, context.Canceled)
	if strings.Contains(err.Error(), "y:1") {
		t.Errorf("went on after the end: %v", err)
	}
}

func TestSilentContactIsGivenUp(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	tok := inviteTo(t, a, TokenSpec{})
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		dial := func(context.Context, string, string) (net.Conn, error) { near, _ := net.Pipe(); return near, nil }
		start := time.Now()
		_, err := Join(t.Context(), tok, "b", dir, JoinOptions{Dial: dial})
		mustSay(t, err, ErrUnreachable)
		if took := time.Since(start); took > callLimit {
			t.Errorf("took %s", took)
		}
	})
}

// TestTheDoorGivesUpSilentStrangers within ten seconds, wherever they fall silent.
func TestTheDoorGivesUpSilentStrangers(t *testing.T) {
	a := voterAt(t, found(t, "office", "a"))
	plain := &Admission{Credentials: member(t, a.Credentials, "b", 0, time.Now())}
	for name, silent := range map[string]func(*tls.Conn){
		"after the handshake": func(*tls.Conn) {},
		"after the greeting": func(c *tls.Conn) {
			var hello greeting
			readMessage(c, &hello)
		},
		"late": func(c *tls.Conn) {
			<-time.After(joinLimit - time.Second)
			var hello greeting
			readMessage(c, &hello)
		},
		"in the request": func(c *tls.Conn) {
			var hello greeting
			readMessage(c, &hello)
			c.Write([]byte{0, 0, 1, 0, '{'})
		},
		"instead of reading the refusal": func(c *tls.Conn) {
			var hello greeting
			readMessage(c, &hello)
			writeMessage(c, request{Version: 9})
		},
	} {
		for _, door := range []*Admission{a, plain} {
			t.Run(name+" at "+string(door.Credentials.Name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { atTheDoor(t, door, silent) })
			})
		}
	}
}

func atTheDoor(t *testing.T, door *Admission, stranger func(*tls.Conn)) {
	near, far := net.Pipe()
	defer near.Close()
	config := base(JoinProtocol)
	config.InsecureSkipVerify = true
	go func() {
		conn := tls.Client(near, config)
		if conn.HandshakeContext(t.Context()) == nil {
			stranger(conn)
		}
	}()
	conn := tls.Server(far, door.Credentials.ServerTLS(nil))
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if p, err := door.Admit(t.Context(), conn); err == nil {
		t.Errorf("admitted %+v", p)
	}
	if took := time.Since(start); took > joinLimit {
		t.Errorf("took %s", took)
	}
	if _, err := far.Write([]byte{0}); err == nil {
		t.Error("the connection is open")
	}
}
