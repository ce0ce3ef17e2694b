package diag

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// unpack reads a bundle.
func unpack(t *testing.T, b []byte) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for in := tar.NewReader(z); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil || h.Mode != 0o600 {
			t.Fatal(h.Name, h.Mode, err)
		}
		files[h.Name] = string(text)
	}
}

func text(name, content string) Part {
	return Part{name, "a test", func(context.Context) ([]byte, error) { return []byte(content), nil }}
}

func TestABundleOfASickPeerIsWhole(t *testing.T) {
	var b bytes.Buffer
	parts := []Part{
		JSON("status.json", "state", func(context.Context) (map[string]int, error) { return map[string]int{"mtu": 1400}, nil }),
		{"broken.json", "fails", func(context.Context) ([]byte, error) {
			return nil, errors.New("no majority, token dbt1-abcdefghijklmno")
		}},
		{"worse.txt", "panics", func(context.Context) ([]byte, error) { panic("boom") }},
		text("last.txt", "here"),
		JSON("none.json", "nothing", func(context.Context) ([]string, error) { return nil, nil }),
		JSON("cause.json", "why", func(context.Context) (string, error) { return "lease taken <- handed over by a", nil }),
	}
	if err := Write(t.Context(), &b, "d", now, NewRedactor(), parts); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	for name, want := range map[string]string{
		"d/README.txt": "last.txt", "d/status.json": `"mtu": 1400`, "d/broken.json.error.txt": "no majority, token dbt1-[redacted]", "d/worse.txt.error.txt": "panic: boom", "d/last.txt": "here", "d/none.json": "[]", "d/cause.json": "taken <- handed",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: %q, want %q", name, files[name], want)
		}
	}
	for _, x := range Redacted {
		if !strings.Contains(files["d/README.txt"], x) {
			t.Errorf("README does not say %q", x)
		}
	}
	var more bytes.Buffer
	err := Extend(t.Context(), &more, &b, now, NewRedactor(), []Part{text("last.txt", "better"), text("host/journal.txt", "password=hunter2hunter2")})
	files = unpack(t, more.Bytes())
	if err != nil || files["d/last.txt"] != "better" || files["d/host/journal.txt"] != `password="[redacted]"` || !strings.Contains(files["d/status.json"], "1400") ||
		!strings.Contains(files["d/README.txt"], "host/journal.txt") || len(files) != 8 {
		t.Errorf("%v %v", err, files)
	}
	if err := Extend(t.Context(), io.Discard, strings.NewReader("x"), now, NewRedactor(), nil); !errors.Is(err, ErrBundle) {
		t.Error(err)
	}
}

// planted are secrets in every place where the product keeps or says one. What a bundle has of them is nothing.
func planted(t *testing.T, dir string) (secrets map[string]string, parts []Part) {
	t.Helper()
	seed := bytes.Repeat([]byte{0xc3, 0x5a, 0x99, 0x17}, 8)
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	raw := string(bytes.Repeat([]byte{0xfe, 0x81, 0x33}, 11))
	hash := "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA"
	secrets = map[string]string{
		"key in PEM": strings.Split(key, "\n")[1], "key in DER": string(der), "key in hex": hex.EncodeToString(der),
		"raw key": raw, "raw key in hex": hex.EncodeToString([]byte(raw)), "raw key in base64": base64.StdEncoding.EncodeToString([]byte(raw)), "raw key for URLs": base64.RawURLEncoding.EncodeToString([]byte(raw)),
		"join token": "4f5x9qk2p7m3s8v1c6n0b5d4g2h7j1k3", "API token": "0123456789-Vt6Hq2Lw9Zs4Xk1Pd8Rm3Yb7Nc5Jf0G",
		"hash": "aGFzaGhhc2hoYXNoaGFzaA", "TOTP": "JBSWY3DPEHPK3PXPJBSWY3DP", "recovery": "9d4c1f00aa12", "cookie": "q9Zr7cookieValue42",
		"client secret": "oidc-Client-S3cret", "webhook": "T0123/B4567/hookPath", "webhook secret": "whsec_9a8b7c6d5e", "URL": "proxypass99", "password": "correct horse battery", "state secret": "statefile-totp-value",
		"one-time code": "amber violin cactus", "argument": "--account=4711-0815",
	}
	for name, content := range map[string]string{
		"identity.key": key, "alone-00.key": raw, "boot": "7\n",
		"access.json": fmt.Sprintf(`{"users":[{"name":"ann","hash":%q,"totp":"c3RhdGVmaWxl","recovery":[%q]}],"x":{"totp":%q}}`, hash, secrets["recovery"], secrets["state secret"]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	doc := map[string]any{
		"password": secrets["password"], "deep": map[string]any{"list": []any{map[string]any{"recovery": []string{secrets["recovery"]}, "totp": secrets["TOTP"]}}},
		"oidc": map[string]any{"client_secret": secrets["client secret"]}, "webhook": map[string]any{"url": "https://hooks.example/" + secrets["webhook"], "secret": secrets["webhook secret"]},
		"note": "dbt1-" + secrets["join token"], "hash": hash, "inner": `{"password":"` + secrets["password"] + `"}`, "blob": base64.StdEncoding.EncodeToString([]byte(raw)),
		"key": []int{1, 2, 3}, "command": map[string]any{"run": []string{"/usr/lib/pager", secrets["argument"]}},
	}
	asJSON, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Join([]string{
		"GET /x Authorization: Bearer dbt-api-" + secrets["API token"], "level=warn password=" + secrets["recovery"] + " err=x", "Cookie: __Host-drawbridge=" + secrets["cookie"] + "; other=1",
		"set __Host-drawbridge-oidc=" + secrets["cookie"] + " now", "otpauth://totp/a:ann?secret=" + secrets["TOTP"], "proxy http://ann:" + secrets["URL"] + "@proxy:3128/",
		`client_secret = "` + secrets["client secret"] + `"`, "webhook: url=https://hooks.example/" + secrets["webhook"], `totp="` + secrets["TOTP"] + `"`, "key " + hex.EncodeToString([]byte(raw)),
		"raw " + raw, "text " + base64.RawURLEncoding.EncodeToString([]byte(raw)), "der " + hex.EncodeToString(der), "der raw " + string(der), key, hash, "token dbt-api-" + secrets["API token"], "join with DBT1-" + strings.ToUpper(secrets["join token"]),
		"recovery: [\"" + secrets["recovery"] + "\"]", "password: '" + secrets["password"] + "'", "said " + secrets["state secret"], `msg="no users yet" code="` + secrets["one-time code"] + `" fingerprint=AA`, `secret: "` + secrets["webhook secret"] + `"`,
	}, "\n")
	parts = []Part{text("a.json", string(asJSON)), text("b.txt", lines), text("c.json", "not JSON: "+lines), text("d.toml", lines), {"e.txt", "fails", func(context.Context) ([]byte, error) { return nil, errors.New(lines) }}}
	return secrets, parts
}

func TestNoSecretIsInABundle(t *testing.T) {
	dir := t.TempDir()
	secrets, parts := planted(t, dir)
	r := NewRedactor(Secrets(dir)...)
	var b bytes.Buffer
	if err := Write(t.Context(), &b, "d", now, r, parts); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	if len(files) != len(parts)+1 {
		t.Errorf("%d files", len(files))
	}
	for file, content := range files {
		for name, s := range secrets {
			if strings.Contains(strings.ToLower(content), strings.ToLower(s)) {
				at := strings.Index(strings.ToLower(content), strings.ToLower(s))
				t.Errorf("%s has the %s: …%q", file, name, content[max(0, at-30):at+len(s)])
			}
		}
		if file != "d/README.txt" && !strings.Contains(content, gone) {
			t.Errorf("%s: nothing was redacted", file)
		}
	}
}

// A secret of the configuration is known by value, wherever somebody repeats it.
func TestSecretsOfADocument(t *testing.T) {
	const document = `{"alerts":{"webhook":[{"name":"hook","secret":"correct-horse-battery"}],"command":[{"name":"pager","run":["/usr/lib/pager/tell","--account=4711-0815"]}]},` +
		`"users":{"users":[{"hash":"$argon2id$x","totp":"MFRGGZDFMZTWQ2LK"}]},"credential":{"of":{"proxy":["staple-of-battery"]}}}`
	r := NewRedactor(SecretsIn([]byte(document))...)
	for said, want := range map[string]string{
		"posted by correct-horse-battery of hook, MFRGGZDFMZTWQ2LK": "posted by [redacted] of hook, [redacted]",
		"/usr/lib/pager/tell: no such option: --account=4711-0815":  "/usr/lib/pager/tell: no such option: [redacted]",
		"the proxy does not take staple-of-battery":                 "the proxy does not take [redacted]",
	} {
		if got := string(r.Redact("x.txt", []byte(said))); got != want {
			t.Error(got)
		}
	}
	got := string(NewRedactor().Redact("x.json", []byte(document)))
	if strings.Contains(got, "4711") || !strings.Contains(got, "/usr/lib/pager/tell") {
		t.Error(got)
	}
}

// What is no secret stays, or the bundle is good for nothing.
func TestWhatIsNoSecretStays(t *testing.T) {
	r := NewRedactor([]byte("7"))
	for _, line := range []string{
		`{"key_age_s": 12, "peer": "a", "epoch": "3.7", "totp_enabled": true, "public_key": "abc", "tokens": 3, "monkey": "x"}`,
		"level=warn msg=\"link lost\" peer=b reason=\"no heartbeat for 350 ms\" err=\"read udp: timeout\"",
		"goroutine 7 [select]:\nmain.(*Node).Run(0xc000, {0x7f, 0x10})\n\t/x/node.go:77 +0x1a4",
		"drawbridge_link_rtt_seconds{peer=\"b\"} 0.00042",
		"fingerprint: 12:34:56", "url = \"https://hooks.example/\"",
		"systemd[1]: drawbridge.service: Main process exited, code=killed, status=9/KILL",
	} {
		if got := string(r.Redact("x.txt", []byte(line))); got != line {
			t.Errorf("%q became %q", line, got)
		}
	}
	if got := string(r.Redact("x.json", []byte(`{"macs":18446744073709551615}`))); !strings.Contains(got, "18446744073709551615") {
		t.Error(got)
	}
}

func TestHostAndProcess(t *testing.T) {
	var b bytes.Buffer
	if err := Write(t.Context(), &b, "d", now, NewRedactor(), slices.Concat(Host(), Process())); err != nil {
		t.Fatal(err)
	}
	files := unpack(t, b.Bytes())
	if !strings.Contains(files["d/process/goroutines.txt"], "TestHostAndProcess") || !strings.Contains(files["d/host/interfaces.txt"], "lo") {
		t.Errorf("%d files", len(files))
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(`{"password":"hunter2hunter2"}`)
	f.Add("Cookie: a=b\npassword: 'x")
	f.Fuzz(func(t *testing.T, s string) {
		const secret = "s3cr3t-0f-th3-st4te"
		got := string(NewRedactor([]byte(secret)).Redact("x.txt", []byte(s+secret+s)))
		if strings.Contains(got, secret) && !strings.Contains(gone, secret) {
			t.Errorf("%q", got)
		}
	})
}
