package secure

import (
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// noon is when the tests of the ledger happen, whatever the clock says.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openTokens(t testing.TB, c *Credentials) *Tokens {
	t.Helper()
	tokens, err := OpenTokens(c)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func newToken(t testing.TB, tokens *Tokens, spec TokenSpec, now time.Time) Token {
	t.Helper()
	if spec.Addrs == nil {
		spec.Addrs = []string{"a:7946"}
	}
	tok, err := tokens.Create(spec, now)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// claimOf is a claim of a peer with a new key.
func claimOf(t testing.TB, tok Token, name drawbridge.PeerName) claim {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return claim{tok.ID, tok.Secret[:], name, key.Public().(ed25519.PublicKey)}
}

func anyName() error { return nil }

func TestCreatedTokenSaysWhereToGo(t *testing.T) {
	a := found(t, "office", "a")
	tok := newToken(t, openTokens(t, a), TokenSpec{Addrs: []string{"a:1", "b:2"}, Roles: Gateway}, noon)
	if tok.Network.ID != a.Network.ID || tok.Network.Name != "office" || tok.KeyHash != a.Network.KeyHash() {
		t.Errorf("token is for %s", tok.Network)
	}
	if !tok.Expires.Equal(noon.Add(DefaultTokenLife)) || tok.Roles != Gateway || strings.Join(tok.Addrs, " ") != "a:1 b:2" {
		t.Errorf("token is %+v", tok)
	}
	if other := newToken(t, openTokens(t, a), TokenSpec{}, noon); other.ID == tok.ID || other.Secret == tok.Secret {
		t.Error("two tokens are alike")
	}
}

func TestTokenLimits(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	addrs := []string{"a:1"}
	for name, spec := range map[string]TokenSpec{
		"lives backwards": {Addrs: addrs, Life: -1},
		"lives too long":  {Addrs: addrs, Life: MaxTokenLife + 1},
		"fewer than none": {Addrs: addrs, Uses: -1},
		"too many uses":   {Addrs: addrs, Uses: MaxTokenUses + 1},
		"nowhere":         {},
		"not an address":  {Addrs: []string{"a"}},
		"unknown role":    {Addrs: addrs, Roles: 0x40},
	} {
		if _, err := tokens.Create(spec, noon); err == nil {
			t.Errorf("%s: created", name)
		}
	}
	if _, err := tokens.Create(TokenSpec{Addrs: addrs, Life: MaxTokenLife, Uses: MaxTokenUses}, noon); err != nil {
		t.Error(err)
	}
	if n := len(tokens.List()); n != 1 {
		t.Errorf("%d tokens are kept, want the good one", n)
	}
}

func TestOnlyAVoterHasTokens(t *testing.T) {
	b := member(t, found(t, "office", "a"), "b", Gateway, time.Now())
	_, err := OpenTokens(b)
	mustSay(t, err, ErrNoAuthority)
}

func TestTokenIsUsedUp(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	tok := newToken(t, tokens, TokenSpec{Uses: 2, Roles: Voter, CreatedBy: "ann"}, noon)
	for i, name := range []drawbridge.PeerName{"b", "c"} {
		if roles, err := tokens.redeem(claimOf(t, tok, name), noon, anyName); err != nil || roles != Voter {
			t.Fatalf("use %d: %s, %v", i+1, roles, err)
		}
	}
	_, err := tokens.redeem(claimOf(t, tok, "d"), noon, anyName)
	mustSay(t, err, ErrTokenUsed, tok.ID.String(), "made for 2", "create another")

	info := tokens.List()[0]
	if info.Left != 0 || info.Uses != 2 || info.CreatedBy != "ann" || !info.Created.Equal(noon) || info.Revoked {
		t.Errorf("list says %+v", info)
	}
	issued := tokens.Issued()
	if len(issued) != 2 || issued[0].Name != "b" || issued[1].Name != "c" || issued[0].Token != tok.ID || issued[0].Roles != Voter || !issued[0].At.Equal(noon) {
		t.Errorf("issued are %+v", issued)
	}
}

// TestTheSameClaimIsGrantedAgain: its first answer was lost on the way, so it must not cost a second use.
func TestTheSameClaimIsGrantedAgain(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	tok := newToken(t, tokens, TokenSpec{}, noon)
	c := claimOf(t, tok, "b")
	for range 3 {
		if _, err := tokens.redeem(c, noon, anyName); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(tokens.Issued()); n != 1 {
		t.Errorf("%d are on the list", n)
	}
	other := c
	other.name = "c"
	_, err := tokens.redeem(other, noon, anyName)
	mustSay(t, err, ErrTokenUsed)
}

func TestTokenExpires(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	tok := newToken(t, tokens, TokenSpec{Life: time.Minute, Uses: 2}, noon)
	if _, err := tokens.redeem(claimOf(t, tok, "b"), noon.Add(time.Minute), anyName); err != nil {
		t.Fatal(err)
	}
	_, err := tokens.redeem(claimOf(t, tok, "c"), noon.Add(time.Minute+1), anyName)
	mustSay(t, err, ErrTokenOver, "2026-03-01T12:01:00Z", "create another")
}

// TestLateComersHearExpired: for a month after its end a token is still known, then it makes room.
func TestLateComersHearExpired(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	tok := newToken(t, tokens, TokenSpec{}, noon)
	newToken(t, tokens, TokenSpec{}, noon.Add(deadTokens))
	_, err := tokens.redeem(claimOf(t, tok, "b"), noon.Add(deadTokens), anyName)
	mustSay(t, err, ErrTokenOver)

	newToken(t, tokens, TokenSpec{}, noon.Add(deadTokens+2*time.Hour))
	if n := len(tokens.List()); n != 2 {
		t.Errorf("%d tokens are kept", n)
	}
	_, err = tokens.redeem(claimOf(t, tok, "b"), noon, anyName)
	mustSay(t, err, ErrTokenGone)
}

func TestTooManyTokens(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	newToken(t, tokens, TokenSpec{}, noon)
	for len(tokens.ledger.Tokens) < maxTokens {
		tokens.ledger.Tokens = append(tokens.ledger.Tokens, tokens.ledger.Tokens[0])
	}
	if _, err := tokens.Create(TokenSpec{Addrs: []string{"a:1"}}, noon); err == nil || !strings.Contains(err.Error(), "revoke some") {
		t.Errorf("error is %v", err)
	}
}

func TestRevokedTokensAndWrongSecretsLookAlike(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	tok := newToken(t, tokens, TokenSpec{Uses: 5}, noon)
	joined := claimOf(t, tok, "b")
	if _, err := tokens.redeem(joined, noon, anyName); err != nil {
		t.Fatal(err)
	}
	guess := claimOf(t, tok, "c")
	guess.secret = make([]byte, 16)
	_, wrong := tokens.redeem(guess, noon, anyName)
	mustSay(t, wrong, ErrTokenGone, tok.ID.String())

	if err := tokens.Revoke(tok.ID); err != nil {
		t.Fatal(err)
	}
	_, err := tokens.redeem(claimOf(t, tok, "c"), noon, anyName)
	mustSay(t, err, ErrTokenGone)
	if err.Error() != wrong.Error() {
		t.Errorf("%q tells a stranger more than %q", err, wrong)
	}
	if info := tokens.List()[0]; !info.Revoked || info.Left != 4 || len(tokens.Issued()) != 1 {
		t.Errorf("list says %+v", info)
	}
	mustSay(t, tokens.Revoke(TokenID{1}), ErrTokenGone, "0100000000")
}

func TestTokenOfAnotherVoterIsUnknown(t *testing.T) {
	tok := newToken(t, openTokens(t, found(t, "office", "a")), TokenSpec{}, noon)
	_, err := openTokens(t, found(t, "office", "z")).redeem(claimOf(t, tok, "b"), noon, anyName)
	mustSay(t, err, ErrTokenGone)
}

func TestNamesAndKeysAreGivenOnce(t *testing.T) {
	a := found(t, "office", "a")
	tokens := openTokens(t, a)
	tok := newToken(t, tokens, TokenSpec{Uses: 9}, noon)
	first := claimOf(t, tok, "b")
	if _, err := tokens.redeem(first, noon, anyName); err != nil {
		t.Fatal(err)
	}
	thief := claimOf(t, tok, "b")
	_, err := tokens.redeem(thief, noon, anyName)
	mustSay(t, err, ErrNameTaken, "peer b", PeerIDOf(first.key).String(), "choose another name")

	renamed := first
	renamed.name = "c"
	_, err = tokens.redeem(renamed, noon, anyName)
	mustSay(t, err, errIDTaken)

	_, err = tokens.redeem(claimOf(t, tok, "d"), noon, func() error { return ErrNameTaken })
	mustSay(t, err, ErrNameTaken) // the rest of the network knows more than this ledger
	if left := tokens.List()[0].Left; left != 8 {
		t.Errorf("refusals cost uses: %d left", left)
	}

	if err := a.Revoke("b", PeerIDOf(first.key), noon); err != nil {
		t.Fatal(err)
	}
	_, err = tokens.redeem(first, noon, anyName)
	mustSay(t, err, ErrRevoked, "new key")
	if _, err := tokens.redeem(thief, noon, anyName); err != nil {
		t.Errorf("the name of a removed peer is not free: %v", err)
	}
}

func TestLedgerIsOnDiskBeforeTheAnswer(t *testing.T) {
	a := found(t, "office", "a")
	tokens := openTokens(t, a)
	one, gone := newToken(t, tokens, TokenSpec{}, noon), newToken(t, tokens, TokenSpec{}, noon)
	if _, err := tokens.redeem(claimOf(t, one, "b"), noon, anyName); err != nil {
		t.Fatal(err)
	}
	if err := tokens.Revoke(gone.ID); err != nil {
		t.Fatal(err)
	}
	after := openTokens(t, a) // as after a crash
	_, err := after.redeem(claimOf(t, one, "c"), noon, anyName)
	mustSay(t, err, ErrTokenUsed)
	_, err = after.redeem(claimOf(t, gone, "c"), noon, anyName)
	mustSay(t, err, ErrTokenGone)
	if len(after.Issued()) != 1 || len(after.List()) != 2 {
		t.Errorf("read back %+v, %+v", after.List(), after.Issued())
	}
}

func TestNothingIsGrantedThatCannotBeKept(t *testing.T) {
	a := found(t, "office", "a")
	tokens := openTokens(t, a)
	tok := newToken(t, tokens, TokenSpec{}, noon)
	blockWrites(t, a.dir)
	_, err := tokens.redeem(claimOf(t, tok, "b"), noon, anyName)
	if err == nil || tokens.List()[0].Left != 1 || len(tokens.Issued()) != 0 {
		t.Errorf("granted: %v", err)
	}
	if _, err := tokens.Create(TokenSpec{Addrs: []string{"a:1"}}, noon); err == nil || len(tokens.List()) != 1 {
		t.Errorf("created: %v", err)
	}
}

// blockWrites makes every write to d fail, also for root, whom permissions do not stop.
func blockWrites(t testing.TB, d *stateDir) {
	t.Helper()
	path := d.path
	d.path = filepath.Join(path, "absent")
	t.Cleanup(func() { d.path = path })
}

func TestSecretsAreNotInTheLedger(t *testing.T) {
	a := found(t, "office", "a")
	tok := newToken(t, openTokens(t, a), TokenSpec{}, noon)
	b, err := os.ReadFile(filepath.Join(a.Dir(), tokensFile))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), hex.EncodeToString(tok.Secret[:])) || strings.Contains(string(b), tok.String()) {
		t.Error("the secret is on disk")
	}
	if !strings.Contains(string(b), tok.ID.String()) {
		t.Errorf("the ledger does not name the token: %s", b)
	}
}

func TestOneUseAdmitsOneOfMany(t *testing.T) {
	tokens := openTokens(t, found(t, "office", "a"))
	tok := newToken(t, tokens, TokenSpec{}, noon)
	var wg sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		c := claimOf(t, tok, drawbridge.PeerName(string(rune('b'+i))))
		wg.Go(func() { _, results[i] = tokens.redeem(c, noon, anyName) })
	}
	wg.Wait()
	admitted := 0
	for _, err := range results {
		if err == nil {
			admitted++
		} else {
			mustSay(t, err, ErrTokenUsed)
		}
	}
	if admitted != 1 {
		t.Errorf("%d were admitted", admitted)
	}
}

func TestDamagedLedger(t *testing.T) {
	good := `{"id":"a0a1a2a3a4","secret_sha256":"` + strings.Repeat("00", 32) + `","roles":["peer"],"left":1}`
	for name, content := range map[string]string{
		"not JSON":       "half a fi",
		"unknown field":  `{"version":1,"toys":[]}`,
		"two of them":    `{"version":1}{"version":1}`,
		"later version":  `{"version":2}`,
		"bad token id":   `{"version":1,"tokens":[` + strings.Replace(good, "a0a1", "", 1) + `]}`,
		"bad hash":       `{"version":1,"tokens":[` + strings.Replace(good, "0000", "", 1) + `]}`,
		"unknown role":   `{"version":1,"tokens":[` + strings.Replace(good, "peer", "king", 1) + `]}`,
		"negative uses":  `{"version":1,"tokens":[` + strings.Replace(good, ":1}", ":-1}", 1) + `]}`,
		"issued, no key": `{"version":1,"issued":[{"name":"b"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := found(t, "office", "a")
			if err := a.dir.write(tokensFile, []byte(content)); err != nil {
				t.Fatal(err)
			}
			_, err := OpenTokens(a)
			mustSay(t, err, ErrState, tokensFile, "remove the file")
		})
	}
}

func FuzzLedger(f *testing.F) {
	a, err := Found(f.TempDir(), "office", "a", noon)
	if err != nil {
		f.Fatal(err)
	}
	defer a.Close()
	tokens := openTokens(f, a)
	tok := newToken(f, tokens, TokenSpec{Roles: Voter}, noon)
	if _, err := tokens.redeem(claimOf(f, tok, "b"), noon, anyName); err != nil {
		f.Fatal(err)
	}
	b, err := a.dir.read(tokensFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseLedger(b)
		if err != nil {
			return
		}
		tokens := &Tokens{ledger: l} // none of these may panic
		tokens.List()
		tokens.Issued()
	})
}
