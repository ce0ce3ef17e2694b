package notify

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Headers of a webhook. The signature is over the time, a point and the body, so that an old message cannot be played
// again with a new time (docs/how-to/alerts.md has the check in three languages).
const (
	headerSequence  = "Drawbridge-Sequence"
	headerEvent     = "Drawbridge-Event"
	headerTimestamp = "Drawbridge-Timestamp" // seconds since 1970
	headerSignature = "Drawbridge-Signature" // sha256=HEX
)

// Webhook posts messages to an address.
type Webhook struct {
	url, secret, software string
	client                *http.Client
}

// NewWebhook returns a driver for one address. Without a secret nothing is signed; fingerprint is that of the only
// certificate that is accepted, empty: one that the host trusts.
func NewWebhook(url, secret, fingerprint, software string) (*Webhook, error) {
	trust, err := trusting(fingerprint)
	if err != nil {
		return nil, err
	}
	return &Webhook{url: url, secret: secret, software: software, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: trust, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ResponseHeaderTimeout: tellFor,
		},
		// A redirection is for people. Followed, it would take the message to somebody who was not configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

var _ Driver = (*Webhook)(nil)

// Tell implements Driver.
func (w *Webhook) Tell(ctx context.Context, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	w.sign(r, m, body, time.Now())
	answer, err := w.client.Do(r)
	if err != nil {
		return plainly(err)
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // the rest is none of our business
	return verdict(answer, said)
}

// plainly leaves out of an error which address it was: that may hold a secret, and the reader knows it.
func plainly(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s: %w", tellFor, context.DeadlineExceeded)
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(inner) {
		if !strings.HasPrefix(fmt.Sprintf("%T", inner), "*url.") {
			return inner
		}
	}
	return err
}

func (w *Webhook) sign(r *http.Request, m *Message, body []byte, now time.Time) {
	at := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "drawbridge/"+w.software)
	r.Header.Set(headerSequence, strconv.FormatUint(m.Sequence, 10))
	r.Header.Set(headerEvent, m.Event.Kind)
	r.Header.Set(headerTimestamp, at)
	if w.secret != "" {
		r.Header.Set(headerSignature, Signature(w.secret, at, body))
	}
}

// Signature is what a receiver compares with the header, in constant time.
func Signature(secret, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + ".")) // never fails, by the contract of hash.Hash
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// verdict reads an answer. Only what is about this very message counts as a refusal; a password that is wrong will be
// put right, and then the message is wanted.
func verdict(answer *http.Response, said []byte) error {
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	err := fmt.Errorf("answered %s%s", answer.Status, quote(said))
	switch code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusUnsupportedMediaType:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if s, bad := strconv.Atoi(answer.Header.Get("Retry-After")); bad == nil && s > 0 {
			return &laterError{err, time.Duration(min(s, 86400)) * time.Second}
		}
	}
	if code >= 300 && code < 400 {
		return fmt.Errorf("%w: redirections are not followed; configure the address that it leads to", err)
	}
	return err
}

// quote is the first line of what was said, for an error.
func quote(said []byte) string {
	lines := bufio.NewScanner(bytes.NewReader(said))
	if !lines.Scan() {
		return ""
	}
	line := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return -1
		}
		return r
	}, lines.Text()))
	if line == "" {
		return ""
	}
	if len(line) > 200 {
		line = drawbridge.Cut(line, 200) + "..."
	}
	return ": " + line
}

// Close implements Driver.
func (w *Webhook) Close() error {
	w.client.CloseIdleConnections()
	return nil
}

// trusting is the TLS configuration for one certificate, or for those that the host trusts.
func trusting(fingerprint string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if fingerprint == "" {
		return c, nil
	}
	want, err := ParseFingerprint(fingerprint)
	if err != nil {
		return nil, err
	}
	c.InsecureSkipVerify = true // the fingerprint says all that a chain could (RFC 5425 §4.2.2)
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if got := sha256.Sum256(s.PeerCertificates[0].Raw); got != want {
			return fmt.Errorf("its certificate has the fingerprint sha-256:%X, which is not the configured one", got)
		}
		return nil
	}
	return c, nil
}

// ParseFingerprint reads the SHA-256 of a certificate in hexadecimal digits; colons and the prefix of RFC 5425 are skipped.
func ParseFingerprint(s string) (f [32]byte, err error) {
	digits := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(s), "sha-256:"), ":", "")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != len(f) {
		return f, fmt.Errorf("fingerprint %q: want the SHA-256 of a certificate, 64 hexadecimal digits", s)
	}
	return [32]byte(b), nil
}
