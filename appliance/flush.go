package appliance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/mesh"
	"github.com/drawbridge-net/drawbridge/web"
)

// flushedChannel is the name under which peers say what they forgot.
const flushedChannel = "flushed"

// flushFor is how long peers are waited for: gossip reaches everybody within a second.
const flushFor = 3 * time.Second

// flushRequest is what everybody is asked. A peer that does not know the id forgets, and does not say so.
type flushRequest struct {
	web.MACFilter
	ID string `json:"id,omitempty"`
}

// flushAnswer is what one peer says.
type flushAnswer struct {
	ID    string `json:"id"`
	Count int    `json:"count"`
}

// flushWaits are the requests of this peer whose answers are still counted.
type flushWaits struct {
	mu   sync.Mutex // guards what follows
	open map[string]chan heardFlush
}

type heardFlush struct {
	from  drawbridge.PeerID
	count int
}

// FlushEverywhere implements web.Node.
func (n *Node) FlushEverywhere(ctx context.Context, f web.MACFilter, by string) (web.Operation, error) {
	op := n.begin(web.Operation{Kind: "flush", By: by, Segment: f.Segment, Peer: f.Peer})
	id := op.read().ID
	msg, err := json.Marshal(flushRequest{f, id})
	if err != nil {
		return web.Operation{}, err
	}
	_, others := n.peers()
	others = slices.DeleteFunc(others, func(p mesh.PeerStatus) bool { return p.State == mesh.StateLeft || p.State == mesh.StateUnreachable })
	answers := n.flushes.wait(id, len(others))
	defer n.flushes.end(id)
	own := n.flush(f)
	op.change(func(v *web.Operation) {
		v.Flushed = append(v.Flushed, web.FlushedAt{Peer: string(n.creds.Name), Answered: true, Count: own})
	})
	if err := n.router.Broadcast(flushChannel, msg); err != nil {
		op.end(web.OperationFailed, "forgotten here, but the other peers were not told: "+err.Error())
		return op.read(), nil
	}
	n.countFlushes(ctx, op, others, answers)
	return op.read(), nil
}

// countFlushes waits until every peer has said what it forgot.
func (n *Node) countFlushes(ctx context.Context, op *operation, others []mesh.PeerStatus, answers <-chan heardFlush) {
	end := time.NewTimer(flushFor)
	defer end.Stop()
	got := map[drawbridge.PeerID]int{}
wait:
	for len(got) < len(others) {
		select {
		case a := <-answers:
			got[a.from] = a.count
		case <-end.C:
			break wait
		case <-ctx.Done():
			break wait
		}
	}
	total, silent := 0, 0
	op.change(func(v *web.Operation) {
		total = v.Flushed[0].Count
		for _, o := range others {
			count, ok := got[o.ID]
			v.Flushed = append(v.Flushed, web.FlushedAt{Peer: string(o.Name), Answered: ok, Count: count})
			if total += count; !ok {
				silent++
			}
		}
		slices.SortFunc(v.Flushed, func(a, b web.FlushedAt) int { return cmp.Compare(a.Peer, b.Peer) })
	})
	if silent > 0 {
		op.end(web.OperationFailed, fmt.Sprintf("%s forgotten; %d of %s did not answer", drawbridge.Counted(total, "entry", "entries"), silent, drawbridge.Counted(len(others), "other peer")))
		return
	}
	op.end(web.OperationDone, fmt.Sprintf("%s forgotten on %s", drawbridge.Counted(total, "entry", "entries"), drawbridge.Counted(len(others)+1, "peer")))
}

func (w *flushWaits) wait(id string, peers int) <-chan heardFlush {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = map[string]chan heardFlush{}
	}
	w.open[id] = make(chan heardFlush, 2*peers+8)
	return w.open[id]
}

func (w *flushWaits) end(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, id)
}

// acknowledge tells who asked what was forgotten.
func (n *Node) acknowledge(to drawbridge.PeerID, id string, count int) {
	msg, err := json.Marshal(flushAnswer{id, count})
	if err != nil {
		return
	}
	if err := n.router.Send(to, flushedChannel, msg); err != nil {
		n.log.Debug("who asked to forget addresses was not told", "peer", to, "err", err)
	}
}

// flushAnswers is the channel on which peers say what they forgot.
type flushAnswers struct{ node *Node }

var _ mesh.Channel = flushAnswers{}

// Receive counts one answer.
func (c flushAnswers) Receive(from drawbridge.PeerID, msg []byte) {
	var a flushAnswer
	if json.Unmarshal(msg, &a) != nil {
		return
	}
	w := &c.node.flushes
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.open[a.ID] <- heardFlush{from, a.Count}:
	default: // nobody waits for it any more
	}
}

// State is empty.
func (flushAnswers) State() []byte { return nil }

// Merge has nothing to do.
func (flushAnswers) Merge(drawbridge.PeerID, []byte) {}
