package appliance

import (
	"context"
	"fmt"
	"strings"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/systemd"
)

// lookForStatus is how often the status line is made when nothing tells that it has changed.
const lookForStatus = 2 * time.Second

// tellStatus keeps the line that systemctl status shows at what is true, from the start on: who is active where.
func (n *Node) tellStatus(ctx context.Context, started <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return nil
	case <-started:
	}
	look := time.NewTicker(lookForStatus)
	defer look.Stop()
	for said := ""; ; {
		changed := n.changed.watch()
		if now := statusLine(string(n.creds.Name), n.creds.Network.Name, n.creds.ID(), n.segmentViews()); now != said {
			said = now
			if err := systemd.Status(now); err != nil {
				n.log.Warn("systemd was not told", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-look.C:
		}
	}
}

// statusLine says of each segment whether self is active in it, or passive, and who is active instead; of one that self is no
// gateway of, who is.
func statusLine(peer, network string, self drawbridge.PeerID, segments []segmentView) string {
	parts := []string{fmt.Sprintf("peer %s of network %s", peer, network)}
	for _, s := range segments {
		gateway := false
		for _, g := range s.gateways {
			gateway = gateway || g.Peer == peer
		}
		active := string(s.active)
		if active == "" {
			active = "nobody"
		}
		switch {
		case s.active != "" && s.activeID == self:
			parts = append(parts, s.name+": active")
		case gateway:
			parts = append(parts, fmt.Sprintf("%s: passive, %s is active", s.name, active))
		default:
			parts = append(parts, fmt.Sprintf("%s: %s is active", s.name, active))
		}
	}
	return strings.Join(parts, "; ")
}
