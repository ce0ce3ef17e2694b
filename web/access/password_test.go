package access

import (
	"encoding/base32"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestPasswords(t *testing.T) {
	for _, bad := range []string{
		"", "short", "elevenchars", "password1234", "P4ssw0rd!!!!", "123456789012", "qwertyuiop12", "aaaaaaaaaaaa", "abcabcabcabc",
		"operations12", "drawbridge2026", "DrawbridgeDrawbridge", "changeme!!!!!!", "correcthorsebatterystaple", "zyx\xff4567890123", strings.Repeat("x7", 300),
		"abcdefghijklmn", "admin-1234567890", "passwordpassword", "letmeinletmein1",
	} {
		if err := CheckPassword("operations", bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, good := range []string{"four random little words", "kT9#xv2!Qm4z", "träumt im Gewächshaus", "passwords are hard to choose", "日本語の長い合言葉をここに書く"} {
		if err := CheckPassword("operations", good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func TestHash(t *testing.T) {
	text := HashPassword("four random little words")
	if again := HashPassword("four random little words"); again == text {
		t.Error("two hashes have one salt")
	}
	h, err := parseHash(text)
	if err != nil || !h.verify("four random little words") || h.verify("four random little word") {
		t.Errorf("%s: %v", text, err)
	}
	if !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(text)
	}
}

func FuzzParseHash(f *testing.F) {
	for _, s := range []string{testHash, "", "$argon2id$v=19$m=4294967295,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA", strings.Replace(testHash, "m=8", "m=+8", 1), testHash + "\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := parseHash(s)
		if err == nil && (h.String() != s || h.memory > maxHashMemory || h.time > maxHashTime) {
			t.Errorf("%q is accepted", s)
		}
	})
}

// The last six digits of RFC 6238, appendix B, which has eight.
func TestTOTPOfTheRFC(t *testing.T) {
	secret := []byte("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := totpCode(secret, at/30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

func TestTOTPIsGoodOnce(t *testing.T) {
	secret, now := newTOTP(), time.Unix(1_700_000_000, 0)
	current := now.Unix() / 30
	for skew := int64(-3); skew <= 3; skew++ {
		step, ok := matchTOTP(secret, totpCode(secret, current+skew), now, 0)
		if want := skew >= -1 && skew <= 1; ok != want || ok && step != current+skew {
			t.Errorf("skew %d: %v", skew, ok)
		}
	}
	if _, ok := matchTOTP(secret, totpCode(secret, current), now, current); ok {
		t.Error("a code that was used is good again")
	}
}

func TestTOTPURI(t *testing.T) {
	secret := []byte("12345678901234567890")
	want := "otpauth://totp/Drawbridge%20home:ann?issuer=Drawbridge%20home&secret=" + strings.TrimRight(base32.StdEncoding.EncodeToString(secret), "=")
	if got := totpURI(secret, "Drawbridge home", "ann"); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestRecoveryCodes(t *testing.T) {
	codes, digests := newRecovery()
	if len(codes) != recoveryCodes || codes[0] == codes[1] || len(codes[0]) != 19 {
		t.Fatal(codes)
	}
	for i, c := range codes {
		for _, typed := range []string{c, strings.ToUpper(c), strings.ReplaceAll(c, "-", " ")} {
			if recoveryDigest(typed) != digests[i] {
				t.Errorf("%s is not %s", typed, c)
			}
		}
	}
}

func ExampleCheckPassword() {
	fmt.Println(CheckPassword("ann", "Passw0rd2026"))
	// Output: the password is one that everybody tries first: take four random words
}
