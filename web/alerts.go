package web

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Alerter tells what is wrong just now, and whom it tells of what happens.
type Alerter interface {
	Alerts() []Alert         // the worst first
	AlertSinks() []AlertSink // by name
	// TestSink tells a sink something at once. That the sink does not take it is no error but the answer.
	TestSink(ctx context.Context, name, by string) (SinkTest, error)
	// Acknowledge notes on this peer that somebody knows of an alert; with on false, that nobody does.
	Acknowledge(ctx context.Context, id string, on bool, r AcknowledgeRequest) (Alert, error)
}

// Alert is something that is wrong just now.
type Alert struct {
	ID           string           `json:"id" doc:"What is wrong and where, the same while it lasts" example:"no_active_gateway.office"`
	Severity     string           `json:"severity" enum:"info,warn,error" doc:"How much it matters"`
	Since        time.Time        `json:"since" doc:"Since when this peer sees it"`
	Text         string           `json:"text" doc:"What is wrong, for people"`
	Remedy       string           `json:"remedy" doc:"What to do about it"`
	Peer         string           `json:"peer,omitempty" doc:"Peer that it is about"`
	Port         string           `json:"port,omitempty" doc:"Port that it is about"`
	Segment      string           `json:"segment,omitempty" doc:"Segment that it is about"`
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty" doc:"Who knows of it; missing: nobody has said so on this peer"`
}

// Acknowledgement says who knows of an alert.
type Acknowledgement struct {
	By      string    `json:"by" doc:"Who said so"`
	At      time.Time `json:"at" doc:"When"`
	Comment string    `json:"comment,omitempty" doc:"What they wrote"`
}

// AcknowledgeRequest says that somebody knows of an alert.
type AcknowledgeRequest struct {
	Comment string `json:"comment,omitempty" maxLength:"500" doc:"What others should know, such as who looks after it"`
	By      string `json:"by,omitempty" maxLength:"100" doc:"Who says so, for the record"`
}

// AlertSink is somebody who is told of events, and how that goes on this peer.
type AlertSink struct {
	Name        string     `json:"name" doc:"Name in the network configuration"`
	Kind        string     `json:"kind" enum:"webhook,command,syslog" doc:"How it is told"`
	Target      string     `json:"target" doc:"Where messages go, without what could be a secret"`
	Events      []string   `json:"events" doc:"Kinds of events and patterns of them; none: all"`
	Severity    string     `json:"severity" enum:"info,warn,error" doc:"The least that is told"`
	Peers       []string   `json:"peers" doc:"Who tells it; none: every peer"`
	Told        bool       `json:"told" doc:"Whether this peer tells it"`
	Queued      int        `json:"queued" doc:"Events that wait for it"`
	Next        uint64     `json:"next" doc:"Number that the next event gets; 0: this peer does not tell it"`
	Delivered   uint64     `json:"delivered" doc:"Events that it took since the queue was made"`
	Dropped     uint64     `json:"dropped" doc:"Events that it was not told, because its queue was full or it refused them"`
	Failures    int        `json:"failures" doc:"Attempts since the last one that succeeded"`
	Failed      uint64     `json:"failed" doc:"Attempts that failed in this run"`
	LastError   string     `json:"last_error,omitempty" doc:"Why the last attempt failed; missing: it did not"`
	Tried       *time.Time `json:"tried,omitempty" doc:"When it was last tried in this run"`
	Took        *time.Time `json:"took,omitempty" doc:"When it last took an event in this run"`
	NextAttempt *time.Time `json:"next_attempt,omitempty" doc:"When it is tried next, after a failure"`
	Problems    []Problem  `json:"problems" doc:"What is wrong with how it is configured, or kept here"`
}

// SinkTest is what came of a test.
type SinkTest struct {
	Sink  string       `json:"sink" doc:"Name of the sink"`
	OK    bool         `json:"ok" doc:"Whether it took the message"`
	Error string       `json:"error,omitempty" doc:"Why not"`
	Took  Milliseconds `json:"took_ms" doc:"How long that took, in milliseconds"`
}

// SinkTestRequest asks for a test.
type SinkTestRequest struct {
	By string `json:"by,omitempty" maxLength:"100" doc:"Who asks; it is in the message"`
}

// alerts registers what is wrong just now, and who is told.
func (s *server) alerts() {
	const invalid, missing, later = http.StatusUnprocessableEntity, http.StatusNotFound, http.StatusServiceUnavailable
	list[Alert, AlertFilter](s, "alerts", "What is wrong just now, the worst first", byWorst, certain(s.node.Alerts))
	huma.Register(s.api, operation("get-alert-sinks", http.MethodGet, "/alerts/sinks", "Who is told of events, and how that goes on this peer"),
		func(context.Context, *watch) (*answer[[]AlertSink], error) {
			return &answer[[]AlertSink]{complete(s.node.AlertSinks())}, nil
		})
	s.streamed("/alerts/sinks")
	type test struct {
		Name string `path:"name" maxLength:"63" doc:"Name of the sink"`
		Body SinkTestRequest
	}
	huma.Register(s.api, operation("test-alert-sink", http.MethodPost, "/alerts/sinks/{name}/test", "Tell a sink a test at once, and say what it answered", invalid, missing, later),
		func(ctx context.Context, in *test) (*answer[SinkTest], error) {
			t, err := s.node.TestSink(ctx, in.Name, in.Body.By)
			return &answer[SinkTest]{t}, s.refusal(err)
		})
	type named struct {
		ID string `path:"id" maxLength:"300" doc:"ID of the alert"`
	}
	type acknowledge struct {
		ID   string `path:"id" maxLength:"300" doc:"ID of the alert"`
		Body AcknowledgeRequest
	}
	huma.Register(s.api, operation("acknowledge-alert", http.MethodPost, "/alerts/{id}/acknowledge", "Note on this peer that somebody knows of an alert, until it ends", invalid, missing),
		func(ctx context.Context, in *acknowledge) (*answer[Alert], error) {
			a, err := s.node.Acknowledge(ctx, in.ID, true, in.Body)
			return &answer[Alert]{a}, s.refusal(err)
		})
	huma.Register(s.api, operation("unacknowledge-alert", http.MethodDelete, "/alerts/{id}/acknowledge", "Note that nobody knows of an alert after all", missing),
		func(ctx context.Context, in *named) (*answer[Alert], error) {
			a, err := s.node.Acknowledge(ctx, in.ID, false, AcknowledgeRequest{})
			return &answer[Alert]{a}, s.refusal(err)
		})
}

// The metrics of alerts.
var (
	mAlerts        = metric(gauge, "alerts", "Things that are wrong just now, by condition and severity; conditions that do not last are missing.", "condition", "severity")
	mSinkQueue     = metric(gauge, "alert_sink_queued", "Events that wait for a sink.", "sink")
	mSinkDelivered = metric(counter, "alert_sink_delivered_total", "Events that a sink took.", "sink")
	mSinkDropped   = metric(counter, "alert_sink_dropped_total", "Events that a sink was not told.", "sink")
	mSinkFailed    = metric(counter, "alert_sink_failed_attempts_total", "Attempts to tell a sink that failed, in this run.", "sink")
)

// alerts measures. A condition is the ID of an alert up to its first point: what is behind names a peer or a port.
func (g gathering) alerts(node Alerter) {
	type label struct{ condition, severity string }
	counts := map[label]int{}
	for _, a := range node.Alerts() {
		condition, _, _ := strings.Cut(a.ID, ".")
		counts[label{condition, a.Severity}]++
	}
	for l, n := range counts {
		g.put(mAlerts, float64(n), l.condition, l.severity)
	}
	for _, s := range node.AlertSinks() {
		if !s.Told {
			continue
		}
		g.put(mSinkQueue, float64(s.Queued), s.Name)
		g.put(mSinkDelivered, float64(s.Delivered), s.Name)
		g.put(mSinkDropped, float64(s.Dropped), s.Name)
		g.put(mSinkFailed, float64(s.Failed), s.Name)
	}
}
