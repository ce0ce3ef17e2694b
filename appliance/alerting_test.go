package appliance

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	drawbridge "github.com/drawbridge-net/drawbridge"
	"github.com/drawbridge-net/drawbridge/appliance/netconfig"
	"github.com/drawbridge-net/drawbridge/appliance/notify"
	"github.com/drawbridge-net/drawbridge/mesh/secure"
	"github.com/drawbridge-net/drawbridge/systemd"
	"github.com/drawbridge-net/drawbridge/web"
)

// teller is an alerting of a node that has a journal and little else.
func teller(t *testing.T, specs ...notify.Spec) *alerting {
	t.Helper()
	n := &Node{journal: web.NewJournal(time.Now), creds: &secure.Credentials{Network: secure.Network{Name: "home"}}, log: slog.New(slog.DiscardHandler)}
	dir := t.TempDir()
	a := &alerting{node: n, dir: dir, board: notify.NewBoard(boardSettle), young: map[string]youth{}, certificate: noCertificate}
	a.desk = notify.NewDesk(notify.Config{
		Dir: filepath.Join(dir, "q"), From: "a", Replace: secure.WriteFile, Log: n.log, Event: func(e notify.Event) { n.journal.Add(eventOf(&e)) },
	})
	a.desk.Set(t.Context(), specs)
	t.Cleanup(a.desk.Close)
	return a
}

// nowhere refuses connections: what is told waits.
func nowhere(events ...string) notify.Spec {
	return notify.Spec{Name: "ops", Kind: notify.Webhooks, URL: "http://127.0.0.1:1/", Events: events}
}

func TestTheJournalFeedsTheQueues(t *testing.T) {
	a := teller(t, nowhere("segment_*"))
	log, err := systemd.OpenJournal()
	if err != nil {
		t.Fatal(err)
	}
	add := func(kind string) { a.node.journal.Add(web.Event{Kind: kind, Level: web.LevelInfo, Segment: "office"}) }
	add("segment_active")
	add("gate_open")
	last := a.pass(log, 0)
	add("segment_inactive")
	last = a.pass(log, last)
	if again := a.pass(log, last); again != last {
		t.Errorf("nothing happened, and %d became %d", last, again)
	}
	if s := a.desk.Sinks()[0]; s.Waiting != 2 || s.Counts.Next != 3 {
		t.Errorf("%+v", s.Counts)
	}
}

func TestWhatFellOutOfTheJournalIsTold(t *testing.T) {
	a := teller(t, nowhere(notify.KindMissed))
	log, _ := systemd.OpenJournal()
	first := a.node.journal.Add(web.Event{Kind: "x"})
	last := a.pass(log, 0)
	for range 5000 { // it keeps 4096
		a.node.journal.Add(web.Event{Kind: "x"})
	}
	a.pass(log, last)
	if s := a.desk.Sinks()[0]; last != first.ID || s.Waiting != 1 {
		t.Errorf("after event %d: %+v", last, s.Counts)
	}
}

func TestEventsOfConditionsAreForPeople(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := &notify.Standing{Since: began, Condition: notify.Condition{
		ID: "disk_nearly_full", Severity: notify.Warn, Text: "less than 9 % are free", Remedy: "make room in the file system of /var", Port: "eth1",
	}}
	raised, cleared := raisedEvent(s), clearedEvent(s, began.Add(90*time.Second))
	if raised.Reason != "what to do: make room in the file system of /var" || cleared.Reason != "it lasted 1m30s" {
		t.Errorf("reasons %q and %q", raised.Reason, cleared.Reason)
	}
	for _, e := range []web.Event{raised, cleared} {
		told := tellable(&e)
		if back := eventOf(&told); back != e || e.Alert != s.ID || e.Port != s.Port {
			t.Errorf("%+v is told as %+v", e, back)
		}
	}
	told := tellable(&raised)
	if entry := teller(t).entry(&told); entry["DRAWBRIDGE_ALERT"] != s.ID || entry["MESSAGE_ID"] != "ce41f1ba65f2454d82c6af1d9107bb37" {
		t.Errorf("the journal of the host has %v", entry)
	}
}

func TestEntriesOfTheHostsJournal(t *testing.T) {
	a := teller(t)
	e := a.entry(&notify.Event{ID: 7, Kind: "alone", Level: notify.Warn, Text: "port is blocked", Reason: "reflection", Port: "eth1"})
	for field, want := range map[string]string{
		"MESSAGE": "port is blocked", "PRIORITY": "4", "DRAWBRIDGE_EVENT": "alone", "DRAWBRIDGE_EVENT_ID": "7", "DRAWBRIDGE_REASON": "reflection",
		"DRAWBRIDGE_NETWORK": "home", "DRAWBRIDGE_PORT": "eth1", "DRAWBRIDGE_SEGMENT": "",
	} {
		if e[field] != want {
			t.Errorf("%s is %q, want %q", field, e[field], want)
		}
	}
	if len(e["MESSAGE_ID"]) != 32 {
		t.Errorf("MESSAGE_ID %q", e["MESSAGE_ID"])
	}
}

func TestSinksOfTheConfiguration(t *testing.T) {
	all := sinksOf(&netconfig.Alerts{
		Webhooks: []netconfig.Webhook{{Name: "w", URL: "https://h.example/secret", Secret: "s", Peers: []drawbridge.PeerName{"a"}, Severity: "warn"}},
		Commands: []netconfig.Command{{Name: "c", Run: []string{"bell"}}},
		Syslog:   []netconfig.Syslog{{Name: "s", Address: "l:514", Transport: netconfig.TransportTCP}},
	})
	want := []string{"https://h.example", "bell", "tcp://l:514"}
	for i, s := range all {
		if s.Target() != want[i] {
			t.Errorf("%s goes to %s, want %s", s.Name, s.Target(), want[i])
		}
	}
	if len(all) != 3 || all[0].Secret != "s" || all[0].Peers[0] != "a" || all[0].Severity != "warn" {
		t.Errorf("%+v", all)
	}
}

func TestWhatIsTellableOnlyAfterAWhile(t *testing.T) {
	a := teller(t)
	now := time.Unix(1000, 0)
	look := func(after time.Duration, asked bool) (lasts bool) {
		now = now.Add(after)
		if asked {
			lasts = a.lasts("x", now, time.Minute)
		}
		a.forget(now)
		return lasts
	}
	for i, c := range []struct {
		after time.Duration
		asked bool
		want  bool
	}{{0, true, false}, {50 * time.Second, true, false}, {time.Second, false, false}, {10 * time.Second, true, false}, {time.Minute, true, true}} {
		if got := look(c.after, c.asked); got != c.want {
			t.Errorf("look %d: %v, want %v", i, got, c.want)
		}
	}
}

func TestDiskSeverity(t *testing.T) {
	for _, c := range []struct {
		share float64
		free  uint64
		want  string
	}{
		{0.5, 100 << 20, ""}, {0.05, 50 << 30, ""}, {0.09, 500 << 20, notify.Warn}, {0.02, 500 << 20, notify.Error}, {0.09, 64 << 20, notify.Error},
	} {
		if got := diskSeverity(c.share, c.free); got != c.want {
			t.Errorf("%v, %d bytes: %q, want %q", c.share, c.free, got, c.want)
		}
	}
}

func TestWhatEndedIsToldAfterARestart(t *testing.T) {
	a := teller(t)
	a.board.Recall(notify.Kept{"peer_unreachable.z": {Since: time.Now().Add(-time.Hour)}})
	_, cleared := a.board.Update(time.Now(), nil)
	if len(cleared) != 1 {
		t.Fatal(cleared)
	}
}
