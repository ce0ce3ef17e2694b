package webtest

import (
	"context"
	"fmt"
	"time"

	"github.com/drawbridge-net/drawbridge/web"
)

// Alerts are what a Node answers about what is wrong, and who is told.
type Alerts struct {
	Alerts []web.Alert
	Sinks  []web.AlertSink
}

// Alerts implements web.Alerter.
func (n *Node) Alerts() []web.Alert { return n.read().Alerts.Alerts }

// AlertSinks implements web.Alerter.
func (n *Node) AlertSinks() []web.AlertSink { return n.read().Alerts.Sinks }

// TestSink implements web.Alerter.
func (n *Node) TestSink(_ context.Context, name, by string) (web.SinkTest, error) {
	return web.SinkTest{Sink: name, OK: true, Took: 12.5}, n.note("test sink %s by %s", name, by)
}

// Acknowledge implements web.Alerter.
func (n *Node) Acknowledge(_ context.Context, id string, on bool, r web.AcknowledgeRequest) (web.Alert, error) {
	for _, a := range n.Alerts() {
		if a.ID == id {
			return a, n.note("acknowledge %s %v %q by %s", id, on, r.Comment, r.By)
		}
	}
	return web.Alert{}, fmt.Errorf("alert %s %w", id, web.ErrNotFound)
}

func sampleAlerts() Alerts {
	since, next := Now.Add(-10*time.Minute), Now.Add(30*time.Second)
	return Alerts{
		Alerts: []web.Alert{
			{
				ID: "peer_unreachable.z", Severity: web.LevelWarn, Since: since, Peer: "z", Text: "peer z is unreachable",
				Remedy: "see whether it runs", Acknowledged: &web.Acknowledgement{By: "alice", At: Now, Comment: "Bob drives there"},
			},
		},
		Sinks: []web.AlertSink{
			{
				Name: "ops", Kind: "webhook", Target: "https://example.net", Events: []string{"segment_*"}, Severity: "info", Peers: []string{}, Told: true,
				Queued: 3, Next: 42, Delivered: 38, Failures: 2, Failed: 5, LastError: "answered 500 Internal Server Error", Tried: &since, Took: &since,
				NextAttempt: &next, Problems: []web.Problem{},
			},
			{Name: "log", Kind: "syslog", Target: "udp://192.0.2.1:514", Events: []string{}, Severity: "warn", Peers: []string{"b"}, Problems: []web.Problem{}},
		},
	}
}
