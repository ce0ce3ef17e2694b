package secure

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/drawbridge-net/drawbridge"
)

// exampleToken has a known value in every field; docs/protocol/join.md prints its bytes.
func exampleToken() Token {
	t := Token{
		Roles: Voter | Gateway, Expires: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Network: Network{Name: "office"}, Addrs: []string{"192.0.2.1:7946", "[2001:db8::1]:7946"},
	}
	for i := range t.ID {
		t.ID[i] = 0xa0 + byte(i)
	}
	for i := range t.Secret {
		t.Secret[i] = 0x10 + byte(i)
	}
	for i := range t.Network.ID {
		t.Network.ID[i] = 0x50 + byte(i)
	}
	for i := range t.KeyHash {
		t.KeyHash[i] = 0xc0 + byte(i)
	}
	return t
}

func TestTokenReadsBack(t *testing.T) {
	want := exampleToken()
	got, err := ParseToken(want.String())
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || !got.Expires.Equal(want.Expires) || got.Roles != want.Roles || got.ID != want.ID {
		t.Errorf("read %+v, want %+v", got, want)
	}
	if got.Network.ID != want.Network.ID || got.Network.Name != "office" || got.KeyHash != want.KeyHash || len(got.Addrs) != 2 {
		t.Errorf("read %+v, want %+v", got, want)
	}
}

// TestTokenSurvivesCopying: mail programs wrap lines, and people read tokens out over the telephone.
func TestTokenSurvivesCopying(t *testing.T) {
	s := exampleToken().String()
	grouped := s[:9] + "-" + s[9:40] + "\r\n\t " + s[40:]
	for _, form := range []string{s, strings.ToUpper(s), " " + s + "\n", grouped, strings.Replace(s, "dbt1-", "DBT1 ", 1), strings.Replace(s, "-", "", 1)} {
		got, err := ParseToken(form)
		if err != nil || got.String() != s {
			t.Errorf("%q: %v", form, err)
		}
	}
}

func TestDamagedTokensAreRefused(t *testing.T) {
	whole := exampleToken().marshal()
	text := func(b []byte) string { return tokenPrefix + tokenText.EncodeToString(b) }
	sealed := func(change func(*Token)) string {
		tok := exampleToken()
		change(&tok)
		return tok.String()
	}
	resealed := func(change func(b []byte) []byte) string {
		b := change(bytes.Clone(whole[:len(whole)-tokenChecksum]))
		return text(append(b, checksum(b)...))
	}
	tests := map[string]struct{ token, word string }{
		"empty":              {"", "begins with"},
		"another prefix":     {"sk-abcdef", "begins with"},
		"too long":           {strings.Repeat("a", maxTokenText+1), "too many"},
		"foreign letters":    {tokenPrefix + "0189!", "not a join token"},
		"one letter changed": {text(append([]byte{tokenVersion, 1}, whole[2:]...)), "copy it again"},
		"end missing":        {text(whole[:len(whole)-9]), "copy it again"},
		"hardly anything":    {text(whole[:20]), ""},
		"later version":      {resealed(func(b []byte) []byte { b[0] = 9; return b }), "version 9"},
		"bytes at the end":   {resealed(func(b []byte) []byte { return append(b, 0) }), "after the last address"},
		"name runs over":     {resealed(func(b []byte) []byte { b[tokenFixed] = 255; return b }), "truncated"},
		"address runs over":  {resealed(func(b []byte) []byte { return b[:len(b)-1] }), "truncated"},
		"no addresses":       {sealed(func(t *Token) { t.Addrs = nil }), "0 addresses"},
		"many addresses":     {sealed(func(t *Token) { t.Addrs = make([]string, 17) }), "17 addresses"},
		"address, no port":   {sealed(func(t *Token) { t.Addrs = []string{"gw"} }), "host:port"},
		"address, port 0":    {sealed(func(t *Token) { t.Addrs = []string{"gw:0"} }), "65535"},
		"address, no host":   {sealed(func(t *Token) { t.Addrs = []string{":7946"} }), "host"},
		"network's name":     {sealed(func(t *Token) { t.Network.Name = "Office 1" }), "network"},
		"unknown role":       {sealed(func(t *Token) { t.Roles = 0x80 }), "0x80"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := ParseToken(tt.token)
			mustSay(t, err, ErrTokenForm, tt.word)
		})
	}
}

func TestEveryMistypedLetterIsNoticed(t *testing.T) {
	s := exampleToken().String()
	for i := len(tokenPrefix); i < len(s)-1; i++ { // the last letter has bits that say nothing
		other := byte('a')
		if s[i] == 'a' {
			other = 'b'
		}
		if _, err := ParseToken(s[:i] + string(other) + s[i+1:]); err == nil {
			t.Errorf("letter %d may be mistyped", i)
		}
	}
}

func TestLogsHaveNoSecrets(t *testing.T) {
	var out strings.Builder
	tok := exampleToken()
	slog.New(slog.NewTextHandler(&out, nil)).Info("created", "token", tok, "pointer", &tok)
	for _, secret := range []string{hex.EncodeToString(tok.Secret[:]), tok.String(), fmt.Sprint(tok.Secret)} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("log %q shows the secret", out.String())
		}
	}
	if !strings.Contains(out.String(), tok.ID.String()) {
		t.Errorf("log %q does not name the token", out.String())
	}
}

func TestTokenIDsReadBack(t *testing.T) {
	want := exampleToken().ID
	if got, err := ParseTokenID(want.String()); err != nil || got != want {
		t.Errorf("got %s, %v", got, err)
	}
	for _, s := range []string{"", "a0", "a0a1a2a3a4a5", "zza1a2a3a4"} {
		if _, err := ParseTokenID(s); err == nil || !strings.Contains(err.Error(), "10 hexadecimal digits") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestRolesReadBack(t *testing.T) {
	for r := Roles(0); r <= Voter|Gateway; r++ {
		if got, err := ParseRoles(r.Words()); err != nil || got != r || r.String() != strings.Join(r.Words(), ",") {
			t.Errorf("%s reads back as %s, %v", r, got, err)
		}
	}
	if r, err := ParseRoles([]string{"gateway", "voter"}); err != nil || r != Voter|Gateway {
		t.Errorf("order matters: %s, %v", r, err)
	}
	if _, err := ParseRoles([]string{"king"}); err == nil || !strings.Contains(err.Error(), `"king"`) {
		t.Errorf("unknown role: %v", err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(exampleToken().String())
	f.Add(Token{Network: Network{Name: "n", ID: drawbridge.NetworkID{1}}, Addrs: []string{"a:1"}}.String())
	f.Add(tokenPrefix)
	f.Add("DBT1 aaaa")
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			mustSay(t, err, ErrTokenForm)
			return
		}
		again, err := ParseToken(tok.String())
		if err != nil || !bytes.Equal(again.marshal(), tok.marshal()) {
			t.Errorf("%q reads as %+v, which does not read back: %v", s, tok, err)
		}
	})
}

// FuzzTokenBytes comes past the checksum, which FuzzParseToken will not guess.
func FuzzTokenBytes(f *testing.F) {
	whole := exampleToken().marshal()
	f.Add(whole[:len(whole)-tokenChecksum])
	f.Add(whole[:tokenFixed])
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed := append(bytes.Clone(b), checksum(b)...)
		tok, err := parseToken(sealed)
		if err != nil {
			mustSay(t, err, ErrTokenForm)
			return
		}
		if !bytes.Equal(tok.marshal(), sealed) {
			t.Errorf("%x reads as %+v", b, tok)
		}
	})
}
