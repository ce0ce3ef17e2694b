package netconfig

import (
	"strings"
	"testing"
)

func TestAlerts(t *testing.T) {
	d := mustParse(t, "[[alerts.webhook]]\nname='w'\nurl='http://x'\n[[alerts.syslog]]\nname='s'\naddress='x:514'\n[[alerts.command]]\nname='c'\nrun=['c']\n")
	if a := d.Alerts; a.Webhooks[0].Severity != SeverityInfo || a.Commands[0].Severity != SeverityInfo || a.Syslog[0].Severity != SeverityInfo || a.Syslog[0].Transport != TransportUDP {
		t.Errorf("%+v", a)
	}
	for text, want := range map[string]string{
		"[[alerts.webhook]]\nname='w'\nurl='ftp://x'":                                               "alerts.webhook[1].url: \"ftp://x\" is not allowed",
		"[[alerts.webhook]]\nname='w'\nurl='http://x'\nsecret='short'":                              "secret: 5 characters are not allowed",
		"[[alerts.webhook]]\nname='w'\nurl='http://x'\nseverity='panic'":                            "wants \"info\", \"warn\" or \"error\"",
		"[[alerts.webhook]]\nname='w'\nurl='http://x'\nevents=['[']":                                "events[1]: \"[\" is not allowed",
		"[[alerts.webhook]]\nname='w'\nurl='http://x'\npeers=['A b']":                               "peers[1]: \"A b\" is not allowed",
		"[[alerts.webhook]]\nname='w'\nurl='http://x'\nfingerprint='00'":                            "fingerprint: \"00\" is not allowed",
		"[[alerts.command]]\nname='c'\nrun=['../c']":                                                "alerts.command[1].run",
		"[[alerts.command]]\nname='c'\nrun=[]":                                                      "alerts.command[1].run",
		"[[alerts.syslog]]\nname='c'\naddress='x'":                                                  "alerts.syslog[1].address",
		"[[alerts.syslog]]\nname='c'\naddress='x:1'\ntransport='smtp'":                              "alerts.syslog[1].transport",
		"[[alerts.syslog]]\nname='c'\naddress='x:1'\nfingerprint='" + strings.Repeat("0", 64) + "'": "udp has no certificate",
		"[[alerts.syslog]]\nname='c'\naddress='x:1'\n[[alerts.command]]\nname='c'\nrun=['c']":       "c is that of",
	} {
		if _, err := Parse("", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestADiffHidesWhatSigns(t *testing.T) {
	with := func(secret string) *Document {
		return mustParse(t, "[[alerts.webhook]]\nname='w'\nurl='http://x'\nsecret='"+secret+"'\n")
	}
	text := Text(Diff(with("0123456789abcdef"), with("fedcba9876543210")))
	if strings.Contains(text, "012345") || strings.Contains(text, "fedcba") || !strings.Contains(text, "alerts.webhook[w].secret") {
		t.Errorf("%s", text)
	}
}
