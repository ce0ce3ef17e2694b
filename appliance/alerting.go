package appliance

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/appliance/notify"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/systemd"
	"github.com/drawbridge-net/drawbridge/web"
)

// Rhythm of the board. State is read when it changes, but not in every moment of a burst, and now and then for what
// nobody tells of, such as a disk.
const (
	boardSettle = 3 * time.Second // above a planned move and a failover with any timers
	boardPause  = 500 * time.Millisecond
	boardEvery  = 10 * time.Second
	boardGrace  = 10 * time.Second // after the start, until the mesh has found itself: nothing began or ended by that
)

// alerting tells the sinks of the network configuration what happens here, and keeps what is wrong just now.
type alerting struct {
	// Set at construction, then constant.
	node *Node
	desk *notify.Desk
	dir  string

	certificate func() (time.Time, bool) // until when the console's is valid; set before anything runs

	young map[string]youth // owned by watchState

	mu    sync.Mutex // guards what follows
	board *notify.Board
}

// boardFile in the directory of alerts is what of the board survives a restart.
const boardFile = "board.json"

// openAlerting makes it from the state directory. Nothing is told before Run.
func (n *Node) openAlerting() *alerting {
	a := &alerting{node: n, dir: filepath.Join(n.creds.Dir(), "alerts"), board: notify.NewBoard(boardSettle), young: map[string]youth{}, certificate: noCertificate}
	a.desk = notify.NewDesk(notify.Config{
		Dir: a.dir, Hooks: filepath.Join(filepath.Dir(n.cfg.Path), "hooks"), Network: n.creds.Network.Name, From: string(n.creds.Name),
		Software: n.version, Replace: secure.WriteFile, Log: n.log, Event: func(e notify.Event) { n.event(eventOf(&e)) },
	})
	text, err := os.ReadFile(filepath.Join(a.dir, boardFile))
	var kept notify.Kept
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		n.log.Warn("what was wrong before the restart is forgotten", "err", err)
	}
	a.board.Recall(kept)
	return a
}

// noCertificate is for peers without a console.
func noCertificate() (time.Time, bool) { return time.Time{}, false }

// eventOf makes an event of the journal of one that comes from notify.
func eventOf(e *notify.Event) web.Event {
	return web.Event{Time: e.Time, Level: e.Level, Kind: e.Kind, Text: e.Text, Peer: e.Peer, Port: e.Port, Segment: e.Segment, Epoch: e.Epoch, Alert: e.Alert, Reason: e.Reason}
}

// tellable is the reverse.
func tellable(e *web.Event) notify.Event {
	return notify.Event{
		ID: e.ID, Time: e.Time, Level: e.Level, Kind: e.Kind, Text: e.Text, Peer: e.Peer, Port: e.Port, Segment: e.Segment, Epoch: e.Epoch, Alert: e.Alert, Reason: e.Reason,
	}
}

// tellSinks follows the journal, and keeps the sinks those of the configuration. A change of the configuration is in the
// journal, too, so there is one thing to wait for. When it ends, what was noted last is in the queues.
func (a *alerting) tellSinks(ctx context.Context) error {
	defer a.desk.Close()
	log, err := systemd.OpenJournal()
	if err != nil {
		a.node.log.Warn("events are not written to the journal with their fields", "err", err)
	}
	defer func() { _ = log.Close() }()
	var document *netconfig.Document
	var last uint64
	for {
		added := a.node.journal.Watch()
		if d := a.node.network.inForce(); d != document {
			document = d
			a.desk.Set(context.WithoutCancel(ctx), sinksOf(&d.Alerts))
		}
		last = a.pass(log, last)
		select {
		case <-ctx.Done():
			a.pass(log, last)
			return nil
		case <-added:
		}
	}
}

// pass gives to the queues and to the journal of the host what was noted after last.
func (a *alerting) pass(log *systemd.Journal, last uint64) uint64 {
	news := a.node.journal.After(last)
	if len(news) == 0 {
		return last
	}
	events := make([]notify.Event, 0, len(news))
	if missed := news[0].ID - last - 1; last > 0 && missed > 0 {
		events = append(events, notify.Event{
			ID: news[0].ID - 1, Time: news[0].Time, Level: notify.Error, Kind: notify.KindMissed,
			Text: drawbridge.Counted(missed, "event was", "events were") + " not queued: more happened than the disk could take",
		})
	}
	for i := range news {
		events = append(events, tellable(&news[i]))
	}
	for i := range events {
		if err := log.Send(a.entry(&events[i])); err != nil {
			a.node.log.Debug("an event is not in the journal of the host", "kind", events[i].Kind, "err", err)
		}
	}
	a.desk.Tell(events)
	return news[len(news)-1].ID
}

// priorities are those of syslog, which the journal has.
var priorities = map[string]string{notify.Info: "6", notify.Warn: "4", notify.Error: "3"}

// entry is an event as the journal of the host has it.
func (a *alerting) entry(e *notify.Event) map[string]string {
	meaning, _ := notify.MeaningOf(e)
	return map[string]string{
		"MESSAGE": e.Text, "MESSAGE_ID": meaning.ID, "PRIORITY": cmp.Or(priorities[e.Level], "3"), "SYSLOG_IDENTIFIER": "drawbridge",
		"DRAWBRIDGE_EVENT": e.Kind, "DRAWBRIDGE_EVENT_ID": strconv.FormatUint(e.ID, 10), "DRAWBRIDGE_NETWORK": a.node.creds.Network.Name,
		"DRAWBRIDGE_SEGMENT": e.Segment, "DRAWBRIDGE_PEER": e.Peer, "DRAWBRIDGE_PORT": e.Port, "DRAWBRIDGE_EPOCH": e.Epoch,
		"DRAWBRIDGE_ALERT": e.Alert, "DRAWBRIDGE_REASON": cmp.Or(e.Reason, "none given"),
	}
}

// sinksOf is what the configuration says of sinks, in notify's words.
func sinksOf(a *netconfig.Alerts) (all []notify.Spec) {
	for _, w := range a.Webhooks {
		all = append(all, notify.Spec{
			Name: w.Name, Kind: notify.Webhooks, Events: w.Events, Severity: w.Severity, Peers: words(w.Peers), URL: w.URL, Secret: w.Secret, Fingerprint: w.Fingerprint,
		})
	}
	for _, c := range a.Commands {
		all = append(all, notify.Spec{Name: c.Name, Kind: notify.Commands, Events: c.Events, Severity: c.Severity, Peers: words(c.Peers), Run: c.Run})
	}
	for _, s := range a.Syslog {
		all = append(all, notify.Spec{
			Name: s.Name, Kind: notify.Syslogs, Events: s.Events, Severity: s.Severity, Peers: words(s.Peers), Address: s.Address, Transport: s.Transport, Fingerprint: s.Fingerprint,
		})
	}
	return all
}

func words(names []drawbridge.PeerName) (all []string) {
	for _, n := range names {
		all = append(all, string(n))
	}
	return all
}

// watchState keeps the board, and notes what ended that was begun on purpose.
func (a *alerting) watchState(ctx context.Context) error {
	every := time.NewTicker(boardEvery)
	defer every.Stop()
	told := newOutcomes(a.node)
	if !pause(ctx, boardGrace) {
		return nil
	}
	for {
		changed := a.node.changed.watch()
		told.look()
		due := a.review(time.Now())
		if !pause(ctx, boardPause) {
			return nil
		}
		var wake <-chan time.Time
		if !due.IsZero() {
			timer := time.NewTimer(time.Until(due))
			defer timer.Stop()
			wake = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-every.C:
		case <-wake:
		}
	}
}

// review brings the board up to date, and says when it wants to be brought again.
func (a *alerting) review(now time.Time) (due time.Time) {
	conditions := a.conditions(now)
	a.mu.Lock()
	raised, cleared := a.board.Update(now, conditions)
	due = a.board.Due()
	a.mu.Unlock()
	for _, s := range raised {
		a.node.event(raisedEvent(&s))
	}
	for _, s := range cleared {
		a.node.event(clearedEvent(&s, now))
	}
	if len(raised)+len(cleared) > 0 {
		a.keep()
	}
	return due
}

// raisedEvent says that a condition began.
func raisedEvent(s *notify.Standing) web.Event {
	return web.Event{
		Level: s.Severity, Kind: notify.KindRaised, Text: s.Text, Peer: s.Peer, Port: s.Port, Segment: s.Segment, Alert: s.ID, Reason: "what to do: " + s.Remedy,
	}
}

// clearedEvent says that it ended.
func clearedEvent(s *notify.Standing, now time.Time) web.Event {
	return web.Event{
		Level: web.LevelInfo, Kind: notify.KindCleared, Text: "no longer: " + s.Text, Peer: s.Peer, Port: s.Port, Segment: s.Segment, Alert: s.ID,
		Reason: "it lasted " + now.Sub(s.Since).Round(time.Second).String(),
	}
}

// keep writes down what of the board survives a restart.
func (a *alerting) keep() {
	a.mu.Lock()
	text, err := json.Marshal(a.board.Keep())
	a.mu.Unlock()
	if err == nil {
		err = os.MkdirAll(a.dir, 0o700)
	}
	if err == nil {
		err = secure.WriteFile(a.dir, boardFile, append(text, '\n'))
	}
	if err != nil {
		a.node.log.Warn("what is wrong just now does not survive a restart", "err", err)
	}
}

// outcomes notes how switchovers and unconfirmed configurations ended. What ended before this run is old news.
type outcomes struct {
	node     *Node
	ended    map[string]bool // operations that were told
	reverted uint64          // newest version that was told as reverted, or older than this run
	primed   bool
}

func newOutcomes(n *Node) *outcomes { return &outcomes{node: n, ended: map[string]bool{}} }

func (o *outcomes) look() {
	for _, op := range o.node.Operations() {
		// The gateway that gives a segment up carries the switchover out, and tells of it once.
		if op.Kind != orderSwitchover || op.DryRun || op.State == web.OperationRunning || op.From != string(o.node.creds.Name) || o.ended[op.ID] {
			continue
		}
		o.ended[op.ID] = true
		e := web.Event{Level: web.LevelInfo, Kind: notify.KindMoved, Segment: op.Segment, Peer: op.To, Text: op.Outcome, Reason: "asked for by " + cmp.Or(op.By, "somebody")}
		if op.State != web.OperationDone {
			e.Level, e.Kind = web.LevelError, notify.KindNotMoved
			e.Text = fmt.Sprintf("switchover of segment %s to %s %s: %s", op.Segment, op.To, op.State, op.Outcome)
		}
		if op.Handover != nil {
			e.Epoch = op.Handover.Epoch
		}
		o.node.event(e)
	}
	o.lookForReverts()
}

// lookForReverts is for voters, who have the history; each tells, under one key.
func (o *outcomes) lookForReverts() {
	if o.node.voter == nil || !o.node.voter.isCurrent() {
		return
	}
	state, _ := o.node.voter.group.State()
	newest, ok := state.Newest()
	if !ok {
		return
	}
	primed := o.primed
	o.primed = true
	for _, v := range state.Versions {
		if !v.Reverted || v.Number <= o.reverted {
			continue
		}
		o.reverted = v.Number
		old := v.Settled != nil && v.Settled.At.Before(o.node.started)
		if primed || !old {
			o.node.event(web.Event{
				Level: web.LevelWarn, Kind: notify.KindReverted, Reason: fmt.Sprintf("version %d", v.Number),
				Text: fmt.Sprintf("version %d of the network configuration, by %s, was not confirmed in time: version %d has what was in force before", v.Number, v.Author, newest.Number),
			})
		}
	}
}
