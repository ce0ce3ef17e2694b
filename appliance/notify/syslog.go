package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
)

// Ways to a collector of syslog messages.
const (
	SyslogUDP = "udp" // RFC 5426: nobody says whether a message arrived
	SyslogTCP = "tcp" // RFC 6587 with octet counting
	SyslogTLS = "tls" // RFC 5425
)

// maxDatagram is how much a message over UDP has: every collector takes 2048 octets (RFC 5426 §3.2), whole.
const maxDatagram = 2048

// Syslog sends messages to one collector.
type Syslog struct {
	address, transport, software string
	trust                        *tls.Config

	conn net.Conn // owned by the goroutine that calls Tell
}

// NewSyslog returns a driver for one collector. fingerprint is as for NewWebhook.
func NewSyslog(address, transport, fingerprint, software string) (*Syslog, error) {
	trust, err := trusting(fingerprint)
	if err != nil {
		return nil, err
	}
	if trust.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("syslog collector %q: %w", address, err)
	}
	return &Syslog{address: address, transport: transport, software: software, trust: trust}, nil
}

var _ Driver = (*Syslog)(nil)

// Tell implements Driver. A stream that takes the bytes is all that syslog has for an answer: what is under way when a
// connection breaks may be lost, which is why a broken one is looked for first.
func (s *Syslog) Tell(ctx context.Context, m *Message) error {
	text := FormatSyslog(m, s.software, os.Getpid())
	if s.transport == SyslogUDP {
		return s.send(ctx, drawbridge.Cut(text, maxDatagram))
	}
	framed := append(strconv.AppendInt(nil, int64(len(text)), 10), ' ')
	return s.send(ctx, append(framed, text...))
}

func (s *Syslog) send(ctx context.Context, b []byte) (err error) {
	if s.conn != nil && s.transport != SyslogUDP && s.hungUp() {
		_ = s.Close()
	}
	if s.conn == nil {
		if s.conn, err = s.dial(ctx); err != nil {
			s.conn = nil
			return err
		}
	}
	deadline, _ := ctx.Deadline()
	_ = s.conn.SetWriteDeadline(deadline)
	defer context.AfterFunc(ctx, func() { _ = s.conn.SetWriteDeadline(time.Unix(1, 0)) })()
	if _, err = s.conn.Write(b); err != nil {
		_ = s.Close()
	}
	return err
}

func (s *Syslog) dial(ctx context.Context) (net.Conn, error) {
	switch s.transport {
	case SyslogTLS:
		return (&tls.Dialer{Config: s.trust}).DialContext(ctx, "tcp", s.address)
	case SyslogTCP:
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
	}
	return (&net.Dialer{}).DialContext(ctx, "udp", s.address)
}

// hungUp looks whether the collector has ended the connection: it never says anything, so whatever can be read is that.
func (s *Syslog) hungUp() bool {
	_ = s.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	var b [1]byte
	_, err := s.conn.Read(b[:])
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// Close implements Driver.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// facility is daemon (RFC 5424 §6.2.1).
const facility = 3

// severities are those of RFC 5424 §6.2.1.
var severities = map[string]int{Info: 6, Warn: 4, Error: 3}

// enterprise is the number for examples (RFC 5612): there is none for Drawbridge, and a name of our own needs one.
const enterprise = "32473"

// FormatSyslog writes a message as RFC 5424 has it, without framing.
func FormatSyslog(m *Message, software string, pid int) []byte {
	severity, ok := severities[m.Event.Level]
	if !ok {
		severity = severities[Error]
	}
	b := fmt.Appendf(nil, "<%d>1 %s %s drawbridge %d %s ", facility*8+severity,
		m.Event.Time.UTC().Format("2006-01-02T15:04:05.000000Z"), word(m.From, 255), pid, word(m.Event.Kind, 32))
	// The number of RFC 5424 §7.3.1 is one of 31 bits that begins again at 1; ours beside it does not.
	b = element(b, "meta", "sequenceId", strconv.FormatUint((max(m.Sequence, 1)-1)%(1<<31-1)+1, 10))
	b = element(b, "origin", "software", "drawbridge", "swVersion", drawbridge.Cut(software, 32))
	b = element(b, "drawbridge@"+enterprise,
		"sequence", strconv.FormatUint(m.Sequence, 10), "key", m.Key, "network", m.Network, "level", m.Event.Level,
		"peer", m.Event.Peer, "segment", m.Event.Segment, "port", m.Event.Port, "epoch", m.Event.Epoch, "alert", m.Event.Alert, "reason", m.Event.Reason)
	text := m.Event.Text
	if m.Event.Reason != "" && !strings.Contains(text, m.Event.Reason) {
		text += " (" + m.Event.Reason + ")"
	}
	b = append(b, " \xef\xbb\xbf"...) // says that UTF-8 follows
	return append(b, line(text)...)
}

// word is what a field of the header may hold: visible ASCII of limited length, a dash for nothing.
func word(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// element appends structured data; parameters without a value are left out.
func element(b []byte, id string, pairs ...string) []byte {
	b = append(append(b, '['), id...)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			b = fmt.Appendf(b, ` %s="%s"`, pairs[i], escape.Replace(line(pairs[i+1])))
		}
	}
	return append(b, ']')
}

// escape is for values (RFC 5424 §6.3.3).
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`)

// line is text on one line: collectors that frame by lines would take the rest for another message.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
