package notify

import (
	"bytes"
	"fmt"
	"strings"
)

// Catalogue is the message catalogue of the journal: journalctl -x shows the text of an entry's MESSAGE_ID below it. Lines
// of text may not begin with two dashes; none do.
func Catalogue() []byte {
	var b bytes.Buffer
	b.WriteString("# Message catalogue of Drawbridge, made from the table of meanings (go test ./appliance/notify -update).\n")
	for _, m := range Meanings {
		fmt.Fprintf(&b, "\n-- %s\nSubject: %s\nDefined-By: Drawbridge\nSupport: https://github.com/drawbridge-net/drawbridge\n"+
			"Documentation: https://github.com/drawbridge-net/drawbridge/blob/main/docs/reference/events.md\n\n%s\n\nWhat to do: %s\n\nReason: @DRAWBRIDGE_REASON@\n",
			m.ID, m.Title, m.Text, m.Remedy)
	}
	return b.Bytes()
}

const pageIntro = `# Events

What happens is in the journal of every peer that sees it: the timeline of the console, ` + "`drawbridge events`" + `, and
` + "`/api/v1/events`" + `. Sinks are told of it ([how-to](../how-to/alerts.md)). Kinds are stable; new ones are added.
This page is made from the table in the software (` + "`go test ./appliance/notify -update`" + `).

The level is the usual one; that of an event is in the event. The message id is that of the systemd journal:
` + "`journalctl -x MESSAGE_ID=…`" + ` finds and explains the entries. Where a kind is listed twice, the reason or the alert tells them apart.

| kind | level | means | what to do | message id |
|---|---|---|---|---|
`

// Page is docs/reference/events.md.
func Page() []byte {
	b := bytes.NewBufferString(pageIntro)
	for _, m := range Meanings {
		kind := "`" + m.Kind + "`"
		if m.Part != "" {
			name, _ := (&Event{Kind: m.Kind}).apart()
			kind += fmt.Sprintf(", %s has “%s”", name, m.Part)
		}
		fmt.Fprintf(b, "| %s | %s | %s. %s | %s | `%s` |\n", kind, m.Level, m.Title, m.Text, strings.TrimSuffix(m.Remedy, "."), m.ID)
	}
	return b.Bytes()
}
