package appliance

import (
	"fmt"
	"slices"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/forwarder"
	"github.com/drawbridge-net/drawbridge/web"
)

// MACStories implements web.Node. The table knows the steps of the address; that the segment behind which it is changed
// hands is no step of its own, or a switchover would write one for every station: the journal tells it.
func (n *Node) MACStories(mac string) (all []web.MACStory, err error) {
	m, err := drawbridge.ParseMAC(mac)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", web.ErrInvalid, err)
	}
	for _, s := range n.sw.Stories(m) {
		steps := n.macSteps(s.Steps)
		all = append(all, web.MACStory{MAC: m.String(), VNI: uint32(s.VNI), Steps: repointed(steps, n.Events(0))})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("address %s %w in this peer's table: nothing was heard of it in the last minutes; ask the peer or gateway that it is behind", m, web.ErrNotFound)
	}
	return all, nil
}

// causes of steps, for people.
var stepCauses = map[string]string{
	forwarder.StepMoved: "a frame of it came from there", forwarder.StepAged: "silent for five minutes",
	forwarder.StepFlushed: "forgotten on request or after a change of the network", forwarder.StepGone: "its port went away",
}

func (n *Node) macSteps(steps []forwarder.Step) (all []web.MACStep) {
	names, segments := n.names(), n.segmentNames()
	now := time.Now().UTC()
	for _, s := range steps {
		w := web.MACStep{Time: now.Add(-s.Ago), What: s.What, Cause: stepCauses[s.What]}
		w.At, w.Port, w.Peer, w.Segment = n.macPlace(s.Where, names, segments)
		all = append(all, w)
	}
	return all
}

// macPlace is a place in the words of the API.
func (n *Node) macPlace(w forwarder.Where, names map[drawbridge.PeerID]string, segments map[drawbridge.SegmentID]string) (at, port, peer, segment string) {
	switch {
	case w.Segment != 0:
		return web.AtSegment, w.Port, names[w.Peer], segments[w.Segment]
	case w.Port != "":
		return web.AtPort, w.Port, string(n.creds.Name), ""
	}
	return web.AtPeer, "", names[w.Peer], ""
}

// repointed puts the handovers of segments between the steps while which the address was behind them, and says through
// which gateway frames went at each step: the table knows only the present one.
func repointed(steps []web.MACStep, events []web.Event) (all []web.MACStep) {
	for i, s := range steps {
		if s.At != web.AtSegment {
			all = append(all, s)
			continue
		}
		s.Peer = gatewayAt(s, events)
		all = append(all, s)
		if !slices.Contains([]string{forwarder.StepLearned, forwarder.StepMoved}, s.What) {
			continue
		}
		for _, e := range events {
			if !takes(e, s.Segment) || !e.Time.After(s.Time) || i+1 < len(steps) && !e.Time.Before(steps[i+1].Time) {
				continue
			}
			all = append(all, web.MACStep{Time: e.Time, What: "repointed", At: web.AtSegment, Segment: e.Segment, Peer: e.Peer, Cause: e.Reason})
		}
	}
	return all
}

// gatewayAt is the one that had last taken the segment at the time of the step; where the journal does not go back so far
// it is the step's own, unless somebody took the segment since, for then nobody knows.
func gatewayAt(s web.MACStep, events []web.Event) (peer string) {
	peer = s.Peer
	for _, e := range slices.Backward(events) {
		if !takes(e, s.Segment) {
			continue
		}
		if !e.Time.After(s.Time) {
			return e.Peer
		}
		peer = ""
	}
	return peer
}

func takes(e web.Event, segment string) bool {
	return e.Kind == "segment_active" && e.Segment == segment
}
