package netconfig

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/drawbridge-net/drawbridge"
)

// Limits of what a sink is described by.
const (
	maxEvents = 64
	minSecret = 16 // characters; shorter ones can be guessed from one signature
	maxSecret = 256
)

// complete fills in what is empty and may not be.
func (a *Alerts) complete() {
	for i := range a.Webhooks {
		a.Webhooks[i].Severity = cmp.Or(a.Webhooks[i].Severity, SeverityInfo)
	}
	for i := range a.Commands {
		a.Commands[i].Severity = cmp.Or(a.Commands[i].Severity, SeverityInfo)
	}
	for i := range a.Syslog {
		a.Syslog[i].Severity = cmp.Or(a.Syslog[i].Severity, SeverityInfo)
		a.Syslog[i].Transport = cmp.Or(a.Syslog[i].Transport, TransportUDP)
	}
}

func (k *checker) alerts(a Alerts) {
	k.few("alerts", len(a.Webhooks)+len(a.Commands)+len(a.Syslog), maxAlerts)
	names := once{}
	for i, w := range a.Webhooks {
		key := fmt.Sprintf("alerts.webhook[%d]", i+1)
		k.sink(names, key, w.Name, w.Severity, w.Events, w.Peers)
		u, err := url.Parse(w.URL)
		k.want(err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"), key+".url", w.URL)
		if n := len(w.Secret); n != 0 && (n < minSecret || n > maxSecret) {
			k.refuse(key+".secret", "%d characters are not allowed: wants %s", n, lookUp(key+".secret").Allowed)
		}
		k.fingerprint(key, w.Fingerprint)
	}
	for i, c := range a.Commands {
		key := fmt.Sprintf("alerts.command[%d]", i+1)
		k.sink(names, key, c.Name, c.Severity, c.Events, c.Peers)
		k.want(len(c.Run) > 0 && len(c.Run) <= maxList && isProgram(c.Run[0]), key+".run", strings.Join(c.Run, " "))
	}
	for i, s := range a.Syslog {
		key := fmt.Sprintf("alerts.syslog[%d]", i+1)
		k.sink(names, key, s.Name, s.Severity, s.Events, s.Peers)
		host, port, err := net.SplitHostPort(s.Address)
		n, bad := strconv.ParseUint(port, 10, 16)
		k.want(err == nil && bad == nil && host != "" && n > 0, key+".address", s.Address)
		k.want(slices.Contains([]string{TransportUDP, TransportTCP, TransportTLS}, s.Transport), key+".transport", s.Transport)
		k.fingerprint(key, s.Fingerprint)
		if s.Fingerprint != "" && s.Transport != TransportTLS {
			k.refuse(key+".fingerprint", "%s has no certificate: say transport = \"tls\", or leave fingerprint out", s.Transport)
		}
	}
}

// sink checks what all sinks have.
func (k *checker) sink(names once, key, name, severity string, events []string, peers []drawbridge.PeerName) {
	k.want(drawbridge.CheckName(name) == nil, key+".name", name)
	names.check(k, key+".name", key, name)
	k.want(slices.Contains([]string{SeverityInfo, SeverityWarn, SeverityError}, severity), key+".severity", severity)
	k.few(key+".events", len(events), maxEvents)
	for i, e := range events {
		_, err := path.Match(e, "")
		k.want(err == nil && e != "", fmt.Sprintf("%s.events[%d]", key, i+1), e)
	}
	k.few(key+".peers", len(peers), maxList)
	for i, p := range peers {
		k.want(drawbridge.CheckName(string(p)) == nil, fmt.Sprintf("%s.peers[%d]", key, i+1), string(p))
	}
}

// isProgram takes a plain name of a file, or the path of one.
func isProgram(s string) bool {
	return filepath.IsAbs(s) || s != "" && s != "." && s != ".." && !strings.ContainsRune(s, '/')
}

func (k *checker) fingerprint(key, f string) {
	digits := strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(f), "sha-256:"), ":", "")
	b, err := hex.DecodeString(digits)
	k.want(f == "" || err == nil && len(b) == 32, key+".fingerprint", f)
}
