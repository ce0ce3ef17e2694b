package access

import (
	"crypto/rand"
	_ "embed"
	"strings"
	"unicode"
)

// codeWords is how many words a one-time code has. There are 256 words, so a code has 64 bits: at ten tries
// between two codes, a guess comes true once in 10^18.
const codeWords = 8

//go:embed words.txt
var wordText string

// words are English words of at most eight letters that no other begins like, by their first four letters.
var words = strings.Fields(wordText)

// newCode draws a code.
func newCode() string {
	random := make([]byte, codeWords)
	_, _ = rand.Read(random) // never fails (crypto/rand)
	code := make([]string, codeWords)
	for i, b := range random {
		code[i] = words[b]
	}
	return strings.Join(code, " ")
}

// spellCode is a code as newCode writes it, however somebody typed it: in any case, with anything between the
// words, and each no longer than it takes to tell it from others. Empty: it is none.
func spellCode(typed string) string {
	if len(typed) > 200 {
		return ""
	}
	parts := strings.FieldsFunc(strings.ToLower(typed), func(r rune) bool { return !unicode.IsLetter(r) })
	if len(parts) != codeWords {
		return ""
	}
	for i, p := range parts {
		if parts[i] = wordOf(p); parts[i] == "" {
			return ""
		}
	}
	return strings.Join(parts, " ")
}

// wordOf finds the word that begins with at least four letters, or is, what was typed.
func wordOf(typed string) string {
	for _, w := range words {
		if w == typed || len(typed) >= 4 && strings.HasPrefix(w, typed) {
			return w
		}
	}
	return ""
}
