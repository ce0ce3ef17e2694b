package microscope

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// Format is the version of what peers tell each other of loops (docs/protocol/forwarding.md "Telling of loops").
const Format = 1

// Bounds of what another peer may tell: as many circles as the microscope has room for, and names as long as interfaces' and peers' are.
const (
	maxCircles = 256
	maxName    = 64
	maxMessage = 256 << 10
)

// Told is what a peer hears come round, as it tells everybody.
type Told struct {
	Format  int          `json:"format"`
	Now     time.Time    `json:"now"` // by the clock of who tells
	Circles []web.Circle `json:"circles"`
	LeftOut int          `json:"left_out,omitempty"` // circles that were too many to tell of
}

// Tell is what comes round in at most limit bytes: the newest, as circles are in that order.
func Tell(circles []web.Circle, now time.Time, limit int) []byte {
	t := Told{Format: Format, Now: now, Circles: circles}
	for {
		b, err := json.Marshal(&t)
		if err == nil && len(b) <= limit {
			return b
		}
		n := len(t.Circles)
		if err != nil || n == 0 {
			return nil
		}
		t.Circles, t.LeftOut = t.Circles[:n/2], t.LeftOut+n-n/2
	}
}

// Parse reads what another peer told. Its times are by the clock of who reads from then on, and what is a loop is for the reader to say.
func Parse(b []byte, now time.Time) (Told, error) {
	var t Told
	if len(b) > maxMessage {
		return Told{}, fmt.Errorf("word of loops in %d bytes", len(b))
	}
	if err := json.Unmarshal(b, &t); err != nil {
		return Told{}, err
	}
	if t.Format != Format || len(t.Circles) > maxCircles || t.LeftOut < 0 {
		return Told{}, fmt.Errorf("word of loops of format %d with %d circles, %d left out", t.Format, len(t.Circles), t.LeftOut)
	}
	ahead := now.Sub(t.Now)
	for i := range t.Circles {
		c := &t.Circles[i]
		if err := check(c); err != nil {
			return Told{}, err
		}
		c.Since, c.Last, c.Loop = c.Since.Add(ahead), c.Last.Add(ahead), c.Count >= Enough
	}
	t.Now = now
	return t, nil
}

func check(c *web.Circle) error {
	for _, mac := range []string{c.Source, c.Destination} {
		if a, err := net.ParseMAC(mac); err != nil || len(a) != 6 {
			return fmt.Errorf("a circle with the address %.20q", mac)
		}
	}
	if len(c.Type) != 4 {
		return fmt.Errorf("a circle with the type %.20q", c.Type)
	}
	for _, e := range []web.LoopEnd{c.Heard, c.Known} {
		if !slices.Contains([]string{web.AtPort, web.AtPeer, web.AtSegment}, e.At) || max(len(e.Port), len(e.Peer), len(e.Segment)) > maxName {
			return fmt.Errorf("a circle with an end at %.20q", e.At)
		}
	}
	return nil
}

// Circling reports whether any of it goes round as it was told.
func (t *Told) Circling() bool {
	return slices.ContainsFunc(t.Circles, func(c web.Circle) bool { return c.Circling })
}
