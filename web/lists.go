package web

import "slices"

// WatchedPage is a page of a list that can be watched.
type WatchedPage struct {
	Page
	Watch bool `query:"watch" doc:"Answer with server-sent events: the whole answer again whenever it has changed"`
}

// PeerFilter chooses among peers.
type PeerFilter struct {
	State string `query:"state" enum:"self,direct,relayed,unreachable,left" doc:"Only those in this state"`
	Role  string `query:"role" enum:"voter,gateway,peer" doc:"Only those whose certificate entitles to this"`
	WatchedPage
}

func (f *PeerFilter) keeps(p Peer) bool {
	return is(f.State, p.State) && (f.Role == "" || slices.Contains(p.Roles, f.Role))
}

// byPeer has this peer first, the others by name.
var byPeer = byText(`[01]-.+`, func(p Peer) string {
	if p.State == PeerSelf {
		return "0-" + p.Name
	}
	return "1-" + p.Name
}, func(p Peer) []string {
	return slices.Concat([]string{p.Name, p.ID, p.Via, p.Remote, p.Software}, p.Segments, p.Endpoints)
})

// PortFilter chooses among ports.
type PortFilter struct {
	Kind    string `query:"kind" enum:"segment,guest" doc:"Only those of this kind"`
	Segment string `query:"segment" doc:"Only those on this segment"`
	Gate    string `query:"gate" enum:"open,shut,none" doc:"Only those whose gate is like this"`
	WatchedPage
}

func (f *PortFilter) keeps(p Port) bool {
	return is(f.Kind, p.Kind) && is(f.Segment, p.Segment) && is(f.Gate, p.Gate)
}

var byPort = byText(`.+`, func(p Port) string { return p.Name }, func(p Port) []string {
	return []string{p.Name, p.Interface, p.Segment, p.Bridge, p.Blocked}
})

// TokenFilter chooses among invitations.
type TokenFilter struct {
	State string `query:"state" enum:"valid,expired,used,revoked" doc:"Only those in this state"`
	WatchedPage
}

func (f *TokenFilter) keeps(t Token) bool { return is(f.State, t.State) }

var byCreation = byText(instantForm+`-[0-9a-f]+`, func(t Token) string { return instant(t.Created) + "-" + t.ID }, func(t Token) []string {
	return append([]string{t.ID, t.CreatedBy}, t.Roles...)
})

// AlertFilter chooses among alerts.
type AlertFilter struct {
	Severity     string `query:"severity" enum:"info,warn,error" doc:"Only those of this severity"`
	Peer         string `query:"peer" doc:"Only those about this peer"`
	Port         string `query:"port" doc:"Only those about this port"`
	Segment      string `query:"segment" doc:"Only those about this segment"`
	Acknowledged string `query:"acknowledged" enum:"true,false" doc:"Only those of which somebody knows, or of which nobody does"`
	WatchedPage
}

func (f *AlertFilter) keeps(a Alert) bool {
	return is(f.Severity, a.Severity) && is(f.Peer, a.Peer) && is(f.Port, a.Port) && is(f.Segment, a.Segment) &&
		(f.Acknowledged == "" || (f.Acknowledged == "true") == (a.Acknowledged != nil))
}

// severities are those of alerts, the worst first.
var severities = map[string]string{LevelError: "0", LevelWarn: "1", LevelInfo: "2"}

// byWorst has the worst alerts first, among equals the oldest. One that gets worse while somebody reads page by page is on a
// page that was read; the worst first is worth more than that.
var byWorst = byText(`[0-2]-`+instantForm+`-.+`, func(a Alert) string {
	return severities[a.Severity] + "-" + instant(a.Since) + "-" + a.ID
}, func(a Alert) []string {
	return []string{a.ID, a.Text, a.Remedy, a.Peer, a.Port, a.Segment}
})

// OperationFilter chooses among operations.
type OperationFilter struct {
	Kind    string `query:"kind" doc:"Only those of this kind"`
	State   string `query:"state" enum:"running,done,failed,refused" doc:"Only those in this state"`
	Peer    string `query:"peer" doc:"Only those about this peer"`
	Segment string `query:"segment" doc:"Only those about this segment"`
	WatchedPage
}

func (f *OperationFilter) keeps(o Operation) bool {
	return is(f.Kind, o.Kind) && is(f.State, o.State) && is(f.Peer, o.Peer) && is(f.Segment, o.Segment)
}

var byBeginning = byText(instantForm+`-[0-9a-f]+`, func(o Operation) string { return instant(o.Started) + "-" + o.ID }, func(o Operation) []string {
	return []string{o.ID, o.Kind, o.Segment, o.Peer, o.From, o.To, o.By, o.Why, o.Outcome}
}).newestFirst()

// DrillFilter chooses among reports of rehearsals.
type DrillFilter struct {
	Segment string `query:"segment" doc:"Only those of this segment"`
	WatchedPage
}

func (f *DrillFilter) keeps(d DrillReport) bool { return is(f.Segment, d.Segment) }

var byDrill = byText(instantForm+`-[0-9a-f]+`, func(d DrillReport) string { return instant(d.Time) + "-" + d.ID }, func(d DrillReport) []string {
	return []string{d.ID, d.Segment, d.By, d.Outcome}
}).newestFirst()

// EventFilter chooses among events.
type EventFilter struct {
	Kind    string `query:"kind" doc:"Only those of this kind"`
	Level   string `query:"level" enum:"info,warn,error" doc:"Only those that matter so much"`
	Peer    string `query:"peer" doc:"Only those about this peer"`
	Port    string `query:"port" doc:"Only those about this port"`
	Segment string `query:"segment" doc:"Only those about this segment"`
	Find    string `query:"find" maxLength:"255" doc:"Only those with this text in a name or a sentence of theirs"`
}

func (f *EventFilter) keeps(e Event) bool {
	return is(f.Kind, e.Kind) && is(f.Level, e.Level) && is(f.Peer, e.Peer) && is(f.Port, e.Port) && is(f.Segment, e.Segment) && f.finds(e)
}

func (f *EventFilter) finds(e Event) bool {
	return contains(f.Find, e.Kind, e.Text, e.Peer, e.Port, e.Segment, e.Reason)
}
