// Package engine decides which engine carries each overlay, user space (U) or the kernel (K), and what the kernel's tables
// hold. It is pure: the voters' leader asks Next what is due, every peer makes its own tables by Tables, and the
// appliance does the rest (docs/protocol/kernel.md, "Which engine").
package engine

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder/kernel"
	"github.com/drawbridge-net/drawbridge/forwarder/wireguard"
)

// Phase is who carries an overlay.
type Phase string

// Phases. Between the engines there is always Both: nobody hands a frame to the kernel before all deliver what comes by it, and nobody
// ends that before all hand theirs to user space, which delivers always.
const (
	User   Phase = "user"
	Both   Phase = "idle" // frames are taken in by user space, and delivered by both; peers of an earlier version carry nothing meanwhile
	Kernel Phase = "kernel"

	// Some is when not all peers can use the kernel: those that can take in by it what is for one station at a neighbour that can, over a link
	// that the kernel may use. User space takes in the rest.
	Some Phase = "some"
)

// Overlay is what was decided about one overlay. The zero value is an overlay that user space carries and always did.
type Overlay struct {
	VNI    drawbridge.VNI `json:"vni"`
	Phase  Phase          `json:"phase"`
	Number uint32         `json:"number"`           // of the phase; peers say which they have reached
	Port   uint16         `json:"port"`             // UDP port of its tunnel
	Reason string         `json:"reason,omitempty"` // why the kernel does not carry all of it although it should
	Since  int64          `json:"since"`            // of the phase, Unix milliseconds by the leader's clock
}

// Attachment is a peer's guests together, or one of its segment ports, with its short id.
type Attachment struct {
	Peer    drawbridge.PeerID    `json:"peer"`
	Segment drawbridge.SegmentID `json:"segment,omitempty"` // 0: guests
	Short   kernel.Short         `json:"short"`
}

// Decisions are all of them. Short ids are the network's: an attachment has the same in every overlay.
type Decisions struct {
	Overlays    []Overlay    `json:"overlays"`
	Attachments []Attachment `json:"attachments"`
	Last        kernel.Short `json:"last"` // short id that was given out last: the next is looked for above it
}

// Parse reads decisions; none are the zero value.
func Parse(raw []byte) (d Decisions, err error) {
	if len(raw) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		return Decisions{}, fmt.Errorf("decisions about engines: %w", err)
	}
	return d, nil
}

// Overlay finds what was decided about one.
func (d Decisions) Overlay(vni drawbridge.VNI) Overlay {
	for _, o := range d.Overlays {
		if o.VNI == vni {
			return o
		}
	}
	return Overlay{VNI: vni, Phase: User}
}

// Short finds a short id; 0: it has none yet.
func (d Decisions) Short(peer drawbridge.PeerID, segment drawbridge.SegmentID) kernel.Short {
	for _, a := range d.Attachments {
		if a.Peer == peer && a.Segment == segment {
			return a.Short
		}
	}
	return 0
}

// Word is what a peer says of its engines. Whoever has said nothing yet has a zero Serial.
type Word struct {
	Serial   uint32     `json:"serial"`            // of the decisions that it knows
	Overlays []Standing `json:"overlays,omitzero"` // those that the configuration wants in the kernel, by VNI

	WireGuard *wireguard.Card `json:"wireguard,omitempty"` // of the device that protects its underlay

	Some bool `json:"some,omitempty"` // it knows the phase Some; false: it is of an earlier version
}

// Standing is how far a peer is with one overlay.
type Standing struct {
	VNI    drawbridge.VNI `json:"vni"`
	Phase  Phase          `json:"phase"`
	Number uint32         `json:"number"`          // the phase decided under it is reached
	Lacks  string         `json:"lacks,omitempty"` // why this peer cannot use the kernel engine for all that it carries; empty: it can

	Able      bool                `json:"able,omitempty"`      // at most links speak against the kernel
	Blocked   []Blocked           `json:"blocked,omitempty"`   // the links that do, by peer
	Delivers  bool                `json:"delivers,omitempty"`  // its kernel delivers what reaches it, and goes on to
	Protected bool                `json:"protected,omitempty"` // over WireGuard
	To        []drawbridge.PeerID `json:"to,omitempty"`        // peers to whom it may hand frames by the kernel, in phase Some
}

// Blocked is a link to a neighbour that the kernel cannot use.
type Blocked struct {
	Peer drawbridge.PeerID `json:"peer"`
	Why  string            `json:"why"`
}

// blocks is why the kernel cannot use the link to a peer; empty: it can.
func (s Standing) blocks(peer drawbridge.PeerID) string {
	for _, b := range s.Blocked {
		if b.Peer == peer {
			return b.Why
		}
	}
	return ""
}

// Of finds what it says about an overlay.
func (w Word) Of(vni drawbridge.VNI) (Standing, bool) {
	for _, s := range w.Overlays {
		if s.VNI == vni {
			return s, true
		}
	}
	return Standing{}, false
}

// Peer is one that belongs to the network.
type Peer struct {
	ID       drawbridge.PeerID
	Name     drawbridge.PeerName
	Live     bool      // it can be reached
	Since    time.Time // of Live
	Segments []drawbridge.SegmentID
	Word     Word
}

// World is what decisions are made from.
type World struct {
	Now    time.Time
	Wanted []drawbridge.VNI // overlays that the configuration wants in the kernel, where that is possible
	Peers  []Peer
}

// Times of a change.
const (
	stuckFor  = time.Minute      // after a change that somebody did not follow, before it is tried again
	steady    = 5 * time.Second  // after a change, before the kernel is entered: peers that come and go would make it flap
	leaveMost = 10 * time.Second // for all to reach Both: longer than any kernel is renewed for, so then it has stopped
	wordMost  = 10 * time.Second // for a peer that is new to speak, before its silence counts as a no
)

// Limits of the programs (docs/adr/0018): 31 neighbours in a flood tree, and this peer.
const maxPeers = 32

// firstPort is the UDP port of the first overlay's tunnel. The mesh has 6630 and 6631.
const firstPort = 6640

// Next is what is due; false: nothing. It is asked again and again by whoever leads. An overlay that was decided about once
// stays in the list, so that its numbers go on.
func (d Decisions) Next(w World) (Decisions, bool) {
	next := Decisions{slices.Clone(d.Overlays), slices.Clone(d.Attachments), d.Last}
	full := next.attach(w)
	for _, vni := range w.Wanted {
		if !slices.ContainsFunc(next.Overlays, func(o Overlay) bool { return o.VNI == vni }) {
			next.Overlays = append(next.Overlays, Overlay{VNI: vni, Phase: User, Port: next.freePort(), Since: w.Now.UnixMilli()})
		}
	}
	for i := range next.Overlays {
		next.Overlays[i].step(&w, full)
	}
	slices.SortFunc(next.Overlays, func(a, b Overlay) int { return cmp.Compare(a.VNI, b.VNI) })
	same := slices.Equal(next.Overlays, d.Overlays) && slices.Equal(next.Attachments, d.Attachments)
	return next, !same
}

func (d Decisions) freePort() uint16 {
	port := uint16(firstPort)
	for slices.ContainsFunc(d.Overlays, func(o Overlay) bool { return o.Port == port }) {
		port++
	}
	return port
}

// stuck is why user space goes on when somebody did not follow.
const stuck = "not all peers followed in time"

// step moves one overlay on, if it is time.
func (o *Overlay) step(w *World, full bool) {
	why, unsure := o.against(w)
	if full {
		why = fmt.Sprintf("there are more than %d guests' networks and segment ports", kernel.MaxShort)
	}
	to := User
	switch {
	case why == "":
		to = Kernel
	case !full && o.some(w):
		to = Some
	}
	since := w.Now.Sub(time.UnixMilli(o.Since))
	wait := steady
	if o.Reason == stuck {
		wait = stuckFor
	}
	switch {
	case unsure && why == "":
	case o.Phase == User && to != User && since >= wait,
		o.Phase == Some && to == Kernel && o.Reason == "" && since >= steady,
		o.Phase == Some && to == User, o.Phase == Kernel && to != Kernel:
		o.enter(Both, why, w.Now)
	case o.Phase == Both && !o.reached(w) && since < leaveMost:
		o.Reason = why
	case o.Phase == Both && to != User && since < leaveMost:
		o.enter(to, why, w.Now)
	case o.Phase == Both && to != User:
		o.enter(User, stuck, w.Now)
	case o.Phase == Both:
		o.enter(User, why, w.Now)
	case o.Phase == User && to != User && o.Reason == stuck:
	case (o.Phase == User || o.Phase == Some) && o.Reason != why:
		if o.Reason = why; to != User {
			o.Since = w.Now.UnixMilli() // from now on it must stay so
		}
	}
}

func (o *Overlay) enter(p Phase, why string, now time.Time) {
	o.Phase, o.Reason, o.Number, o.Since = p, why, o.Number+1, now.UnixMilli()
}

// against is what speaks against the kernel; unsure: a peer that is new has not spoken yet.
func (o *Overlay) against(w *World) (why string, unsure bool) {
	if !slices.Contains(w.Wanted, o.VNI) {
		return "the network configuration wants user space", false
	}
	live := 0
	for _, p := range w.Peers {
		if !p.Live {
			continue
		}
		live++
		s, said := p.Word.Of(o.VNI)
		switch {
		case said && s.Lacks != "" && why == "":
			why = fmt.Sprintf("%s: %s", p.Name, s.Lacks)
		case !said && w.Now.Sub(p.Since) < wordMost:
			unsure = true
		case !said && why == "":
			why = fmt.Sprintf("%s has not said that it can", p.Name)
		}
	}
	if live > maxPeers {
		return fmt.Sprintf("%d peers are in the network, the kernel engine is for %d", live, maxPeers), false
	}
	return why, unsure
}

// some reports whether the kernel can carry a part: all know that phase, and two or more can use the kernel.
func (o *Overlay) some(w *World) bool {
	live, able := 0, 0
	for _, p := range w.Peers {
		if !p.Live {
			continue
		}
		live++
		s, said := p.Word.Of(o.VNI)
		if said && !p.Word.Some || !said && w.Now.Sub(p.Since) >= wordMost {
			return false
		}
		if s.Able {
			able++
		}
	}
	return able > 1 && live <= maxPeers && slices.Contains(w.Wanted, o.VNI)
}

// reached reports whether all that can be reached have followed.
func (o *Overlay) reached(w *World) bool {
	for _, p := range w.Peers {
		if s, said := p.Word.Of(o.VNI); said && p.Live && s.Number < o.Number { // who has said nothing never entered the kernel
			return false
		}
	}
	return true
}

// attach gives every attachment a short id, and forgets those of peers that are gone. It reports whether there are too few.
func (d *Decisions) attach(w World) (full bool) {
	if len(w.Wanted) == 0 && len(d.Overlays) == 0 {
		d.Attachments = nil
		return false
	}
	type place struct {
		peer    drawbridge.PeerID
		segment drawbridge.SegmentID
	}
	wanted := map[place]bool{}
	for _, p := range w.Peers {
		wanted[place{p.ID, 0}] = true
		for _, s := range p.Segments {
			wanted[place{p.ID, s}] = true
		}
	}
	d.Attachments = slices.DeleteFunc(d.Attachments, func(a Attachment) bool {
		at := place{a.Peer, a.Segment}
		keep := wanted[at]
		delete(wanted, at)
		return !keep
	})
	taken := map[kernel.Short]bool{}
	for _, a := range d.Attachments {
		taken[a.Short] = true
	}
	for _, at := range slices.SortedFunc(maps.Keys(wanted), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.peer, b.peer), cmp.Compare(a.segment, b.segment))
	}) {
		if len(taken) == int(kernel.MaxShort) {
			return true
		}
		for d.Last = d.Last%kernel.MaxShort + 1; taken[d.Last]; d.Last = d.Last%kernel.MaxShort + 1 {
		}
		taken[d.Last] = true
		d.Attachments = append(d.Attachments, Attachment{at.peer, at.segment, d.Last})
	}
	return false
}
