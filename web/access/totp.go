package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238; authenticator apps know nothing else for sure
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Parameters of TOTP: the defaults of RFC 6238, which are the only ones that every app understands.
const (
	totpBytes  = 20 // as long as the hash (RFC 4226 §4, R6)
	totpStep   = 30 * time.Second
	totpDigits = 6
	totpWindow = 1 // steps that clocks may differ (RFC 6238 §5.2)

	recoveryCodes = 10
	recoveryBytes = 10 // 80 bits: a digest needs no slow hash
)

var base32Plain = base32.StdEncoding.WithPadding(base32.NoPadding)

// totpCode is the code of one time step (RFC 4226 §5.3).
func totpCode(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes everything
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 15
	n := binary.BigEndian.Uint32(sum[at:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%1_000_000)
}

// matchTOTP finds the time step of a code, later than after: a code that was used is not good a second time.
func matchTOTP(secret []byte, code string, now time.Time, after int64) (step int64, ok bool) {
	current := now.Unix() / int64(totpStep/time.Second)
	for s := current - totpWindow; s <= current+totpWindow; s++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, s)), []byte(code)) == 1 && s > after {
			step, ok = s, true
		}
	}
	return step, ok
}

func newTOTP() []byte {
	secret := make([]byte, totpBytes)
	_, _ = rand.Read(secret) // never fails (crypto/rand)
	return secret
}

// totpURI is what the QR code for an app holds (Key URI Format of Google Authenticator).
func totpURI(secret []byte, issuer, name string) string {
	q := url.Values{"secret": {base32Plain.EncodeToString(secret)}, "issuer": {issuer}}
	return "otpauth://totp/" + url.PathEscape(issuer+":"+name) + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// newRecovery makes codes for the day when the phone is lost, and the digests that are kept of them.
func newRecovery() (codes, digests []string) {
	for range recoveryCodes {
		random := make([]byte, recoveryBytes)
		_, _ = rand.Read(random) // never fails (crypto/rand)
		text := strings.ToLower(base32Plain.EncodeToString(random))
		codes = append(codes, text[:4]+"-"+text[4:8]+"-"+text[8:12]+"-"+text[12:])
		digests = append(digests, recoveryDigest(text))
	}
	return codes, digests
}

// recoveryDigest is the same however somebody types a code.
func recoveryDigest(code string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(code))
	sum := sha256.Sum256([]byte("drawbridge recovery code\x00" + plain))
	return hex.EncodeToString(sum[:])
}
