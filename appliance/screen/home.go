package screen

import (
	"fmt"
	"strings"
)

// Standing is how far a machine has come.
type Standing int

const (
	Fresh  Standing = iota // it has not been set up
	Broken                 // its state cannot be used: nothing may be set up before that is mended
	SetUp
)

// Home is what a machine has to say of itself.
type Home struct {
	Version             string
	Standing            Standing
	Problems, Addresses []string
	Peer                *Peer // nil: its daemon does not answer yet
	Page                *Page // by which it can be set up in a browser; nil: it cannot
}

// Page is the one by which a machine is set up in a browser.
type Page struct {
	Code        string   `json:"code"`        // one-time code that it asks for
	Fingerprint string   `json:"fingerprint"` // of its certificate
	Addresses   []string `json:"-"`           // of the page
}

func (p *Page) text(b *strings.Builder) {
	if p == nil || len(p.Addresses) == 0 {
		return
	}
	for _, url := range p.Addresses {
		line(b, "set-up page", url)
	}
	line(b, "fingerprint", p.Fingerprint)
	fmt.Fprintf(b, "\nOne-time code for the set-up page:\n\n    %s\n", p.Code)
}

// Peer is what the daemon of a machine has to say.
type Peer struct {
	Name, Roles, Network string
	Segments             []Segment
	Problems, Consoles   []string
	Fingerprint, Code    string // of the console's certificate; one-time code for its first user
}

// Segment and who is active in it; empty: nobody.
type Segment struct{ Name, Active string }

func line(b *strings.Builder, name, text string) {
	fmt.Fprintf(b, "%-12s %s\n", name, strings.ReplaceAll(text, "\n", "\n             "))
}

func (h *Home) text(b *strings.Builder) {
	for _, p := range h.Problems {
		line(b, "problem", p)
	}
	addresses := strings.Join(h.Addresses, ", ")
	if addresses == "" {
		addresses = "unknown"
	}
	line(b, "addresses", addresses)
	switch h.Standing {
	case SetUp:
		h.Peer.text(b)
	case Fresh:
		h.Page.text(b)
	case Broken:
	}
}

func (p *Peer) text(b *strings.Builder) {
	if p == nil {
		b.WriteString("the gateway is starting\n")
		return
	}
	line(b, "peer", fmt.Sprintf("%s (%s) in network %s", p.Name, p.Roles, p.Network))
	for _, g := range p.Segments {
		active := g.Active
		if active == "" {
			active = "nobody"
		}
		line(b, "segment", fmt.Sprintf("%s: %s is active", g.Name, active))
	}
	for _, text := range p.Problems {
		line(b, "problem", text)
	}
	for _, url := range p.Consoles {
		line(b, "console", url)
	}
	if p.Fingerprint != "" {
		line(b, "fingerprint", p.Fingerprint)
	}
	if p.Code != "" {
		fmt.Fprintf(b, "\nThere are no users yet. One-time code for the console:\n\n    %s\n", p.Code)
	}
}

// orders are the words that are understood there.
func (h *Home) orders() string {
	switch h.Standing {
	case SetUp:
		return "reboot | drill SEGMENT | install | reset everything"
	case Broken:
		return "reboot | reset everything"
	}
	return "This machine has not been set up. Type one of:\n\n" +
		"  found NETWORK NAME    a new network, with this machine as its first peer\n" +
		"  join TOKEN NAME       a network that invited it (drawbridge token create)\n" +
		"  restore               the peer of a backup, from a FAT stick\n" +
		"  install               write this system to another disk\n" +
		"  reboot"
}
