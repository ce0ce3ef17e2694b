package access

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testHash = hash{8, 1, 1, make([]byte, 16), make([]byte, 32)}.String()

var day = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// step is one random change of a directory.
func step(t *rapid.T, d Directory) (Directory, error) {
	names := []string{"ann", "bob", "cy", "Bad Name", ""}
	name := rapid.SampledFrom(names).Draw(t, "name")
	role := rapid.SampledFrom([]Role{Viewer, Operator, Admin, "king"}).Draw(t, "role")
	id := rapid.SampledFrom([]string{"0000000001", "0000000002", "xyz"}).Draw(t, "id")
	switch rapid.IntRange(0, 10).Draw(t, "what") {
	case 0, 1:
		return d.AddUser(name, role, testHash, day)
	case 2:
		return d.SetRole(name, role)
	case 3:
		return d.SetDisabled(name, rapid.Bool().Draw(t, "disabled"))
	case 4:
		return d.SetPassword(name, rapid.SampledFrom([]string{testHash, "x"}).Draw(t, "hash"), day)
	case 5:
		return d.SetTOTP(name, rapid.SampledFrom([][]byte{nil, make([]byte, totpBytes), {1}}).Draw(t, "secret"), []string{"r1", "r2"})
	case 6:
		return d.UseRecovery(name, "r1")
	case 7:
		return d.RemoveUser(name)
	case 8:
		owner := rapid.SampledFrom(names).Draw(t, "owner")
		return d.AddToken(Token{ID: id, Digest: make([]byte, sha256.Size), Owner: owner, Role: role, Created: day, Expires: day.Add(time.Hour)})
	case 9:
		return d.RevokeToken(id)
	default:
		next, _ := d.TouchToken(id, day.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "hours"))*time.Hour))
		return next, nil
	}
}

// Whatever happens in whatever order: a directory stays valid, somebody can administrate it, a refused change
// changes nothing, an accepted one leaves the value that it began from alone, and versions count changes.
func TestDirectoryStaysValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Directory
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			before, _ := json.Marshal(d)
			next, err := step(t, d)
			after, _ := json.Marshal(d)
			if string(before) != string(after) {
				t.Fatalf("the old value changed:\n%s\n%s", before, after)
			}
			if err != nil && !reflect.DeepEqual(d, next) {
				t.Fatalf("refused (%v), and changed", err)
			}
			if next.Version > d.Version+1 || next.Version < d.Version {
				t.Fatalf("version %d follows %d", next.Version, d.Version)
			}
			if err := next.Check(); err != nil {
				t.Fatal(err)
			}
			if !d.Empty() && next.admins() == 0 {
				t.Fatal("nobody can administrate")
			}
			checkGenerations(t, d, next)
			d = next
		}
	})
}

// checkGenerations demands that sessions end with what their log in rested on.
func checkGenerations(t *rapid.T, d, next Directory) {
	for _, u := range next.Users {
		old, ok := d.User(u.Name)
		rests := old.Hash != u.Hash || string(old.TOTP) != string(u.TOTP) || u.Disabled && !old.Disabled
		if ok && rests && u.Generation == old.Generation {
			t.Fatalf("sessions of %s outlive the change", u.Name)
		}
	}
}

func TestRemovingAUserRemovesTheirTokens(t *testing.T) {
	d := directory(t, "ann", "bob")
	d, err := d.AddToken(Token{ID: "0000000001", Digest: make([]byte, 32), Owner: "bob", Role: Viewer, Created: day, Expires: day.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if d, err = d.RemoveUser("bob"); err != nil || len(d.Tokens) != 0 {
		t.Errorf("%v %v", d.Tokens, err)
	}
	if _, err = d.RemoveUser("ann"); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "last admin") {
		t.Errorf("the last admin went: %v", err)
	}
}

// directory has an admin with each name.
func directory(t testing.TB, names ...string) (d Directory) {
	t.Helper()
	for _, n := range names {
		var err error
		if d, err = d.AddUser(n, Admin, testHash, day); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestCheckRefusesWhatChangesWouldNotMake(t *testing.T) {
	for what, breakIt := range map[string]func(*Directory){
		"order":         func(d *Directory) { slices.Reverse(d.Users) },
		"twice":         func(d *Directory) { d.Users[1] = d.Users[0] },
		"hash":          func(d *Directory) { d.Users[0].Hash = "secret" },
		"role":          func(d *Directory) { d.Users[0].Role = "root" },
		"name":          func(d *Directory) { d.Users[0].Name = "<b>" },
		"no admin":      func(d *Directory) { d.Users[0].Disabled, d.Users[1].Role = true, Viewer },
		"token's owner": func(d *Directory) { d.Tokens = []Token{{ID: "0000000001", Owner: "zoe"}} },
		"token's prefix": func(d *Directory) {
			d.Tokens = []Token{{ID: "0000000001", Digest: make([]byte, 32), Role: Admin, Prefix: "/../x", Created: day, Expires: day.Add(1)}}
		},
		"issuer": func(d *Directory) { d.OIDC = &OIDC{Issuer: "http://evil"} },
	} {
		d := directory(t, "ann", "bob")
		breakIt(&d)
		if d.Check() == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestRoles(t *testing.T) {
	for i, a := range ranks {
		for k, b := range ranks {
			if a.Includes(b) != (i >= k) || weaker(a, b) != ranks[min(i, k)] {
				t.Errorf("%q and %q", a, b)
			}
		}
		if Role("king").Includes(a) || a.Includes("king") {
			t.Errorf("king and %q", a)
		}
	}
}

func TestTokenScope(t *testing.T) {
	for _, c := range []struct {
		prefix, path string
		want         bool
	}{
		{"", "/anything", true},
		{"/api/v1/macs", "/api/v1/macs", true},
		{"/api/v1/macs", "/api/v1/macs/flush", true},
		{"/api/v1/macs", "/api/v1/macsx", false},
		{"/api/v1/macs", "/api/v1", false},
		{"/", "/api/v1", true},
	} {
		if got := (Token{Prefix: c.prefix}).covers(c.path); got != c.want {
			t.Errorf("%q %q: %v", c.prefix, c.path, got)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	text, _, _ := newToken()
	for _, s := range []string{text, "", "dbt-api-", "dbt-api-0123456789-", text + "=", strings.ToUpper(text)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, secret, err := parseToken(s)
		if err != nil {
			return
		}
		if len(secret) != tokenSecretBytes || !isTokenID(id) || !strings.HasPrefix(s, tokenPrefix+id+"-") || len(s) != len(text) {
			t.Errorf("%q is accepted", s)
		}
	})
}

func TestNewTokensAreTheirOwn(t *testing.T) {
	text, id, digest := newToken()
	gotID, secret, err := parseToken(text)
	k := Token{ID: id, Digest: digest}
	if err != nil || gotID != id || !k.holds(secret) {
		t.Fatalf("%s: %v", text, err)
	}
	secret[0] ^= 1
	if k.holds(secret) {
		t.Error("a bit of the secret does not matter")
	}
}
