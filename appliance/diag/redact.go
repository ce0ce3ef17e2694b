package diag

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Redacted says what never leaves the host in a bundle.
var Redacted = []string{
	"private keys: of the peer, the authority, the console's certificate, ALONE",
	"secrets of the state directory, byte for byte, in hexadecimal and in base64",
	"join tokens (dbt1-…) and API tokens (dbt-api-…), and headers that carry any",
	"passwords and their hashes, TOTP secrets, recovery codes, one-time codes, digests of tokens",
	"session cookies",
	"client secrets of OpenID Connect, secrets of webhooks and the paths of their addresses",
	"arguments of the commands that alerts run",
	"user names and passwords in URLs",
	"users of the network configuration",
}

// gone is what stands in a secret's place.
const gone = "[redacted]"

// Redactor takes secrets out of texts: those that it was told, and whatever looks like one.
type Redactor struct {
	known [][]byte // longest first
}

// shortestSecret keeps a file that has a counter in it from blotting out every 7 of the bundle.
const shortestSecret = 12

// NewRedactor knows secrets by value.
func NewRedactor(secrets ...[]byte) *Redactor {
	seen := map[string]bool{}
	r := &Redactor{}
	for _, s := range secrets {
		for _, form := range forms(s) {
			if len(form) >= shortestSecret && !seen[form] {
				seen[form] = true
				r.known = append(r.known, []byte(form))
			}
		}
	}
	slices.SortFunc(r.known, func(a, b []byte) int { return len(b) - len(a) })
	return r
}

// forms are the spellings of a secret. Of base64 the part that does not depend on what stands before it would be needed,
// too, were secrets joined to other octets before they are written; nothing of ours does that.
func forms(s []byte) []string {
	all := []string{
		string(s), hex.EncodeToString(s), strings.ToUpper(hex.EncodeToString(s)),
		base64.StdEncoding.EncodeToString(s), base64.RawStdEncoding.EncodeToString(s),
		base64.URLEncoding.EncodeToString(s), base64.RawURLEncoding.EncodeToString(s),
	}
	if escaped, err := json.Marshal(string(s)); err == nil && utf8.Valid(s) {
		all = append(all, strings.Trim(string(escaped), `"`))
	}
	return all
}

// biggestSecret is more than any file of keys, and than the configuration, of 256 KiB at most; a database is no secret, but
// may hold some, and is never in a bundle.
const biggestSecret = 1 << 20

// Secrets reads what the files of a state directory keep secret. What cannot be read cannot get into a bundle either,
// which is made by the same user.
func Secrets(dir string) (all [][]byte) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if i, err := d.Info(); err != nil || i.Size() > biggestSecret {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil {
			all = append(all, SecretsIn(text)...)
		}
		return nil
	})
	return all
}

// SecretsIn are those of one text: private keys in PEM, values under telling names in JSON, or, where it is no text at
// all, the whole file.
func SecretsIn(text []byte) (all [][]byte) {
	if !utf8.Valid(text) || bytes.ContainsRune(text, 0) {
		return [][]byte{text}
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if strings.Contains(block.Type, "PRIVATE KEY") {
			all = append(all, block.Bytes)
			for line := range bytes.Lines(pem.EncodeToMemory(block)) {
				if line = bytes.TrimSpace(line); !bytes.HasPrefix(line, []byte("-----")) {
					all = append(all, line)
				}
			}
		}
	}
	var doc any
	if json.Unmarshal(text, &doc) == nil {
		all = append(all, telling(doc)...)
	}
	return all
}

// telling are the secrets of a document, by value.
func telling(v any) (all [][]byte) {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			secret, open := secretOf(key, x)
			all = append(append(all, texts(secret)...), telling(open)...)
		}
	case []any:
		for _, x := range v {
			all = append(all, telling(x)...)
		}
	}
	return all
}

// texts are all that there is to read in a value.
func texts(v any) (all [][]byte) {
	switch v := v.(type) {
	case string:
		return [][]byte{[]byte(v)}
	case map[string]any:
		for _, x := range v {
			all = append(all, texts(x)...)
		}
	case []any:
		for _, x := range v {
			all = append(all, texts(x)...)
		}
	}
	return all
}

// Names under which secrets stand. Others end in _key or _token.
var (
	secretNames = regexp.MustCompile(`(?i)passw|secret|totp|recovery|cookie|authorization|bearer|credential|private|passphrase|digest|csrf|otpauth`)
	secretEnds  = regexp.MustCompile(`(?i)^(key|token|hash|psk|code)$|[_.-](key|token|hash|psk)$`)
	publicNames = regexp.MustCompile(`(?i)public|fingerprint|idempotency|totp_enrolled|totp_enabled|password_changed`)
)

// commandLine is the name under which a program of an alert stands, and its arguments, which may be anything.
const commandLine = "run"

// exits are what systemd says of how a process ended: code=exited, status=1/FAILURE.
var exits = []string{"exited", "killed", "dumped"}

func secretName(name string) bool {
	return !publicNames.MatchString(name) && (secretNames.MatchString(name) || secretEnds.MatchString(name))
}

// secretOf is what of the value under a key nobody may read, nil: nothing, and what may stand there instead.
func secretOf(key string, v any) (secret, open any) {
	_, flag := v.(bool)
	line, isLine := v.([]any)
	switch {
	case secretName(key) && !flag && v != nil:
		return v, gone
	case key == commandLine && isLine && len(line) > 1:
		return line[1:], []any{line[0], gone}
	}
	return nil, v
}

// What looks like a secret, whatever it is called.
var looks = []struct {
	shape *regexp.Regexp
	put   string
}{
	{regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)`), gone},
	{regexp.MustCompile(`(?i)\bdbt-?1-[0-9a-z-]{8,}`), "dbt1-" + gone},
	{regexp.MustCompile(`(?i)\bdbt-api-[0-9a-z_-]{8,}`), "dbt-api-" + gone},
	{regexp.MustCompile(`\$(argon2(id|i|d)|2[aby]|scrypt|pbkdf2[a-z0-9-]*|[156y])\$[^\s"',]+`), gone},
	{regexp.MustCompile(`(?i)\b(bearer|basic|digest)\s+[a-z0-9+/=._~-]{8,}`), "$1 " + gone},
	{regexp.MustCompile(`(__Host-drawbridge[a-z-]*)=[^;\s"]+`), "$1=" + gone},
	{regexp.MustCompile(`(?i)((?:set-)?cookie\s*[:=]\s*)[^\r\n"]+`), "${1}" + gone},
	{regexp.MustCompile(`(?i)otpauth://[^\s"]+`), gone},
	{regexp.MustCompile(`([a-z][a-z0-9+.-]*://)[^/@\s"]+@`), "${1}" + gone + "@"},
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`), gone},
}

// assigned is a name and its value in a log line, a TOML file or a JSON text: name = "value", name: value, "name": [ … ].
var assigned = regexp.MustCompile(`("?[A-Za-z][A-Za-z0-9_.-]*"?)(\s*[:=]\s*)("(?:[^"\\\n]|\\.)*"|\[[^\]\n]*\]|'[^'\n]*'|[^\s,;}"'\[]+)`)

// address is the path and query of a web address under the name url: webhooks have their secret there.
var address = regexp.MustCompile(`(?i)("?\b(?:url|webhook)"?\s*[:=]\s*"?https?://[^/\s"]+/)[^\s"]+`)

// Redact takes secrets out of the text of a file.
func (r *Redactor) Redact(name string, text []byte) []byte {
	for _, k := range r.known {
		text = bytes.ReplaceAll(text, k, []byte(gone))
	}
	for _, l := range looks {
		text = l.shape.ReplaceAll(text, []byte(l.put))
	}
	text = address.ReplaceAll(text, []byte("${1}"+gone))
	if strings.HasSuffix(name, ".json") {
		if tidy, ok := redactJSON(text); ok {
			return tidy
		}
	}
	return assigned.ReplaceAllFunc(text, func(m []byte) []byte {
		part := assigned.FindSubmatch(m)
		if !secretName(strings.Trim(string(part[1]), `"`)) || len(part[3]) == 0 || slices.Contains(exits, string(part[3])) {
			return m
		}
		return slices.Concat(part[1], part[2], []byte(`"`+gone+`"`))
	})
}

// redactJSON does the same by structure, so that a secret that is a list or an object goes whole.
func redactJSON(text []byte) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var doc any
	if d.Decode(&doc) != nil {
		return nil, false
	}
	out, err := indented(redactValue(doc))
	return out, err == nil
}

func redactValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, x := range v {
			_, open := secretOf(key, x)
			v[key] = redactValue(open)
		}
	case []any:
		for i, x := range v {
			v[i] = redactValue(x)
		}
	case string:
		var inner any // a document in a text, such as a version of the configuration
		if len(v) > 1 && (v[0] == '{' || v[0] == '[') && json.Unmarshal([]byte(v), &inner) == nil {
			if text, err := json.Marshal(redactValue(inner)); err == nil {
				return string(text)
			}
		}
	}
	return v
}
