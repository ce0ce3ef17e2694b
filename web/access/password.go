package access

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Costs of a hash: the second choice of the OWASP Password Storage Cheat Sheet (2024), with the least memory
// of them that a small gateway can spare. They stand in every hash, so they can be raised later.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashSalt    = 16
	hashKey     = 32

	// Bounds on what a directory may ask this host to compute.
	maxHashMemory = 256 << 10 // KiB
	maxHashTime   = 16
)

// Bounds of a password, in characters. NIST SP 800-63B-4 §3.1.1.2 asks for 8 beside a second factor and 15
// without one; composition rules are not to be imposed. The upper one bounds the work of hashing.
const (
	minPassword = 12
	maxPassword = 256
)

// hash is an argon2id hash in parts.
type hash struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

// HashPassword hashes with a new salt. It takes some 20 ms and 19 MiB.
func HashPassword(password string) string {
	salt := make([]byte, hashSalt)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return hashWith(password, salt).String()
}

func hashWith(password string, salt []byte) hash {
	return hash{hashMemory, hashTime, hashThreads, salt, argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashThreads, hashKey)}
}

// String is the PHC string format, as other tools read it.
func (h hash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.time, h.threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

func parseHash(s string) (h hash, err error) {
	bad := invalid("password hash: want argon2id in PHC form")
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return h, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &h.memory, &h.time, &h.threads); err != nil {
		return h, bad
	}
	b64 := base64.RawStdEncoding.Strict()
	var saltErr, keyErr error
	h.salt, saltErr = b64.DecodeString(parts[4])
	h.key, keyErr = b64.DecodeString(parts[5])
	fits := h.memory >= 8 && h.memory <= maxHashMemory && h.time >= 1 && h.time <= maxHashTime && h.threads >= 1 && h.threads <= 8 &&
		len(h.salt) >= 8 && len(h.salt) <= 64 && len(h.key) >= 16 && len(h.key) <= 64
	if saltErr != nil || keyErr != nil || !fits || h.String() != s {
		return h, bad
	}
	return h, nil
}

func checkHash(s string) error {
	_, err := parseHash(s)
	return err
}

// verify reports whether the password is the one that was hashed.
func (h hash) verify(password string) bool {
	key := argon2.IDKey([]byte(password), h.salt, h.time, h.memory, h.threads, uint32(len(h.key)))
	return subtle.ConstantTimeCompare(key, h.key) == 1
}

//go:embed common.txt
var commonText []byte

// common are words that passwords are made of too often.
var common = func() map[string]bool {
	m := map[string]bool{}
	for w := range bytes.FieldsSeq(commonText) {
		m[string(w)] = true
	}
	return m
}()

// CheckPassword refuses what is guessed first: short ones, the user's name, and common words and rows of keys
// however they are spelt, repeated or numbered. Everything else is left to the user (NIST SP 800-63B-4).
func CheckPassword(name, password string) error {
	refuse := func(why string) error { return invalid("the password %s", why) }
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return refuse("is not valid UTF-8")
	case n < minPassword:
		return refuse(fmt.Sprintf("has %d characters: take at least %d, such as four random words", n, minPassword))
	case n > maxPassword || len(password) > 4*maxPassword:
		return refuse(fmt.Sprintf("has %d characters: take at most %d", n, maxPassword))
	}
	core := essence(password)
	switch {
	case len(core) < 4, common[core]:
		return refuse("is one that everybody tries first: take four random words")
	case core == essence(name), strings.ReplaceAll(core, "drawbridge", "") == "":
		return refuse("is little more than a name: take four random words")
	case inRow(strings.ToLower(password)):
		return refuse("is a row of keys: take four random words")
	}
	return nil
}

var unleet = strings.NewReplacer("0", "o", "1", "l", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// essence is what is left of a password without case, numbers and signs at its ends, disguise and repetition.
func essence(password string) string {
	s := strings.TrimFunc(strings.ToLower(password), func(r rune) bool { return r < 'a' && r != '@' && r != '$' })
	s = unleet.Replace(s)
	for unit := 1; unit <= len(s)/2; unit++ {
		if len(s)%unit == 0 && strings.Repeat(s[:unit], len(s)/unit) == s {
			return s[:unit]
		}
	}
	return s
}

// inRow reports whether s is mostly one after the other in the alphabet, among numbers or on a keyboard.
func inRow(s string) bool {
	const rows = "abcdefghijklmnopqrstuvwxyz 01234567890123456789 09876543210 qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop 1q2w3e4r5t6z7u8i9o0p 1q2w3e4r5t6y7u8i9o0p 1qaz2wsx3edc4rfv5tgb6yhn7ujm"
	steps := 0
	for i := 0; i+2 <= len(s); i++ {
		if strings.Contains(rows, s[i:i+2]) {
			steps++
		}
	}
	return steps >= 3*len(s)/4
}
