package appliance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/drawbridge-net/drawbridge/appliance/notify"
	"github.com/drawbridge-net/drawbridge/web"
)

// Alerts implements web.Node.
func (n *Node) Alerts() []web.Alert {
	n.alerting.mu.Lock()
	defer n.alerting.mu.Unlock()
	all := []web.Alert{}
	for _, s := range n.alerting.board.Standings() {
		all = append(all, alertOf(&s))
	}
	return all
}

func alertOf(s *notify.Standing) web.Alert {
	a := web.Alert{
		ID: s.ID, Severity: s.Severity, Since: s.Since.UTC(), Text: s.Text, Remedy: s.Remedy, Peer: s.Peer, Port: s.Port, Segment: s.Segment,
	}
	if k := s.Acknowledged; k != nil {
		a.Acknowledged = &web.Acknowledgement{By: k.By, At: k.At, Comment: k.Comment}
	}
	return a
}

// AlertSinks implements web.Node.
func (n *Node) AlertSinks() []web.AlertSink {
	all := []web.AlertSink{}
	for _, s := range n.alerting.desk.Sinks() {
		all = append(all, sinkOf(&s))
	}
	return all
}

func sinkOf(s *notify.Status) web.AlertSink {
	w := web.AlertSink{
		Name: s.Name, Kind: s.Kind, Target: s.Target(), Events: append([]string{}, s.Events...), Severity: s.Severity, Peers: append([]string{}, s.Peers...),
		Told: s.Tells, Queued: s.Waiting, Next: s.Counts.Next, Delivered: s.Delivered, Dropped: s.Dropped, Failures: s.Failures, Failed: s.Failed,
		Tried: moment(s.Tried), Took: moment(s.Took), NextAttempt: moment(s.State.Next), Problems: []web.Problem{},
	}
	if s.Err != nil {
		w.LastError = s.Err.Error()
	}
	if s.Problem != nil {
		w.Problems = append(w.Problems, web.Problem{Summary: s.Problem.Error(), Remedy: "correct the sink in the network configuration, or the disk of this peer"})
	}
	if len(s.Unheard) > 0 {
		w.Problems = append(w.Problems, web.Problem{Summary: "no events are called " + strings.Join(s.Unheard, ", "), Remedy: "correct its events in the network configuration"})
	}
	return w
}

// moment is nothing for a time that never was.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// TestSink implements web.Node.
func (n *Node) TestSink(ctx context.Context, name, by string) (web.SinkTest, error) {
	began := time.Now()
	err := n.alerting.desk.Test(ctx, name, notify.NewTest(n.signed(by), began))
	if errors.Is(err, notify.ErrNoSink) {
		return web.SinkTest{}, web.Missing(web.KindSink, name)
	}
	t := web.SinkTest{Sink: name, OK: err == nil, Took: web.MillisecondsOf(time.Since(began))}
	if err != nil {
		t.Error = err.Error()
	}
	return t, nil
}

// Acknowledge implements web.Node.
func (n *Node) Acknowledge(_ context.Context, id string, on bool, r web.AcknowledgeRequest) (web.Alert, error) {
	var k *notify.Acknowledgement
	if on {
		k = &notify.Acknowledgement{By: cmp.Or(r.By, "somebody"), At: time.Now().UTC(), Comment: r.Comment}
	}
	a := n.alerting
	a.mu.Lock()
	lasts := a.board.Acknowledge(id, k)
	a.mu.Unlock()
	if !lasts {
		return web.Alert{}, fmt.Errorf("%w; it may have ended", web.Missing(web.KindAlert, id))
	}
	a.keep()
	n.changed.tell()
	for _, v := range n.Alerts() {
		if v.ID == id {
			return v, nil
		}
	}
	return web.Alert{}, fmt.Errorf("%w; it ended just now", web.Missing(web.KindAlert, id))
}
